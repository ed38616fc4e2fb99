//! What is read off attention weights, row by row and map by map.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Cpu;
use crate::rows::rows_of_task;
use crate::shared::written_as_slice;

/// The weights with which every source attends to itself, α_ii: `[batch, head, token]`.
///
/// `weights`: α, `[batch, head, token, token]`.
///
/// # Panics
/// Sizes that do not fit together.
pub fn diagonal(weights: &[f32], tokens: usize) -> Vec<f32> {
    assert_eq!(weights.len() % (tokens * tokens).max(1), 0, "square maps");
    let maps = weights.par_chunks_exact((tokens * tokens).max(1));
    maps.flat_map_iter(|map| map.iter().step_by(tokens + 1).copied())
        .collect()
}

/// The sum of every row.
///
/// # Panics
/// `x` does not consist of whole rows.
pub fn row_sums(cpu: Cpu, x: &[f32], columns: usize) -> Vec<f32> {
    struct Sums<'a>(&'a [f32], &'a mut [f32]);
    impl WithSimd for Sums<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let columns = self.0.len() / self.1.len();
            for (row, result) in self.0.chunks_exact(columns).zip(self.1) {
                *result = sum(simd, row);
            }
        }
    }
    assert_eq!(x.len() % columns.max(1), 0, "whole rows");
    let mut sums = vec![0.0; x.len() / columns.max(1)];
    let rows = rows_of_task(columns.max(1));
    x.par_chunks((rows * columns).max(1))
        .zip(sums.par_chunks_mut(rows))
        .for_each(|(x, sums)| cpu.run(Sums(x, sums)));
    sums
}

/// Of the rows of square maps, each of which sums to 1, the sum without the
/// number on the diagonal.
///
/// That is 1 less this number. Rows in which it is nearly all are summed: the
/// difference would have few correct digits.
///
/// `own`: the diagonals, `[map][row]`, as [`diagonal`](crate::diagonal) reads them.
///
/// # Panics
/// Sizes that do not fit together.
pub fn sums_of_others(cpu: Cpu, maps: &[f32], own: &[f32], tokens: usize) -> Vec<f32> {
    struct Others<'a> {
        before: &'a [f32],
        behind: &'a [f32],
    }
    impl WithSimd for Others<'_> {
        type Output = f32;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f32 {
            sum(simd, self.before) + sum(simd, self.behind)
        }
    }
    /// Up to here three of 24 bits are lost at most.
    const NEARLY_ALL: f32 = 0.875;
    assert_eq!(maps.len(), own.len() * tokens, "a number for each row");
    let of_row = |(row, &own): (usize, &f32)| {
        if own <= NEARLY_ALL {
            return 1.0 - own;
        }
        let numbers = &maps[row * tokens..][..tokens];
        cpu.run(Others {
            before: &numbers[..row % tokens],
            behind: &numbers[row % tokens + 1..],
        })
    };
    own.iter().enumerate().map(of_row).collect()
}

/// Rows of maps times a row of factors for each map: `[map][row][column]` by
/// `[map][column]`.
///
/// # Panics
/// Sizes that do not fit together.
pub fn times_factors(cpu: Cpu, maps: &[f32], factors: &[f32], columns: usize) -> Vec<f32> {
    struct Times<'a>(&'a [f32], &'a [f32], &'a mut [MaybeUninit<f32>]);
    impl WithSimd for Times<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(rows, factors, results) = self;
            let columns = factors.len();
            let (factors, factors_rest) = S::as_simd_f32s(factors);
            let results = results.chunks_exact_mut(columns);
            for (row, result) in rows.chunks_exact(columns).zip(results) {
                let (row, row_rest) = S::as_simd_f32s(row);
                let (result, rest) = S::as_uninit_mut_simd_f32s(result);
                for ((result, &number), &factor) in result.iter_mut().zip(row).zip(factors) {
                    result.write(simd.mul_f32s(number, factor));
                }
                for ((result, &number), &factor) in rest.iter_mut().zip(row_rest).zip(factors_rest)
                {
                    result.write(number * factor);
                }
            }
        }
    }
    if maps.is_empty() {
        return Vec::new();
    }
    let count = factors.len() / columns;
    assert!(
        factors.len() == count * columns && maps.len().is_multiple_of(factors.len()),
        "unlike sizes"
    );
    let map = maps.len() / count;
    let times = |result: &mut [MaybeUninit<f32>]| {
        result
            .par_chunks_mut(map)
            .zip(maps.par_chunks(map))
            .zip(factors.par_chunks(columns))
            .for_each(|((result, rows), factors)| cpu.run(Times(rows, factors, result)));
    };
    // SAFETY: the maps are whole rows of `columns` numbers, as many as there are
    // factors, and each product is written.
    unsafe { written_as_slice(maps.len(), times) }
}

#[inline(always)]
fn sum<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(x);
    let mut sum = simd.splat_f32s(0.0);
    for &vector in vectors {
        sum = simd.add_f32s(sum, vector);
    }
    if !rest.is_empty() {
        sum = simd.add_f32s(sum, simd.partial_load_f32s(rest));
    }
    simd.reduce_sum_f32s(sum)
}
