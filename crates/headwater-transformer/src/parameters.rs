//! Parameters as they lie in the file, and the two functions that use them.

use burn::tensor::{Device, Tensor, TensorData};
use headwater_checkpoint::Checkpoint;

use crate::{Error, Precision};

/// An affine map `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// W, `[out, in]`: the layout of the file, so that no second copy is made.
    /// Matrix products take its transposed view.
    pub weight: Tensor<2>,
    /// b, `[out]`.
    pub bias: Tensor<1>,
}

impl Linear {
    /// Applies the map to every row.
    ///
    /// # Shapes
    /// `x`: `[batch, token, in]`; result `[batch, token, out]`. 2·batch·token·in·out FLOPs.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.product(x) + self.bias.clone().unsqueeze()
    }

    /// The linear part alone: `x Wᵀ`.
    ///
    /// # Shapes
    /// As [`Linear::forward`].
    pub fn product(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, token, input] = x.dims();
        let [output, _] = self.weight.dims();
        // One large product instead of `batch` small ones.
        x.reshape([batch * token, input])
            .matmul(self.weight.clone().transpose())
            .reshape([batch, token, output])
    }
}

/// Layer normalization `y = γ ⊙ (x − mean(x)) / s(x) + β` with
/// `s(x) = sqrt(var(x) + ε)`, biased variance.
///
/// Burn's own module hides its ε, and the decomposition needs s(x).
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// γ, `[d_model]`.
    pub weight: Tensor<1>,
    /// β, `[d_model]`.
    pub bias: Tensor<1>,
    /// ε, added to the variance.
    pub epsilon: f64,
}

impl LayerNorm {
    /// Normalizes every row.
    ///
    /// # Shapes
    /// `x`: `[batch, token, d_model]`; result: the same, and s(x) `[batch, token, 1]`.
    pub fn forward(&self, x: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let centred = x.clone() - x.mean_dim(2);
        let scale = (centred.clone().square().mean_dim(2) + self.epsilon).sqrt();
        let normalized = centred / scale.clone() * self.weight.clone().unsqueeze()
            + self.bias.clone().unsqueeze();
        (normalized, scale)
    }
}

/// Reads parameters of one stack of a checkpoint onto a device.
pub(crate) struct ParameterReader<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    /// What stands before the stack's names: nothing, `encoder.` or `decoder.`.
    pub(crate) stack: &'static str,
    pub(crate) device: &'a Device,
    pub(crate) precision: Precision,
}

impl ParameterReader<'_> {
    /// Whether the stack has a parameter of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.checkpoint.has(&format!("{}{name}", self.stack))
    }

    pub(crate) fn tensor<const D: usize>(&self, name: &str) -> Result<Tensor<D>, Error> {
        let name = &format!("{}{name}", self.stack);
        let host = self.checkpoint.read(name)?;
        let shape: [usize; D] = host.shape.as_slice().try_into().map_err(|_| Error::Rank {
            name: name.to_owned(),
            expected: D,
            found: host.shape.clone(),
        })?;
        let data = match self.precision {
            Precision::F32 => TensorData::new(host.to_f32(), shape),
            Precision::F64 => TensorData::new(host.to_f64(), shape),
        };
        Ok(Tensor::from_data(
            data,
            (self.device, self.precision.dtype()),
        ))
    }

    pub(crate) fn linear(&self, name: &str) -> Result<Linear, Error> {
        Ok(Linear {
            weight: self.tensor(&format!("{name}.weight"))?,
            bias: self.tensor(&format!("{name}.bias"))?,
        })
    }

    pub(crate) fn layer_norm(&self, name: &str, epsilon: f64) -> Result<LayerNorm, Error> {
        Ok(LayerNorm {
            weight: self.tensor(&format!("{name}.weight"))?,
            bias: self.tensor(&format!("{name}.bias"))?,
            epsilon,
        })
    }

    /// A layer norm that some families do not have.
    pub(crate) fn optional_layer_norm(
        &self,
        name: &str,
        epsilon: f64,
    ) -> Result<Option<LayerNorm>, Error> {
        self.has(&format!("{name}.weight"))
            .then(|| self.layer_norm(name, epsilon))
            .transpose()
    }
}
