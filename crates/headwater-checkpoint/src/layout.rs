//! How a parameter lies in the file's tensor, and getting it out.

use crate::Dtype;

/// Rows of the file's tensor that are transposed together: as many as fill a
/// cache line with single precision.
const TILE: usize = 16;

/// How the file stores a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// The file's tensor is the parameter.
    AsStored,
    /// The file's tensor is `[in, out]`: the parameter is its transpose.
    Transposed,
    /// The file's tensor holds several parameters side by side, `[in, parts · out]`
    /// (a bias `[parts · out]`): the parameter is the transpose of one of them.
    Fused {
        /// Which one, from 0.
        part: usize,
        /// How many there are.
        parts: usize,
    },
}

impl Layout {
    /// The shape of the file's tensor for a parameter of this shape.
    pub(crate) fn shape_in_file(self, shape: &[usize]) -> Vec<usize> {
        let mut in_file = shape.to_vec();
        if self != Self::AsStored {
            in_file.reverse();
        }
        if let (Self::Fused { parts, .. }, Some(columns)) = (self, in_file.last_mut()) {
            // A width that a hostile configuration made up fits no file either way.
            *columns = columns.saturating_mul(parts);
        }
        in_file
    }

    /// The elements of a parameter of this shape, out of those of the file's tensor.
    pub(crate) fn take(self, shape: &[usize], dtype: Dtype, bytes: Vec<u8>) -> Vec<u8> {
        let (part, parts) = match self {
            Self::AsStored => return bytes,
            Self::Transposed => (0, 1),
            Self::Fused { part, parts } => (part, parts),
        };
        let out = shape[0];
        let width = parts * out;
        let columns = part * out..(part + 1) * out;
        match dtype {
            Dtype::F16 | Dtype::BF16 => transpose::<2>(&bytes, width, columns),
            Dtype::F64 => transpose::<8>(&bytes, width, columns),
            _ => transpose::<4>(&bytes, width, columns),
        }
    }
}

/// The transpose of a range of columns of a row-major matrix of elements of `N` bytes.
fn transpose<const N: usize>(
    bytes: &[u8],
    width: usize,
    columns: std::ops::Range<usize>,
) -> Vec<u8> {
    let (elements, _) = bytes.as_chunks::<N>();
    let rows = elements.len() / width;
    let mut transposed = vec![[0; N]; rows * columns.len()];
    for first in (0..rows).step_by(TILE) {
        let tile = first..rows.min(first + TILE);
        for (column, target) in columns.clone().zip(transposed.chunks_exact_mut(rows)) {
            for row in tile.clone() {
                target[row] = elements[row * width + column];
            }
        }
    }
    transposed.into_flattened()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: Layout = Layout::Fused { part: 1, parts: 3 };

    /// Little-endian half precision stands for any two bytes.
    fn take(layout: Layout, shape: &[usize], values: impl Iterator<Item = u16>) -> Vec<u16> {
        let bytes = values.flat_map(u16::to_le_bytes).collect();
        let taken = layout.take(shape, Dtype::F16, bytes);
        let (taken, _) = taken.as_chunks();
        taken.iter().copied().map(u16::from_le_bytes).collect()
    }

    #[test]
    fn shapes_in_the_file() {
        assert_eq!(Layout::AsStored.shape_in_file(&[2, 5]), [2, 5]);
        assert_eq!(Layout::Transposed.shape_in_file(&[2, 5]), [5, 2]);
        assert_eq!(PART.shape_in_file(&[2, 5]), [5, 6]);
        assert_eq!(PART.shape_in_file(&[2]), [6]);
        assert_eq!(PART.shape_in_file(&[usize::MAX]), [usize::MAX]);
    }

    #[test]
    fn one_of_three_matrices_side_by_side() {
        // Rows 0..6, 10..16: the middle pair of columns is 2, 3 and 12, 13.
        let rows = [0_u16, 10].into_iter().flat_map(|row| row..row + 6);
        assert_eq!(take(PART, &[2, 2], rows), [2, 12, 3, 13]);
        assert_eq!(take(PART, &[2], 0..6), [2, 3]);
    }

    #[test]
    fn more_rows_than_a_tile() {
        // Element (row, column) of the file is 3 row + column.
        let rows = 2 * TILE + 1;
        let taken = take(Layout::Transposed, &[3, rows], 0..3 * rows as u16);
        let expected = (0..3).flat_map(|column| (0..rows as u16).map(move |row| 3 * row + column));
        assert_eq!(taken, expected.collect::<Vec<_>>());
    }
}
