//! Rows side by side: the layout that products read and may write.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::transpose::{Rows, transpose};
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
            .for_each(|(panel, x)| {
                cpu.run(Pack {
                    x,
                    stride: columns,
                    rows: x.len() / columns,
                    columns,
                    result: panel,
                    width,
                });
            });
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
            .par_chunks_mut(CHUNK)
            .for_each(|numbers| cpu.run(Gate(curve, numbers)));
    }

    /// Every number times the one of `other` in its place.
    ///
    /// # Panics
    /// `other` has another size.
    pub fn times(&self, cpu: Cpu, other: &Self) -> Self {
        struct Times<'a>(&'a [f32], &'a [f32], &'a mut [f32]);
        impl WithSimd for Times<'_> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let a = S::as_simd_f32s(self.0).0.iter();
                let b = S::as_simd_f32s(self.1).0;
                let result = S::as_mut_simd_f32s(self.2).0;
                for ((result, &a), &b) in result.iter_mut().zip(a).zip(b) {
                    *result = simd.mul_f32s(a, b);
                }
            }
        }
        assert!(self.is_like(other), "a factor for each number");
        let mut product = Self::zeros(cpu, self.rows, self.columns);
        let parts = self
            .data
            .par_chunks(CHUNK)
            .zip(other.data.par_chunks(CHUNK));
        parts
            .zip(product.data.par_chunks_mut(CHUNK))
            .for_each(|((a, b), product)| cpu.run(Times(a, b, product)));
        product
    }

    /// What is left of every row of a sum, times `factors`: `(self − part −
    /// a/s_i − c) ⊙ factors` for row i.
    ///
    /// `a`, `c`: one number a column; `scale`: s, one a row.
    ///
    /// # Panics
    /// Sizes that do not fit together.
    pub fn rest_times(
        &self,
        cpu: Cpu,
        part: &Self,
        [a, c]: [&[f32]; 2],
        scale: &[f32],
        factors: &Self,
    ) -> Self {
        struct Rest<'a> {
            sum: &'a [f32],
            part: &'a [f32],
            a: &'a [f32],
            c: &'a [f32],
            inverse: &'a [f32],
            factors: &'a [f32],
            result: &'a mut [f32],
        }
        impl WithSimd for Rest<'_> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let inverse = S::as_simd_f32s(self.inverse).0;
                let sums = S::as_simd_f32s(self.sum).0.chunks_exact(2);
                let parts = S::as_simd_f32s(self.part).0.chunks_exact(2);
                let factors = S::as_simd_f32s(self.factors).0.chunks_exact(2);
                let results = S::as_mut_simd_f32s(self.result).0.chunks_exact_mut(2);
                let columns = self.a.iter().zip(self.c);
                for ((((sum, part), factor), result), (&a, &c)) in
                    sums.zip(parts).zip(factors).zip(results).zip(columns)
                {
                    for lane in 0..2 {
                        let known = simd.mul_add_f32s(
                            simd.splat_f32s(a),
                            inverse[lane],
                            simd.splat_f32s(c),
                        );
                        let rest = simd.sub_f32s(simd.sub_f32s(sum[lane], known), part[lane]);
                        result[lane] = simd.mul_f32s(rest, factor[lane]);
                    }
                }
            }
        }
        assert!(self.is_like(part) && self.is_like(factors), "unlike sizes");
        assert!(
            a.len() == self.columns && c.len() == self.columns,
            "one a column"
        );
        assert_eq!(scale.len(), self.rows, "one a row");
        let mut inverse: Vec<f32> = scale.iter().map(|scale| scale.recip()).collect();
        inverse.resize(self.panels() * self.width, 0.0);
        let mut result = Self::zeros(cpu, self.rows, self.columns);
        let size = self.columns * self.width;
        result
            .data
            .par_chunks_mut(size.max(1))
            .enumerate()
            .for_each(|(panel, result)| {
                let of_panel = panel * size..(panel + 1) * size;
                cpu.run(Rest {
                    sum: &self.data[of_panel.clone()],
                    part: &part.data[of_panel.clone()],
                    a,
                    c,
                    inverse: &inverse[panel * self.width..][..self.width],
                    factors: &factors.data[of_panel],
                    result,
                });
            });
        result
    }

    /// Puts rows of another matrix, `[rows.len(), columns]` packed, in place of rows of this one.
    ///
    /// # Panics
    /// Sizes that do not fit together.
    pub fn replace_rows(&mut self, rows: &[usize], other: &Self) {
        assert!(
            rows.len() == other.rows && other.columns == self.columns,
            "unlike sizes"
        );
        for (from, &to) in rows.iter().enumerate() {
            for column in 0..self.columns {
                let at = |row: usize| {
                    (row / self.width * self.columns + column) * self.width + row % self.width
                };
                self.data[at(to)] = other.data[at(from)];
            }
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.rows, self.columns, self.width) == (other.rows, other.columns, other.width)
    }

    /// The rows, `[rows, columns]`.
    pub fn unpack(&self, cpu: Cpu) -> Vec<f32> {
        let mut x = vec![0.0; self.rows * self.columns];
        let panel = self.columns * self.width;
        x.par_chunks_mut(panel.max(1))
            .zip(self.data.par_chunks(panel.max(1)))
            .for_each(|(x, panel)| {
                // The other way round it is the same.
                cpu.run(Pack {
                    x: panel,
                    stride: self.width,
                    rows: self.columns,
                    columns: x.len() / self.columns,
                    result: x,
                    width: self.columns,
                });
            });
        x
    }

    /// Groups of rows that lie side by side; the last may have empty ones.
    pub(crate) fn panels(&self) -> usize {
        self.rows.div_ceil(self.width)
    }
}

/// Numbers of a task; whole vectors of every machine.
const CHUNK: usize = 1 << 14;

/// Rows of `columns` numbers that begin `stride` apart, `[row][column]`, to
/// `[column][row]`; `width` rows of the result lie together.
pub(crate) struct Pack<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) result: &'a mut [f32],
    pub(crate) width: usize,
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.rows * self.columns == 0 {
            return;
        }
        assert!((self.rows - 1) * self.stride + self.columns <= self.x.len());
        assert!(self.rows <= self.width && self.columns * self.width <= self.result.len());
        let from = Rows {
            first: self.x.as_ptr(),
            stride: self.stride,
        };
        let to = Rows {
            first: self.result.as_mut_ptr(),
            stride: self.width,
        };
        // SAFETY: both are as long.
        unsafe { transpose(simd, self.rows, self.columns, from, to) };
    }
}
