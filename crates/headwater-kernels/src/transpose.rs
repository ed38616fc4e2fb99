//! Rows to columns, in blocks that fit into registers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use pulp::Simd;

/// Where the rows of a matrix begin, and how far apart they are.
#[derive(Clone, Copy)]
pub(crate) struct Rows<P> {
    pub(crate) first: P,
    pub(crate) stride: usize,
}

/// Rows and columns of a block.
const BLOCK: usize = 8;

/// `to[column][row] = from[row][column]`.
///
/// # Safety
/// `from` has `rows` rows of `columns` numbers that can be read, `to` `columns`
/// rows of `rows` numbers that can be written, and they do not overlap.
#[inline(always)]
pub(crate) unsafe fn transpose<S: Simd>(
    _: S,
    rows: usize,
    columns: usize,
    from: Rows<*const f32>,
    to: Rows<*mut f32>,
) {
    // Vectors of eight numbers: there is no `S` with them on x86-64 but those
    // of machines that have AVX2.
    let blocked = cfg!(target_arch = "x86_64") && S::F32_LANES >= BLOCK;
    let (whole_rows, whole_columns) = match blocked {
        true => (rows - rows % BLOCK, columns - columns % BLOCK),
        false => (0, 0),
    };
    // SAFETY: the caller's; a block is within the matrix.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        for column in (0..whole_columns).step_by(BLOCK) {
            for row in (0..whole_rows).step_by(BLOCK) {
                block(from.at(row, column), to.at(column, row));
            }
        }
        for row in 0..rows {
            let first = if row < whole_rows { whole_columns } else { 0 };
            for column in first..columns {
                *to.at(column, row).first = *from.at(row, column).first;
            }
        }
    }
}

impl Rows<*const f32> {
    #[inline(always)]
    unsafe fn at(self, row: usize, column: usize) -> Self {
        Self {
            // SAFETY: the caller's.
            first: unsafe { self.first.add(row * self.stride + column) },
            ..self
        }
    }
}

impl Rows<*mut f32> {
    #[inline(always)]
    unsafe fn at(self, row: usize, column: usize) -> Self {
        Self {
            // SAFETY: the caller's.
            first: unsafe { self.first.add(row * self.stride + column) },
            ..self
        }
    }
}

/// A block of eight by eight: pairs of rows, pairs of pairs, halves.
///
/// # Safety
/// The machine has AVX, and the block is within both matrices.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn block(from: Rows<*const f32>, to: Rows<*mut f32>) {
    // Indices, not iterators: the compiler keeps only arrays that it can take
    // apart in registers.
    #[allow(clippy::needless_range_loop)]
    // SAFETY: the caller's.
    unsafe {
        let mut rows = [_mm256_setzero_ps(); BLOCK];
        for index in 0..BLOCK {
            rows[index] = _mm256_loadu_ps(from.first.add(index * from.stride));
        }
        let [a, b, c, d, e, f, g, h] = rows;
        let (upper, lower) = (quarters(a, b, c, d), quarters(e, f, g, h));
        for index in 0..BLOCK / 2 {
            let left = _mm256_permute2f128_ps::<0x20>(upper[index], lower[index]);
            let right = _mm256_permute2f128_ps::<0x31>(upper[index], lower[index]);
            _mm256_storeu_ps(to.first.add(index * to.stride), left);
            _mm256_storeu_ps(to.first.add((index + BLOCK / 2) * to.stride), right);
        }
    }
}

/// Columns i and i + 4 of four rows, for i = 0..4.
///
/// # Safety
/// The machine has AVX.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn quarters(a: __m256, b: __m256, c: __m256, d: __m256) -> [__m256; BLOCK / 2] {
    // SAFETY: the caller's.
    unsafe {
        let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps::<0b01_00_01_00>(ab_low, cd_low),
            _mm256_shuffle_ps::<0b11_10_11_10>(ab_low, cd_low),
            _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
            _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
        ]
    }
}
