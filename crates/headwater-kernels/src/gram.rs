//! Norm maps by Gram matrices: the norm of a combination of few vectors, for
//! all pairs of tokens, and no combination.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::heads::VECTOR_SCALE;
use crate::scratch::Scratch;
use crate::shared::{Shared, Unwritten, filled, written_in_parts};
use crate::{Cpu, HeadShape};

/// The Gram matrices `G_j[h, g] = ⟨U^h_j, U^g_j⟩` of every source, scaled by
/// [`VECTOR_SCALE`] squared.
#[derive(Debug, Clone)]
pub struct HeadGram {
    /// `[sequence][block of sources][pair of heads][source of the block]`: for
    /// every h the products with g = 0..=h, those with g < h twice as large.
    pub(crate) data: Vec<f32>,
    pub(crate) shape: HeadShape,
    /// The instruction set that has made them, and its blocks' width.
    pub(crate) cpu: Cpu,
    pub(crate) width: usize,
}

impl HeadGram {
    fn pairs(&self) -> usize {
        self.shape.heads * (self.shape.heads + 1) / 2
    }

    /// ‖U^h_j‖, `[batch, head, source]`.
    pub fn transformed_norms(&self) -> Vec<f32> {
        let HeadShape {
            batch,
            heads,
            sources,
            ..
        } = self.shape;
        let blocks = sources.div_ceil(self.width);
        let mut norms = Vec::with_capacity(batch * heads * sources);
        for sequence in 0..batch {
            for head in 0..heads {
                let pair = head * (head + 1) / 2 + head;
                norms.extend((0..sources).map(|source| {
                    let place = sequence * blocks + source / self.width;
                    let at = (place * self.pairs() + pair) * self.width + source % self.width;
                    self.data[at].sqrt() / VECTOR_SCALE
                }));
            }
        }
        norms
    }
}

/// `‖Σ_h α^h_ij U^h_j‖ = sqrt(α_ijᵀ G_j α_ij)` for all pairs, `[batch, target,
/// source]`, for each of one or two families of Gram matrices.
///
/// `weights`: α, `[batch, head, target, source]`, looked at once.
/// target·source·head² FLOPs a sequence and family. Rounding can push a form
/// that is almost zero below it; it is clamped.
///
/// # Panics
/// Sizes that do not fit together.
pub fn norm_maps(grams: &[HeadGram], weights: &[f32], targets: usize) -> Vec<Vec<f32>> {
    let (first, cpu) = match grams {
        [first] | [first, _] => (first, first.cpu),
        _ => panic!("one or two families of Gram matrices"),
    };
    let HeadShape {
        batch,
        heads,
        sources,
        ..
    } = first.shape;
    let sizes = |gram: &HeadGram| (gram.data.len(), gram.width, gram.shape.heads);
    let alike = grams.iter().all(|gram| sizes(gram) == sizes(first));
    assert!(
        alike && heads > 0,
        "Gram matrices of the same heads and sources"
    );
    assert_eq!(weights.len(), batch * heads * targets * sources);
    let numbers = batch * targets * sources;
    let mut maps: Vec<Unwritten> = grams.iter().map(|_| Unwritten::new(numbers)).collect();
    if numbers > 0 {
        let shared: Vec<Shared> = maps.iter_mut().map(Unwritten::shared).collect();
        // Whole groups of targets of one sequence.
        let chunks = targets.div_ceil(ROWS);
        let task = |near: &mut Scratch, index: usize| {
            let (sequence, first) = (index / chunks, index % chunks * ROWS);
            cpu.run(Forms {
                grams,
                weights,
                targets,
                sequence,
                first,
                count: ROWS.min(targets - first),
                near,
                maps: &shared,
            });
        };
        let near = || Scratch::zeros(Near::size(cpu, heads, sources));
        (0..batch * chunks)
            .into_par_iter()
            .for_each_init(near, task);
    }
    let written = |map: Unwritten| {
        // SAFETY: every task writes whole rows, and together they have all targets
        // of all sequences.
        unsafe { map.written() }
    };
    maps.into_iter().map(written).collect()
}

/// A map's rows divided by `scale`, `[batch, target]`, with the numbers of
/// `own`, likewise, on the diagonal.
///
/// `map`: `[batch, target, source]`.
///
/// # Panics
/// Sizes that do not fit together.
pub fn finished_map(
    map: &[f32],
    [targets, sources]: [usize; 2],
    scale: Option<&[f32]>,
    own: Option<&[f32]>,
) -> Vec<f32> {
    let rows = map.len() / sources.max(1);
    assert_eq!(map.len(), rows * sources, "whole rows");
    assert!(scale.is_none_or(|scale| scale.len() == rows), "one s each");
    assert!(own.is_none_or(|own| own.len() == rows), "one norm each");
    let finish = |index: usize, row: &mut [MaybeUninit<f32>]| {
        let from = &map[index * sources..][..sources];
        let factor = scale.map_or(1.0, |scale| 1.0 / scale[index]);
        for (norm, from) in row.iter_mut().zip(from) {
            norm.write(from * factor);
        }
        if let Some(own) = own {
            row[index % targets].write(own[index]);
        }
    };
    // SAFETY: a row has as many sources as the one that it is read off, and each
    // norm is written.
    unsafe { written_in_parts(rows, sources, finish) }
}

/// Targets of a task: their weights of a head lie side by side, and long runs
/// are what memory is fast at.
const ROWS: usize = 16;
/// Targets whose forms are in registers together.
const GROUP: usize = 4;

/// Quadratic forms of some targets with all sources.
struct Forms<'a> {
    grams: &'a [HeadGram],
    weights: &'a [f32],
    targets: usize,
    sequence: usize,
    /// The first target, and how many there are.
    first: usize,
    count: usize,
    near: &'a mut Scratch,
    maps: &'a [Shared],
}

/// Where weights lie that forms are made of, `[vector of sources][group of
/// targets][head][target of the group]`: all that the forms of some sources
/// need lies together.
#[derive(Clone, Copy)]
struct Near {
    lanes: usize,
    heads: usize,
}

impl Near {
    fn size(cpu: Cpu, heads: usize, sources: usize) -> usize {
        let lanes = cpu.width() / 2;
        let near = Self { lanes, heads };
        sources.div_ceil(lanes) * near.stride()
    }

    /// From one vector of sources to the next: one vector more than there are
    /// keeps them from displacing each other from the cache.
    fn stride(self) -> usize {
        (self.heads * ROWS + 1) * self.lanes
    }

    /// Where a target's weights of a head begin.
    fn place(self, row: usize, head: usize) -> usize {
        ((row / GROUP * self.heads + head) * GROUP + row % GROUP) * self.lanes
    }
}

impl WithSimd for Forms<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let HeadShape { sources, band, .. } = self.grams[0].shape;
        // Nothing flows to a target from what it does not see; weights there
        // are zeros.
        let seen = band.of_targets(&(self.first..self.first + self.count), sources);
        let first = seen.start / S::F32_LANES * S::F32_LANES;
        let seen = first..seen.end.next_multiple_of(S::F32_LANES).min(sources);
        self.bring_near(simd, &seen);
        match self.grams.len() {
            1 => self.of_families::<S, 1>(simd, &seen),
            _ => self.of_families::<S, 2>(simd, &seen),
        }
    }
}

impl Forms<'_> {
    /// Brings weights together.
    #[inline(always)]
    fn bring_near<S: Simd>(&mut self, _: S, seen: &Range<usize>) {
        let HeadShape { heads, sources, .. } = self.grams[0].shape;
        let lanes = S::F32_LANES;
        let layout = Near { lanes, heads };
        for head in 0..heads {
            for row in 0..self.count {
                let map = self.sequence * heads + head;
                let at = (map * self.targets + self.first + row) * sources;
                let (vectors, rest) =
                    S::as_simd_f32s(&self.weights[at + seen.start..at + seen.end]);
                let place = layout.place(row, head) + seen.start / lanes * layout.stride();
                for (index, &vector) in vectors.iter().enumerate() {
                    let near = &mut self.near[place + index * layout.stride()..][..lanes];
                    S::as_mut_simd_f32s(near).0[0] = vector;
                }
                if !rest.is_empty() {
                    let place = place + vectors.len() * layout.stride();
                    self.near[place..][..rest.len()].copy_from_slice(rest);
                }
            }
        }
    }

    #[inline(always)]
    // Indices, not iterators: the compiler keeps only arrays that it can take
    // apart in registers.
    #[allow(clippy::needless_range_loop)]
    fn of_families<S: Simd, const N: usize>(&mut self, simd: S, seen: &Range<usize>) {
        let HeadShape { heads, sources, .. } = self.grams[0].shape;
        let lanes = S::F32_LANES;
        let width = 2 * lanes;
        let layout = Near { lanes, heads };
        let pairs = self.grams[0].pairs();
        let blocks = sources.div_ceil(width);
        let unscale = simd.splat_f32s(1.0 / VECTOR_SCALE);
        let row_of = |row: usize| (self.sequence * self.targets + self.first + row) * sources;
        for source in seen.clone().step_by(lanes) {
            let place = (self.sequence * blocks + source / width) * pairs * width + source % width;
            let mut gram = [std::ptr::null(); N];
            for family in 0..N {
                gram[family] =
                    self.grams[family].data[place..][..(pairs - 1) * width + lanes].as_ptr();
            }
            for group in (0..self.count).step_by(GROUP) {
                let near = source / lanes * layout.stride() + layout.place(group, 0);
                let near = &self.near[near..][..heads * GROUP * lanes];
                let near = S::as_simd_f32s(near).0;
                let mut forms = [[simd.splat_f32s(0.0); GROUP]; N];
                let mut pair = 0;
                for head in 0..heads {
                    let mut inner = [[simd.splat_f32s(0.0); GROUP]; N];
                    for other in 0..=head {
                        let alpha = &near[other * GROUP..][..GROUP];
                        for family in 0..N {
                            // SAFETY: pair < pairs, and the slice above ends with
                            // the vector of the last pair.
                            let product = unsafe {
                                let product = gram[family].add(pair * width);
                                product.cast::<S::f32s>().read_unaligned()
                            };
                            for row in 0..GROUP {
                                inner[family][row] =
                                    simd.mul_add_f32s(product, alpha[row], inner[family][row]);
                            }
                        }
                        pair += 1;
                    }
                    let alpha = &near[head * GROUP..][..GROUP];
                    for family in 0..N {
                        for row in 0..GROUP {
                            forms[family][row] = simd.mul_add_f32s(
                                alpha[row],
                                inner[family][row],
                                forms[family][row],
                            );
                        }
                    }
                }
                let kept = lanes.min(sources - source);
                for family in 0..N {
                    for row in 0..GROUP.min(self.count - group) {
                        let form = simd.max_f32s(forms[family][row], simd.splat_f32s(0.0));
                        let norm = simd.mul_f32s(simd.sqrt_f32s(form), unscale);
                        // SAFETY: `norm_maps` keeps the memory until all tasks are
                        // done, and no other task has this target.
                        let norms =
                            unsafe { self.maps[family].part(row_of(group + row) + source, kept) };
                        match S::as_uninit_mut_simd_f32s(norms) {
                            ([whole], _) => _ = whole.write(norm),
                            (_, rest) => simd.partial_store_f32s(filled(rest, 0.0), norm),
                        }
                    }
                }
            }
        }
        for map in self.maps {
            for row in 0..self.count {
                let [before, behind] = [(0, seen.start), (seen.end, sources - seen.end)];
                for (start, length) in [before, behind] {
                    // SAFETY: `norm_maps` keeps the memory until all tasks are done, and
                    // no other task has this target.
                    let unseen = unsafe { map.part(row_of(row) + start, length) };
                    filled(unseen, 0.0);
                }
            }
        }
    }
}
