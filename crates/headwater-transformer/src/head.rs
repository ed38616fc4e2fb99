//! From the last hidden states to a logit a word.

use burn::tensor::Tensor;
use headwater_checkpoint::wiring::{HeadSpec, HeadTransform};

use crate::reader::ParameterReader;
use crate::{Error, Linear, Norm, apply_activation};

/// What makes logits of the last hidden states: norm(act(x W_t + b_t)), where there
/// is such a transform, then the product with a matrix, · factor, + bias, soft cap.
#[derive(Debug, Clone)]
pub struct Head {
    /// The factor, the soft cap and the transform's activation.
    pub spec: HeadSpec,
    /// W_t, b_t and the norm.
    pub transform: Option<(Linear, Norm)>,
    /// The word embeddings where they are tied, `[vocab, width]`.
    pub matrix: Tensor<2>,
    /// `[vocab]`.
    pub bias: Option<Tensor<1>>,
}

impl Head {
    /// # Shapes
    /// `[batch, token, d_model]`, the last hidden states behind the final norm, to
    /// `[batch, token, vocab]`; 2·batch·token·width·vocab FLOPs.
    pub fn logits(&self, hidden_states: Tensor<3>) -> Tensor<3> {
        let x = match (&self.transform, self.spec.transform) {
            (Some((map, norm)), Some(HeadTransform { activation, .. })) => {
                let transformed = apply_activation(activation, map.forward(hidden_states));
                norm.forward(transformed).0
            }
            _ => hidden_states,
        };
        let product = Linear {
            weight: self.matrix.clone(),
            bias: None,
        };
        let logits = product.forward(x);
        let logits = match self.spec.factor == 1.0 {
            true => logits,
            false => logits * self.spec.factor,
        };
        let logits = match &self.bias {
            Some(bias) => logits + bias.clone().unsqueeze(),
            None => logits,
        };
        match self.spec.soft_cap {
            Some(cap) => (logits / cap).tanh() * cap,
            None => logits,
        }
    }

    /// Reads the head of a checkpoint; `words` are its word embeddings. The file of a
    /// model that was saved without its head has none.
    pub(crate) fn load(
        reader: &ParameterReader<'_>,
        spec: &HeadSpec,
        words: &Tensor<2>,
    ) -> Result<Option<Self>, Error> {
        let needed = [
            (!spec.tied).then_some("lm_head.weight"),
            spec.bias.then_some("lm_head.bias"),
            spec.transform.map(|_| "lm_head.dense.weight"),
        ];
        if needed.into_iter().flatten().any(|name| !reader.has(name)) {
            return Ok(None);
        }
        let transform = spec.transform.map(|transform| {
            Ok::<_, Error>((
                reader.linear("lm_head.dense", transform.bias)?,
                reader.norm("lm_head.norm", transform.norm)?,
            ))
        });
        Ok(Some(Self {
            transform: transform.transpose()?,
            matrix: match spec.tied {
                true => words.clone(),
                false => reader.tensor("lm_head.weight")?,
            },
            bias: reader.present("lm_head.bias", spec.bias)?,
            spec: spec.clone(),
        }))
    }
}
