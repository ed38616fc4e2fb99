//! Norm maps by Gram matrices: the norm of a combination of few vectors, for
//! all pairs of tokens, and no combination.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::heads::VECTOR_SCALE;
use crate::shared::{Shared, written_in_parts};
use crate::{Cpu, HeadShape};

/// The Gram matrices `G_j[h, g] = ⟨U^h_j, U^g_j⟩` of every source, scaled by
/// [`VECTOR_SCALE`] squared.
#[derive(Debug, Clone)]
pub struct HeadGram {
    /// `[sequence][block of sources][pair of heads][source of the block]`: for
    /// every h the products with g = 0..=h, those with g < h twice as large.
    pub(crate) data: Vec<f32>,
    pub(crate) shape: HeadShape,
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
pub fn norm_maps(cpu: Cpu, grams: &[HeadGram], weights: &[f32], targets: usize) -> Vec<Vec<f32>> {
    let Some(HeadGram { shape, .. }) = grams.first() else {
        return Vec::new();
    };
    let HeadShape {
        batch,
        heads,
        sources,
        ..
    } = *shape;
    assert_eq!(weights.len(), batch * heads * targets * sources);
    let mut maps = vec![vec![0.0; batch * targets * sources]; grams.len()];
    if weights.is_empty() {
        return maps;
    }
    // Whole groups of targets of one sequence.
    let chunks = targets.div_ceil(ROWS);
    let shared: Vec<Shared> = maps.iter_mut().map(|map| Shared::new(map)).collect();
    (0..batch * chunks).into_par_iter().for_each(|index| {
        let (sequence, first) = (index / chunks, index % chunks * ROWS);
        let count = ROWS.min(targets - first);
        let start = sequence * targets + first;
        cpu.run(Forms {
            grams,
            weights,
            targets,
            sequence,
            first,
            // SAFETY: no other task has these targets.
            norms: (shared.iter())
                .map(|map| unsafe { map.part(start * sources, count * sources) })
                .collect(),
        });
    });
    maps
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
    let finish = |index: usize, row: &mut [f32]| {
        let from = &map[index * sources..][..sources];
        let factor = scale.map_or(1.0, |scale| 1.0 / scale[index]);
        for (norm, from) in row.iter_mut().zip(from) {
            *norm = from * factor;
        }
        if let Some(own) = own {
            row[index % targets] = own[index];
        }
    };
    // SAFETY: every norm is written.
    unsafe { written_in_parts(rows, sources, finish) }
}

/// Targets of a task.
const ROWS: usize = 16;
/// Targets for which a Gram matrix is read once.
const GROUP: usize = 4;

/// Quadratic forms of some targets with all sources.
struct Forms<'a> {
    grams: &'a [HeadGram],
    weights: &'a [f32],
    targets: usize,
    sequence: usize,
    first: usize,
    norms: Vec<&'a mut [f32]>,
}

impl WithSimd for Forms<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.norms.len() {
            1 => self.of_families::<S, 1>(simd),
            2 => self.of_families::<S, 2>(simd),
            _ => unreachable!("one or two families of Gram matrices"),
        }
    }
}

impl Forms<'_> {
    #[inline(always)]
    // Indices, not iterators: the compiler keeps only arrays that it can take
    // apart in registers.
    #[allow(clippy::needless_range_loop)]
    fn of_families<S: Simd, const N: usize>(mut self, simd: S) {
        let HeadShape {
            heads,
            sources,
            causal,
            ..
        } = self.grams[0].shape;
        let lanes = S::F32_LANES;
        let width = 2 * lanes;
        let pairs = self.grams[0].pairs();
        let blocks = sources.div_ceil(width);
        let count = self.norms[0].len() / sources;
        // A group's weights, `[vector of sources][head][target]`: all that the
        // forms of some sources need lies together. One vector more keeps them
        // from displacing each other from the cache.
        let stride = (heads * GROUP + 1) * lanes;
        let mut near = vec![0.0_f32; sources.div_ceil(lanes) * stride];
        for group in (0..count).step_by(GROUP) {
            let rows = GROUP.min(count - group);
            let seen = match causal {
                true => (self.first + group + rows).min(sources),
                false => sources,
            };
            for head in 0..heads {
                for row in 0..rows {
                    let target = self.first + group + row;
                    let at = ((self.sequence * heads + head) * self.targets + target) * sources;
                    let (vectors, rest) = S::as_simd_f32s(&self.weights[at..at + seen]);
                    let mut place = (head * GROUP + row) * lanes;
                    for &vector in vectors {
                        S::as_mut_simd_f32s(&mut near[place..][..lanes]).0[0] = vector;
                        place += stride;
                    }
                    if !rest.is_empty() {
                        near[place..][..rest.len()].copy_from_slice(rest);
                    }
                }
            }
            for source in (0..seen).step_by(lanes) {
                let place =
                    (self.sequence * blocks + source / width) * pairs * width + source % width;
                let mut gram = [std::ptr::null(); N];
                for family in 0..N {
                    gram[family] =
                        self.grams[family].data[place..][..(pairs - 1) * width + lanes].as_ptr();
                }
                let near = &near[source / lanes * stride..][..heads * GROUP * lanes];
                let near = S::as_simd_f32s(near).0;
                let mut forms = [[simd.splat_f32s(0.0); GROUP]; N];
                let mut pair = 0;
                for head in 0..heads {
                    let mut inner = [[simd.splat_f32s(0.0); GROUP]; N];
                    for other in 0..=head {
                        let alpha = &near[other * GROUP..][..GROUP];
                        for family in 0..N {
                            // SAFETY: the slice above has every pair.
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
                    for row in 0..rows {
                        let form = simd.max_f32s(forms[family][row], simd.splat_f32s(0.0));
                        let unscale = simd.splat_f32s(1.0 / VECTOR_SCALE);
                        let norm = simd.mul_f32s(simd.sqrt_f32s(form), unscale);
                        let at = (group + row) * sources + source;
                        let norms = &mut self.norms[family][at..][..kept];
                        match S::as_mut_simd_f32s(norms) {
                            ([whole], _) => *whole = norm,
                            (_, rest) => simd.partial_store_f32s(rest, norm),
                        }
                    }
                }
            }
        }
    }
}
