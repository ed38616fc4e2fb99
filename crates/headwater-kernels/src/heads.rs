//! What the decomposition of attention needs of the transformed vectors
//! `U^h_j = f^h(x_j) = v^h_j W_O^h`, without ever keeping them.
//!
//! Sources lie side by side in the vectors, so that a Gram matrix is made for
//! all of them at once and no sum runs across a vector. U is made for some
//! outputs of some sources at a time, used for everything, and forgotten.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::folds;
use crate::head_products::Vectors;
use crate::packed::Pack;
use crate::scratch::Scratch;
use crate::shared::{Shared, Unwritten, filled, written_in_parts};
use crate::tile::{self, DEPTH, Left, Right, STRIDE, Tile};
use crate::transpose::{Rows, transpose};
use crate::{Cpu, Fold, HeadGram, HeadShape, HeadVectors, Matrix};

/// Squares underflow float32 below 1e-19, long before the vectors of small
/// attention weights do. Whatever is squared is scaled by this power of two
/// first, exactly, and its norm divided by it.
pub const VECTOR_SCALE: f32 = (1_u32 << 30) as f32;

/// Gram matrices that can be asked for at once: of attention, and behind the norm
/// on its output, the one behind its residual and the feed-forward block's.
pub const FAMILIES: usize = 4;

/// What [`transformed`] computes.
#[derive(Debug)]
pub struct Transformed {
    /// The Gram matrices of U behind as many folds as were asked for, each.
    pub grams: Vec<HeadGram>,
    /// `Σ_h α^h_ii U^h_i`, `[batch, source, d_model]`, if own weights were given.
    pub own: Option<Vec<f32>>,
}

/// Passes over the transformed vectors `U^h_j = v^h_j W_O^h` of all sources once.
///
/// `values` has `groups` heads; `output` is W_O, `[d_model, head · d_head]`;
/// `own_weights` α_ii, `[batch, head, source]`; `folds` what normalizations
/// behind attention do, in their order. For each number n of `grams`, which
/// rise, there is a Gram matrix of U behind the first n folds.
/// 2·source·d_model² FLOPs a sequence, and source·head²·d_model for each Gram
/// matrix.
///
/// # Panics
/// Sizes that do not fit together, or more Gram matrices than [`FAMILIES`].
pub fn transformed(
    cpu: Cpu,
    shape: HeadShape,
    values: HeadVectors<'_>,
    output: Matrix<'_>,
    own_weights: Option<&[f32]>,
    folds: &[Fold<'_>],
    grams: &[usize],
) -> Transformed {
    let HeadShape {
        batch,
        heads,
        d_head,
        sources,
        ..
    } = shape;
    let inner = heads * d_head;
    let d_model = output.outputs();
    assert_eq!(output.inputs(), inner, "whole rows of W_O");
    let folds = &folds[..grams.last().copied().unwrap_or(0)];
    let fits = folds.iter().all(|fold| fold.weight.len() == d_model);
    assert!(fits, "one γ each");
    let rise = grams.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(
        rise && grams.len() <= FAMILIES,
        "numbers of folds that rise"
    );
    assert!(
        own_weights.is_none_or(|own| own.len() == batch * heads * sources),
        "one weight each"
    );
    shape.check();
    values.check(shape, shape.groups, sources);
    let width = cpu.width();
    let blocks = sources.div_ceil(width);
    let values = packed_values(cpu, shape, values);
    let of_groups = shape.groups * d_head;
    let pairs = heads * (heads + 1) / 2;
    let kinds = grams.len();
    let gram = batch * blocks * pairs * width;
    let means = folds::means(cpu, output, folds);
    // Parts of the outputs are summed by themselves, however many threads there are.
    let mut parts = Unwritten::new(PARTS * kinds * gram);
    let mut own = own_weights.map(|_| Unwritten::new(batch * sources * d_model));
    let shared_parts = parts.shared();
    let shared_own = own.as_mut().map(Unwritten::shared);
    let groups = blocks.div_ceil(BLOCKS);
    (0..batch * groups * PARTS)
        .into_par_iter()
        .for_each(|index| {
            let (place, part) = (index / PARTS, index % PARTS);
            let (sequence, first) = (place / groups, place % groups * BLOCKS);
            let of_block = |block: usize| {
                let place = sequence * blocks + block;
                Block {
                    shape,
                    values: &values[place * of_groups * width..][..of_groups * width],
                    own_weights,
                    means: &means,
                    d_model,
                    sequence,
                    first: block * width,
                    // SAFETY: `parts` lives until all tasks are done, and no other
                    // task has this part of the outputs of this block.
                    grams: std::array::from_fn(|kind| unsafe {
                        let start = (part * kinds + kind) * gram + place * pairs * width;
                        (kind < kinds).then(|| shared_parts.part(start, pairs * width))
                    }),
                    own: shared_own,
                }
            };
            cpu.run(Blocks {
                shape,
                output,
                folds,
                families: grams,
                outputs: (part * d_model / PARTS, (part + 1) * d_model / PARTS),
                blocks: (first..(first + BLOCKS).min(blocks))
                    .map(of_block)
                    .collect(),
            });
        });
    // SAFETY: tasks have all parts of the outputs of all blocks; each writes every
    // pair of heads, and its outputs of every source.
    let (parts, own) = unsafe { (parts.written(), own.map(|own| own.written())) };
    let sum_of_parts = |kind: usize| {
        let sum = |place: usize, sums: &mut [MaybeUninit<f32>]| {
            let of_part = |part: usize| {
                &parts[(part * kinds + kind) * gram + place * pairs * width..][..sums.len()]
            };
            cpu.run(SumOfParts {
                parts: std::array::from_fn(of_part),
                sums,
            });
        };
        HeadGram {
            // SAFETY: `SumOfParts` writes every sum.
            data: unsafe { written_in_parts(batch * blocks, pairs * width, sum) },
            shape,
            cpu,
            width,
        }
    };
    Transformed {
        grams: (0..kinds).map(sum_of_parts).collect(),
        own,
    }
}

/// Parts of the outputs that are summed separately.
const PARTS: usize = 4;

/// Values as `[sequence][block of sources][group · d_head][source of the block]`,
/// scaled by [`VECTOR_SCALE`].
fn packed_values(cpu: Cpu, shape: HeadShape, values: HeadVectors<'_>) -> Vec<f32> {
    let width = cpu.width();
    let HeadShape {
        batch,
        groups,
        d_head,
        sources,
        ..
    } = shape;
    let blocks = sources.div_ceil(width);
    let inner = groups * d_head;
    let pack = |place: usize, packed: &mut [MaybeUninit<f32>]| {
        let (sequence, first) = (place / blocks, place % blocks * width);
        let count = width.min(sources - first);
        if count < width {
            filled(packed, 0.0);
        }
        for (head, packed) in packed.chunks_exact_mut(d_head * width).enumerate() {
            let rows = &values.of(sequence, head)[first * values.token_stride..];
            cpu.run(Pack {
                x: rows,
                stride: values.token_stride,
                rows: count,
                columns: d_head,
                result: packed,
                width,
            });
        }
        // SAFETY: `Pack` writes every number of `count` sources of each group; where
        // that is not all of the block, it is filled before.
        let packed = unsafe { packed.assume_init_mut() };
        packed.iter_mut().for_each(|value| *value *= VECTOR_SCALE);
    };
    // SAFETY: as said above, all of a block is written.
    unsafe { written_in_parts(batch * blocks, inner * width, pack) }
}

/// The sums of the parts of a Gram matrix.
struct SumOfParts<'a> {
    parts: [&'a [f32]; PARTS],
    sums: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for SumOfParts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (place, sum) in self.sums.iter_mut().enumerate() {
            sum.write((self.parts.iter()).fold(0.0, |sum, part| sum + part[place]));
        }
    }
}

/// Blocks of sources for which W_O is looked at once.
const BLOCKS: usize = 8;

/// A part of the outputs for some blocks of sources.
struct Blocks<'a> {
    shape: HeadShape,
    output: Matrix<'a>,
    folds: &'a [Fold<'a>],
    /// Behind how many folds there is a Gram matrix.
    families: &'a [usize],
    outputs: (usize, usize),
    blocks: Vec<Block<'a>>,
}

/// A block of sources.
struct Block<'a> {
    shape: HeadShape,
    /// `[group · d_head][source of the block]`.
    values: &'a [f32],
    own_weights: Option<&'a [f32]>,
    /// The mean of every column of W_O behind each fold's predecessors; empty
    /// where a fold does not centre.
    means: &'a [Vec<f32>],
    d_model: usize,
    sequence: usize,
    /// The block's first source.
    first: usize,
    /// Gram matrices of this block over the outputs of this task.
    grams: [Option<&'a mut [MaybeUninit<f32>]>; FAMILIES],
    own: Option<Shared>,
}

/// Tiles of outputs for which U is made at a time.
const TILES: usize = 8;

/// Outputs of which the vectors of all heads are used for everything before
/// those of the next: about as many as the first-level cache holds.
const NEAR: usize = 28;

/// Rows of W_O as left factors, strips of at most [`DEPTH`] columns side by side.
#[derive(Clone, Copy)]
struct Strips {
    d_head: usize,
    heads: usize,
}

impl Strips {
    /// Strips of all heads.
    fn count(self) -> usize {
        match self.d_head > DEPTH {
            true => self.heads * self.d_head.div_ceil(DEPTH),
            false => self.heads.div_ceil(DEPTH / self.d_head),
        }
    }

    /// The strip and the column in it where the numbers of a head from `inner` on begin.
    fn place(self, head: usize, inner: usize) -> (usize, usize) {
        if self.d_head > DEPTH {
            return (head * self.d_head.div_ceil(DEPTH) + inner / DEPTH, 0);
        }
        let heads = DEPTH / self.d_head;
        (head / heads, head % heads * self.d_head)
    }
}

impl WithSimd for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let HeadShape { heads, d_head, .. } = self.shape;
        let width = 2 * S::F32_LANES;
        let tile_rows = tile::rows::<S>();
        let chunk = TILES * tile_rows;
        let vectors = Vectors::of(heads);
        let stride = vectors.stride(width);
        // Filled up with heads of zeros.
        let mut u = Scratch::zeros(chunk * stride);
        let strips = Strips { d_head, heads };
        let mut weights = Scratch::zeros(strips.count() * chunk * STRIDE);
        let own_weights: Vec<_> = self
            .blocks
            .iter()
            .map(|block| block.own_lanes(width))
            .collect();
        // No closures here: they are compiled for machines without vectors.
        let mut means = Vec::with_capacity(self.blocks.len() * self.folds.len());
        for block in &self.blocks {
            for fold in 0..self.folds.len() {
                means.push(block.mean_lanes::<S>(simd, fold));
            }
        }
        let kinds = self.families.len();
        let mut sums = Scratch::zeros(self.blocks.len() * kinds * vectors.sums(width));
        let mut own = Scratch::zeros(chunk * width);
        let (start, end) = self.outputs;
        for output in (start..end).step_by(chunk) {
            let rows = chunk.min(end - output);
            for head in 0..heads {
                for inner in (0..d_head).step_by(DEPTH) {
                    let (strip, column) = strips.place(head, inner);
                    let depth = DEPTH.min(d_head - inner);
                    let to = &mut weights[strip * chunk * STRIDE + column..];
                    let from = head * d_head + inner;
                    self.output
                        .copy(simd, output, rows, from, depth, to, STRIDE);
                }
            }
            for (index, block) in self.blocks.iter().enumerate() {
                for head in 0..heads {
                    for inner in (0..d_head).step_by(DEPTH) {
                        let (strip, column) = strips.place(head, inner);
                        let depth = DEPTH.min(d_head - inner);
                        let from = (self.shape.group(head) * d_head + inner) * width;
                        let right = Right {
                            first: block.values[from..][..depth * width].as_ptr(),
                            stride: width,
                        };
                        for row in (0..rows).step_by(tile_rows) {
                            let left = &weights[(strip * chunk + row) * STRIDE + column..];
                            let left = Left::Copied(left.as_ptr());
                            let tile = Tile {
                                first: u[row * stride + head * width..].as_mut_ptr(),
                                stride,
                                accumulate: inner > 0,
                            };
                            let count = tile_rows.min(rows - row);
                            // SAFETY: row + count ≤ rows: the copies above wrote `depth`
                            // numbers of each, `right` is a slice of `depth` rows of two
                            // vectors, and U has two vectors a head of `chunk` outputs.
                            unsafe { tile::multiply(simd, count, depth, left, right, tile) };
                        }
                    }
                }
                let place = index * kinds * vectors.sums(width);
                for near in (0..rows).step_by(NEAR) {
                    let rows = NEAR.min(rows - near);
                    let u = &mut u[near * stride..][..rows * stride];
                    if block.own.is_some() {
                        let own = &mut own[near * width..];
                        vectors.own_sums::<S>(simd, u, &own_weights[index], own);
                    }
                    let mut folded = 0;
                    for (kind, &family) in self.families.iter().enumerate() {
                        while folded < family {
                            let means = &means[index * self.folds.len() + folded];
                            let weight = &self.folds[folded].weight[output + near..][..rows];
                            match self.folds[folded].centre {
                                true => vectors.normalize::<S>(simd, u, means, weight),
                                false => vectors.scale::<S>(simd, u, weight),
                            }
                            folded += 1;
                        }
                        let sums = &mut sums[place + kind * vectors.sums(width)..];
                        vectors.multiply::<S>(simd, u, &mut sums[..vectors.sums(width)]);
                    }
                }
                if let Some(result) = block.own {
                    let count = width.min(self.shape.sources - block.first);
                    let token = block.sequence * self.shape.sources + block.first;
                    let from = Rows {
                        first: own.as_ptr(),
                        stride: width,
                    };
                    let last = (count - 1) * block.d_model + rows;
                    let to = Rows {
                        first: result.at(token * block.d_model + output, last),
                        stride: block.d_model,
                    };
                    // SAFETY: `own` has two vectors of sources for each of `rows`
                    // outputs; `at` checked that the last of `count` rows of the
                    // result ends within it; no other task has these outputs of
                    // these sources.
                    unsafe { transpose(simd, rows, count, from, to) };
                }
            }
        }
        let grams = self.blocks.into_iter().flat_map(|block| block.grams);
        let sums = sums.chunks_exact(vectors.sums(width).max(1));
        for (gram, sums) in grams.flatten().zip(sums) {
            vectors.pairs(heads, width, sums, gram);
        }
    }
}

impl Block<'_> {
    /// α_ii as `[head][source of the block]`.
    fn own_lanes(&self, width: usize) -> Vec<f32> {
        let Some(own_weights) = self.own_weights else {
            return Vec::new();
        };
        let HeadShape { heads, sources, .. } = self.shape;
        let count = width.min(sources - self.first);
        let mut lanes = vec![0.0; heads * width];
        for (head, lanes) in lanes.chunks_exact_mut(width).enumerate() {
            let start = (self.sequence * heads + head) * sources + self.first;
            lanes[..count].copy_from_slice(&own_weights[start..start + count]);
        }
        lanes
    }

    /// The mean of U over the outputs, before a fold, `[head][source of the block]`.
    #[inline(always)]
    fn mean_lanes<S: Simd>(&self, simd: S, fold: usize) -> Vec<f32> {
        let means = &self.means[fold];
        if means.is_empty() {
            return Vec::new();
        }
        let HeadShape { heads, d_head, .. } = self.shape;
        let width = 2 * S::F32_LANES;
        let mut lanes = vec![0.0; heads * width];
        for (head, lanes) in lanes.chunks_exact_mut(width).enumerate() {
            let mut sums = [[simd.splat_f32s(0.0); 2]; 2];
            let group = self.shape.group(head);
            for inner in 0..d_head {
                let value = group * d_head + inner;
                let values = S::as_simd_f32s(&self.values[value * width..][..width]).0;
                let inner = head * d_head + inner;
                let mean = simd.splat_f32s(means[inner]);
                let sums = &mut sums[inner % 2];
                sums[0] = simd.mul_add_f32s(values[0], mean, sums[0]);
                sums[1] = simd.mul_add_f32s(values[1], mean, sums[1]);
            }
            let lanes = S::as_mut_simd_f32s(lanes).0;
            lanes[0] = simd.add_f32s(sums[0][0], sums[1][0]);
            lanes[1] = simd.add_f32s(sums[0][1], sums[1][1]);
        }
        lanes
    }
}
