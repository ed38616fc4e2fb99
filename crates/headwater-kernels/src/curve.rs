//! Activations and the exponential, a vector at a time.

use pulp::Simd;

/// An elementwise function of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Curve {
    /// x Φ(x), Φ the normal distribution function.
    Gelu,
    /// x (1 + tanh(√(2/π)(x + 0.044715 x³))) / 2.
    GeluTanh,
    /// x σ(1.702 x).
    QuickGelu,
    /// max(x, 0).
    Relu,
    /// x σ(x).
    Silu,
}

impl Curve {
    /// g(x).
    #[inline(always)]
    pub(crate) fn value<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        match self {
            Curve::Relu => simd.max_f32s(x, simd.splat_f32s(0.0)),
            gated => simd.mul_f32s(x, gated.gate(simd, x)),
        }
    }

    /// g(x)/x, the mean of g′ between 0 and x; for relu 0 at 0.
    #[inline(always)]
    pub(crate) fn gate<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let times = |factor: f32| simd.mul_f32s(x, simd.splat_f32s(factor));
        match self {
            Curve::Gelu => normal_distribution(simd, x),
            Curve::GeluTanh => {
                // (1 + tanh u)/2 = σ(2u).
                let square = simd.mul_f32s(x, x);
                let cubic = simd.mul_add_f32s(
                    square,
                    simd.splat_f32s(0.044_715),
                    simd.splat_f32s(1.0),
                );
                let twice = 2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
                sigmoid(simd, simd.mul_f32s(times(twice), cubic))
            }
            Curve::QuickGelu => sigmoid(simd, times(1.702)),
            Curve::Silu => sigmoid(simd, x),
            Curve::Relu => {
                let zero = simd.splat_f32s(0.0);
                simd.select_f32s(simd.less_than_f32s(zero, x), simd.splat_f32s(1.0), zero)
            }
        }
    }
}

/// 1 / (1 + e^−x).
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))))
}

/// Φ(x) to about one unit in the last place of the larger of Φ(x) and Φ(−x);
/// small values keep their relative accuracy.
///
/// With z = |x|/√2, Φ(−|x|) = e^−z² · erfcx(z)/2, and erfcx is smooth: a
/// polynomial in t = 1/(1 + 0.4 z), fitted for the smallest relative error
/// (2·10⁻⁹ on 0 ≤ z ≤ 10.5, beyond which the exponential is zero).
#[inline(always)]
fn normal_distribution<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    let one = splat(1.0);
    let z = simd.mul_f32s(simd.abs_f32s(x), splat(std::f32::consts::FRAC_1_SQRT_2));
    let z = simd.min_f32s(z, splat(10.5));
    let t = simd.div_f32s(one, simd.mul_add_f32s(z, splat(0.4), one));
    let mut scaled = splat(ERFCX[10]);
    for &coefficient in ERFCX[..10].iter().rev() {
        scaled = simd.mul_add_f32s(scaled, t, splat(coefficient));
    }
    // The rounding of z² would be z² times as large in the exponential.
    let square = simd.mul_f32s(z, z);
    let rest = simd.mul_add_f32s(z, z, simd.neg_f32s(square));
    let decay = exp(simd, simd.neg_f32s(square));
    let decay = simd.mul_add_f32s(simd.neg_f32s(decay), rest, decay);
    let tail = simd.mul_f32s(simd.mul_f32s(splat(0.5), decay), scaled);
    let positive = simd.less_than_f32s(splat(0.0), x);
    simd.select_f32s(positive, simd.sub_f32s(one, tail), tail)
}

/// e^x to about one unit in the last place, with gradual underflow; infinite
/// above 88.7.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, and a polynomial for e^r, fitted for
/// the smallest relative error (2·10⁻⁹).
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Added to a number of at most 2²² it leaves the nearest integer in the last bits.
    const ROUND: f32 = 12_582_912.0;
    let splat = |value: f32| simd.splat_f32s(value);
    // 2^n is made of two factors: n may be beyond the exponents of float32.
    let x = simd.max_f32s(simd.min_f32s(x, splat(90.0)), splat(-110.0));
    let n = simd.sub_f32s(
        simd.mul_add_f32s(x, splat(std::f32::consts::LOG2_E), splat(ROUND)),
        splat(ROUND),
    );
    // ln 2 in two parts, the first with so few digits that n times it is exact.
    let r = simd.mul_add_f32s(n, splat(-0.693_359_4), x);
    let r = simd.mul_add_f32s(n, splat(2.121_944_4e-4), r);
    let mut power = splat(EXP[6]);
    for &coefficient in EXP[..6].iter().rev() {
        power = simd.mul_add_f32s(power, r, splat(coefficient));
    }
    let low = simd.less_than_f32s(n, splat(-64.0));
    let high = simd.less_than_f32s(splat(64.0), n);
    let shift = simd.select_f32s(low, splat(-64.0), splat(0.0));
    let shift = simd.select_f32s(high, splat(64.0), shift);
    let factor = simd.select_f32s(low, splat(f32::from_bits(63 << 23)), splat(1.0));
    let factor = simd.select_f32s(high, splat(f32::from_bits(191 << 23)), factor);
    // 127, the exponents' offset, and n, moved to the place of the exponent.
    let biased = simd.add_f32s(simd.sub_f32s(n, shift), splat(ROUND + 127.0));
    let exponent = simd.wrapping_dyn_shl_u32s(
        simd.transmute_u32s_f32s(biased),
        simd.splat_u32s(23),
    );
    let scale = simd.transmute_f32s_u32s(exponent);
    simd.mul_f32s(simd.mul_f32s(power, scale), factor)
}

/// erfcx(z) in t = 1/(1 + 0.4 z), from the constant on.
const ERFCX: [f32; 11] = [
    -7.887_579e-6,
    0.225_892_22,
    0.223_064_08,
    0.225_901_45,
    0.089_263_92,
    0.370_478_4,
    -0.445_162_4,
    0.721_792_6,
    -0.619_106_65,
    0.245_787_57,
    -0.037_903_275,
];

/// e^r for |r| ≤ ln 2 / 2, from the constant on.
const EXP: [f32; 7] = [
    1.0,
    1.0,
    0.499_999_92,
    0.166_664_19,
    0.041_668_233,
    0.008_374_897,
    0.001_383_667_9,
];
