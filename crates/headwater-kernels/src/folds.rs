//! What normalizations behind attention do to every part alike.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::{Cpu, Matrix};

/// What a normalization does to every part of its input alike: `γ ⊙ (y − mean(y))`
/// of a layer norm, `γ ⊙ y` of an RMS norm. What is left of it, the division by
/// s_i, is the target's.
#[derive(Debug, Clone, Copy)]
pub struct Fold<'a> {
    /// γ, `[d_model]`.
    pub weight: &'a [f32],
    /// Whether the mean is taken off: layer norms do, RMS norms do not.
    pub centre: bool,
}

impl<'a> Fold<'a> {
    /// A layer norm's.
    pub fn layer_norm(weight: &'a [f32]) -> Self {
        Self {
            weight,
            centre: true,
        }
    }

    /// An RMS norm's.
    pub fn rms_norm(weight: &'a [f32]) -> Self {
        Self {
            weight,
            centre: false,
        }
    }
}

/// The mean of every column of W_O, `[d_model, head · d_head]`, behind the folds
/// before each one: what the means of U are made of. Empty where a fold does not
/// centre.
pub(crate) fn means(cpu: Cpu, output: Matrix<'_>, folds: &[Fold<'_>]) -> Vec<Vec<f32>> {
    let mut means: Vec<Vec<f32>> = Vec::with_capacity(folds.len());
    for (place, fold) in folds.iter().enumerate() {
        means.push(match fold.centre {
            true => column_means(cpu, output, &folds[..place], &means),
            false => Vec::new(),
        });
    }
    means
}

/// Columns of a task.
const COLUMNS: usize = 256;
/// Rows that are looked at together: where they are stored as columns, those of
/// a column lie side by side.
const ROWS: usize = 16;

/// The mean of every column of W_O behind some folds, whose means are known.
fn column_means(cpu: Cpu, output: Matrix<'_>, before: &[Fold<'_>], known: &[Vec<f32>]) -> Vec<f32> {
    struct Means<'a> {
        output: Matrix<'a>,
        first: usize,
        before: &'a [Fold<'a>],
        known: &'a [Vec<f32>],
        means: &'a mut [f32],
    }
    impl WithSimd for Means<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            self.means.fill(0.0);
            let count = self.output.outputs();
            let length = self.means.len();
            let columns = self.first..self.first + length;
            let mut rows = vec![0.0_f32; ROWS * length];
            for first in (0..count).step_by(ROWS) {
                let here = ROWS.min(count - first);
                let output = &self.output;
                output.copy(simd, first, here, self.first, length, &mut rows, length);
                for (index, row) in rows.chunks_exact_mut(length).take(here).enumerate() {
                    for (fold, known) in self.before.iter().zip(self.known) {
                        let weight = fold.weight[first + index];
                        if fold.centre {
                            for (value, &mean) in row.iter_mut().zip(&known[columns.clone()]) {
                                *value = (*value - mean) * weight;
                            }
                        } else {
                            for value in row.iter_mut() {
                                *value *= weight;
                            }
                        }
                    }
                    for (sum, &value) in self.means.iter_mut().zip(&*row) {
                        *sum += value;
                    }
                }
            }
            for sum in self.means.iter_mut() {
                *sum /= count as f32;
            }
        }
    }
    let mut means = vec![0.0; output.inputs()];
    means
        .par_chunks_mut(COLUMNS)
        .enumerate()
        .for_each(|(chunk, means)| {
            cpu.run(Means {
                output,
                first: chunk * COLUMNS,
                before,
                known,
                means,
            });
        });
    means
}
