//! Scores, softmax and context of one head at a time, a block of targets at a
//! time: nothing but the weights themselves has a number for each pair of tokens.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::curve::exp;
use crate::packed::Pack;
use crate::shared::{Shared, Unwritten, filled, written};
use crate::tile::{self, DEPTH, Left, Right, STRIDE, Tile};
use crate::{Cpu, HeadShape, HeadVectors};

/// What is added to the scores: for source s of target t of sequence b the
/// number at `b·batch_stride + t·target_stride + s`.
#[derive(Debug, Clone, Copy)]
pub struct ScoreBias<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// From one sequence to the next; 0 if all have the same.
    pub batch_stride: usize,
    /// From one target to the next; 0 if all have the same.
    pub target_stride: usize,
}

/// `softmax(q kᵀ / √d_head + bias) v`: the softmax, `[batch, head, target,
/// source]`, if it is kept, and the result, `[batch, target, head · d_head]`.
///
/// # Panics
/// Something has another size.
pub fn attention(
    cpu: Cpu,
    shape: HeadShape,
    [query, key, value]: [HeadVectors<'_>; 3],
    bias: Option<ScoreBias<'_>>,
    keep_weights: bool,
) -> (Option<Vec<f32>>, Vec<f32>) {
    let HeadShape {
        batch,
        heads,
        d_head,
        targets,
        sources,
        ..
    } = shape;
    let rows = batch * targets;
    if rows * heads * sources * d_head == 0 {
        return (
            keep_weights.then(Vec::new),
            vec![0.0; rows * heads * d_head],
        );
    }
    query.check(shape, targets);
    key.check(shape, sources);
    value.check(shape, sources);
    if let Some(bias) = &bias {
        let last = (batch - 1) * bias.batch_stride + (targets - 1) * bias.target_stride;
        assert!(last + sources <= bias.data.len(), "a bias for each pair");
    }
    let context = |weights| {
        let from = From::Scores {
            query,
            key,
            bias,
            weights,
        };
        each_head(cpu, shape, from, value, rows)
    };
    if !keep_weights {
        return (None, context(None));
    }
    let mut result = Vec::new();
    // SAFETY: there is a task for every head of every sequence, and it writes the
    // weights of all its targets for all sources.
    let weights = unsafe {
        written(rows * heads * sources, |weights| {
            result = context(Some(weights));
        })
    };
    (Some(weights), result)
}

/// `Σ_j α_ij v_j` for some targets, without j = i if `skip_own`; with the
/// diagonal left out of the sum, not taken off it.
///
/// `weights`: α, `[batch, head, target, source]`; `rows`: targets, counted
/// through the batch, in rising order; result: `[rows.len(), head · d_head]`.
///
/// # Panics
/// Something has another size, or a row is out of order.
pub fn weighted_sums(
    cpu: Cpu,
    shape: HeadShape,
    weights: &[f32],
    value: HeadVectors<'_>,
    rows: &[usize],
    skip_own: bool,
) -> Vec<f32> {
    let HeadShape {
        batch,
        heads,
        d_head,
        targets,
        sources,
        ..
    } = shape;
    if rows.len() * heads * d_head * sources == 0 {
        return vec![0.0; rows.len() * heads * d_head];
    }
    value.check(shape, sources);
    assert_eq!(weights.len(), batch * heads * targets * sources);
    let last = rows.last().copied();
    assert!(rows.is_sorted() && last < Some(batch * targets), "a target");
    assert!(
        !skip_own || targets == sources,
        "the sources are the targets"
    );
    let from = From::Weights {
        weights,
        rows,
        skip_own,
    };
    each_head(cpu, shape, from, value, rows.len())
}

/// Where weights come from.
#[derive(Clone, Copy)]
enum From<'a> {
    Scores {
        query: HeadVectors<'a>,
        key: HeadVectors<'a>,
        bias: Option<ScoreBias<'a>>,
        weights: Option<Shared>,
    },
    Weights {
        weights: &'a [f32],
        rows: &'a [usize],
        skip_own: bool,
    },
}

fn each_head(
    cpu: Cpu,
    shape: HeadShape,
    from: From<'_>,
    value: HeadVectors<'_>,
    rows: usize,
) -> Vec<f32> {
    // SAFETY: there is a task for every head of every sequence, and it writes
    // `d_head` numbers of each of its rows; every row is of one of the sequences.
    unsafe {
        written(rows * shape.heads * shape.d_head, |context| {
            let head = |index: usize| {
                cpu.run(Head {
                    shape,
                    from,
                    value,
                    context,
                    sequence: index / shape.heads,
                    head: index % shape.heads,
                });
            };
            (0..shape.batch * shape.heads)
                .into_par_iter()
                .for_each(head);
        })
    }
}

struct Head<'a> {
    shape: HeadShape,
    from: From<'a>,
    value: HeadVectors<'a>,
    context: Shared,
    sequence: usize,
    head: usize,
}

/// Tiles of targets whose weights are made at a time.
const TILES: usize = 4;

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let HeadShape {
            d_head, sources, ..
        } = self.shape;
        let width = 2 * S::F32_LANES;
        let tile_rows = tile::rows::<S>();
        let rows_here = self.rows();
        let targets = rows_here.len();
        if targets == 0 {
            return;
        }
        let block = (TILES * tile_rows).min(targets);
        let values = self.packed_values(width);
        let keys = self.packed_keys(simd);
        // Weights as left factors: `[strip of sources][target of the block][source of the strip]`.
        let mut rows = vec![0.0_f32; sources.div_ceil(DEPTH) * block * STRIDE];
        let mut queries = vec![0.0_f32; block * STRIDE];
        let mut context = vec![0.0_f32; block * width];
        for start in (0..targets).step_by(block) {
            let count = block.min(targets - start);
            let visible = match self.shape.causal {
                true => (self.target(rows_here.start + start + count - 1) + 1).min(sources),
                false => sources,
            };
            match self.from {
                From::Scores {
                    query,
                    bias,
                    weights,
                    ..
                } => {
                    let query_rows =
                        &query.of(self.sequence, self.head)[start * query.token_stride..];
                    for inner in (0..d_head).step_by(DEPTH) {
                        let depth = DEPTH.min(d_head - inner);
                        for (row, query_row) in
                            queries.chunks_exact_mut(STRIDE).take(count).enumerate()
                        {
                            let from = row * query.token_stride + inner;
                            query_row[..depth].copy_from_slice(&query_rows[from..from + depth]);
                        }
                        for panel in 0..visible.div_ceil(width) {
                            let source = panel * width;
                            let right = Right {
                                first: keys[(panel * d_head + inner) * width..][..depth * width]
                                    .as_ptr(),
                                stride: width,
                            };
                            for row in (0..count).step_by(tile_rows) {
                                let at = strip(source, block) + row * STRIDE;
                                let tile = Tile {
                                    first: rows[at..].as_mut_ptr(),
                                    stride: STRIDE,
                                    accumulate: inner > 0,
                                };
                                let left = Left::Copied(queries[row * STRIDE..].as_ptr());
                                let count = tile_rows.min(count - row);
                                // SAFETY: row + count is at most the block's targets, for
                                // which `queries` has `depth` numbers each and `rows` a
                                // strip, which is whole panels; `right` is a slice of
                                // `depth` rows of two vectors.
                                unsafe { tile::multiply(simd, count, depth, left, right, tile) };
                            }
                        }
                    }
                    for (row, target) in (start..start + count).enumerate() {
                        self.softmax(simd, target, bias, &mut rows[row * STRIDE..], block);
                        let Some(weights) = weights else { continue };
                        // SAFETY: `attention` keeps the memory until all tasks are done,
                        // and no other task has this head of this sequence.
                        let weights = unsafe { weights.part(self.weight_row(target), sources) };
                        for (first, weights) in strips(sources).zip(weights.chunks_mut(DEPTH)) {
                            let from = &rows[strip(first, block) + row * STRIDE..];
                            weights.write_copy_of_slice(&from[..weights.len()]);
                        }
                    }
                }
                From::Weights {
                    weights, skip_own, ..
                } => {
                    for row in 0..count {
                        let target = self.target(rows_here.start + start + row);
                        let weights = &weights[self.weight_row(target)..][..sources];
                        for (first, weights) in strips(sources).zip(weights.chunks(DEPTH)) {
                            let to = &mut rows[strip(first, block) + row * STRIDE..];
                            to[..weights.len()].copy_from_slice(weights);
                        }
                        if skip_own {
                            rows[strip(target, block) + row * STRIDE] = 0.0;
                        }
                    }
                }
            }
            for (panel, values) in values.chunks_exact(sources * width).enumerate() {
                for first in strips(visible) {
                    let depth = DEPTH.min(visible - first);
                    let right = Right {
                        first: values[first * width..][..depth * width].as_ptr(),
                        stride: width,
                    };
                    for row in (0..count).step_by(tile_rows) {
                        let left = &rows[strip(first, block) + row * STRIDE..];
                        let tile = Tile {
                            first: context[row * width..].as_mut_ptr(),
                            stride: width,
                            accumulate: first > 0,
                        };
                        let left = Left::Copied(left.as_ptr());
                        let count = tile_rows.min(count - row);
                        // SAFETY: row + count is at most the block's targets, for which
                        // `rows` has `depth` numbers each and `context` two vectors;
                        // `right` is a slice of `depth` rows of two vectors.
                        unsafe { tile::multiply(simd, count, depth, left, right, tile) };
                    }
                }
                let column = panel * width;
                let kept = width.min(d_head - column);
                for row in 0..count {
                    let token = rows_here.start + start + row;
                    let at = (token * self.shape.heads + self.head) * d_head + column;
                    // SAFETY: `each_head` keeps the memory until all tasks are done, and
                    // no other task has this head of this sequence.
                    let result = unsafe { self.context.part(at, kept) };
                    result.write_copy_of_slice(&context[row * width..][..kept]);
                }
            }
        }
    }
}

/// The first sources of strips of [`DEPTH`].
fn strips(sources: usize) -> impl Iterator<Item = usize> {
    (0..sources).step_by(DEPTH)
}

/// Where the weights for a source begin, of the first of `block` targets.
fn strip(source: usize, block: usize) -> usize {
    source / DEPTH * block * STRIDE + source % DEPTH
}

impl Head<'_> {
    /// The rows of the result that belong to this sequence.
    fn rows(&self) -> Range<usize> {
        let targets = self.shape.targets;
        let first = self.sequence * targets;
        match self.from {
            From::Scores { .. } => first..first + targets,
            From::Weights { rows, .. } => {
                let before = |end| rows.partition_point(|&row| row < end);
                before(first)..before(first + targets)
            }
        }
    }

    /// The target within its sequence that a row of the result is of.
    fn target(&self, row: usize) -> usize {
        let row = match self.from {
            From::Scores { .. } => row,
            From::Weights { rows, .. } => rows[row],
        };
        row - self.sequence * self.shape.targets
    }

    /// Where a target's weights begin.
    fn weight_row(&self, target: usize) -> usize {
        let HeadShape {
            heads,
            targets,
            sources,
            ..
        } = self.shape;
        ((self.sequence * heads + self.head) * targets + target) * sources
    }

    /// Values as `[panel of d_head][source][number of the panel]`.
    fn packed_values(&self, width: usize) -> Vec<f32> {
        let HeadShape {
            d_head, sources, ..
        } = self.shape;
        let values = self.value.of(self.sequence, self.head);
        let mut packed = vec![0.0; d_head.div_ceil(width) * sources * width];
        for (panel, packed) in packed.chunks_exact_mut(sources * width).enumerate() {
            let column = panel * width;
            let kept = width.min(d_head - column);
            for (source, packed) in packed.chunks_exact_mut(width).enumerate() {
                let value = &values[source * self.value.token_stride + column..][..kept];
                packed[..kept].copy_from_slice(value);
            }
        }
        packed
    }

    /// Keys as `[panel of sources][d_head][source of the panel]`.
    #[inline(always)]
    fn packed_keys<S: Simd>(&self, simd: S) -> Vec<f32> {
        let width = 2 * S::F32_LANES;
        let From::Scores { key, .. } = self.from else {
            return Vec::new();
        };
        let HeadShape {
            d_head, sources, ..
        } = self.shape;
        let keys = key.of(self.sequence, self.head);
        let mut packed = Unwritten::new(sources.div_ceil(width) * d_head * width);
        let panels = packed.as_slice().chunks_exact_mut(d_head * width);
        for (panel, packed) in panels.enumerate() {
            let first = panel * width;
            let kept = width.min(sources - first);
            if kept < width {
                filled(packed, 0.0);
            }
            let pack = Pack {
                x: &keys[first * key.token_stride..],
                stride: key.token_stride,
                rows: kept,
                columns: d_head,
                result: packed,
                width,
            };
            pack.with_simd(simd);
        }
        // SAFETY: `Pack` writes every number of `kept` sources; where that is not all
        // of a panel, it is filled before.
        unsafe { packed.written() }
    }

    /// Scores of a target to weights, in place; 0 behind the visible sources.
    ///
    /// `rows` begins with the target's first strip, of `block` targets each.
    #[inline(always)]
    fn softmax<S: Simd>(
        &self,
        simd: S,
        target: usize,
        bias: Option<ScoreBias<'_>>,
        rows: &mut [f32],
        block: usize,
    ) {
        let HeadShape {
            d_head, sources, ..
        } = self.shape;
        let width = 2 * S::F32_LANES;
        let visible = match self.shape.causal {
            true => (target + 1).min(sources),
            false => sources,
        };
        let bias = bias.map(|bias| {
            let at = self.sequence * bias.batch_stride + target * bias.target_stride;
            &bias.data[at..][..visible]
        });
        let scale = simd.splat_f32s(1.0 / (d_head as f32).sqrt());
        let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
        for first in strips(sources) {
            let kept = DEPTH.min(sources - first);
            let row = &mut rows[strip(first, block)..][..kept.next_multiple_of(width)];
            let seen = visible.saturating_sub(first).min(kept);
            row[seen..].fill(f32::NEG_INFINITY);
            let vectors = S::as_mut_simd_f32s(row).0;
            if let Some(bias) = bias {
                let bias = bias.get(first..first + seen).unwrap_or(&[]);
                for (vector, bias) in vectors.iter_mut().zip(bias.chunks(S::F32_LANES)) {
                    let bias = match S::as_simd_f32s(bias).0.first() {
                        Some(&whole) => whole,
                        None => simd.partial_load_f32s(bias),
                    };
                    *vector = simd.mul_add_f32s(*vector, scale, bias);
                    largest = simd.max_f32s(largest, *vector);
                }
            } else {
                for vector in vectors {
                    *vector = simd.mul_f32s(*vector, scale);
                    largest = simd.max_f32s(largest, *vector);
                }
            }
        }
        let largest = simd.splat_f32s(simd.reduce_max_f32s(largest));
        let mut sum = simd.splat_f32s(0.0);
        for first in strips(sources) {
            let kept = DEPTH.min(sources - first).next_multiple_of(width);
            for vector in S::as_mut_simd_f32s(&mut rows[strip(first, block)..][..kept]).0 {
                *vector = exp(simd, simd.sub_f32s(*vector, largest));
                sum = simd.add_f32s(sum, *vector);
            }
        }
        let factor = simd.splat_f32s(1.0 / simd.reduce_sum_f32s(sum));
        for first in strips(sources) {
            let kept = DEPTH.min(sources - first).next_multiple_of(width);
            for vector in S::as_mut_simd_f32s(&mut rows[strip(first, block)..][..kept]).0 {
                *vector = simd.mul_f32s(*vector, factor);
            }
        }
    }
}
