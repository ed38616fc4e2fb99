//! Norm maps by Gram matrices: the norm of a combination of few vectors, for
//! all pairs of tokens, and no combination.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::heads::VECTOR_SCALE;
use crate::shared::Shared;
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

    /// `‖Σ_h α^h_ij U^h_j‖ / s_i = sqrt(α_ijᵀ G_j α_ij) / s_i` for all pairs,
    /// `[batch, target, source]`; on the diagonal the norms in `own`, `[batch, target]`.
    ///
    /// `weights`: α, `[batch, head, target, source]`; `scale`: s, `[batch,
    /// target]`. target·source·head² FLOPs a sequence. Rounding can push a
    /// form that is almost zero below it; it is clamped.
    ///
    /// # Panics
    /// Sizes that do not fit together.
    pub fn norms(
        &self,
        cpu: Cpu,
        weights: &[f32],
        targets: usize,
        scale: Option<&[f32]>,
        own: Option<&[f32]>,
    ) -> Vec<f32> {
        let HeadShape {
            batch,
            heads,
            sources,
            ..
        } = self.shape;
        assert_eq!(weights.len(), batch * heads * targets * sources);
        assert!(scale.is_none_or(|scale| scale.len() == batch * targets));
        assert!(own.is_none_or(|own| own.len() == batch * targets));
        let mut norms = vec![0.0; batch * targets * sources];
        if norms.is_empty() {
            return norms;
        }
        // Whole groups of targets of one sequence.
        let chunks = targets.div_ceil(ROWS);
        let shared = Shared::new(&mut norms);
        (0..batch * chunks).into_par_iter().for_each(|index| {
            let (sequence, first) = (index / chunks, index % chunks * ROWS);
            let count = ROWS.min(targets - first);
            let start = sequence * targets + first;
            // SAFETY: no other task has these targets.
            let norms = unsafe { shared.part(start * sources, count * sources) };
            cpu.run(Forms {
                gram: self,
                weights,
                targets,
                sequence,
                first,
                norms: &mut *norms,
            });
            for (row, norms) in norms.chunks_exact_mut(sources).enumerate() {
                if let Some(scale) = scale {
                    let factor = 1.0 / scale[start + row];
                    norms.iter_mut().for_each(|norm| *norm *= factor);
                }
                if let Some(own) = own {
                    norms[first + row] = own[start + row];
                }
            }
        });
        norms
    }
}

/// Targets of a task.
const ROWS: usize = 16;
/// Targets for which a Gram matrix is read once.
const GROUP: usize = 4;

/// Quadratic forms of some targets with all sources.
struct Forms<'a> {
    gram: &'a HeadGram,
    weights: &'a [f32],
    targets: usize,
    sequence: usize,
    first: usize,
    norms: &'a mut [f32],
}

impl WithSimd for Forms<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let HeadShape {
            heads,
            sources,
            causal,
            ..
        } = self.gram.shape;
        let lanes = S::F32_LANES;
        let width = 2 * lanes;
        let pairs = self.gram.pairs();
        let blocks = sources.div_ceil(width);
        let count = self.norms.len() / sources;
        // A group's weights, filled up with zeros: read row by row once, then
        // column by column where they are near.
        let padded = sources.next_multiple_of(lanes);
        let mut near = vec![0.0_f32; heads * GROUP * padded];
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
                    near[(head * GROUP + row) * padded..][..seen]
                        .copy_from_slice(&self.weights[at..at + seen]);
                }
            }
            for source in (0..seen).step_by(lanes) {
                let place =
                    (self.sequence * blocks + source / width) * pairs * width + source % width;
                let gram = &self.gram.data[place..];
                let near = &near[source..];
                let mut forms = [simd.splat_f32s(0.0); GROUP];
                let mut pair = 0;
                for head in 0..heads {
                    let mut inner = [simd.splat_f32s(0.0); GROUP];
                    for other in 0..=head {
                        let product = S::as_simd_f32s(&gram[pair * width..][..lanes]).0[0];
                        for row in 0..GROUP {
                            let alpha = &near[(other * GROUP + row) * padded..][..lanes];
                            let alpha = S::as_simd_f32s(alpha).0[0];
                            inner[row] = simd.mul_add_f32s(product, alpha, inner[row]);
                        }
                        pair += 1;
                    }
                    for row in 0..GROUP {
                        let alpha = &near[(head * GROUP + row) * padded..][..lanes];
                        let alpha = S::as_simd_f32s(alpha).0[0];
                        forms[row] = simd.mul_add_f32s(alpha, inner[row], forms[row]);
                    }
                }
                let kept = lanes.min(sources - source);
                for (row, &form) in forms[..rows].iter().enumerate() {
                    let form = simd.max_f32s(form, simd.splat_f32s(0.0));
                    let unscale = simd.splat_f32s(1.0 / VECTOR_SCALE);
                    let norm = simd.mul_f32s(simd.sqrt_f32s(form), unscale);
                    let norms = &mut self.norms[(group + row) * sources + source..][..kept];
                    match S::as_mut_simd_f32s(norms) {
                        ([whole], _) => *whole = norm,
                        (_, rest) => simd.partial_store_f32s(rest, norm),
                    }
                }
            }
        }
    }
}
