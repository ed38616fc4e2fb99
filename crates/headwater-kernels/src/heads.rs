//! What the decomposition of attention needs of the transformed vectors
//! `U^h_j = f^h(x_j) = v^h_j W_O^h`, without ever keeping them.
//!
//! Sources lie side by side in the vectors, so that a Gram matrix is made for
//! all of them at once and no sum runs across a vector. U is made for some
//! outputs of some sources at a time, used for everything, and forgotten.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::packed::Pack;
use crate::shared::{Shared, written_in_parts};
use crate::tile::{self, DEPTH, Left, Right, STRIDE, Tile};
use crate::transpose::{Rows, transpose};
use crate::{Cpu, HeadGram, HeadShape, HeadVectors};

/// Squares underflow float32 below 1e-19, long before the vectors of small
/// attention weights do. Whatever is squared is scaled by this power of two
/// first, exactly, and its norm divided by it.
pub const VECTOR_SCALE: f32 = (1_u32 << 30) as f32;

/// What [`transformed`] computes.
#[derive(Debug)]
pub struct Transformed {
    /// The Gram matrices of U and, if a γ was given, of `γ ⊙ (U − mean(U))`.
    pub grams: Vec<HeadGram>,
    /// `Σ_h α^h_ii U^h_i`, `[batch, source, d_model]`, if own weights were given.
    pub own: Option<Vec<f32>>,
}

/// Passes over the transformed vectors `U^h_j = v^h_j W_O^h` of all sources once.
///
/// `output` is W_O, `[d_model, head · d_head]`; `own_weights` α_ii, `[batch,
/// head, source]`; `norm` the γ of a layer norm behind attention. Gram matrices
/// are made only if `with_grams`. 2·source·d_model² FLOPs a sequence, and
/// source·head²·d_model for each Gram matrix.
///
/// # Panics
/// Sizes that do not fit together.
pub fn transformed(
    cpu: Cpu,
    shape: HeadShape,
    values: HeadVectors<'_>,
    output: &[f32],
    own_weights: Option<&[f32]>,
    norm: Option<&[f32]>,
    with_grams: bool,
) -> Transformed {
    let HeadShape {
        batch,
        heads,
        d_head,
        sources,
        ..
    } = shape;
    let inner = heads * d_head;
    let d_model = output.len() / inner;
    assert_eq!(output.len(), d_model * inner, "whole rows of W_O");
    assert!(norm.is_none_or(|norm| norm.len() == d_model), "one γ each");
    assert!(
        own_weights.is_none_or(|own| own.len() == batch * heads * sources),
        "one weight each"
    );
    values.check(shape, sources);
    let width = cpu.width();
    let blocks = sources.div_ceil(width);
    let values = packed_values(cpu, shape, values);
    let pairs = heads * (heads + 1) / 2;
    let kinds = match (with_grams, norm) {
        (false, _) => 0,
        (true, None) => 1,
        (true, Some(_)) => 2,
    };
    // Both halves of the outputs are summed by themselves, however many threads there are.
    let gram = batch * blocks * pairs * width;
    let mut grams = vec![0.0; PARTS * kinds * gram];
    let mut own = own_weights.map(|_| vec![0.0; batch * sources * d_model]);
    let means = match norm {
        Some(_) if with_grams => cpu.run(ColumnMeans { output, inner }),
        _ => Vec::new(),
    };
    let shared_grams = Shared::new(&mut grams);
    let shared_own = own.as_deref_mut().map(Shared::new);
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
                    values: &values[place * inner * width..][..inner * width],
                    own_weights,
                    means: &means,
                    d_model,
                    sequence,
                    first: block * width,
                    grams: std::array::from_fn(|kind| {
                        let start = (part * kinds + kind) * gram + place * pairs * width;
                        (kind < kinds).then(|| shared_grams.at(start, pairs * width))
                    }),
                    own: shared_own,
                }
            };
            cpu.run(Blocks {
                shape,
                output,
                norm,
                outputs: (part * d_model / PARTS, (part + 1) * d_model / PARTS),
                blocks: (first..(first + BLOCKS).min(blocks))
                    .map(of_block)
                    .collect(),
            });
        });
    let (result, others) = grams.split_at_mut(kinds * gram);
    for part in others.chunks_exact(result.len().max(1)) {
        for (sum, part) in result.iter_mut().zip(part) {
            *sum += part;
        }
    }
    let grams = result.chunks_exact(gram.max(1)).take(kinds);
    Transformed {
        grams: grams
            .map(|data| HeadGram {
                data: data.to_vec(),
                shape,
                width,
            })
            .collect(),
        own,
    }
}

/// Parts of the outputs that are summed separately.
const PARTS: usize = 4;

/// Values as `[sequence][block of sources][head · d_head][source of the block]`,
/// scaled by [`VECTOR_SCALE`].
fn packed_values(cpu: Cpu, shape: HeadShape, values: HeadVectors<'_>) -> Vec<f32> {
    let width = cpu.width();
    let HeadShape {
        batch,
        heads,
        d_head,
        sources,
        ..
    } = shape;
    let blocks = sources.div_ceil(width);
    let inner = heads * d_head;
    let pack = |place: usize, packed: &mut [f32]| {
        let (sequence, first) = (place / blocks, place % blocks * width);
        let count = width.min(sources - first);
        if count < width {
            packed.fill(0.0);
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
        packed.iter_mut().for_each(|value| *value *= VECTOR_SCALE);
    };
    // SAFETY: rows write all of a block, or it is filled before.
    unsafe { written_in_parts(batch * blocks, inner * width, pack) }
}

/// The mean of every column of W_O: what the mean of U is made of.
struct ColumnMeans<'a> {
    output: &'a [f32],
    inner: usize,
}

impl WithSimd for ColumnMeans<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f32> {
        let mut sums = vec![0.0_f32; self.inner];
        let rows = self.output.chunks_exact(self.inner);
        let count = rows.len() as f32;
        for row in rows {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
        sums.iter_mut().for_each(|sum| *sum /= count);
        sums
    }
}

/// Blocks of sources for which W_O is looked at once.
const BLOCKS: usize = 8;

/// A part of the outputs for some blocks of sources.
struct Blocks<'a> {
    shape: HeadShape,
    output: &'a [f32],
    norm: Option<&'a [f32]>,
    outputs: (usize, usize),
    blocks: Vec<Block<'a>>,
}

/// A block of sources.
struct Block<'a> {
    shape: HeadShape,
    /// `[head · d_head][source of the block]`.
    values: &'a [f32],
    own_weights: Option<&'a [f32]>,
    means: &'a [f32],
    d_model: usize,
    sequence: usize,
    /// The block's first source.
    first: usize,
    grams: [Option<*mut f32>; 2],
    own: Option<Shared>,
}

/// Heads whose products are in registers together.
const HEADS: usize = 4;
/// Tiles of outputs for which U is made at a time.
const TILES: usize = 8;

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
        let inner_width = heads * d_head;
        let width = 2 * S::F32_LANES;
        let tile_rows = tile::rows::<S>();
        let chunk = TILES * tile_rows;
        let head_groups = heads.div_ceil(HEADS);
        // `[head][output of the chunk][source]`, filled up with heads of zeros.
        let mut u = vec![0.0_f32; head_groups * HEADS * chunk * width];
        let strips = Strips { d_head, heads };
        let mut weights = vec![0.0_f32; strips.count() * chunk * STRIDE];
        let own_weights: Vec<_> = self
            .blocks
            .iter()
            .map(|block| block.own_lanes(width))
            .collect();
        // No closures here: they are compiled for machines without vectors.
        let mut means = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            means.push(block.mean_lanes::<S>(simd));
        }
        let mut own = vec![0.0_f32; chunk * width];
        let (start, end) = self.outputs;
        for output in (start..end).step_by(chunk) {
            let rows = chunk.min(end - output);
            for head in 0..heads {
                for inner in (0..d_head).step_by(DEPTH) {
                    let (strip, column) = strips.place(head, inner);
                    let depth = DEPTH.min(d_head - inner);
                    for row in 0..rows {
                        let from = (output + row) * inner_width + head * d_head + inner;
                        weights[(strip * chunk + row) * STRIDE + column..][..depth]
                            .copy_from_slice(&self.output[from..from + depth]);
                    }
                }
            }
            for ((block, own_weights), means) in self.blocks.iter().zip(&own_weights).zip(&means) {
                for head in 0..heads {
                    for inner in (0..d_head).step_by(DEPTH) {
                        let (strip, column) = strips.place(head, inner);
                        let depth = DEPTH.min(d_head - inner);
                        let from = (head * d_head + inner) * width;
                        let right = Right {
                            first: block.values[from..][..depth * width].as_ptr(),
                            stride: width,
                        };
                        for row in (0..rows).step_by(tile_rows) {
                            let left = &weights[(strip * chunk + row) * STRIDE + column..];
                            let left = Left::Copied(left.as_ptr());
                            let tile = Tile {
                                first: u[(head * chunk + row) * width..].as_mut_ptr(),
                                stride: width,
                                accumulate: inner > 0,
                            };
                            let count = tile_rows.min(rows - row);
                            // SAFETY: `weights`, `values` and `u` have these rows.
                            unsafe { tile::multiply(simd, count, depth, left, right, tile) };
                        }
                    }
                }
                if let Some(result) = block.own {
                    for row in (0..rows).step_by(OWN_ROWS) {
                        let u = &u[row * width..];
                        let own = &mut own[row * width..];
                        match rows - row {
                            1 => own_sums::<S, 1>(simd, u, chunk, own_weights, own),
                            2 => own_sums::<S, 2>(simd, u, chunk, own_weights, own),
                            3 => own_sums::<S, 3>(simd, u, chunk, own_weights, own),
                            _ => own_sums::<S, OWN_ROWS>(simd, u, chunk, own_weights, own),
                        }
                    }
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
                    // SAFETY: both are as long, and no other task has these outputs
                    // of these sources.
                    unsafe { transpose(simd, rows, count, from, to) };
                }
                if let Some(gram) = block.grams[0] {
                    // SAFETY: the Gram matrices of this block alone, of every pair.
                    unsafe { accumulate(simd, &u, chunk, rows, heads, gram) };
                }
                if let (Some(gram), Some(norm)) = (block.grams[1], self.norm) {
                    for head in 0..heads {
                        let mean = S::as_simd_f32s(&means[head * width..][..width]).0;
                        for row in 0..rows {
                            let factor = simd.splat_f32s(norm[output + row]);
                            let u = &mut u[(head * chunk + row) * width..][..width];
                            let u = S::as_mut_simd_f32s(u).0;
                            u[0] = simd.mul_f32s(simd.sub_f32s(u[0], mean[0]), factor);
                            u[1] = simd.mul_f32s(simd.sub_f32s(u[1], mean[1]), factor);
                        }
                    }
                    // SAFETY: as above.
                    unsafe { accumulate(simd, &u, chunk, rows, heads, gram) };
                }
            }
        }
        for gram in self.blocks.iter().flat_map(|block| block.grams).flatten() {
            for head in 0..heads {
                let row = head * (head + 1) / 2 * width;
                // SAFETY: as above.
                let twice = unsafe { std::slice::from_raw_parts_mut(gram.add(row), head * width) };
                twice.iter_mut().for_each(|product| *product *= 2.0);
            }
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

    /// The mean of U over the outputs, `[head][source of the block]`.
    #[inline(always)]
    fn mean_lanes<S: Simd>(&self, simd: S) -> Vec<f32> {
        if self.means.is_empty() {
            return Vec::new();
        }
        let HeadShape { heads, d_head, .. } = self.shape;
        let width = 2 * S::F32_LANES;
        let mut lanes = vec![0.0; heads * width];
        for (head, lanes) in lanes.chunks_exact_mut(width).enumerate() {
            let lanes = S::as_mut_simd_f32s(lanes).0;
            for inner in head * d_head..(head + 1) * d_head {
                let values = S::as_simd_f32s(&self.values[inner * width..][..width]).0;
                let mean = simd.splat_f32s(self.means[inner]);
                lanes[0] = simd.mul_add_f32s(values[0], mean, lanes[0]);
                lanes[1] = simd.mul_add_f32s(values[1], mean, lanes[1]);
            }
        }
        lanes
    }
}

/// Outputs for which the own weights of a head are read once.
const OWN_ROWS: usize = 4;

/// `Σ_h α^h_ii U^h_i` for some outputs.
#[inline(always)]
// Indices, not iterators: the compiler keeps only arrays that it can take
// apart in registers.
#[allow(clippy::needless_range_loop)]
fn own_sums<S: Simd, const ROWS: usize>(
    simd: S,
    u: &[f32],
    chunk: usize,
    own_weights: &[f32],
    own: &mut [f32],
) {
    let width = 2 * S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); 2]; ROWS];
    for (head, weights) in own_weights.chunks_exact(width).enumerate() {
        let weights = S::as_simd_f32s(weights).0;
        let u = S::as_simd_f32s(&u[head * chunk * width..][..ROWS * width]).0;
        for row in 0..ROWS {
            sums[row][0] = simd.mul_add_f32s(u[2 * row], weights[0], sums[row][0]);
            sums[row][1] = simd.mul_add_f32s(u[2 * row + 1], weights[1], sums[row][1]);
        }
    }
    let own = S::as_mut_simd_f32s(&mut own[..ROWS * width]).0;
    let unscale = simd.splat_f32s(1.0 / VECTOR_SCALE);
    for row in 0..ROWS {
        own[2 * row] = simd.mul_f32s(sums[row][0], unscale);
        own[2 * row + 1] = simd.mul_f32s(sums[row][1], unscale);
    }
}

/// Outputs of which the vectors of two groups of heads stay in the first-level cache.
const NEAR: usize = 28;

/// Adds the products of all pairs of heads over some outputs to a Gram matrix.
///
/// # Safety
/// `gram` has two vectors for each pair with g ≤ h.
#[inline(always)]
unsafe fn accumulate<S: Simd>(
    simd: S,
    u: &[f32],
    chunk: usize,
    rows: usize,
    heads: usize,
    gram: *mut f32,
) {
    let width = 2 * S::F32_LANES;
    for near in (0..rows).step_by(NEAR) {
        let u = &u[near * width..];
        let rows = NEAR.min(rows - near);
        for first in (0..heads).step_by(HEADS) {
            for second in (0..first).step_by(HEADS) {
                // SAFETY: the caller's.
                unsafe { group::<S, false>(simd, u, chunk, rows, [first, second], heads, gram) };
            }
            // SAFETY: the caller's.
            unsafe { group::<S, true>(simd, u, chunk, rows, [first; 2], heads, gram) };
        }
    }
}

/// The same of the pairs of two groups of heads; of one with itself, those
/// with g ≤ h.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn group<S: Simd, const WITH_ITSELF: bool>(
    simd: S,
    u: &[f32],
    chunk: usize,
    rows: usize,
    [first, second]: [usize; 2],
    heads: usize,
    gram: *mut f32,
) {
    let lanes = S::F32_LANES;
    let width = 2 * lanes;
    for half in 0..2 {
        let at = |head: usize| u[head * chunk * width + half * lanes..].as_ptr();
        let (a, b) = (at(first), at(second));
        let mut sums = [simd.splat_f32s(0.0); HEADS * HEADS];
        for row in 0..rows {
            let mut x = [simd.splat_f32s(0.0); HEADS];
            let mut y = [simd.splat_f32s(0.0); HEADS];
            for i in 0..HEADS {
                let offset = i * chunk * width + row * width;
                // SAFETY: U has rows for whole groups of heads.
                unsafe {
                    x[i] = a.add(offset).cast::<S::f32s>().read_unaligned();
                    y[i] = match WITH_ITSELF {
                        true => x[i],
                        false => b.add(offset).cast::<S::f32s>().read_unaligned(),
                    };
                }
            }
            for i in 0..HEADS {
                for j in 0..HEADS {
                    if !WITH_ITSELF || j <= i {
                        sums[i * HEADS + j] = simd.mul_add_f32s(x[i], y[j], sums[i * HEADS + j]);
                    }
                }
            }
        }
        for i in 0..HEADS.min(heads - first) {
            for j in 0..HEADS.min(first + i + 1 - second) {
                let (h, g) = (first + i, second + j);
                let pair = h * (h + 1) / 2 + g;
                // SAFETY: the caller's.
                unsafe {
                    let place = gram.add(pair * width + half * lanes).cast::<S::f32s>();
                    let sum = simd.add_f32s(place.read_unaligned(), sums[i * HEADS + j]);
                    place.write_unaligned(sum);
                }
            }
        }
    }
}

/// The weights with which every source attends to itself, α_ii: `[batch, head, token]`.
///
/// `weights`: α, `[batch, head, token, token]`.
///
/// # Panics
/// Sizes that do not fit together.
pub fn diagonal(weights: &[f32], tokens: usize) -> Vec<f32> {
    assert_eq!(weights.len() % (tokens * tokens).max(1), 0, "square maps");
    let maps = weights.par_chunks_exact((tokens * tokens).max(1));
    maps.flat_map_iter(|map| map.iter().step_by(tokens + 1).copied())
        .collect()
}
