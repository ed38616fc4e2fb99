//! Parameters on their way from a checkpoint to a device.

use burn::tensor::{Device, Tensor, TensorData};
use headwater_checkpoint::Checkpoint;

use crate::{Error, LayerNorm, Linear, Precision};

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
