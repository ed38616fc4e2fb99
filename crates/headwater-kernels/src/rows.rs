//! What is done to every row of a matrix by itself.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::shared::written_as_slice;
use crate::{Cpu, Matrix};

/// Numbers for which a second thread is worth waking.
const CHUNK: usize = 1 << 14;

/// Rows that a task takes.
pub(crate) fn rows_of_task(columns: usize) -> usize {
    (CHUNK / columns).max(1)
}

/// `a + b`.
///
/// # Panics
/// Unlike lengths.
pub fn add(cpu: Cpu, a: &[f32], b: &[f32]) -> Vec<f32> {
    struct Add<'a>(&'a [f32], &'a [f32], &'a mut [MaybeUninit<f32>]);
    impl WithSimd for Add<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(a, b, result) = self;
            let (a, a_rest) = S::as_simd_f32s(a);
            let (b, b_rest) = S::as_simd_f32s(b);
            let (result, rest) = S::as_uninit_mut_simd_f32s(result);
            for ((result, &a), &b) in result.iter_mut().zip(a).zip(b) {
                result.write(simd.add_f32s(a, b));
            }
            for ((result, &a), &b) in rest.iter_mut().zip(a_rest).zip(b_rest) {
                result.write(a + b);
            }
        }
    }
    assert_eq!(a.len(), b.len(), "unlike lengths");
    let add = |result: &mut [MaybeUninit<f32>]| {
        let parts = result.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK));
        parts
            .zip(b.par_chunks(CHUNK))
            .for_each(|((result, a), b)| cpu.run(Add(a, b, result)));
    };
    // SAFETY: the parts are the whole result, as long as a and b, and each sum is written.
    unsafe { written_as_slice(a.len(), add) }
}

/// `sum − bias − part` of every row of `columns`, one bias for all; and the rows
/// of which little is left, at most `small` of what the three norms come to.
///
/// # Panics
/// Sizes that do not fit together.
pub fn rest(
    cpu: Cpu,
    sum: &[f32],
    columns: usize,
    bias: Option<&[f32]>,
    part: Option<&[f32]>,
    small: f32,
) -> (Vec<f32>, Vec<usize>) {
    struct Rest<'a> {
        sum: &'a [f32],
        columns: usize,
        bias: Option<&'a [f32]>,
        part: Option<&'a [f32]>,
        result: &'a mut [MaybeUninit<f32>],
        /// What is left of a row, beside the whole.
        left: &'a mut [f32],
    }
    impl WithSimd for Rest<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let columns = self.columns;
            let bias_norm = match self.bias {
                Some(bias) => square_sum(simd, bias).sqrt(),
                None => 0.0,
            };
            let sums = self.sum.chunks_exact(columns);
            let results = self.result.chunks_exact_mut(columns);
            for (row, ((sum, result), left)) in sums.zip(results).zip(self.left).enumerate() {
                let result = match self.bias {
                    Some(bias) => subtract(simd, sum, bias, result),
                    None => result.write_copy_of_slice(sum),
                };
                let mut whole = square_sum(simd, sum).sqrt() + bias_norm;
                if let Some(part) = self.part {
                    let part = &part[row * columns..][..columns];
                    whole += square_sum(simd, part).sqrt();
                    subtract_from(simd, result, part);
                }
                *left = square_sum(simd, result).sqrt() / whole;
            }
        }
    }
    assert!(bias.is_none_or(|bias| bias.len() == columns), "one b each");
    assert!(
        part.is_none_or(|part| part.len() == sum.len()),
        "unlike sizes"
    );
    assert_eq!(sum.len() % columns, 0, "whole rows");
    let mut left = vec![0.0; sum.len() / columns];
    let rows = rows_of_task(columns);
    let subtract = |result: &mut [MaybeUninit<f32>]| {
        let tasks = result.par_chunks_mut(rows * columns);
        tasks
            .zip(left.par_chunks_mut(rows))
            .enumerate()
            .for_each(|(task, (result, left))| {
                let start = task * rows * columns;
                let of_task = start..start + result.len();
                cpu.run(Rest {
                    sum: &sum[of_task.clone()],
                    columns,
                    bias,
                    part: part.map(|part| &part[of_task]),
                    result,
                    left,
                });
            });
    };
    // SAFETY: the sum is whole rows, and the difference or a copy of each is written.
    let result = unsafe { written_as_slice(sum.len(), subtract) };
    // What is not a number, because all of it is zero, is small too.
    let rows = left.into_iter().enumerate();
    let small = rows.filter_map(|(row, left)| (left.is_nan() || left <= small).then_some(row));
    (result, small.collect())
}

/// The Euclidean norm of every row.
///
/// Squares are summed of the numbers times `before`, a power of two that keeps
/// them from underflow.
///
/// # Panics
/// `x` does not consist of whole rows.
pub fn row_norms(cpu: Cpu, x: &[f32], columns: usize, before: f32) -> Vec<f32> {
    struct Norms<'a>(&'a [f32], f32, &'a mut [f32]);
    impl WithSimd for Norms<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(x, before, result) = self;
            let columns = x.len() / result.len();
            for (x, result) in x.chunks_exact(columns).zip(result) {
                let factor = simd.splat_f32s(before);
                let mut sums = [simd.splat_f32s(0.0); 2];
                let (vectors, rest) = S::as_simd_f32s(x);
                for pair in vectors.chunks(2) {
                    for (sum, &vector) in sums.iter_mut().zip(pair) {
                        let vector = simd.mul_f32s(vector, factor);
                        *sum = simd.mul_add_f32s(vector, vector, *sum);
                    }
                }
                if !rest.is_empty() {
                    let rest = simd.mul_f32s(simd.partial_load_f32s(rest), factor);
                    sums[0] = simd.mul_add_f32s(rest, rest, sums[0]);
                }
                *result = simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1])).sqrt() / before;
            }
        }
    }
    assert_eq!(x.len() % columns, 0, "whole rows");
    let mut result = vec![0.0; x.len() / columns];
    let rows = rows_of_task(columns);
    x.par_chunks(rows * columns)
        .zip(result.par_chunks_mut(rows))
        .for_each(|(x, result)| cpu.run(Norms(x, before, result)));
    result
}

/// `W x` of one vector: the dot product of every row of W with it.
///
/// # Panics
/// W has not a column for each number.
pub fn rows_times_vector(cpu: Cpu, weight: Matrix<'_>, x: &[f32]) -> Vec<f32> {
    struct Dots<'a> {
        weight: Matrix<'a>,
        first: usize,
        x: &'a [f32],
        results: &'a mut [f32],
    }
    /// Rows that are widened together.
    const ROWS: usize = 8;
    impl WithSimd for Dots<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let columns = self.x.len();
            let mut copies = match self.weight.plain(self.first) {
                Some(_) => Vec::new(),
                None => vec![0.0_f32; ROWS * columns],
            };
            let mut first = self.first;
            for results in self.results.chunks_mut(ROWS) {
                if !copies.is_empty() {
                    let weight = &self.weight;
                    weight.copy(simd, first, results.len(), 0, columns, &mut copies, columns);
                }
                for (row, result) in results.iter_mut().enumerate() {
                    *result = match self.weight.plain(first + row) {
                        Some(plain) => dot(simd, plain, self.x),
                        None => dot(simd, &copies[row * columns..][..columns], self.x),
                    };
                }
                first += results.len();
            }
        }
    }
    assert_eq!(weight.inputs(), x.len(), "whole rows of W");
    let mut result = vec![0.0; weight.outputs()];
    if x.is_empty() {
        return result;
    }
    let rows = rows_of_task(x.len());
    result
        .par_chunks_mut(rows)
        .enumerate()
        .for_each(|(task, results)| {
            cpu.run(Dots {
                weight,
                first: task * rows,
                x,
                results,
            });
        });
    result
}

/// A dot product, in four sums.
#[inline(always)]
fn dot<S: Simd>(simd: S, row: &[f32], x: &[f32]) -> f32 {
    let (x_vectors, x_rest) = S::as_simd_f32s(x);
    let (vectors, rest) = S::as_simd_f32s(row);
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (row, x) in vectors.chunks(4).zip(x_vectors.chunks(4)) {
        for ((sum, &row), &x) in sums.iter_mut().zip(row).zip(x) {
            *sum = simd.mul_add_f32s(row, x, *sum);
        }
    }
    let first = simd.add_f32s(sums[0], sums[1]);
    let second = simd.add_f32s(sums[2], sums[3]);
    let mut result = simd.reduce_sum_f32s(simd.add_f32s(first, second));
    for (row, x) in rest.iter().zip(x_rest) {
        result += row * x;
    }
    result
}

#[inline(always)]
pub(crate) fn square_sum<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(x);
    let mut sums = [simd.splat_f32s(0.0); 2];
    for pair in vectors.chunks(2) {
        for (sum, &vector) in sums.iter_mut().zip(pair) {
            *sum = simd.mul_add_f32s(vector, vector, *sum);
        }
    }
    if !rest.is_empty() {
        let rest = simd.partial_load_f32s(rest);
        sums[0] = simd.mul_add_f32s(rest, rest, sums[0]);
    }
    simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1]))
}

/// `result = a − b`.
///
/// # Panics
/// Unlike lengths.
#[inline(always)]
fn subtract<'a, S: Simd>(
    simd: S,
    a: &[f32],
    b: &[f32],
    result: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    assert!(
        a.len() == result.len() && b.len() == result.len(),
        "unlike lengths"
    );
    let (a, a_rest) = S::as_simd_f32s(a);
    let (b, b_rest) = S::as_simd_f32s(b);
    let (results, rest) = S::as_uninit_mut_simd_f32s(result);
    for ((result, &a), &b) in results.iter_mut().zip(a).zip(b) {
        result.write(simd.sub_f32s(a, b));
    }
    for ((result, &a), &b) in rest.iter_mut().zip(a_rest).zip(b_rest) {
        result.write(a - b);
    }
    // SAFETY: the loops wrote every number, for a and b are as long.
    unsafe { result.assume_init_mut() }
}

/// `x = x − y`.
#[inline(always)]
fn subtract_from<S: Simd>(simd: S, x: &mut [f32], y: &[f32]) {
    let (vectors, rest) = S::as_mut_simd_f32s(x);
    let (y, y_rest) = S::as_simd_f32s(y);
    for (vector, &y) in vectors.iter_mut().zip(y) {
        *vector = simd.sub_f32s(*vector, y);
    }
    for (number, &y) in rest.iter_mut().zip(y_rest) {
        *number -= y;
    }
}
