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

/// Puts a function of every vector of a slice in its place; the last one may
/// be filled up with zeros.
///
/// A macro: a closure would not be compiled for the instruction set around it.
macro_rules! each {
    ($simd:ident, $slice:expr, |$vector:ident| $function:expr) => {{
        let (vectors, rest) = S::as_mut_simd_f32s($slice);
        for place in vectors {
            let $vector = *place;
            *place = $function;
        }
        if !rest.is_empty() {
            let $vector = $simd.partial_load_f32s(rest);
            let result = $function;
            $simd.partial_store_f32s(rest, result);
        }
    }};
}

impl Curve {
    /// g(x) in place of x.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, simd: S, x: &mut [f32]) {
        // One loop for each, so that none asks which it is for every vector.
        match self {
            Curve::Gelu => each!(simd, x, |x| simd.mul_f32s(x, normal_distribution(simd, x))),
            Curve::GeluTanh => each!(simd, x, |x| simd.mul_f32s(x, tanh_gate(simd, x))),
            Curve::QuickGelu => each!(simd, x, |x| simd.mul_f32s(x, quick_gate(simd, x))),
            Curve::Relu => each!(simd, x, |x| simd.max_f32s(x, simd.splat_f32s(0.0))),
            Curve::Silu => each!(simd, x, |x| simd.mul_f32s(x, sigmoid(simd, x))),
        }
    }

    /// g(x)/x in place of x: the mean of g′ between 0 and x; for relu 0 at 0.
    #[inline(always)]
    pub(crate) fn apply_gate<S: Simd>(self, simd: S, x: &mut [f32]) {
        match self {
            Curve::Gelu => each!(simd, x, |x| normal_distribution(simd, x)),
            Curve::GeluTanh => each!(simd, x, |x| tanh_gate(simd, x)),
            Curve::QuickGelu => each!(simd, x, |x| quick_gate(simd, x)),
            Curve::Relu => each!(simd, x, |x| step(simd, x)),
            Curve::Silu => each!(simd, x, |x| sigmoid(simd, x)),
        }
    }
}

/// 1 where x > 0, else 0.
#[inline(always)]
fn step<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Twice, so that the smallest number becomes more than 1.
    let large = simd.splat_f32s(1e38);
    let scaled = simd.mul_f32s(simd.mul_f32s(x, large), large);
    simd.min_f32s(
        simd.max_f32s(scaled, simd.splat_f32s(0.0)),
        simd.splat_f32s(1.0),
    )
}

/// (1 + tanh u)/2 = σ(2u), u = √(2/π)(x + 0.044715 x³).
#[inline(always)]
pub(crate) fn tanh_gate<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let cubic = simd.mul_add_f32s(
        simd.mul_f32s(x, x),
        simd.splat_f32s(0.044_715),
        simd.splat_f32s(1.0),
    );
    let twice = 2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    let u = simd.mul_f32s(simd.mul_f32s(x, simd.splat_f32s(twice)), cubic);
    sigmoid(simd, u)
}

/// tanh x to about two units in the last place.
///
/// 1 − 2/(e^2|x| + 1) has no digits to lose where it is not small; where it is,
/// the series of tanh, up to the eleventh power.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let size = simd.abs_f32s(x);
    let power = exp(simd, simd.add_f32s(size, size));
    let far = simd.div_f32s(simd.splat_f32s(2.0), simd.add_f32s(power, one));
    let far = simd.sub_f32s(one, far);
    let square = simd.mul_f32s(x, x);
    let mut series = simd.splat_f32s(TANH[5]);
    for &coefficient in TANH[..5].iter().rev() {
        series = simd.mul_add_f32s(series, square, simd.splat_f32s(coefficient));
    }
    let near = simd.mul_f32s(x, series);
    let far = simd.select_f32s(
        simd.less_than_f32s(x, simd.splat_f32s(0.0)),
        simd.neg_f32s(far),
        far,
    );
    simd.select_f32s(simd.less_than_f32s(size, simd.splat_f32s(0.3)), near, far)
}

/// tanh x / x in x², from the constant on.
const TANH: [f32; 6] = [
    1.0,
    -0.333_333_33,
    0.133_333_33,
    -0.053_968_254,
    0.021_869_488,
    -0.008_863_236,
];

/// σ(1.702 x).
#[inline(always)]
fn quick_gate<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    sigmoid(simd, simd.mul_f32s(x, simd.splat_f32s(1.702)))
}

/// 1 / (1 + e^−x).
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(
        one,
        simd.add_f32s(one, exp(simd, simd.mul_f32s(x, simd.splat_f32s(-1.0)))),
    )
}

/// Φ(x) to about one unit in the last place of the larger of Φ(x) and Φ(−x);
/// small values keep their relative accuracy.
///
/// With z = |x|/√2, Φ(−|x|) = e^(−x²/2) · erfcx(z)/2, and erfcx is smooth: a
/// polynomial in t = 1/(1 + 0.4 z), fitted for the smallest relative error
/// (2·10⁻⁹ on 0 ≤ z ≤ 10.5, beyond which the exponential is zero).
#[inline(always)]
pub(crate) fn normal_distribution<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let size = simd.max_f32s(x, simd.mul_f32s(x, simd.splat_f32s(-1.0)));
    let size = simd.min_f32s(size, simd.splat_f32s(14.8));
    let z = simd.mul_f32s(size, simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2));
    let t = simd.div_f32s(one, simd.mul_add_f32s(z, simd.splat_f32s(0.4), one));
    let mut scaled = simd.splat_f32s(ERFCX[10]);
    for &coefficient in ERFCX[..10].iter().rev() {
        scaled = simd.mul_add_f32s(scaled, t, simd.splat_f32s(coefficient));
    }
    // e^−x²/2. The rounding of x² would be as many times as large in it.
    let square = simd.mul_f32s(size, size);
    let rest = simd.mul_add_f32s(size, size, simd.mul_f32s(square, simd.splat_f32s(-1.0)));
    let decay = exp(simd, simd.mul_f32s(square, simd.splat_f32s(-0.5)));
    let correction = simd.mul_f32s(decay, simd.mul_f32s(rest, simd.splat_f32s(0.5)));
    let decay = simd.sub_f32s(decay, correction);
    let tail = simd.mul_f32s(simd.mul_f32s(simd.splat_f32s(0.5), decay), scaled);
    // `tail`, or 1 − `tail` where x > 0.
    let rest = simd.mul_add_f32s(tail, simd.splat_f32s(-2.0), one);
    simd.mul_add_f32s(step(simd, x), rest, tail)
}

/// e^x to about one unit in the last place, with gradual underflow; infinite
/// above 88.7.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, and a polynomial for e^r, fitted for
/// the smallest relative error (2·10⁻⁹).
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let x = simd.max_f32s(
        simd.min_f32s(x, simd.splat_f32s(90.0)),
        simd.splat_f32s(-110.0),
    );
    let n = simd.sub_f32s(
        simd.mul_add_f32s(
            x,
            simd.splat_f32s(std::f32::consts::LOG2_E),
            simd.splat_f32s(ROUND),
        ),
        simd.splat_f32s(ROUND),
    );
    // ln 2 in two parts, the first with so few digits that n times it is exact.
    let r = simd.mul_add_f32s(n, simd.splat_f32s(-0.693_359_4), x);
    let r = simd.mul_add_f32s(n, simd.splat_f32s(2.121_944_4e-4), r);
    let mut power = simd.splat_f32s(EXP[6]);
    for &coefficient in EXP[..6].iter().rev() {
        power = simd.mul_add_f32s(power, r, simd.splat_f32s(coefficient));
    }
    // 2^n in two factors: n may be beyond the exponents of float32.
    let half = simd.max_f32s(
        simd.min_f32s(n, simd.splat_f32s(64.0)),
        simd.splat_f32s(-64.0),
    );
    let scaled = simd.mul_f32s(power, power_of_two(simd, half));
    simd.mul_f32s(scaled, power_of_two(simd, simd.sub_f32s(n, half)))
}

/// 2^n for whole n of at least −126 and at most 127.
#[inline(always)]
fn power_of_two<S: Simd>(simd: S, n: S::f32s) -> S::f32s {
    // 127 is the exponents' offset; the shift brings n to their place.
    let biased = simd.add_f32s(n, simd.splat_f32s(ROUND + 127.0));
    let bits = simd.transmute_u32s_f32s(biased);
    simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23)))
}

/// Added to a number of at most 2²² it leaves the nearest integer in the last bits.
const ROUND: f32 = 12_582_912.0;

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
    0.499_999_9,
    0.166_664_19,
    0.041_668_233,
    0.008_374_897,
    0.001_383_667_9,
];
