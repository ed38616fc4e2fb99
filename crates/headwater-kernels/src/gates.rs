//! Slopes of gated feed-forward blocks, act(u) ⊙ v with act(x) = x·s(x).
//!
//! On the path (tu, tv) the integrals of the two derivatives are v·(s(u) − R(u))
//! for u and u·R(u) for v, with R(u) = ∫₀¹ t·s(tu) dt; u times the one and v
//! times the other sum to act(u)·v, whatever R is. Since s(x) + s(−x) = 1 only
//! n(z) = R(−z) for z ≥ 0 is needed: R(z) = ½ − n(z).

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use crate::curve::{exp, normal_distribution, tanh_gate};
use crate::packed::Part;
use crate::shared::{Shared, filled};
use crate::{Curve, Packed};

/// The slopes of a gated block, `a` of the gate's map and `c` of the other's:
/// `act(u) ⊙ v = u ⊙ a + v ⊙ c`.
///
/// a = v·(s(u) − R(u)), c = u·R(u). R is known to about one unit in the last
/// place of ½; ReLU has s(0) = R(0) = 0.
///
/// # Panics
/// u and v have different sizes.
pub fn gated_slopes(u: &Packed, v: &Packed, curve: Curve) -> (Packed, Packed) {
    struct Slopes<'a> {
        curve: Curve,
        u: &'a [f32],
        v: &'a [f32],
        a: &'a mut [MaybeUninit<f32>],
        c: &'a mut [f32],
    }
    impl WithSimd for Slopes<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            // g(u)/u first, in the memory of a.
            let s = self.a.write_copy_of_slice(self.u);
            self.curve.apply_gate(simd, s);
            let means = self.c;
            means.copy_from_slice(self.u);
            apply_gate_mean(simd, self.curve, means);
            let numbers = S::as_simd_f32s(self.u)
                .0
                .iter()
                .zip(S::as_simd_f32s(self.v).0);
            let a = S::as_mut_simd_f32s(s).0.iter_mut();
            let c = S::as_mut_simd_f32s(means).0.iter_mut();
            for (((&u, &v), a), c) in numbers.zip(a).zip(c) {
                let mean = *c;
                *a = simd.mul_f32s(v, simd.sub_f32s(*a, mean));
                *c = simd.mul_f32s(u, mean);
            }
        }
    }
    assert!(u.is_like(v), "as many numbers of u and v");
    let mut result = None;
    let both = |a: Shared| {
        let slopes = |part: Part, c: &mut [MaybeUninit<f32>]| {
            let of_part = part.numbers();
            // SAFETY: `Packed::written` keeps the memory until all tasks are done, and
            // no other task has this part.
            let a = unsafe { a.part(of_part.start, of_part.len()) };
            u.cpu.run(Slopes {
                curve,
                u: &u.data[of_part.clone()],
                v: &v.data[of_part],
                a,
                c: filled(c, 0.0),
            });
        };
        // SAFETY: `filled` writes all of a part.
        result = Some(unsafe { Packed::by_part(u.cpu, u.rows, u.columns, slopes) });
    };
    // SAFETY: the parts are all of the rows, and `Slopes` writes all of each.
    let a = unsafe { Packed::written(u.cpu, u.rows, u.columns, both) };
    (a, result.expect("it was written"))
}

/// R(x) in place of x.
#[inline(always)]
fn apply_gate_mean<S: Simd>(simd: S, curve: Curve, x: &mut [f32]) {
    // One loop for each, so that none asks which it is for every vector.
    macro_rules! each {
        ($function:ident) => {
            for place in S::as_mut_simd_f32s(x).0 {
                *place = $function(simd, *place);
            }
        };
    }
    match curve {
        Curve::Gelu => each!(gelu),
        Curve::GeluTanh => each!(gelu_tanh),
        Curve::QuickGelu => each!(quick_gelu),
        Curve::Relu => each!(relu),
        Curve::Silu => each!(silu),
    }
}

#[inline(always)]
fn relu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let positive = simd.greater_than_f32s(x, simd.splat_f32s(0.0));
    simd.select_f32s(positive, simd.splat_f32s(0.5), simd.splat_f32s(0.0))
}

#[inline(always)]
fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let z = simd.abs_f32s(x);
    let near = near_zero(simd, x, &GELU_NEAR);
    // ∫_z^∞ x Φ(−x) dx = Φ(−z) K(1/(1 + 0.4 z)).
    let tail = normal_distribution(simd, simd.neg_f32s(z));
    let tail = simd.mul_f32s(tail, inverse_series(simd, z, &GELU_FAR));
    let far = rest_over_square(simd, 0.25, tail, z);
    chosen(simd, x, near, far, GELU_LIMIT)
}

#[inline(always)]
fn gelu_tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let z = simd.abs_f32s(x);
    let near = near_zero(simd, x, &GELU_TANH_NEAR);
    // ∫_z^∞ x s(−x) dx = s(−z) K(1/(1 + 0.4 z)) z/(1 + 3·0.044715 z²).
    let one = simd.splat_f32s(1.0);
    let growth = simd.mul_add_f32s(simd.mul_f32s(z, z), simd.splat_f32s(0.134_145), one);
    let tail = simd.mul_f32s(tanh_gate(simd, simd.neg_f32s(z)), simd.div_f32s(z, growth));
    let tail = simd.mul_f32s(tail, inverse_series(simd, z, &GELU_TANH_FAR));
    let far = rest_over_square(simd, GELU_TANH_WHOLE, tail, z);
    chosen(simd, x, near, far, GELU_TANH_LIMIT)
}

#[inline(always)]
fn quick_gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    silu(simd, simd.mul_f32s(x, simd.splat_f32s(1.702)))
}

#[inline(always)]
fn silu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let z = simd.abs_f32s(x);
    let near = near_zero(simd, x, &SILU_NEAR);
    // ∫_z^∞ x σ(−x) dx = z ln(1 + q) − Li₂(−q), q = e^−z, by the series of both.
    let q = exp(simd, simd.neg_f32s(z));
    let logarithm = polynomial(simd, q, &LOGARITHM);
    let dilogarithm = polynomial(simd, q, &DILOGARITHM);
    let tail = simd.mul_f32s(q, simd.mul_add_f32s(z, logarithm, dilogarithm));
    let far = rest_over_square(simd, SILU_WHOLE, tail, z);
    chosen(simd, x, near, far, SILU_LIMIT)
}

/// R(x) near 0, `¼ − x P(x²)`.
#[inline(always)]
fn near_zero<S: Simd>(simd: S, x: S::f32s, coefficients: &[f32]) -> S::f32s {
    let slope = polynomial(simd, simd.mul_f32s(x, x), coefficients);
    simd.mul_add_f32s(simd.neg_f32s(x), slope, simd.splat_f32s(0.25))
}

/// A polynomial in 1/(1 + 0.4 z).
#[inline(always)]
fn inverse_series<S: Simd>(simd: S, z: S::f32s, coefficients: &[f32]) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let t = simd.div_f32s(one, simd.mul_add_f32s(z, simd.splat_f32s(0.4), one));
    polynomial(simd, t, coefficients)
}

/// n(z) far from 0, `(∫₀^∞ x s(−x) dx − ∫_z^∞ x s(−x) dx) / z²`.
#[inline(always)]
fn rest_over_square<S: Simd>(simd: S, whole: f32, tail: S::f32s, z: S::f32s) -> S::f32s {
    let rest = simd.sub_f32s(simd.splat_f32s(whole), tail);
    // Divided twice: the square of a large number would be infinite.
    simd.div_f32s(simd.div_f32s(rest, z), z)
}

/// R(x) from what is right near 0, or from n(|x|).
#[inline(always)]
fn chosen<S: Simd>(simd: S, x: S::f32s, near: S::f32s, far: S::f32s, limit: f32) -> S::f32s {
    let positive = simd.greater_than_f32s(x, simd.splat_f32s(0.0));
    let far = simd.select_f32s(positive, simd.sub_f32s(simd.splat_f32s(0.5), far), far);
    let is_near = simd.less_than_f32s(simd.abs_f32s(x), simd.splat_f32s(limit));
    simd.select_f32s(is_near, near, far)
}

/// From the constant on.
#[inline(always)]
fn polynomial<S: Simd>(simd: S, x: S::f32s, coefficients: &[f32]) -> S::f32s {
    let mut sum = simd.splat_f32s(0.0);
    for &coefficient in coefficients.iter().rev() {
        sum = simd.mul_add_f32s(sum, x, simd.splat_f32s(coefficient));
    }
    sum
}

/// Up to where P is fitted; relative to n its error is at most 1·10⁻⁹.
const GELU_LIMIT: f32 = 1.25;
const GELU_NEAR: [f32; 6] = [
    -0.132_980_76,
    0.013_298_041,
    -0.001_424_627_1,
    0.000_131_572_6,
    -1.012_221_6e-5,
    5.310_205e-7,
];
/// At most 3·10⁻⁹ of n, from the limit to 8, behind which Φ(−z) is next to nothing.
const GELU_FAR: [f32; 6] = [
    1.028_108_8,
    -0.295_769_58,
    1.088_597_5,
    -2.914_195_6,
    2.096_369,
    -0.502_114_24,
];

/// As for gelu: 4·10⁻¹⁰ of n.
const GELU_TANH_LIMIT: f32 = 1.75;
const GELU_TANH_NEAR: [f32; 8] = [
    -0.132_980_76,
    0.013_363_907,
    -0.001_457_416_9,
    0.000_138_220_47,
    -1.082_846_1e-5,
    6.210_14e-7,
    -1.772_237_2e-8,
    -2.036_625e-10,
];
/// ∫₀^∞ x s(−x) dx.
const GELU_TANH_WHOLE: f32 = 0.249_585_77;
/// At most 5·10⁻⁸ of n.
const GELU_TANH_FAR: [f32; 5] = [
    0.552_090_1,
    0.480_230_78,
    -0.608_292_33,
    -2.053_144,
    3.914_121,
];

/// As for gelu: 4·10⁻⁹ of n.
const SILU_LIMIT: f32 = 2.0;
const SILU_NEAR: [f32; 7] = [
    -0.083_333_33,
    0.004_166_602,
    -0.000_297_448_99,
    2.321_962_2e-5,
    -1.810_827_4e-6,
    1.186_914_8e-7,
    -4.420_672_4e-9,
];
/// π²/12.
const SILU_WHOLE: f32 = 0.822_467;
/// ln(1 + q)/q, for q up to e⁻².
const LOGARITHM: [f32; 8] = [
    1.0,
    -1.0 / 2.0,
    1.0 / 3.0,
    -1.0 / 4.0,
    1.0 / 5.0,
    -1.0 / 6.0,
    1.0 / 7.0,
    -1.0 / 8.0,
];
/// −Li₂(−q)/q, likewise.
const DILOGARITHM: [f32; 7] = [
    1.0,
    -1.0 / 4.0,
    1.0 / 9.0,
    -1.0 / 16.0,
    1.0 / 25.0,
    -1.0 / 36.0,
    1.0 / 49.0,
];
