//! `y = x Wᵀ + b` with W as it lies in the file.
//!
//! W is not rearranged: strips of its rows are copied, widened where the file has
//! fewer bits, and read number by number, and every number is multiplied with the same column of a whole panel of rows of x. So a
//! product with few rows of x costs little more than reading W once.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::shared::{Shared, written};
use crate::tile::{self, DEPTH, Left, Right, STRIDE, Tile};
use crate::transpose::{Rows, transpose};
use crate::{Curve, Matrix, Packed};

/// An affine map.
#[derive(Debug, Clone, Copy)]
pub struct Affine<'a> {
    /// W, `[out, in]`.
    pub weight: Matrix<'a>,
    /// b, `[out]`.
    pub bias: Option<&'a [f32]>,
}

/// Tiles of rows of W whose columns stay in the second-level cache.
const BLOCKS: usize = 8;
/// Panels of x whose results stay in the cache.
const PANELS: usize = 16;

/// What is done to the numbers of a product that is packed for the next.
#[derive(Debug, Clone, Copy)]
pub enum Then<'a> {
    /// Nothing.
    Nothing,
    /// An activation is applied.
    Activation(Curve),
    /// They are multiplied by the numbers of a matrix of the same size.
    Times(&'a Packed),
    /// They are multiplied by the numbers of one matrix of the same size, and
    /// those of another are added.
    TimesPlus(&'a Packed, &'a Packed),
}

/// What becomes of a product.
#[derive(Clone, Copy)]
enum Target<'a> {
    /// `[row of x, out]`.
    Rows(Shared),
    /// Packed for the next product; what something is done to may be kept,
    /// packed likewise.
    Packed {
        packed: Shared,
        then: Then<'a>,
        before: Option<Shared>,
    },
}

/// `x Wᵀ + b` as rows, `[row of x, out]`.
///
/// # Panics
/// W or b has another size.
pub fn linear(x: &Packed, map: Affine<'_>) -> Vec<f32> {
    let out = map.outputs(x);
    // SAFETY: the tasks of a product have all outputs, and each writes its own of
    // every row.
    unsafe { written(x.rows * out, |y| product(x, map, Target::Rows(y))) }
}

/// `x Wᵀ + b` and what is done to it `then`, packed.
///
/// # Panics
/// W or b has another size.
pub fn linear_packed(x: &Packed, map: Affine<'_>, then: Then<'_>) -> Packed {
    packed(x, map, then, None)
}

/// As [`linear_packed`], and beside it `x Wᵀ + b` itself.
///
/// # Panics
/// W or b has another size.
pub fn linear_both(x: &Packed, map: Affine<'_>, then: Then<'_>) -> (Packed, Packed) {
    let out = map.outputs(x);
    let mut result = None;
    // SAFETY: the tasks of a product have all outputs, and each copies its own of
    // every panel there.
    let before = unsafe {
        Packed::written(x.cpu, x.rows, out, |before| {
            result = Some(packed(x, map, then, Some(before)));
        })
    };
    (result.expect("it was written"), before)
}

fn packed(x: &Packed, map: Affine<'_>, then: Then<'_>, before: Option<Shared>) -> Packed {
    let out = map.outputs(x);
    let others = match then {
        Then::Nothing | Then::Activation(_) => [None, None],
        Then::Times(factors) => [Some(factors), None],
        Then::TimesPlus(factors, terms) => [Some(factors), Some(terms)],
    };
    for other in others.into_iter().flatten() {
        let sizes = (other.rows, other.columns, other.width);
        assert_eq!(sizes, (x.rows, out, x.width), "one for each number");
    }
    // SAFETY: the tasks of a product have all outputs, and each writes its own of
    // every panel.
    unsafe {
        Packed::written(x.cpu, x.rows, out, |packed| {
            let target = Target::Packed {
                packed,
                then,
                before,
            };
            product(x, map, target);
        })
    }
}

impl Affine<'_> {
    /// Rows of W.
    fn outputs(&self, x: &Packed) -> usize {
        let out = self.weight.outputs();
        assert_eq!(
            self.weight.inputs(),
            x.columns,
            "a column of W for each of x"
        );
        assert!(self.bias.is_none_or(|bias| bias.len() == out), "one b each");
        out
    }
}

fn product(x: &Packed, map: Affine<'_>, target: Target<'_>) {
    let out = map.outputs(x);
    if x.rows * out == 0 {
        return;
    }
    let rows = x.cpu.run(TileRows);
    let blocks = out.div_ceil(rows);
    let threads = rayon::current_num_threads();
    // As many tasks for each thread, none larger than the cache takes.
    let tasks = blocks.div_ceil(BLOCKS).next_multiple_of(threads);
    let each = blocks.div_ceil(tasks) * rows;
    let task = |start: usize| {
        x.cpu.run(Task {
            x,
            map,
            target,
            out,
            range: (start, (start + each).min(out)),
        });
    };
    if threads == 1 {
        (0..out).step_by(each).for_each(task);
    } else {
        let starts: Vec<usize> = (0..out).step_by(each).collect();
        starts.into_par_iter().for_each(task);
    }
}

struct TileRows;

impl WithSimd for TileRows {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        tile::rows::<S>()
    }
}

/// A range of outputs for all rows of x.
struct Task<'a> {
    x: &'a Packed,
    map: Affine<'a>,
    target: Target<'a>,
    out: usize,
    range: (usize, usize),
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = tile::rows::<S>();
        let width = 2 * S::F32_LANES;
        let (start, end) = self.range;
        let count = end - start;
        let columns = self.x.columns;
        let panels = self.x.panels();
        let mut weights = vec![0.0_f32; count * STRIDE];
        let mut scratch = match self.target {
            Target::Rows(_) => vec![0.0_f32; PANELS.min(panels) * count * width],
            _ => Vec::new(),
        };
        let scratch = Shared::new(&mut scratch);
        for first_panel in (0..panels).step_by(PANELS) {
            let last_panel = (first_panel + PANELS).min(panels);
            for column in (0..columns).step_by(DEPTH) {
                let depth = DEPTH.min(columns - column);
                let weight = &self.map.weight;
                weight.copy(simd, start, count, column, depth, &mut weights, STRIDE);
                for panel in first_panel..last_panel {
                    let right = Right {
                        first: self.x.data[(panel * columns + column) * width..][..depth * width]
                            .as_ptr(),
                        stride: width,
                    };
                    for row in (0..count).step_by(rows) {
                        let left = Left::Copied(weights[row * STRIDE..].as_ptr());
                        let tile = Tile {
                            first: self
                                .result(panel, first_panel, scratch, width)
                                .wrapping_add(row * width),
                            stride: width,
                            accumulate: column > 0,
                        };
                        let count = rows.min(count - row);
                        // SAFETY: the slices have `depth` numbers of each of `count`
                        // rows of W, and `depth` rows of x of two vectors each;
                        // `result` checked that the range's rows of two vectors are
                        // there, and no other task has this range of outputs.
                        unsafe {
                            tile::multiply(simd, count, depth, left, right, tile);
                        }
                    }
                }
            }
            for panel in first_panel..last_panel {
                // SAFETY: `result` checked that this many numbers are there, the loop
                // above wrote all of them, its pointers are not used any more, and
                // no other task has this range of outputs.
                let result = unsafe {
                    std::slice::from_raw_parts_mut(
                        self.result(panel, first_panel, scratch, width),
                        count * width,
                    )
                };
                self.finish(simd, panel, result);
            }
        }
    }
}

impl Task<'_> {
    /// Where the results of a panel are, `[out in range, row of the panel]`.
    #[inline(always)]
    fn result(&self, panel: usize, first_panel: usize, scratch: Shared, width: usize) -> *mut f32 {
        let (start, end) = self.range;
        let size = (end - start) * width;
        match self.target {
            Target::Packed { packed, .. } => packed.at((panel * self.out + start) * width, size),
            Target::Rows(_) => scratch.at((panel - first_panel) * size, size),
        }
    }

    /// Adds the bias and brings a panel's results to where they belong.
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, panel: usize, result: &mut [f32]) {
        let width = 2 * S::F32_LANES;
        let (start, end) = self.range;
        if let Some(bias) = self.map.bias {
            for (row, &bias) in result.chunks_exact_mut(width).zip(&bias[start..end]) {
                let bias = simd.splat_f32s(bias);
                for vector in S::as_mut_simd_f32s(row).0 {
                    *vector = simd.add_f32s(*vector, bias);
                }
            }
        }
        match self.target {
            Target::Rows(y) => self.scatter(simd, panel, result, y),
            Target::Packed { then, before, .. } => {
                if let Some(before) = before {
                    let place = (panel * self.out + start) * width;
                    // SAFETY: `linear_both` keeps the memory until all tasks are
                    // done, and no other task has this range of outputs.
                    unsafe { before.part(place, result.len()) }.write_copy_of_slice(result);
                }
                match then {
                    Then::Nothing => {}
                    Then::Activation(curve) => curve.apply(simd, result),
                    Then::Times(factors) => {
                        let factors = &factors.data[(panel * self.out + start) * width..];
                        let factors = S::as_simd_f32s(&factors[..result.len()]).0;
                        let result = S::as_mut_simd_f32s(result).0;
                        for (number, &factor) in result.iter_mut().zip(factors) {
                            *number = simd.mul_f32s(*number, factor);
                        }
                    }
                    Then::TimesPlus(factors, terms) => {
                        let place = (panel * self.out + start) * width;
                        let factors = &factors.data[place..][..result.len()];
                        let terms = &terms.data[place..][..result.len()];
                        let factors = S::as_simd_f32s(factors).0;
                        let terms = S::as_simd_f32s(terms).0;
                        let result = S::as_mut_simd_f32s(result).0;
                        for ((number, &factor), &term) in result.iter_mut().zip(factors).zip(terms)
                        {
                            *number = simd.mul_add_f32s(*number, factor, term);
                        }
                    }
                }
            }
        }
    }

    /// Writes a panel's results to the rows they belong to.
    #[inline(always)]
    fn scatter<S: Simd>(&self, simd: S, panel: usize, result: &[f32], y: Shared) {
        let width = 2 * S::F32_LANES;
        let (start, end) = self.range;
        let rows = width.min(self.x.rows - panel * width);
        let last = (rows - 1) * self.out + end - start;
        let from = Rows {
            first: result.as_ptr(),
            stride: width,
        };
        let to = Rows {
            first: y.at(panel * width * self.out + start, last),
            stride: self.out,
        };
        // SAFETY: `result` has a row of two vectors for each output, which is at
        // least `rows` numbers; `at` checked that the last of `rows` rows of y ends
        // within it; no other task has this range of outputs.
        unsafe { transpose(simd, end - start, rows, from, to) };
    }
}
