//! Rows side by side: the layout that products read and may write.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::{Cpu, Curve};

/// Rows of a matrix, packed for products: `[panel][column][row of the panel]`.
///
/// The output of one product in this layout is the input of the next.
#[derive(Debug, Clone)]
pub struct Packed {
    pub(crate) data: Vec<f32>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Rows of a panel.
    pub(crate) width: usize,
}

impl Packed {
    pub(crate) fn zeros(cpu: Cpu, rows: usize, columns: usize) -> Self {
        let width = cpu.width();
        Self {
            data: vec![0.0; rows.div_ceil(width) * columns * width],
            rows,
            columns,
            width,
        }
    }

    /// Packs `x`, `[rows, columns]`.
    ///
    /// # Panics
    /// `x` has another size.
    pub fn new(cpu: Cpu, x: &[f32], columns: usize) -> Self {
        let rows = x.len() / columns;
        assert_eq!(x.len(), rows * columns, "whole rows");
        let mut packed = Self::zeros(cpu, rows, columns);
        let width = packed.width;
        packed
            .data
            .par_chunks_mut(columns * width)
            .zip(x.par_chunks(columns * width))
            .for_each(|(panel, x)| transpose(x, columns, panel, width));
        packed
    }

    /// g(x)/x of every number x in its place: what an activation multiplies by.
    pub fn gate(&mut self, cpu: Cpu, curve: Curve) {
        struct Gate<'a>(Curve, &'a mut [f32]);
        impl WithSimd for Gate<'_> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                self.0.apply_gate(simd, self.1);
            }
        }
        self.data
            .par_chunks_mut(1 << 14)
            .for_each(|numbers| cpu.run(Gate(curve, numbers)));
    }

    /// The rows, `[rows, columns]`.
    pub fn unpack(&self) -> Vec<f32> {
        let mut x = vec![0.0; self.rows * self.columns];
        let panel = self.columns * self.width;
        x.par_chunks_mut(panel.max(1))
            .zip(self.data.par_chunks(panel.max(1)))
            .for_each(|(x, panel)| {
                for (row, x) in x.chunks_exact_mut(self.columns).enumerate() {
                    for (number, lanes) in x.iter_mut().zip(panel.chunks_exact(self.width)) {
                        *number = lanes[row];
                    }
                }
            });
        x
    }

    /// Groups of rows that lie side by side; the last may have empty ones.
    pub(crate) fn panels(&self) -> usize {
        self.rows.div_ceil(self.width)
    }
}

/// Columns that are moved together, so that what they touch stays cached.
const STRIP: usize = 16;

/// Rows of `columns` numbers, `[row][column]`, to `[column][row]`; `width` rows
/// of the result lie together.
fn transpose(x: &[f32], columns: usize, result: &mut [f32], width: usize) {
    transpose_strided(x, columns, x.len() / columns, columns, result, width);
}

/// As [`transpose`], from rows that begin `stride` apart.
pub(crate) fn transpose_strided(
    x: &[f32],
    stride: usize,
    rows: usize,
    columns: usize,
    result: &mut [f32],
    width: usize,
) {
    for start in (0..columns).step_by(STRIP) {
        let strip = STRIP.min(columns - start);
        let result = &mut result[start * width..][..strip * width];
        for row in 0..rows {
            let x = &x[row * stride + start..][..strip];
            for (column, &value) in x.iter().enumerate() {
                result[column * width + row] = value;
            }
        }
    }
}
