//! Norms of the parts behind a feed-forward block, `((y_ij W_1) ⊙ slope_i) W_2`,
//! for all pairs of tokens, and of what a residual and a layer norm make of them.
//!
//! W_1 is applied to each head's values once: `v^h_j (M^h W_1)` for all heads
//! together costs one ordinary feed-forward product. A panel is one source and
//! as many targets as a panel of a product has rows: heads are combined by α
//! into the packed layout itself, multiplied by the slopes, go through W_2, and
//! the norms are taken where they lie. That last product, 2·T²·d_ff·d_model
//! FLOPs (half of it in causal models), is what a map costs.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::heads::VECTOR_SCALE;
use crate::linear::{Affine, Then, linear, linear_packed};
use crate::shared::{Shared, filled, written};
use crate::tile::{self, DEPTH, Left, Right, STRIDE, Tile};
use crate::{Cpu, HeadShape, HeadVectors, Packed};

/// A feed-forward block behind attention, whose maps are wanted.
#[derive(Debug, Clone, Copy)]
pub struct FeedForwardMaps<'a> {
    /// W_O, `[d_model, head · d_head]`.
    pub output: &'a [f32],
    /// γ of the layer norm between attention and the block, if there is one.
    pub norm: Option<&'a [f32]>,
    /// W_1, `[d_ff, d_model]`.
    pub up: &'a [f32],
    /// W_2, `[d_model, d_ff]`.
    pub down: &'a [f32],
    /// What comes behind the block.
    pub tail: Tail<'a>,
}

/// Components behind the block.
#[derive(Debug, Clone, Copy)]
pub struct Tail<'a> {
    /// The residual connection.
    pub residual: Option<Residual<'a>>,
    /// γ of a layer norm behind it.
    pub norm: Option<&'a [f32]>,
}

/// What the residual connection adds: `Σ_h α^h_ij v^h_j M^h`.
#[derive(Debug, Clone, Copy)]
pub struct Residual<'a> {
    /// γ of the layer norm that is in M besides W_O.
    pub norm: Option<&'a [f32]>,
}

/// A sequence whose maps are wanted.
#[derive(Debug, Clone, Copy)]
pub struct PairMaps<'a> {
    /// The sizes; the batch is not looked at.
    pub shape: HeadShape,
    /// Which sequence of the values this is.
    pub sequence: usize,
    /// v.
    pub values: HeadVectors<'a>,
    /// α of this sequence, `[head, target, source]`.
    pub weights: &'a [f32],
    /// The slopes of the activation, a row a target, d_ff columns.
    pub slope: &'a Packed,
    /// s_i of the layer norm before the block, one a target.
    pub scale: Option<&'a [f32]>,
    /// s_i of the layer norm in what the residual adds.
    pub residual_scale: Option<&'a [f32]>,
    /// s_i of the layer norm behind the block.
    pub tail_scale: Option<&'a [f32]>,
}

/// Panels that are in memory together.
const PANELS: usize = 32;

/// A block, prepared for any number of sequences.
struct Prepared<'a> {
    block: FeedForwardMaps<'a>,
    d_model: usize,
    d_ff: usize,
    /// M W_1, `[head · d_head, d_ff]`.
    hidden: Vec<f32>,
    /// M of the residual, `[head · d_head, d_model]`.
    residual: Option<Vec<f32>>,
}

impl FeedForwardMaps<'_> {
    /// ‖y_ij‖ behind the block and behind each component of the tail, for each
    /// sequence: `[sequence][component]` of `[target, source]`.
    ///
    /// 2·d_model²·d_ff FLOPs once, 2·target·source·d_ff·d_model for each
    /// sequence; some tens of panels of `d_ff + d_model` rows in memory.
    ///
    /// # Panics
    /// Sizes that do not fit together.
    pub fn norms(self, sequences: &[PairMaps<'_>]) -> Vec<Vec<Vec<f32>>> {
        let Some(first) = sequences.first() else {
            return Vec::new();
        };
        let cpu = first.slope.cpu;
        let inner = first.shape.heads * first.shape.d_head;
        let d_model = self.output.len() / inner;
        let d_ff = self.up.len() / d_model;
        assert_eq!(self.output.len(), d_model * inner, "W_O");
        assert!(
            self.up.len() == d_ff * d_model && self.down.len() == d_ff * d_model,
            "W_1, W_2"
        );
        let residual_norm = self.tail.residual.and_then(|residual| residual.norm);
        for norm in [self.norm, residual_norm, self.tail.norm] {
            assert!(norm.is_none_or(|norm| norm.len() == d_model), "one γ each");
        }
        for sequence in sequences {
            let HeadShape { heads, d_head, .. } = sequence.shape;
            let of_first = (first.shape.heads, first.shape.d_head);
            assert_eq!((heads, d_head), of_first, "heads of one size");
        }
        let prepared = Prepared {
            block: self,
            d_model,
            d_ff,
            hidden: {
                let map = output_map(cpu, self.output, inner, self.norm);
                let up = Affine {
                    weight: self.up,
                    bias: None,
                };
                linear(&map, up)
            },
            residual: self.tail.residual.map(|residual| {
                let map = output_map(cpu, self.output, inner, residual.norm);
                map.unpack()
            }),
        };
        sequences
            .iter()
            .map(|sequence| prepared.norms(cpu, sequence))
            .collect()
    }
}

/// M, a row for each number of each head, d_model columns: W_O transposed, and
/// behind a layer norm centred and multiplied by γ.
fn output_map(cpu: Cpu, output: &[f32], inner: usize, norm: Option<&[f32]>) -> Packed {
    let d_model = output.len() / inner;
    let width = cpu.width();
    let map = |panel: usize, rows: &mut [MaybeUninit<f32>]| {
        let first = panel * width;
        let count = width.min(inner - first);
        for (column, lanes) in rows.chunks_exact_mut(width).enumerate() {
            let numbers = &output[column * inner + first..][..count];
            lanes[..count].write_copy_of_slice(numbers);
            filled(&mut lanes[count..], 0.0);
        }
        // SAFETY: the loop wrote every row of a panel.
        let rows = unsafe { rows.assume_init_mut() };
        if let Some(norm) = norm {
            let mut means = vec![0.0_f32; width];
            for lanes in rows.chunks_exact(width) {
                means
                    .iter_mut()
                    .zip(lanes)
                    .for_each(|(mean, &number)| *mean += number);
            }
            means.iter_mut().for_each(|mean| *mean /= d_model as f32);
            for (lanes, &factor) in rows.chunks_exact_mut(width).zip(norm) {
                let lanes = lanes.iter_mut().zip(&means);
                lanes.for_each(|(number, &mean)| *number = (*number - mean) * factor);
            }
        }
    };
    // SAFETY: as said above, all of a panel is written.
    unsafe { Packed::by_panel(cpu, inner, d_model, map) }
}

impl Prepared<'_> {
    fn norms(&self, cpu: Cpu, maps: &PairMaps<'_>) -> Vec<Vec<f32>> {
        let HeadShape {
            heads,
            targets,
            sources,
            causal,
            ..
        } = maps.shape;
        assert_eq!(maps.weights.len(), heads * targets * sources, "weights");
        assert!(
            maps.slope.rows == targets && maps.slope.columns == self.d_ff,
            "slopes"
        );
        for scale in [maps.scale, maps.residual_scale, maps.tail_scale] {
            assert!(scale.is_none_or(|s| s.len() == targets), "one s a target");
        }
        assert_eq!(
            maps.slope.width,
            cpu.width(),
            "slopes for one instruction set"
        );
        let width = maps.slope.width;
        let target_panels = maps.slope.panels();
        let tail = self.block.tail;
        let components =
            1 + usize::from(tail.residual.is_some()) + usize::from(tail.norm.is_some());
        let mut norms = vec![vec![0.0; targets * sources]; components];
        let shared: Vec<Shared> = norms.iter_mut().map(|norms| Shared::new(norms)).collect();
        let group = (PANELS / target_panels.max(1)).max(1);
        for first in (0..sources).step_by(group) {
            let group: Vec<usize> = (first..(first + group).min(sources)).collect();
            let pairs: Vec<Pair> = group
                .iter()
                .flat_map(|&source| (0..target_panels).map(move |panel| Pair { source, panel }))
                // Nothing flows to a target from what comes behind it.
                .filter(|pair| !causal || (pair.panel + 1) * width > pair.source)
                .collect();
            let hidden = self.by_source(cpu, maps, &group, &self.hidden, self.d_ff);
            let residual = self
                .residual
                .as_ref()
                .map(|residual| self.by_source(cpu, maps, &group, residual, self.d_model));
            for pairs in pairs.chunks(PANELS) {
                let combine = |panel: usize, result: &mut [MaybeUninit<f32>]| {
                    let pair = &pairs[panel];
                    let of_source = (pair.source - first) * self.d_ff * heads;
                    cpu.run(Combine {
                        maps,
                        pair,
                        by_source: &hidden[of_source..][..self.d_ff * heads],
                        scale: maps.scale,
                        result: Combined::Sloped(result, maps.slope),
                    });
                };
                // SAFETY: `Combine` writes all of a panel where it adds to nothing.
                let x = unsafe { Packed::by_panel(cpu, pairs.len() * width, self.d_ff, combine) };
                let down = Affine {
                    weight: self.block.down,
                    bias: None,
                };
                let mut y = linear_packed(&x, down, Then::Nothing);
                y.data
                    .par_chunks_mut(self.d_model * width)
                    .zip(pairs)
                    .for_each(|(panel, pair)| {
                        let mut component = 0;
                        let mut keep = |lanes: &[f32], scale: Option<&[f32]>| {
                            let first = pair.panel * width;
                            for (lane, &square) in lanes.iter().enumerate().take(targets - first) {
                                let target = first + lane;
                                let scale = scale.map_or(1.0, |scale| scale[target]);
                                let norm = square.sqrt() / VECTOR_SCALE / scale;
                                // SAFETY: `at` checked that the place is within the map,
                                // which lives until all panels are done, and no other
                                // panel has this pair.
                                unsafe {
                                    *shared[component].at(target * sources + pair.source, 1) = norm;
                                }
                            }
                            component += 1;
                        };
                        keep(&cpu.run(Squares(panel)), None);
                        if let Some(residual) = &residual {
                            let of_source = (pair.source - first) * self.d_model * heads;
                            cpu.run(Combine {
                                maps,
                                pair,
                                by_source: &residual[of_source..][..self.d_model * heads],
                                scale: maps.residual_scale,
                                result: Combined::Added(panel),
                            });
                            keep(&cpu.run(Squares(panel)), None);
                        }
                        if let Some(norm) = tail.norm {
                            keep(&cpu.run(NormalizedSquares { panel, norm }), maps.tail_scale);
                        }
                    });
            }
        }
        norms
    }

    /// `v^h_j (M^h W)` for some sources, `[source][column][head]`.
    fn by_source(
        &self,
        cpu: Cpu,
        maps: &PairMaps<'_>,
        sources: &[usize],
        map: &[f32],
        columns: usize,
    ) -> Vec<f32> {
        let heads = maps.shape.heads;
        let width = cpu.width();
        let write = |result: Shared| {
            (0..columns.div_ceil(width))
                .into_par_iter()
                .for_each(|panel| {
                    cpu.run(BySource {
                        maps,
                        sources,
                        map,
                        columns,
                        first: panel * width,
                        result,
                    });
                });
        };
        // SAFETY: there is a task for every panel of columns, and it writes them for
        // all heads of these sources.
        unsafe { written(sources.len() * columns * heads, write) }
    }
}

/// A source with a panel of targets.
#[derive(Debug, Clone, Copy)]
struct Pair {
    source: usize,
    panel: usize,
}

/// Some columns of a product of values with a map of theirs, by head.
struct BySource<'a> {
    maps: &'a PairMaps<'a>,
    sources: &'a [usize],
    /// `[head · d_head, columns]`.
    map: &'a [f32],
    columns: usize,
    first: usize,
    result: Shared,
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
            let values = self.maps.values.of(self.maps.sequence, head);
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
enum Combined<'a> {
    /// Times the slopes they are written.
    Sloped(&'a mut [MaybeUninit<f32>], &'a Packed),
    /// They are added to what is there.
    Added(&'a mut [f32]),
}

/// `Σ_h α^h_ij (v^h_j M^h W) / s_i`.
struct Combine<'a> {
    maps: &'a PairMaps<'a>,
    pair: &'a Pair,
    /// `[column][head]`.
    by_source: &'a [f32],
    scale: Option<&'a [f32]>,
    result: Combined<'a>,
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let HeadShape {
            heads,
            targets,
            sources,
            ..
        } = self.maps.shape;
        let width = 2 * S::F32_LANES;
        let rows = tile::rows::<S>();
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
        let (result, length, accumulate) = match &mut self.result {
            Combined::Sloped(result, _) => (result.as_mut_ptr().cast(), result.len(), false),
            Combined::Added(result) => (result.as_mut_ptr(), result.len(), true),
        };
        let columns = length / width;
        assert_eq!(
            self.by_source.len(),
            columns * heads,
            "heads of each column"
        );
        for column in (0..columns).step_by(rows) {
            let count = rows.min(columns - column);
            let left = Left::Strided(self.by_source[column * heads..].as_ptr(), heads);
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
            // vectors of weights a head.
            unsafe { tile::multiply(simd, count, heads, left, right, tile) };
        }
        if let Combined::Sloped(result, slope) = self.result {
            let slope = &slope.data[self.pair.panel * columns * width..][..columns * width];
            let slope = S::as_simd_f32s(slope).0;
            // SAFETY: the loop wrote two vectors for every column, which is all.
            let result = S::as_mut_simd_f32s(unsafe { result.assume_init_mut() }).0;
            for (number, &slope) in result.iter_mut().zip(slope) {
                *number = simd.mul_f32s(*number, slope);
            }
        }
    }
}

/// The sums of squares of a panel's vectors, one a target.
struct Squares<'a>(&'a [f32]);

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

/// The same of the vectors, centred and multiplied by γ.
struct NormalizedSquares<'a> {
    panel: &'a [f32],
    norm: &'a [f32],
}

impl WithSimd for NormalizedSquares<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let rows = S::as_simd_f32s(self.panel).0;
        let mut means = [simd.splat_f32s(0.0); 2];
        for row in rows.chunks_exact(2) {
            means[0] = simd.add_f32s(means[0], row[0]);
            means[1] = simd.add_f32s(means[1], row[1]);
        }
        let share = simd.splat_f32s(1.0 / self.norm.len() as f32);
        let means = [
            simd.mul_f32s(means[0], share),
            simd.mul_f32s(means[1], share),
        ];
        let mut sums = [simd.splat_f32s(0.0); 2];
        for (row, &factor) in rows.chunks_exact(2).zip(self.norm) {
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
