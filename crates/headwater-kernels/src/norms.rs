//! Layer norms and RMS norms of every row.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::rows::{rows_of_task, square_sum};
use crate::shared::written_as_slice;
use crate::{Cpu, Fold};

/// Normalization of every row, `γ ⊙ y / s + β`, and s: of a layer norm y is
/// `x − mean(x)`, of an RMS norm x, and s = sqrt(mean(y²) + ε). β only if it is given.
///
/// # Panics
/// Sizes that do not fit together.
pub fn normalize(
    cpu: Cpu,
    x: &[f32],
    fold: Fold<'_>,
    bias: Option<&[f32]>,
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>) {
    struct Rows<'a> {
        x: &'a [f32],
        fold: Fold<'a>,
        bias: Option<&'a [f32]>,
        epsilon: f64,
        result: &'a mut [MaybeUninit<f32>],
        scale: &'a mut [f32],
    }
    impl WithSimd for Rows<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let columns = self.fold.weight.len();
            let rows = self.x.chunks_exact(columns);
            let results = self.result.chunks_exact_mut(columns);
            for ((x, result), scale) in rows.zip(results).zip(self.scale) {
                let result = centre(simd, x, self.fold, result);
                let variance = square_sum(simd, result) / columns as f32;
                *scale = (f64::from(variance) + self.epsilon).sqrt() as f32;
                affine(simd, result, self.fold.weight, *scale, self.bias);
            }
        }
    }
    let columns = fold.weight.len();
    assert!(
        bias.is_none_or(|bias| bias.len() == columns) && x.len().is_multiple_of(columns),
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
                cpu.run(Rows {
                    x,
                    fold,
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

/// What a normalization does to a part of its input: as [`normalize`], with s
/// from elsewhere, one a row.
///
/// # Panics
/// Sizes that do not fit together.
pub fn normalized_part(
    cpu: Cpu,
    x: &[f32],
    fold: Fold<'_>,
    bias: Option<&[f32]>,
    scale: &[f32],
) -> Vec<f32> {
    struct Part<'a> {
        x: &'a [f32],
        fold: Fold<'a>,
        bias: Option<&'a [f32]>,
        scale: &'a [f32],
        result: &'a mut [MaybeUninit<f32>],
    }
    impl WithSimd for Part<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let columns = self.fold.weight.len();
            let rows = self.x.chunks_exact(columns);
            let results = self.result.chunks_exact_mut(columns);
            for ((x, result), &scale) in rows.zip(results).zip(self.scale) {
                let result = centre(simd, x, self.fold, result);
                affine(simd, result, self.fold.weight, scale, self.bias);
            }
        }
    }
    let columns = fold.weight.len();
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
                    fold,
                    bias,
                    scale,
                    result,
                });
            });
    };
    // SAFETY: x is whole rows, and `centre` writes each into its place.
    unsafe { written_as_slice(x.len(), normalize) }
}

/// `result = x − mean(x)`, or x as it is.
///
/// # Panics
/// Unlike lengths.
#[inline(always)]
fn centre<'a, S: Simd>(
    simd: S,
    x: &[f32],
    fold: Fold<'_>,
    result: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    assert_eq!(x.len(), result.len(), "unlike lengths");
    if !fold.centre {
        return result.write_copy_of_slice(x);
    }
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
