//! What is done to every row of a matrix by itself.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Cpu;
use crate::shared::written_as_slice;

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

/// Layer normalization of every row: `γ ⊙ (x − mean(x)) / s + β`, and
/// s = sqrt(var(x) + ε), biased variance.
///
/// # Panics
/// Sizes that do not fit together.
pub fn layer_norm(
    cpu: Cpu,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>) {
    struct Normalize<'a> {
        x: &'a [f32],
        weight: &'a [f32],
        bias: &'a [f32],
        epsilon: f64,
        result: &'a mut [MaybeUninit<f32>],
        scale: &'a mut [f32],
    }
    impl WithSimd for Normalize<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let columns = self.weight.len();
            let rows = self.x.chunks_exact(columns);
            let results = self.result.chunks_exact_mut(columns);
            for ((x, result), scale) in rows.zip(results).zip(self.scale) {
                let result = centre(simd, x, result);
                let variance = square_sum(simd, result) / columns as f32;
                *scale = (f64::from(variance) + self.epsilon).sqrt() as f32;
                affine(simd, result, self.weight, *scale, Some(self.bias));
            }
        }
    }
    let columns = weight.len();
    assert!(
        bias.len() == columns && x.len().is_multiple_of(columns),
        "unlike sizes"
    );
    let mut scale = vec![0.0; x.len() / columns];
    let rows = rows_of_task(columns);
    let normalize = |result: &mut [MaybeUninit<f32>]| {
        let x = x.par_chunks(rows * columns);
        let result = result.par_chunks_mut(rows * columns);
        x.zip(result)
            .zip(scale.par_chunks_mut(rows))
            .for_each(|((x, result), scale)| {
                cpu.run(Normalize {
                    x,
                    weight,
                    bias,
                    epsilon,
                    result,
                    scale,
                });
            });
    };
    // SAFETY: x is whole rows, and `centre` writes each into its place.
    let normalized = unsafe { written_as_slice(x.len(), normalize) };
    (normalized, scale)
}

/// What a layer norm does to a part of its input: `γ ⊙ (x − mean(x)) / s + β`
/// with s from elsewhere, and β only if it is given.
///
/// # Panics
/// Sizes that do not fit together.
pub fn layer_norm_part(
    cpu: Cpu,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    scale: &[f32],
) -> Vec<f32> {
    struct Part<'a> {
        x: &'a [f32],
        weight: &'a [f32],
        bias: Option<&'a [f32]>,
        scale: &'a [f32],
        result: &'a mut [MaybeUninit<f32>],
    }
    impl WithSimd for Part<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let columns = self.weight.len();
            let rows = self.x.chunks_exact(columns);
            let results = self.result.chunks_exact_mut(columns);
            for ((x, result), &scale) in rows.zip(results).zip(self.scale) {
                let result = centre(simd, x, result);
                affine(simd, result, self.weight, scale, self.bias);
            }
        }
    }
    let columns = weight.len();
    assert!(
        bias.is_none_or(|bias| bias.len() == columns),
        "unlike sizes"
    );
    assert_eq!(x.len(), scale.len() * columns, "one scale a row");
    let rows = rows_of_task(columns);
    let normalize = |result: &mut [MaybeUninit<f32>]| {
        let x = x.par_chunks(rows * columns);
        let result = result.par_chunks_mut(rows * columns);
        x.zip(result)
            .zip(scale.par_chunks(rows))
            .for_each(|((x, result), scale)| {
                cpu.run(Part {
                    x,
                    weight,
                    bias,
                    scale,
                    result,
                });
            });
    };
    // SAFETY: x is whole rows, and `centre` writes each into its place.
    unsafe { written_as_slice(x.len(), normalize) }
}

/// `sum − bias − part` of every row, one bias for all; and the rows of which
/// little is left, at most `small` of what the three norms come to.
///
/// # Panics
/// Sizes that do not fit together.
pub fn rest(
    cpu: Cpu,
    sum: &[f32],
    bias: &[f32],
    part: Option<&[f32]>,
    small: f32,
) -> (Vec<f32>, Vec<usize>) {
    struct Rest<'a> {
        sum: &'a [f32],
        bias: &'a [f32],
        part: Option<&'a [f32]>,
        result: &'a mut [MaybeUninit<f32>],
        /// What is left of a row, beside the whole.
        left: &'a mut [f32],
    }
    impl WithSimd for Rest<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let columns = self.bias.len();
            let bias_norm = square_sum(simd, self.bias).sqrt();
            let sums = self.sum.chunks_exact(columns);
            let results = self.result.chunks_exact_mut(columns);
            for (row, ((sum, result), left)) in sums.zip(results).zip(self.left).enumerate() {
                let result = subtract(simd, sum, self.bias, result);
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
    let columns = bias.len();
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
                    bias,
                    part: part.map(|part| &part[of_task]),
                    result,
                    left,
                });
            });
    };
    // SAFETY: the sum is whole rows, and `subtract` writes the difference of each.
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
/// W does not consist of whole rows.
pub fn rows_times_vector(cpu: Cpu, weight: &[f32], x: &[f32]) -> Vec<f32> {
    struct Dots<'a>(&'a [f32], &'a [f32], &'a mut [f32]);
    impl WithSimd for Dots<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(rows, x, results) = self;
            let (x_vectors, x_rest) = S::as_simd_f32s(x);
            for (row, result) in rows.chunks_exact(x.len()).zip(results) {
                let (vectors, rest) = S::as_simd_f32s(row);
                let mut sums = [simd.splat_f32s(0.0); 4];
                for (row, x) in vectors.chunks(4).zip(x_vectors.chunks(4)) {
                    for ((sum, &row), &x) in sums.iter_mut().zip(row).zip(x) {
                        *sum = simd.mul_add_f32s(row, x, *sum);
                    }
                }
                let first = simd.add_f32s(sums[0], sums[1]);
                let second = simd.add_f32s(sums[2], sums[3]);
                *result = simd.reduce_sum_f32s(simd.add_f32s(first, second));
                for (row, x) in rest.iter().zip(x_rest) {
                    *result += row * x;
                }
            }
        }
    }
    assert_eq!(weight.len() % x.len(), 0, "whole rows of W");
    let mut result = vec![0.0; weight.len() / x.len()];
    let rows = rows_of_task(x.len());
    weight
        .par_chunks(rows * x.len())
        .zip(result.par_chunks_mut(rows))
        .for_each(|(weight, result)| cpu.run(Dots(weight, x, result)));
    result
}

/// `result = x − mean(x)`.
///
/// # Panics
/// Unlike lengths.
#[inline(always)]
fn centre<'a, S: Simd>(simd: S, x: &[f32], result: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
    assert_eq!(x.len(), result.len(), "unlike lengths");
    let (vectors, rest) = S::as_simd_f32s(x);
    let mut sums = [simd.splat_f32s(0.0); 2];
    for pair in vectors.chunks(2) {
        for (sum, &vector) in sums.iter_mut().zip(pair) {
            *sum = simd.add_f32s(*sum, vector);
        }
    }
    if !rest.is_empty() {
        sums[0] = simd.add_f32s(sums[0], simd.partial_load_f32s(rest));
    }
    let sum = simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1]));
    let mean = sum / x.len() as f32;
    let (results, result_rest) = S::as_uninit_mut_simd_f32s(result);
    let splat = simd.splat_f32s(mean);
    for (result, &vector) in results.iter_mut().zip(vectors) {
        result.write(simd.sub_f32s(vector, splat));
    }
    for (result, &number) in result_rest.iter_mut().zip(rest) {
        result.write(number - mean);
    }
    // SAFETY: the loops wrote every number, for x is as long.
    unsafe { result.assume_init_mut() }
}

#[inline(always)]
fn square_sum<S: Simd>(simd: S, x: &[f32]) -> f32 {
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

/// `x = x / scale ⊙ weight + bias`.
#[inline(always)]
fn affine<S: Simd>(simd: S, x: &mut [f32], weight: &[f32], scale: f32, bias: Option<&[f32]>) {
    let factor = 1.0 / scale;
    let (vectors, rest) = S::as_mut_simd_f32s(x);
    let (weights, weight_rest) = S::as_simd_f32s(weight);
    let splat = simd.splat_f32s(factor);
    for (vector, &weight) in vectors.iter_mut().zip(weights) {
        *vector = simd.mul_f32s(simd.mul_f32s(*vector, splat), weight);
    }
    for (number, &weight) in rest.iter_mut().zip(weight_rest) {
        *number = *number * factor * weight;
    }
    let Some(bias) = bias else { return };
    let (biases, bias_rest) = S::as_simd_f32s(bias);
    for (vector, &bias) in vectors.iter_mut().zip(biases) {
        *vector = simd.add_f32s(*vector, bias);
    }
    for (number, &bias) in rest.iter_mut().zip(bias_rest) {
        *number += bias;
    }
}
