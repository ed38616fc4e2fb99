//! Rows to columns, in blocks that fit into registers.

#[cfg(target_arch = "x86_64")]
use std::any::TypeId;
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

/// Whether the machine has AVX, which a value of `S` proves: only these two
/// instruction sets of x86-64 are made where it was found, and vectors of eight
/// numbers alone say nothing, for there are emulated ones.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn has_avx<S: Simd>(_: S) -> bool {
    let set = TypeId::of::<S>();
    set == TypeId::of::<pulp::x86::V3>() || set == TypeId::of::<pulp::x86::V4>()
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn has_avx<S: Simd>(_: S) -> bool {
    false
}

/// `to[column][row] = from[row][column]`.
///
/// # Safety
/// `from` has `rows` rows of `columns` numbers that can be read, `to` `columns`
/// rows of `rows` numbers that can be written, and they do not overlap.
#[inline(always)]
pub(crate) unsafe fn transpose<S: Simd>(
    simd: S,
    rows: usize,
    columns: usize,
    from: Rows<*const f32>,
    to: Rows<*mut f32>,
) {
    let (whole_rows, whole_columns) = match has_avx(simd) {
        true => (rows - rows % BLOCK, columns - columns % BLOCK),
        false => (0, 0),
    };
    // SAFETY: all places are below `rows` and `columns`, where the caller promises
    // that numbers can be read and written; blocks are whole ones, and there are
    // some only if the machine has AVX.
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
    /// The matrix that begins at this place.
    ///
    /// # Safety
    /// The place is within the matrix.
    #[inline(always)]
    unsafe fn at(self, row: usize, column: usize) -> Self {
        Self {
            // SAFETY: the caller promises that the number is in the same allocation.
            first: unsafe { self.first.add(row * self.stride + column) },
            ..self
        }
    }
}

impl Rows<*mut f32> {
    /// The matrix that begins at this place.
    ///
    /// # Safety
    /// The place is within the matrix.
    #[inline(always)]
    unsafe fn at(self, row: usize, column: usize) -> Self {
        Self {
            // SAFETY: the caller promises that the number is in the same allocation.
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
    // SAFETY: the caller promises AVX, and eight rows of eight numbers in both; they
    // are read and written without alignment.
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
    // SAFETY: these need nothing but AVX, which the caller promises.
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
