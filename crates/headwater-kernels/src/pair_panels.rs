//! What is done to a panel of targets of one source: heads are combined, and
//! norms are taken.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use crate::heads::VECTOR_SCALE;
use crate::maps::PairMaps;
use crate::shared::Shared;
use crate::tile::{self, DEPTH, Left, Right, STRIDE, Tile};
use crate::{Fold, HeadShape, Packed};

/// A source with a panel of targets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) source: usize,
    pub(crate) panel: usize,
}

/// Some columns of a product of values with a map of theirs, by head.
pub(crate) struct BySource<'a> {
    pub(crate) maps: &'a PairMaps<'a>,
    pub(crate) sources: &'a [usize],
    /// `[head · d_head, columns]`.
    pub(crate) map: &'a [f32],
    pub(crate) columns: usize,
    pub(crate) first: usize,
    pub(crate) result: Shared,
}

impl WithSimd for BySource<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let HeadShape { heads, d_head, .. } = self.maps.shape;
        let width = 2 * S::F32_LANES;
        let rows = tile::rows::<S>();
        let kept = width.min(self.columns - self.first);
        // The columns in order, filled up with zeros.
        let mut right = vec![0.0_f32; d_head * width];
        let mut left = vec![0.0_f32; rows * STRIDE];
        let mut products = vec![0.0_f32; rows * width];
        for head in 0..heads {
            for (inner, right) in right.chunks_exact_mut(width).enumerate() {
                let start = (head * d_head + inner) * self.columns + self.first;
                right[..kept].copy_from_slice(&self.map[start..start + kept]);
            }
            let group = self.maps.shape.group(head);
            let values = self.maps.values.of(self.maps.sequence, group);
            for (group, sources) in self.sources.chunks(rows).enumerate() {
                for inner in (0..d_head).step_by(DEPTH) {
                    let depth = DEPTH.min(d_head - inner);
                    for (&source, left) in sources.iter().zip(left.chunks_exact_mut(STRIDE)) {
                        let value = &values[source * self.maps.values.token_stride + inner..];
                        left[..depth].copy_from_slice(&value[..depth]);
                    }
                    let right = Right {
                        first: right[inner * width..].as_ptr(),
                        stride: width,
                    };
                    let tile = Tile {
                        first: products.as_mut_ptr(),
                        stride: width,
                        accumulate: inner > 0,
                    };
                    let left = Left::Copied(left.as_ptr());
                    // SAFETY: there are at most `rows` sources, for which `left` has
                    // `depth` numbers each and `products` two vectors, and `right` has
                    // `d_head` rows of two vectors.
                    unsafe { tile::multiply(simd, sources.len(), depth, left, right, tile) };
                }
                for (row, products) in products.chunks_exact(width).take(sources.len()).enumerate()
                {
                    let source = group * rows + row;
                    let start = (source * self.columns + self.first) * heads;
                    // SAFETY: `by_source` keeps the memory until all tasks are done, no
                    // other task has these columns, and this one keeps no reference to them.
                    let result = unsafe { self.result.part(start, kept * heads) };
                    for (column, &product) in products[..kept].iter().enumerate() {
                        result[column * heads + head].write(product);
                    }
                }
            }
        }
    }
}

/// What becomes of combined heads, `[column][target of the panel]`.
pub(crate) enum Combined<'a> {
    /// Times the slopes they are written.
    Sloped(&'a mut [MaybeUninit<f32>], &'a Packed),
    /// The same, and those of the other hidden map times its slopes are added.
    Gated {
        result: &'a mut [MaybeUninit<f32>],
        slopes: [&'a Packed; 2],
        /// The other map's, `[column][head]`.
        other: &'a [f32],
    },
    /// They are added to what is there.
    Added(&'a mut [f32]),
}

/// `Σ_h α^h_ij (v^h_j M^h W) / s_i`.
pub(crate) struct Combine<'a> {
    pub(crate) maps: &'a PairMaps<'a>,
    pub(crate) pair: Pair,
    /// `[column][head]`.
    pub(crate) by_source: &'a [f32],
    pub(crate) scale: Option<&'a [f32]>,
    pub(crate) result: Combined<'a>,
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let weights = self.weights(2 * S::F32_LANES);
        match self.result {
            Combined::Added(result) => {
                let place = (result.as_mut_ptr(), result.len());
                // SAFETY: the place is a slice that is borrowed mutably.
                unsafe { combine(simd, self.by_source, &weights, place, true) };
            }
            Combined::Sloped(result, slope) => {
                let place = (result.as_mut_ptr().cast(), result.len());
                // SAFETY: the place is a slice that is borrowed mutably.
                unsafe { combine(simd, self.by_source, &weights, place, false) };
                // SAFETY: `combine` wrote all of it.
                let result = unsafe { result.assume_init_mut() };
                let slope = of_panel(slope, self.pair, result.len());
                multiply(simd, result, slope);
            }
            Combined::Gated {
                result,
                slopes,
                other,
            } => {
                let length = result.len();
                let [a, c] = slopes.map(|slope| of_panel(slope, self.pair, length));
                let place = (result.as_mut_ptr().cast(), length);
                // SAFETY: the place is a slice that is borrowed mutably.
                unsafe { combine(simd, self.by_source, &weights, place, false) };
                // SAFETY: `combine` wrote all of it.
                let result = unsafe { result.assume_init_mut() };
                multiply(simd, result, a);
                // A few columns of the other map at a time, which stay near.
                let heads = weights.len() / (2 * S::F32_LANES);
                let mut near = vec![0.0_f32; NEAR * 2 * S::F32_LANES];
                let parts = result.chunks_mut(near.len()).zip(c.chunks(near.len()));
                for ((result, c), other) in parts.zip(other.chunks(NEAR * heads)) {
                    let near = &mut near[..result.len()];
                    let place = (near.as_mut_ptr(), near.len());
                    // SAFETY: the place is a slice that is borrowed mutably.
                    unsafe { combine(simd, other, &weights, place, false) };
                    let (near, c) = (S::as_simd_f32s(near).0, S::as_simd_f32s(c).0);
                    let result = S::as_mut_simd_f32s(result).0;
                    for ((number, &near), &c) in result.iter_mut().zip(near).zip(c) {
                        *number = simd.mul_add_f32s(near, c, *number);
                    }
                }
            }
        }
    }
}

/// Columns of the other hidden map that are combined before they are added.
const NEAR: usize = 28;

/// The slopes of a panel of targets, `[column][target of the panel]`.
#[inline(always)]
fn of_panel(slope: &Packed, pair: Pair, length: usize) -> &[f32] {
    &slope.data[pair.panel * length..][..length]
}

/// `x = x ⊙ y`.
#[inline(always)]
fn multiply<S: Simd>(simd: S, x: &mut [f32], y: &[f32]) {
    let numbers = S::as_mut_simd_f32s(x).0.iter_mut();
    for (number, &factor) in numbers.zip(S::as_simd_f32s(y).0) {
        *number = simd.mul_f32s(*number, factor);
    }
}

/// `result (+)= Σ_h α^h by_source^h`, `[column][target of the panel]`, where
/// `by_source` is `[column][head]` and α `[head][target of the panel]`.
///
/// All of the result is written.
///
/// # Safety
/// The result is `length` numbers that nobody else reads or writes; where it is
/// not accumulated they may be uninitialized.
///
/// # Panics
/// `by_source` or α is not of the result's columns and the same heads.
#[inline(always)]
unsafe fn combine<S: Simd>(
    simd: S,
    by_source: &[f32],
    weights: &[f32],
    (result, length): (*mut f32, usize),
    accumulate: bool,
) {
    let width = 2 * S::F32_LANES;
    let rows = tile::rows::<S>();
    let (columns, heads) = (length / width, weights.len() / width);
    let fits = length == columns * width && by_source.len() == columns * heads;
    assert!(
        fits && weights.len() == heads * width,
        "heads of each column"
    );
    for column in (0..columns).step_by(rows) {
        let count = rows.min(columns - column);
        let left = Left::Strided(by_source[column * heads..].as_ptr(), heads);
        let right = Right {
            first: weights.as_ptr(),
            stride: width,
        };
        let tile = Tile {
            first: result.wrapping_add(column * width),
            stride: width,
            accumulate,
        };
        // SAFETY: column + count ≤ columns, for each of which the result has two
        // vectors and, by the assertion, `by_source` a number a head; there are two
        // vectors of weights a head. The caller promises that the result is nobody else's.
        unsafe { tile::multiply(simd, count, heads, left, right, tile) };
    }
}

impl Combine<'_> {
    /// α of the pair's targets, scaled, `[head][target of the panel]`.
    fn weights(&self, width: usize) -> Vec<f32> {
        let HeadShape {
            heads,
            targets,
            sources,
            ..
        } = self.maps.shape;
        let first = self.pair.panel * width;
        let count = width.min(targets - first);
        let mut weights = vec![0.0_f32; heads * width];
        for (head, weights) in weights.chunks_exact_mut(width).enumerate() {
            for (lane, weight) in weights[..count].iter_mut().enumerate() {
                let target = first + lane;
                let scale = self.scale.map_or(1.0, |scale| scale[target]);
                let at = (head * targets + target) * sources + self.pair.source;
                *weight = self.maps.weights[at] * VECTOR_SCALE / scale;
            }
        }
        weights
    }
}

/// The sums of squares of a panel's vectors, one a target.
pub(crate) struct Squares<'a>(pub(crate) &'a [f32]);

impl WithSimd for Squares<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut sums = [simd.splat_f32s(0.0); 2];
        for row in S::as_simd_f32s(self.0).0.chunks_exact(2) {
            sums[0] = simd.mul_add_f32s(row[0], row[0], sums[0]);
            sums[1] = simd.mul_add_f32s(row[1], row[1], sums[1]);
        }
        lanes::<S>(sums)
    }
}

/// The same of the vectors behind a norm, not divided by s_i.
pub(crate) struct NormalizedSquares<'a> {
    pub(crate) panel: &'a [f32],
    pub(crate) fold: Fold<'a>,
}

impl WithSimd for NormalizedSquares<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let rows = S::as_simd_f32s(self.panel).0;
        let means = means(simd, rows, self.fold);
        let mut sums = [simd.splat_f32s(0.0); 2];
        for (row, &factor) in rows.chunks_exact(2).zip(self.fold.weight) {
            let factor = simd.splat_f32s(factor);
            let first = simd.mul_f32s(simd.sub_f32s(row[0], means[0]), factor);
            let second = simd.mul_f32s(simd.sub_f32s(row[1], means[1]), factor);
            sums[0] = simd.mul_add_f32s(first, first, sums[0]);
            sums[1] = simd.mul_add_f32s(second, second, sums[1]);
        }
        lanes::<S>(sums)
    }
}

#[inline(always)]
fn lanes<S: Simd>(sums: [S::f32s; 2]) -> Vec<f32> {
    let mut lanes = vec![0.0; 2 * S::F32_LANES];
    S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(&sums);
    lanes
}

/// The means of a panel's vectors that a norm takes off, two vectors.
#[inline(always)]
fn means<S: Simd>(simd: S, rows: &[S::f32s], fold: Fold<'_>) -> [S::f32s; 2] {
    let mut means = [simd.splat_f32s(0.0); 2];
    if !fold.centre {
        return means;
    }
    for row in rows.chunks_exact(2) {
        means[0] = simd.add_f32s(means[0], row[0]);
        means[1] = simd.add_f32s(means[1], row[1]);
    }
    let share = simd.splat_f32s(1.0 / fold.weight.len() as f32);
    [
        simd.mul_f32s(means[0], share),
        simd.mul_f32s(means[1], share),
    ]
}

/// What a norm makes of a panel's vectors, in place.
pub(crate) struct Normalize<'a> {
    pub(crate) panel: &'a mut [f32],
    pub(crate) fold: Fold<'a>,
    /// 1/s_i of the panel's targets.
    pub(crate) factors: &'a [f32],
}

impl WithSimd for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let factors = S::as_simd_f32s(self.factors).0;
        let rows = S::as_mut_simd_f32s(self.panel).0;
        let means = means(simd, rows, self.fold);
        for (row, &weight) in rows.chunks_exact_mut(2).zip(self.fold.weight) {
            let weight = simd.splat_f32s(weight);
            for half in 0..2 {
                let centred = simd.mul_f32s(simd.sub_f32s(row[half], means[half]), weight);
                row[half] = simd.mul_f32s(centred, factors[half]);
            }
        }
    }
}
