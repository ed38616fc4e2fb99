//! One tensor in memory, in the element type of the file.

use half::{bf16, f16};

use crate::{Dtype, Layout};

/// A tensor read from a checkpoint: row-major, all values finite.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// The shape; a linear layer's weight is `[out, in]`.
    pub shape: Vec<usize>,
    dtype: Dtype,
    /// Little-endian elements.
    bytes: Vec<u8>,
}

impl HostTensor {
    pub(crate) fn new(shape: Vec<usize>, dtype: Dtype, bytes: Vec<u8>) -> Self {
        Self {
            shape,
            dtype,
            bytes,
        }
    }

    /// The parameter of this shape that lies in the tensor as `layout` says.
    pub(crate) fn taken(self, layout: Layout, shape: &[usize]) -> Self {
        let bytes = layout.take(shape, self.dtype, self.bytes);
        Self::new(shape.to_vec(), self.dtype, bytes)
    }

    /// Whether elements of this type can be decoded.
    pub(crate) fn supports(dtype: Dtype) -> bool {
        matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64)
    }

    /// The element type in the file.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The values in single precision, row-major.
    ///
    /// Exact for every element type but `F64`, which is rounded to the nearest
    /// (beyond ±3.4e38 to an infinity).
    pub fn to_f32(&self) -> Vec<f32> {
        match self.dtype {
            Dtype::F16 => self.decode(|bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => self.decode(|bytes| bf16::from_le_bytes(bytes).to_f32()),
            Dtype::F64 => self.decode(|bytes| f64::from_le_bytes(bytes) as f32),
            _ => self.decode(f32::from_le_bytes),
        }
    }

    /// The values in double precision, row-major; always exact.
    pub fn to_f64(&self) -> Vec<f64> {
        match self.dtype {
            Dtype::F16 => self.decode(|bytes| f16::from_le_bytes(bytes).to_f64()),
            Dtype::BF16 => self.decode(|bytes| bf16::from_le_bytes(bytes).to_f64()),
            Dtype::F64 => self.decode(f64::from_le_bytes),
            _ => self.decode(|bytes| f32::from_le_bytes(bytes).into()),
        }
    }

    /// The first element that is an infinity or a NaN, with its index.
    pub(crate) fn first_not_finite(&self) -> Option<(usize, f64)> {
        match self.dtype {
            Dtype::F16 => self.find(|bytes| f16::from_le_bytes(bytes).to_f64()),
            Dtype::BF16 => self.find(|bytes| bf16::from_le_bytes(bytes).to_f64()),
            Dtype::F64 => self.find(f64::from_le_bytes),
            _ => self.find(|bytes| f32::from_le_bytes(bytes).into()),
        }
    }

    fn decode<const N: usize, T>(&self, element: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| element(bytes))
            .collect()
    }

    fn find<const N: usize>(&self, element: impl Fn([u8; N]) -> f64) -> Option<(usize, f64)> {
        let mut values = self
            .bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| element(bytes))
            .enumerate();
        values.find(|(_, value)| !value.is_finite())
    }
}
