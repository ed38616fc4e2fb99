//! Parameters on their way from a checkpoint to a device.

use burn::tensor::{AllocationProperty, Bytes, DType, Device, Tensor, TensorData};
use headwater_checkpoint::wiring::NormSpec;
use headwater_checkpoint::{Checkpoint, MappedTensor};

use crate::{DeviceName, Error, Linear, Norm, Precision, dtype};

/// Reads parameters of one stack of a checkpoint onto a device.
pub(crate) struct ParameterReader<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    /// What stands before the stack's names: nothing, `encoder.` or `decoder.`.
    pub(crate) stack: &'static str,
    pub(crate) device_name: DeviceName,
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
        let shaped = |shape: &[usize]| {
            <[usize; D]>::try_from(shape).map_err(|_| Error::Rank {
                name: name.to_owned(),
                expected: D,
                found: shape.to_vec(),
            })
        };
        let data = match self.mapped(name)? {
            Some(mapped) => {
                let shape = shaped(&mapped.shape)?;
                let bytes = bytes::Bytes::from_owner(mapped);
                let bytes = Bytes::from_shared(bytes, AllocationProperty::File);
                TensorData::from_bytes(bytes, shape, DType::F32)
            }
            None => {
                let host = self.checkpoint.read(name)?;
                let shape = shaped(&host.shape)?;
                match self.precision {
                    Precision::F32 => TensorData::new(host.to_f32(), shape),
                    Precision::F64 => TensorData::new(host.to_f64(), shape),
                }
            }
        };
        Ok(Tensor::from_data(
            data,
            (self.device, dtype(self.precision)),
        ))
    }

    /// The parameter in its file, where the device can compute with what lies there.
    fn mapped(&self, name: &str) -> Result<Option<MappedTensor>, Error> {
        match self.precision {
            Precision::F32 if self.device_name.takes_host_memory() => {
                Ok(self.checkpoint.map(name)?)
            }
            _ => Ok(None),
        }
    }

    /// A linear map with or without its bias.
    pub(crate) fn linear(&self, name: &str, bias: bool) -> Result<Linear, Error> {
        Ok(Linear {
            weight: self.tensor(&format!("{name}.weight"))?,
            bias: self.present(&format!("{name}.bias"), bias)?,
        })
    }

    /// A norm, its weight as it is multiplied with.
    pub(crate) fn norm(&self, name: &str, spec: NormSpec) -> Result<Norm, Error> {
        let weight: Tensor<1> = self.tensor(&format!("{name}.weight"))?;
        Ok(Norm {
            kind: spec.kind,
            weight: match spec.plus_one {
                true => weight + 1.0,
                false => weight,
            },
            bias: self.present(&format!("{name}.bias"), spec.bias)?,
            epsilon: spec.epsilon,
        })
    }

    /// A norm where there is one.
    pub(crate) fn optional_norm(
        &self,
        name: &str,
        spec: Option<NormSpec>,
    ) -> Result<Option<Norm>, Error> {
        spec.map(|spec| self.norm(name, spec)).transpose()
    }

    /// A parameter, if it is there.
    pub(crate) fn present<const D: usize>(
        &self,
        name: &str,
        is_there: bool,
    ) -> Result<Option<Tensor<D>>, Error> {
        is_there.then(|| self.tensor(name)).transpose()
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use std::path::Path;

    use headwater_fixtures::{bundled_gpt2, golden};

    use super::*;

    /// A parameter's elements, and where they are.
    fn elements(checkpoint: &Checkpoint, name: &str, precision: Precision) -> TensorData {
        let reader = ParameterReader {
            checkpoint,
            stack: "",
            device_name: DeviceName::Flex,
            device: &DeviceName::Flex.device(),
            precision,
        };
        match checkpoint.parameter(name).unwrap().shape.len() {
            1 => reader.tensor::<1>(name).unwrap().into_data(),
            _ => reader.tensor::<2>(name).unwrap().into_data(),
        }
    }

    /// The same model in a file whose tensors lie between the places of float32.
    fn between_places(directory: &Path) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        let read = |name| std::fs::read(directory.join(name)).unwrap();
        let write = |name, bytes: &[u8]| std::fs::write(copy.path().join(name), bytes).unwrap();
        write("config.json", &read("config.json"));
        let file = read("model.safetensors");
        let (length, rest) = file.split_at(8);
        let length = u64::from_le_bytes(length.try_into().unwrap());
        let (header, data) = rest.split_at(length as usize);
        let length = (length + 1).to_le_bytes();
        write("model.safetensors", &[&length, header, b" ", data].concat());
        copy
    }

    #[test]
    fn a_mapped_model_and_a_converted_one_have_the_same_tensors() {
        for directory in [golden("bert"), bundled_gpt2()] {
            let copy = between_places(&directory);
            let mapped = Checkpoint::open_directory(directory).unwrap();
            let converted = Checkpoint::open_directory(copy.path()).unwrap();
            for parameter in mapped.parameters() {
                let name = &parameter.name;
                assert!(converted.map(name).unwrap().is_none(), "{name}");
                let as_stored = parameter.is_whole();
                assert_eq!(mapped.map(name).unwrap().is_some(), as_stored, "{name}");
                for precision in [Precision::F32, Precision::F64] {
                    let [found, expected] = [&mapped, &converted]
                        .map(|checkpoint| elements(checkpoint, name, precision));
                    assert_eq!(found, expected, "{name}");
                }
            }
        }
    }

    #[test]
    fn two_models_look_at_the_same_memory() {
        let checkpoint = Checkpoint::open_directory(golden("bert")).unwrap();
        let name = "layers.0.feed_forward.up.weight";
        let place = |data: &TensorData| data.bytes().as_ptr();
        let [first, second] = [(); 2].map(|()| elements(&checkpoint, name, Precision::F32));
        assert_eq!(place(&first), place(&second));
        let mapped = checkpoint.map(name).unwrap().unwrap();
        assert_eq!(place(&first), mapped.as_ref().as_ptr());
        let converted = elements(&checkpoint, name, Precision::F64);
        assert_ne!(place(&first), place(&converted));
    }
}
