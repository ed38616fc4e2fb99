//! One tensor in memory, in the element type of the file.

use half::{bf16, f16};

use crate::Dtype;

/// Elements that are checked together.
const BLOCK: usize = 1024;

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

    fn decode<const N: usize, T>(&self, element: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| element(bytes))
            .collect()
    }
}

/// The first element that is an infinity or a NaN, with its index.
pub(crate) fn first_not_finite(dtype: Dtype, bytes: &[u8]) -> Option<(usize, f64)> {
    match dtype {
        Dtype::F16 => find(bytes, |bytes| f16::from_le_bytes(bytes).to_f64()),
        Dtype::BF16 => find(bytes, |bytes| bf16::from_le_bytes(bytes).to_f64()),
        Dtype::F64 => find(bytes, f64::from_le_bytes),
        _ => find(bytes, |bytes| f32::from_le_bytes(bytes).into()),
    }
}

fn find<const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> f64) -> Option<(usize, f64)> {
    let is_finite = |&bytes: &[u8; N]| element(bytes).is_finite();
    let (elements, _) = bytes.as_chunks();
    // Blocks without a way out of them are checked many elements at a time.
    let blocks = elements.chunks(BLOCK);
    let sound = blocks.take_while(|block| block.iter().fold(true, |all, e| all & is_finite(e)));
    let from = sound.count() * BLOCK;
    let index = from + elements.get(from..)?.iter().position(|e| !is_finite(e))?;
    Some((index, element(elements[index])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_in_any_block() {
        let length = 2 * BLOCK + 5;
        let bytes = |bad: &[usize]| -> Vec<u8> {
            let value = |index| match bad.contains(&index) {
                true => f32::INFINITY,
                false => index as f32,
            };
            let values = (0..length).map(value);
            values.flat_map(f32::to_le_bytes).collect()
        };
        assert_eq!(first_not_finite(Dtype::F32, &bytes(&[])), None);
        assert_eq!(first_not_finite(Dtype::F32, &[]), None);
        for first in [0, 7, BLOCK - 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK, length - 1] {
            let found = first_not_finite(Dtype::F32, &bytes(&[first, length - 1]));
            assert_eq!(found, Some((first, f64::INFINITY)));
        }
    }
}
