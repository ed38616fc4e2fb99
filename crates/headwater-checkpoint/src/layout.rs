//! How a parameter lies in the file's tensor, and getting it out.

use crate::Dtype;

/// Rows of the file's tensor that are transposed together: as many as fill a
/// cache line with single precision.
const TILE: usize = 16;

/// Where the rows of a parameter lie in a tensor of the file.
///
/// Row r of the parameter is row `first + r / run · step + r % run` of the
/// tensor; of a tensor of three axes, of its matrix number `matrix`. A bias has
/// elements for rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Which matrix of a tensor that holds several.
    pub matrix: usize,
    /// Whether the tensor is stored `[in, out]`: its columns are the rows here.
    pub turned: bool,
    /// The row of the parameter's row 0.
    pub first: usize,
    /// How many rows lie one behind the other.
    pub run: usize,
    /// Rows from the beginning of a run to that of the next.
    pub step: usize,
}

impl Layout {
    /// The tensor is the parameter.
    pub const WHOLE: Self = Self::from(0);

    /// The tensor is the parameter's transpose.
    pub const TURNED: Self = Self::WHOLE.turned();

    /// All rows one behind the other, from this one on.
    pub const fn from(first: usize) -> Self {
        Self {
            matrix: 0,
            turned: false,
            first,
            run: usize::MAX,
            step: usize::MAX,
        }
    }

    /// Runs of rows at equal distances.
    pub const fn runs(first: usize, run: usize, step: usize) -> Self {
        Self {
            run,
            step,
            ..Self::from(first)
        }
    }

    /// The same in a tensor stored `[in, out]`.
    #[must_use]
    pub const fn turned(self) -> Self {
        Self {
            turned: true,
            ..self
        }
    }

    /// The same in one matrix of several.
    #[must_use]
    pub const fn of_matrix(self, matrix: usize) -> Self {
        Self { matrix, ..self }
    }

    /// The tensor's row of the parameter's row `r`.
    pub const fn row(&self, r: usize) -> usize {
        self.first + r / self.run * self.step + r % self.run
    }

    /// The elements of a parameter of this shape, out of those of a tensor of the other.
    pub(crate) fn take(
        &self,
        shape: &[usize],
        stored: &[usize],
        dtype: Dtype,
        bytes: Vec<u8>,
    ) -> Vec<u8> {
        if shape == stored && *self == Self::WHOLE {
            return bytes;
        }
        match dtype {
            Dtype::F16 | Dtype::BF16 => self.take_elements::<2>(shape, stored, &bytes),
            Dtype::F64 => self.take_elements::<8>(shape, stored, &bytes),
            _ => self.take_elements::<4>(shape, stored, &bytes),
        }
    }

    fn take_elements<const N: usize>(
        &self,
        shape: &[usize],
        stored: &[usize],
        bytes: &[u8],
    ) -> Vec<u8> {
        let (elements, _) = bytes.as_chunks::<N>();
        let rows = shape.first().copied().unwrap_or(1);
        // Of a tensor of more axes than the parameter, one matrix or vector.
        let size: usize = match stored.len() > shape.len() {
            true => stored[1..].iter().product(),
            false => elements.len(),
        };
        let elements = &elements[self.matrix * size..][..size];
        let columns: usize = shape.iter().skip(1).product();
        if self.turned && shape.len() > 1 {
            let width = elements.len() / columns;
            return transpose(elements, width, (0..rows).map(|r| self.row(r)));
        }
        let mut taken = Vec::with_capacity(rows * columns);
        for row in (0..rows).map(|r| self.row(r)) {
            taken.extend_from_slice(&elements[row * columns..][..columns]);
        }
        taken.into_flattened()
    }
}

/// The transpose of some columns of a row-major matrix of elements of `N` bytes.
fn transpose<const N: usize>(
    elements: &[[u8; N]],
    width: usize,
    columns: impl ExactSizeIterator<Item = usize> + Clone,
) -> Vec<u8> {
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

    /// Little-endian half precision stands for any two bytes.
    fn take(
        layout: Layout,
        shape: &[usize],
        stored: &[usize],
        values: impl Iterator<Item = u16>,
    ) -> Vec<u16> {
        let bytes = values.flat_map(u16::to_le_bytes).collect();
        let taken = layout.take(shape, stored, Dtype::F16, bytes);
        let (taken, _) = taken.as_chunks();
        taken.iter().copied().map(u16::from_le_bytes).collect()
    }

    #[test]
    fn one_of_three_matrices_side_by_side() {
        let part = Layout::from(2).turned();
        // Rows 0..6, 10..16: the middle pair of columns is 2, 3 and 12, 13.
        let rows = [0_u16, 10].into_iter().flat_map(|row| row..row + 6);
        assert_eq!(take(part, &[2, 2], &[2, 6], rows), [2, 12, 3, 13]);
        assert_eq!(take(part, &[2], &[6], 0..6), [2, 3]);
    }

    #[test]
    fn more_rows_than_a_tile() {
        // Element (row, column) of the file is 3 row + column.
        let rows = 2 * TILE + 1;
        let stored = [rows, 3];
        let taken = take(Layout::TURNED, &[3, rows], &stored, 0..3 * rows as u16);
        let expected = (0..3).flat_map(|column| (0..rows as u16).map(move |row| 3 * row + column));
        assert_eq!(taken, expected.collect::<Vec<_>>());
    }

    #[test]
    fn runs_of_rows_by_head() {
        // Two heads of width 2, each with its query, key and value: the keys are rows 2, 3, 8, 9.
        let keys = Layout::runs(2, 2, 6);
        assert_eq!(take(keys, &[4], &[12], 0..12), [2, 3, 8, 9]);
        let rows = take(keys, &[4, 2], &[12, 2], 0..24);
        assert_eq!(rows, [4, 5, 6, 7, 16, 17, 18, 19]);
    }

    #[test]
    fn one_matrix_of_several() {
        // Two experts [in 2, out 4]; the second one's odd columns are 9, 11 and 13, 15.
        let up = Layout::runs(1, 1, 2).turned().of_matrix(1);
        assert_eq!(take(up, &[2, 2], &[2, 2, 4], 0..16), [9, 13, 11, 15]);
        assert_eq!(take(up, &[2], &[2, 4], 0..8), [5, 7]);
    }
}
