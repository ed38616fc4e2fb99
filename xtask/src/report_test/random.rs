//! Analysis files of the size of BERT-base, with random numbers: little in
//! them can be compressed, so they make the largest reports.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use fastrand::Rng;
use headwater::{FORMAT, LayerArray, MixingMeasure, Scope};
use safetensors::{Dtype, View};

const LAYERS: usize = 12;
const HEADS: usize = 12;

/// Writes an analysis of so many tokens.
pub(crate) fn write(path: &Path, tokens: usize) -> anyhow::Result<()> {
    let mut random = Rng::with_seed(tokens as u64);
    let names: Vec<String> = (0..tokens)
        .map(|position| format!("word{position}"))
        .collect();
    let metadata = HashMap::from(
        [
            ("format", FORMAT.to_owned()),
            ("model", "random numbers".to_owned()),
            ("architecture", "bert".to_owned()),
            ("dtype", "f32".to_owned()),
            ("tokens", serde_json::to_string(&names)?),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let ids = || Tensor {
        dtype: Dtype::I64,
        shape: vec![tokens],
        bytes: (0..tokens as i64).flat_map(i64::to_le_bytes).collect(),
    };
    let mut tensors = vec![
        ("input_ids".to_owned(), ids()),
        ("token_type_ids".to_owned(), ids()),
    ];
    for layer in 0..LAYERS {
        let mut add = |array: LayerArray, values: Vec<f32>| {
            let tensor = Tensor {
                dtype: Dtype::F32,
                shape: array.shape(HEADS, tokens, tokens),
                bytes: values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            };
            tensors.push((array.at(layer).to_string(), tensor));
        };
        let weights: Vec<f32> = (0..HEADS * tokens)
            .flat_map(|_| distribution(&mut random, tokens))
            .collect();
        let norms: Vec<f32> = (0..HEADS * tokens)
            .map(|_| 2.0 * spread(&mut random))
            .collect();
        let mut map: Vec<f32> = (0..tokens * tokens)
            .map(|index| {
                let heads = (0..HEADS).map(|head| {
                    let norm = norms[head * tokens + index % tokens];
                    weights[head * tokens * tokens + index] * norm
                });
                heads.sum::<f32>() / HEADS as f32
            })
            .collect();
        add(LayerArray::AttentionWeights, weights);
        add(LayerArray::TransformedNorms, norms);
        for scope in [
            Scope::Attn,
            Scope::AttnRes,
            Scope::Atb,
            Scope::AtbFf,
            Scope::AtbFfRes,
            Scope::AtbFfResLn,
        ] {
            match scope {
                Scope::Attn => {}
                // The residual connection is added to what a token keeps of itself.
                Scope::AttnRes => map
                    .iter_mut()
                    .step_by(tokens + 1)
                    .for_each(|own| *own += 12.0),
                _ => map.iter_mut().for_each(|norm| *norm *= spread(&mut random)),
            }
            add(LayerArray::Norms(scope), map.clone());
            let ratios = (0..tokens).map(|_| random.f32()).collect();
            add(LayerArray::MixingRatio(MixingMeasure::Scope(scope)), ratios);
        }
    }
    safetensors::serialize_to_file(tensors, Some(metadata), path)?;
    Ok(())
}

/// Weights that sum to 1, as sharp as those of a trained head may be.
fn distribution(random: &mut Rng, tokens: usize) -> Vec<f32> {
    let weights: Vec<f32> = (0..tokens).map(|_| spread(random).powi(3)).collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// About a log-normal number: the exponential of a sum of uniform ones.
fn spread(random: &mut Rng) -> f32 {
    let sum: f32 = (0..4).map(|_| random.f32() - 0.5).sum();
    (0.8 * sum).exp()
}

struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
