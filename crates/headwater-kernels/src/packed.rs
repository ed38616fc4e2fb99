//! Rows side by side: the layout that products read and may write.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::shared::{Shared, filled, written, written_as_slice, written_in_parts};
use crate::transpose::{Rows, transpose};
use crate::{Cpu, Curve};

/// Rows of a matrix, packed for products: `[panel][column][row of the panel]`.
///
/// The output of one product in this layout is the input of the next. How many
/// rows a panel has is a matter of the instruction set, so they keep it: what is
/// computed of packed rows is computed on the one that they are packed for.
#[derive(Debug, Clone)]
pub struct Packed {
    pub(crate) cpu: Cpu,
    pub(crate) data: Vec<f32>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Rows of a panel.
    pub(crate) width: usize,
}

impl Packed {
    /// Rows of a panel with the widest vectors that there are.
    pub const WIDEST: usize = 32;

    /// Rows whose numbers `write` writes.
    ///
    /// # Safety
    /// `write` writes every number of every panel, those of the last that
    /// belong to no row too.
    pub(crate) unsafe fn written(
        cpu: Cpu,
        rows: usize,
        columns: usize,
        write: impl FnOnce(Shared),
    ) -> Self {
        let width = cpu.width();
        Self {
            cpu,
            // SAFETY: these are all numbers of all panels, which the caller
            // promises are written.
            data: unsafe { written(rows.div_ceil(width) * columns * width, write) },
            rows,
            columns,
            width,
        }
    }

    /// As [`Packed::written`]: some columns of a panel at a time.
    ///
    /// # Safety
    /// `write` writes every number of a part.
    pub(crate) unsafe fn by_part(
        cpu: Cpu,
        rows: usize,
        columns: usize,
        write: impl Fn(Part, &mut [MaybeUninit<f32>]) + Sync,
    ) -> Self {
        let width = cpu.width();
        let parts = columns.div_ceil(COLUMNS);
        let task = |data: Shared, index: usize| {
            let (panel, first) = (index / parts, index % parts * COLUMNS);
            let columns_here = COLUMNS.min(columns - first);
            let start = (panel * columns + first) * width;
            let part = Part {
                panel,
                columns: first..first + columns_here,
                numbers: start..start + columns_here * width,
            };
            // SAFETY: the slice lives until all tasks are done, and no other task
            // has these columns of this panel.
            let numbers = unsafe { data.part(start, columns_here * width) };
            write(part, numbers);
        };
        // SAFETY: together the parts are all columns of all panels, and the caller
        // promises that each is written.
        unsafe {
            Self::written(cpu, rows, columns, |data| {
                (0..rows.div_ceil(width) * parts)
                    .into_par_iter()
                    .for_each(|index| task(data, index));
            })
        }
    }

    /// As [`Packed::written`], panel by panel, with the place of each.
    ///
    /// # Safety
    /// `write` writes every number of a panel.
    pub(crate) unsafe fn by_panel(
        cpu: Cpu,
        rows: usize,
        columns: usize,
        write: impl Fn(usize, &mut [MaybeUninit<f32>]) + Sync,
    ) -> Self {
        let width = cpu.width();
        Self {
            cpu,
            // SAFETY: the caller promises that every panel is written.
            data: unsafe { written_in_parts(rows.div_ceil(width), columns * width, write) },
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
        let width = cpu.width();
        let pack = |part: Part, result: &mut [MaybeUninit<f32>]| {
            let first = part.panel * width;
            let count = width.min(rows - first);
            if count < width {
                filled(result, 0.0);
            }
            cpu.run(Pack {
                x: &x[first * columns + part.columns.start..],
                stride: columns,
                rows: count,
                columns: part.columns.len(),
                result,
                width,
            });
        };
        // SAFETY: `Pack` writes every column of `count` rows; where that is not
        // all of a part, it is filled before.
        unsafe { Self::by_part(cpu, rows, columns, pack) }
    }

    /// g(x)/x of every number x: what an activation multiplies by.
    pub fn gates(&self, curve: Curve) -> Self {
        struct Gates<'a>(Curve, &'a mut [f32]);
        impl WithSimd for Gates<'_> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                self.0.apply_gate(simd, self.1);
            }
        }
        let gates = |part: Part, result: &mut [MaybeUninit<f32>]| {
            let result = result.write_copy_of_slice(&self.data[part.numbers]);
            self.cpu.run(Gates(curve, result));
        };
        // SAFETY: `write_copy_of_slice` writes all of a part.
        unsafe { Self::by_part(self.cpu, self.rows, self.columns, gates) }
    }

    /// Every number times the one of `other` in its place.
    ///
    /// # Panics
    /// `other` has another size.
    pub fn times(&self, other: &Self) -> Self {
        struct Times<'a>(&'a [f32], &'a [f32], &'a mut [MaybeUninit<f32>]);
        impl WithSimd for Times<'_> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let a = S::as_simd_f32s(self.0).0.iter();
                let b = S::as_simd_f32s(self.1).0;
                let result = S::as_uninit_mut_simd_f32s(self.2).0;
                for ((result, &a), &b) in result.iter_mut().zip(a).zip(b) {
                    result.write(simd.mul_f32s(a, b));
                }
            }
        }
        assert!(self.is_like(other), "a factor for each number");
        let times = |part: Part, result: &mut [MaybeUninit<f32>]| {
            let a = &self.data[part.numbers.clone()];
            self.cpu.run(Times(a, &other.data[part.numbers], result));
        };
        // SAFETY: a part is whole vectors, as many in both factors, and each
        // product is written.
        unsafe { Self::by_part(self.cpu, self.rows, self.columns, times) }
    }

    /// What is left of every row of a sum, times `factors`: `(self − part −
    /// Σ_k known_k) ⊙ factors`.
    ///
    /// # Panics
    /// Sizes that do not fit together.
    pub fn rest_times(&self, part: &Self, known: &[Known<'_>], factors: &Self) -> Self {
        struct Rest<'a> {
            sum: &'a [f32],
            part: &'a [f32],
            /// Of these columns, with 1/s of the panel's rows.
            known: Vec<(&'a [f32], Option<&'a [f32]>)>,
            factors: &'a [f32],
            result: &'a mut [MaybeUninit<f32>],
        }
        impl WithSimd for Rest<'_> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let sums = S::as_simd_f32s(self.sum).0.chunks_exact(2);
                let parts = S::as_simd_f32s(self.part).0.chunks_exact(2);
                let factors = S::as_simd_f32s(self.factors).0.chunks_exact(2);
                let results = S::as_uninit_mut_simd_f32s(self.result).0;
                let results = results.chunks_exact_mut(2).enumerate();
                for (((sum, part), factor), (column, result)) in
                    sums.zip(parts).zip(factors).zip(results)
                {
                    let mut known = [simd.splat_f32s(0.0); 2];
                    for (vector, inverse) in &self.known {
                        let number = simd.splat_f32s(vector[column]);
                        for (lane, known) in known.iter_mut().enumerate() {
                            *known = match inverse {
                                Some(inverse) => {
                                    let inverse = S::as_simd_f32s(inverse).0[lane];
                                    simd.mul_add_f32s(number, inverse, *known)
                                }
                                None => simd.add_f32s(*known, number),
                            };
                        }
                    }
                    for lane in 0..2 {
                        let rest = simd.sub_f32s(sum[lane], known[lane]);
                        let rest = simd.sub_f32s(rest, part[lane]);
                        result[lane].write(simd.mul_f32s(rest, factor[lane]));
                    }
                }
            }
        }
        assert!(self.is_like(part) && self.is_like(factors), "unlike sizes");
        let mut inverses = Vec::with_capacity(known.len());
        for known in known {
            assert_eq!(known.vector.len(), self.columns, "one a column");
            inverses.push(known.divisor.map(|scale| {
                assert_eq!(scale.len(), self.rows, "one a row");
                let mut inverse: Vec<f32> = scale.iter().map(|scale| scale.recip()).collect();
                inverse.resize(self.panels() * self.width, 0.0);
                inverse
            }));
        }
        let rest = |place: Part, result: &mut [MaybeUninit<f32>]| {
            let of_part = known.iter().zip(&inverses).map(|(known, inverse)| {
                let of_panel = place.panel * self.width..(place.panel + 1) * self.width;
                let inverse = inverse.as_ref().map(|all| &all[of_panel]);
                (&known.vector[place.columns.clone()], inverse)
            });
            self.cpu.run(Rest {
                sum: &self.data[place.numbers.clone()],
                part: &part.data[place.numbers.clone()],
                known: of_part.collect(),
                factors: &factors.data[place.numbers],
                result,
            });
        };
        // SAFETY: a part is two vectors for each of its columns, as many in all
        // three matrices, and each rest is written.
        unsafe { Self::by_part(self.cpu, self.rows, self.columns, rest) }
    }

    /// Numbers of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// A row that there is not.
    pub fn pick_rows(&self, rows: &[usize]) -> Self {
        assert!(rows.iter().all(|&row| row < self.rows), "a row");
        let width = self.width;
        let pick = |part: Part, result: &mut [MaybeUninit<f32>]| {
            let result = filled(result, 0.0);
            let rows = rows.iter().skip(part.panel * width).take(width);
            for (lane, row) in rows.enumerate() {
                let from = row / width * self.columns + part.columns.start;
                let from = &self.data[from * width + row % width..];
                let lanes = result[lane..].iter_mut().step_by(width);
                for (number, from) in lanes.zip(from.iter().step_by(width)) {
                    *number = *from;
                }
            }
        };
        // SAFETY: all of a part is filled.
        unsafe { Self::by_part(self.cpu, rows.len(), self.columns, pick) }
    }

    /// Puts rows of another matrix, `[rows.len(), columns]` packed, in place of rows of this one.
    ///
    /// # Panics
    /// Sizes that do not fit together, or a row that there is not.
    pub fn replace_rows(&mut self, rows: &[usize], other: &Self) {
        assert!(
            (rows.len(), self.columns, self.width) == (other.rows, other.columns, other.width),
            "unlike sizes"
        );
        assert!(rows.iter().all(|&row| row < self.rows), "a row");
        for (from, &to) in rows.iter().enumerate() {
            for column in 0..self.columns {
                let at = |row: usize| {
                    (row / self.width * self.columns + column) * self.width + row % self.width
                };
                self.data[at(to)] = other.data[at(from)];
            }
        }
    }

    /// Whether the numbers of both have the same places.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.rows, self.columns, self.width) == (other.rows, other.columns, other.width)
    }

    /// The rows, `[rows, columns]`.
    pub fn unpack(&self) -> Vec<f32> {
        let unpack = |x: &mut [MaybeUninit<f32>]| {
            let panel = self.columns * self.width;
            x.par_chunks_mut(panel.max(1))
                .zip(self.data.par_chunks(panel.max(1)))
                .for_each(|(x, panel)| {
                    // The other way round it is the same.
                    self.cpu.run(Pack {
                        x: panel,
                        stride: self.width,
                        rows: self.columns,
                        columns: x.len() / self.columns,
                        result: x,
                        width: self.columns,
                    });
                });
        };
        // SAFETY: `Pack` writes every column of the rows that a panel has, and
        // together they are all rows.
        unsafe { written_as_slice(self.rows * self.columns, unpack) }
    }

    /// Groups of rows that lie side by side; the last may have empty ones.
    pub(crate) fn panels(&self) -> usize {
        self.rows.div_ceil(self.width)
    }
}

/// A vector that is known of every row of a sum, and by what it is divided there:
/// `vector / s_i` of row i.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// One number a column.
    pub vector: &'a [f32],
    /// s, one a row; 1 where there is none. Vectors without come first.
    pub divisor: Option<&'a [f32]>,
}

/// Columns of a part: so few that its numbers stay near.
const COLUMNS: usize = 256;

/// Some columns of a panel.
pub(crate) struct Part {
    panel: usize,
    columns: Range<usize>,
    /// Where its numbers lie.
    numbers: Range<usize>,
}

impl Part {
    /// Where its numbers lie.
    pub(crate) fn numbers(&self) -> Range<usize> {
        self.numbers.clone()
    }
}

/// Rows of `columns` numbers that begin `stride` apart, `[row][column]`, to
/// `[column][row]`; `width` rows of the result lie together. Writes every column
/// of every row, and nothing else.
pub(crate) struct Pack<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) result: &'a mut [MaybeUninit<f32>],
    pub(crate) width: usize,
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.rows * self.columns == 0 {
            return;
        }
        let last = (self.rows - 1).checked_mul(self.stride);
        let end = last.and_then(|last| last.checked_add(self.columns));
        assert!(end.is_some_and(|end| end <= self.x.len()), "rows of x");
        let size = self.columns.checked_mul(self.width);
        let fits = size.is_some_and(|size| size <= self.result.len());
        assert!(self.rows <= self.width && fits, "rows of the result");
        let from = Rows {
            first: self.x.as_ptr(),
            stride: self.stride,
        };
        let to = Rows {
            first: self.result.as_mut_ptr().cast(),
            stride: self.width,
        };
        // SAFETY: the assertions above say that `rows` rows of `columns` numbers
        // are in `x`, and `columns` rows of `rows` numbers in `result`, which
        // is borrowed mutably and so does not overlap.
        unsafe { transpose(simd, self.rows, self.columns, from, to) };
    }
}
