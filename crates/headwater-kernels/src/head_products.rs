//! What is made of transformed vectors while they are in the cache: products of
//! all pairs of heads, and sums over heads.

use std::mem::MaybeUninit;

use pulp::Simd;

use crate::heads::VECTOR_SCALE;

/// Heads whose products are in registers together.
const HEADS: usize = 4;
/// Outputs for which the own weights of a head are read once.
const OWN_ROWS: usize = 4;

/// U of a block, `[output][head][source]`, with heads in groups of [`HEADS`].
#[derive(Clone, Copy)]
pub(crate) struct Vectors {
    /// Groups of heads; the last is filled up with heads of zeros.
    groups: usize,
}

impl Vectors {
    pub(crate) fn of(heads: usize) -> Self {
        Self {
            groups: heads.div_ceil(HEADS),
        }
    }

    /// From one output to the next.
    pub(crate) fn stride(self, width: usize) -> usize {
        self.groups * HEADS * width
    }

    /// Sums of products of one Gram matrix: `[half of the sources][pair of
    /// groups][head of the one][head of the other][source]`.
    pub(crate) fn sums(self, width: usize) -> usize {
        self.groups * (self.groups + 1) / 2 * HEADS * HEADS * width
    }

    /// Adds the products of all pairs of heads over some outputs.
    #[inline(always)]
    pub(crate) fn multiply<S: Simd>(self, simd: S, u: &[f32], sums: &mut [f32]) {
        let lanes = S::F32_LANES;
        let mut sums = sums.chunks_exact_mut(HEADS * HEADS * lanes);
        for half in 0..2 {
            for first in 0..self.groups {
                for second in 0..=first {
                    let Some(sums) = sums.next() else { return };
                    let at = [first, second].map(|group| (group * HEADS * 2 + half) * lanes);
                    match first == second {
                        true => self.group::<S, true>(simd, u, at, sums),
                        false => self.group::<S, false>(simd, u, at, sums),
                    }
                }
            }
        }
    }

    /// The same of the pairs of two groups of heads, and where they begin; of
    /// one with itself, those with g ≤ h.
    #[inline(always)]
    // Indices, as in `own_sums`.
    #[allow(clippy::needless_range_loop)]
    fn group<S: Simd, const WITH_ITSELF: bool>(
        self,
        simd: S,
        u: &[f32],
        [a, b]: [usize; 2],
        sums: &mut [f32],
    ) {
        let width = 2 * S::F32_LANES;
        // From the first to the last number of a group.
        let span = (HEADS - 1) * width + S::F32_LANES;
        let mut products = [simd.splat_f32s(0.0); HEADS * HEADS];
        for u in u.chunks_exact(self.stride(width)) {
            let (a, b) = (&u[a..][..span], &u[b..][..span]);
            let mut x = [simd.splat_f32s(0.0); HEADS];
            let mut y = [simd.splat_f32s(0.0); HEADS];
            for i in 0..HEADS {
                // SAFETY: i < HEADS, and the slices end behind the vector of the last
                // head; vectors are read without alignment.
                unsafe {
                    let at = |group: &[f32]| group.as_ptr().add(i * width).cast::<S::f32s>();
                    x[i] = at(a).read_unaligned();
                    y[i] = match WITH_ITSELF {
                        true => x[i],
                        false => at(b).read_unaligned(),
                    };
                }
            }
            for i in 0..HEADS {
                for j in 0..HEADS {
                    if !WITH_ITSELF || j <= i {
                        let pair = i * HEADS + j;
                        products[pair] = simd.mul_add_f32s(x[i], y[j], products[pair]);
                    }
                }
            }
        }
        let sums = S::as_mut_simd_f32s(sums).0;
        for (sum, product) in sums.iter_mut().zip(products) {
            *sum = simd.add_f32s(*sum, product);
        }
    }

    /// `Σ_h α^h_ii U^h_i`, `[output][source]`.
    #[inline(always)]
    pub(crate) fn own_sums<S: Simd>(
        self,
        simd: S,
        u: &[f32],
        own_weights: &[f32],
        own: &mut [f32],
    ) {
        let width = 2 * S::F32_LANES;
        let stride = self.stride(width);
        let own = own.chunks_mut(OWN_ROWS * width);
        for (u, own) in u.chunks(OWN_ROWS * stride).zip(own) {
            match u.len() / stride {
                1 => own_sums::<S, 1>(simd, u, stride, own_weights, own),
                2 => own_sums::<S, 2>(simd, u, stride, own_weights, own),
                3 => own_sums::<S, 3>(simd, u, stride, own_weights, own),
                _ => own_sums::<S, OWN_ROWS>(simd, u, stride, own_weights, own),
            }
        }
    }

    /// `u = (u − mean) · γ`, a γ for each output.
    #[inline(always)]
    pub(crate) fn normalize<S: Simd>(self, simd: S, u: &mut [f32], means: &[f32], norm: &[f32]) {
        let stride = self.stride(2 * S::F32_LANES);
        let means = S::as_simd_f32s(means).0;
        for (u, &factor) in u.chunks_exact_mut(stride).zip(norm) {
            let factor = simd.splat_f32s(factor);
            for (u, &mean) in S::as_mut_simd_f32s(u).0.iter_mut().zip(means) {
                *u = simd.mul_f32s(simd.sub_f32s(*u, mean), factor);
            }
        }
    }

    /// `u = u · γ`, a γ for each output.
    #[inline(always)]
    pub(crate) fn scale<S: Simd>(self, simd: S, u: &mut [f32], weight: &[f32]) {
        let stride = self.stride(2 * S::F32_LANES);
        for (u, &factor) in u.chunks_exact_mut(stride).zip(weight) {
            let factor = simd.splat_f32s(factor);
            for u in S::as_mut_simd_f32s(u).0 {
                *u = simd.mul_f32s(*u, factor);
            }
        }
    }

    /// Sums of products in the order of a Gram matrix, all of which is written.
    pub(crate) fn pairs(
        self,
        heads: usize,
        width: usize,
        sums: &[f32],
        gram: &mut [MaybeUninit<f32>],
    ) {
        let lanes = width / 2;
        let of_half = sums.len() / 2;
        let mut gram = gram.chunks_exact_mut(lanes);
        for h in 0..heads {
            for g in 0..=h {
                let groups = h / HEADS * (h / HEADS + 1) / 2 + g / HEADS;
                let pair = (groups * HEADS + h % HEADS) * HEADS + g % HEADS;
                let factor = if g < h { 2.0 } else { 1.0 };
                for (half, gram) in gram.by_ref().take(2).enumerate() {
                    let sums = &sums[half * of_half + pair * lanes..][..lanes];
                    for (gram, sum) in gram.iter_mut().zip(sums) {
                        gram.write(sum * factor);
                    }
                }
            }
        }
    }
}

#[inline(always)]
// Indices, not iterators: the compiler keeps only arrays that it can take
// apart in registers.
#[allow(clippy::needless_range_loop)]
fn own_sums<S: Simd, const ROWS: usize>(
    simd: S,
    u: &[f32],
    stride: usize,
    own_weights: &[f32],
    own: &mut [f32],
) {
    let width = 2 * S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); 2]; ROWS];
    for (head, weights) in own_weights.chunks_exact(width).enumerate() {
        let weights = S::as_simd_f32s(weights).0;
        for row in 0..ROWS {
            let u = S::as_simd_f32s(&u[row * stride + head * width..][..width]).0;
            sums[row][0] = simd.mul_add_f32s(u[0], weights[0], sums[row][0]);
            sums[row][1] = simd.mul_add_f32s(u[1], weights[1], sums[row][1]);
        }
    }
    let own = S::as_mut_simd_f32s(&mut own[..ROWS * width]).0;
    let unscale = simd.splat_f32s(1.0 / VECTOR_SCALE);
    for row in 0..ROWS {
        own[2 * row] = simd.mul_f32s(sums[row][0], unscale);
        own[2 * row + 1] = simd.mul_f32s(sums[row][1], unscale);
    }
}
