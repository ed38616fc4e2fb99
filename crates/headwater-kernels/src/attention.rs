//! Scores, softmax and context of one head at a time, a block of targets at a
//! time: nothing but the weights themselves has a number for each pair of tokens.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::packed::Pack;
use crate::shared::{Shared, Unwritten, filled, written};
use crate::softmax::{Row, ScoreTerms};
use crate::tile::{self, DEPTH, Left, Right, STRIDE, Tile};
use crate::{Cpu, HeadShape, HeadVectors};

/// `softmax(terms(q kᵀ)) v`: the softmax, `[batch, head, target, source]`, if it
/// is kept, and the result, `[batch, target, head · d_head]`.
///
/// `query` has `heads` heads, `key` and `value` have `groups`. A target sees the
/// sources in its band.
///
/// # Panics
/// Something has another size, or a target sees no source at all.
pub fn attention(
    cpu: Cpu,
    shape: HeadShape,
    [query, key, value]: [HeadVectors<'_>; 3],
    terms: &ScoreTerms<'_>,
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
    shape.check();
    query.check(shape, heads, targets);
    key.check(shape, shape.groups, sources);
    value.check(shape, shape.groups, sources);
    terms.check(shape);
    // The first source that a target sees rises with it.
    let of_last = shape.band.sources(targets - 1, sources);
    assert!(!of_last.is_empty(), "a source for each target");
    let context = |weights| {
        let from = Weights::Scores {
            query,
            key,
            terms,
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
    shape.check();
    value.check(shape, shape.groups, sources);
    assert_eq!(weights.len(), batch * heads * targets * sources);
    let last = rows.last().copied();
    assert!(rows.is_sorted() && last < Some(batch * targets), "a target");
    assert!(
        !skip_own || targets == sources,
        "the sources are the targets"
    );
    let from = Weights::Given {
        weights,
        rows,
        skip_own,
    };
    each_head(cpu, shape, from, value, rows.len())
}

/// Where weights come from.
#[derive(Clone, Copy)]
enum Weights<'a> {
    Scores {
        query: HeadVectors<'a>,
        key: HeadVectors<'a>,
        terms: &'a ScoreTerms<'a>,
        weights: Option<Shared>,
    },
    Given {
        weights: &'a [f32],
        rows: &'a [usize],
        skip_own: bool,
    },
}

fn each_head(
    cpu: Cpu,
    shape: HeadShape,
    from: Weights<'_>,
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
    from: Weights<'a>,
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
            let (first, last) = (rows_here.start + start, rows_here.start + start + count - 1);
            let of_block = self.target(first)..self.target(last) + 1;
            let seen = self.shape.band.of_targets(&of_block, sources);
            match self.from {
                Weights::Scores {
                    query,
                    terms,
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
                        for panel in seen.start / width..seen.end.div_ceil(width) {
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
                        let scores = Row {
                            sequence: self.sequence,
                            head: self.head,
                            target,
                            seen: self.shape.band.sources(target, sources),
                            sources,
                            scores: &mut rows[row * STRIDE..],
                            stride: block * STRIDE,
                        };
                        scores.softmax(simd, terms);
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
                Weights::Given {
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
                let first_strip = seen.start / DEPTH * DEPTH;
                for first in (first_strip..seen.end).step_by(DEPTH) {
                    let depth = DEPTH.min(seen.end - first);
                    let right = Right {
                        first: values[first * width..][..depth * width].as_ptr(),
                        stride: width,
                    };
                    for row in (0..count).step_by(tile_rows) {
                        let left = &rows[strip(first, block) + row * STRIDE..];
                        let tile = Tile {
                            first: context[row * width..].as_mut_ptr(),
                            stride: width,
                            accumulate: first > first_strip,
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
            Weights::Scores { .. } => first..first + targets,
            Weights::Given { rows, .. } => {
                let before = |end| rows.partition_point(|&row| row < end);
                before(first)..before(first + targets)
            }
        }
    }

    /// The target within its sequence that a row of the result is of.
    fn target(&self, row: usize) -> usize {
        let row = match self.from {
            Weights::Scores { .. } => row,
            Weights::Given { rows, .. } => rows[row],
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
        let values = self.value.of(self.sequence, self.shape.group(self.head));
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
        let Weights::Scores { key, .. } = self.from else {
            return Vec::new();
        };
        let HeadShape {
            d_head, sources, ..
        } = self.shape;
        let keys = key.of(self.sequence, self.shape.group(self.head));
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
}
