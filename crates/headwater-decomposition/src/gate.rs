//! Slopes of gated blocks: integrated gradients of act(u)·v, closed.
//!
//! On the path t ↦ (tu, tv) the share of v is v·∫₀¹ act(tu) dt, and that of u is
//! the rest. With act(x) = x·s(x) and R(u) = ∫₀¹ t·s(tu) dt
//!
//! ```text
//! a = v·(s(u) − R(u))    for what goes into u
//! c = u·R(u)             for what goes into v
//! ```
//!
//! and u·a + v·c = act(u)·v. No division: nothing is lost at u = 0. For every
//! activation here s(x) + s(−x) = 1, so R(−z) = n(z) for z ≥ 0 says all.

use burn::tensor::{DType, Tensor};
use headwater_transformer::{Activation, Gate, apply_activation};

use crate::Error;
use crate::slope::{QUICK_GELU, derivatives, normal_distribution, slope, step};

/// a and c along the straight path from zero: `act(min(u, ℓ))·(clamp(v, ±ℓ) + shift)`
/// is u·a + v·c.
///
/// # Shapes
/// Any; the results have the same.
///
/// # Errors
/// An activation that is not of the form x·s(x).
pub fn gated_slopes<const D: usize>(
    activation: Activation,
    gate: &Gate,
    u: Tensor<D>,
    v: Tensor<D>,
) -> Result<[Tensor<D>; 2], Error> {
    let Some(limit) = gate.limit else {
        let r = first_moment(activation, u.clone())?;
        let s = slope(activation, u.clone());
        let a = v * (s.clone() - r.clone());
        let a = match gate.shift == 0.0 {
            true => a,
            false => a + s * gate.shift,
        };
        return Ok([a, u * r]);
    };
    // Up to t = c_u the gate is below its limit, up to c_v the other factor is.
    let share = |x: Tensor<D>| (x.clamp_min(limit).recip() * limit).clamp_max(1.0);
    let (of_u, of_v) = (share(u.clone()), share(v.clone().abs()));
    let first = of_u.clone().min_pair(of_v.clone());
    let r = first_moment(activation, first.clone() * u.clone())?;
    let s = slope(activation, of_u.clone() * u.clone());
    let moment = first.clone().square() * r;
    let reached = apply_activation(activation, of_u.clone() * u.clone());
    let held = first.clone() * v.clone() + gate.shift;
    let a = of_u * s * held - v * moment.clone();
    let c = u * moment + (of_v - first) * reached;
    Ok([a, c])
}

/// a and c along the straight path from `from` to (u, v): what h = act(u)·v gains
/// on it is (u − β_u)·a + (v − β_v)·c.
///
/// # Shapes
/// All alike; the results have the same.
///
/// # Errors
/// An activation that is not of the form x·s(x), and a gate with a limit.
pub fn gated_secants<const D: usize>(
    activation: Activation,
    gate: &Gate,
    [u, v]: [Tensor<D>; 2],
    [from_u, from_v]: [Tensor<D>; 2],
) -> Result<[Tensor<D>; 2], Error> {
    if gate.limit.is_some() {
        return Err(Error::LimitedGate);
    }
    let shift = gate.shift;
    let (v, from_v) = (v + shift, from_v + shift);
    let (du, dv) = (u.clone() - from_u.clone(), v.clone() - from_v.clone());
    if activation == Activation::Relu {
        return Ok(relu_secants([u, from_u], du, from_v, dv));
    }
    // c = ΔA/Δu with A(x) = x² R(x) the integral of act.
    let integral = |x: Tensor<D>| {
        let r = first_moment(activation, x.clone())?;
        Ok::<_, Error>(x.square() * r)
    };
    let rise = integral(u.clone())? - integral(from_u.clone())?;
    let value = |u: &Tensor<D>, v: &Tensor<D>| apply_activation(activation, u.clone()) * v.clone();
    let gain = value(&u, &v) - value(&from_u, &from_v);
    let near = du.clone().abs().lower_elem(1.0);
    let divisor = du.clone().mask_fill(near.clone(), 1.0);
    let c = rise / divisor.clone();
    let a = (gain - dv.clone() * c.clone()) / divisor;
    // Where u moves little the quotients lose digits, and a few points are exact.
    let (mut near_a, mut near_c) = (u.zeros_like(), u.zeros_like());
    for (t, weight) in gauss_points(8) {
        let at = from_u.clone() + du.clone() * t;
        let (derivative, _) = derivatives(activation, at.clone());
        near_a = near_a + derivative * (from_v.clone() + dv.clone() * t) * weight;
        near_c = near_c + apply_activation(activation, at) * weight;
    }
    Ok([
        a.mask_where(near.clone(), near_a),
        c.mask_where(near, near_c),
    ])
}

/// Of relu, which has a corner on the path: between t₀ and t₁ the gate is open.
fn relu_secants<const D: usize>(
    [u, from_u]: [Tensor<D>; 2],
    du: Tensor<D>,
    from_v: Tensor<D>,
    dv: Tensor<D>,
) -> [Tensor<D>; 2] {
    let still = du.clone().equal_elem(0.0);
    let corner = (from_u.clone() * -1.0 / du.clone().mask_fill(still, 1.0)).clamp(0.0, 1.0);
    let open = |x: Tensor<D>| step(x);
    let (starts, ends) = (open(from_u.clone()), open(u));
    // From 0 where it starts open, to 1 where it ends open; empty where neither.
    let first = corner.clone() * (starts.clone() * -1.0 + 1.0);
    let last = corner.clone() * (ends.clone() * -1.0 + 1.0) + ends;
    let long = last.clone() - first.clone();
    let half_squares = (last.square() - first.square()) / 2.0;
    let a = from_v * long.clone() + dv * half_squares.clone();
    let c = from_u * long + du * half_squares;
    [a, c]
}

/// R(u) = ∫₀¹ t·s(tu) dt, with act(x) = x·s(x).
///
/// # Errors
/// tanh, which is not of this form.
pub fn first_moment<const D: usize>(
    activation: Activation,
    u: Tensor<D>,
) -> Result<Tensor<D>, Error> {
    let z = u.clone().abs();
    let below = match activation {
        Activation::Gelu => gelu_moment(z),
        Activation::GeluTanh | Activation::BloomGelu => gelu_tanh_moment(activation, z),
        Activation::Silu => silu_moment(z),
        Activation::QuickGelu => silu_moment(z * QUICK_GELU),
        // s is 0 below and 1 above.
        Activation::Relu => return Ok(step(u) / 2.0),
        Activation::Tanh => return Err(Error::TanhGate),
    };
    let above = below.clone() * -1.0 + 0.5;
    Ok(below.mask_where(u.greater_elem(0.0), above))
}

/// n(z) for s = Φ: ((z² − 1) Φ(−z) − z φ(z) + ½) / 2z²; near 0 its series
/// ¼ − φ(0) Σ_k (−1)^k z^(2k+1) / (2^k k! (2k+1)(2k+3)).
fn gelu_moment<const D: usize>(z: Tensor<D>) -> Tensor<D> {
    let density = (0.5 / std::f64::consts::PI).sqrt();
    let terms = match z.dtype() {
        DType::F64 => 14,
        _ => 8,
    };
    let mut coefficients = Vec::new();
    let mut factor = density;
    for k in 0..terms {
        let odd = (2 * k + 1) as f64;
        coefficients.push(-factor / (odd * (odd + 2.0)));
        factor *= -0.5 / (k + 1) as f64;
    }
    let series = odd_series(&coefficients, &z.clone().clamp_max(1.0)) + 0.25;
    let large = z.clone().clamp_min(1.0);
    let square = large.clone().square();
    let tail = normal_distribution(large.clone() * -1.0);
    let phi = (square.clone() / -2.0).exp() * density;
    let closed = ((square.clone() - 1.0) * tail - large * phi + 0.5) / (square * 2.0);
    closed.mask_where(z.lower_elem(1.0), series)
}

/// n(z) for s = σ: (π²/12 + Li₂(−q) − z ln(1 + q)) / z² with q = e^−z; near 0 the
/// series of σ, integrated.
fn silu_moment<const D: usize>(z: Tensor<D>) -> Tensor<D> {
    // tanh y = Σ τ_k y^(2k+1), σ(x) = ½ + ½ tanh(x/2): each a tenth of the one before.
    let terms = match z.dtype() {
        DType::F64 => 17,
        _ => 8,
    };
    let mut tau: Vec<f64> = vec![1.0];
    for k in 1..terms {
        let product: f64 = (0..k).map(|i| tau[i] * tau[k - 1 - i]).sum();
        tau.push(-product / (2 * k + 1) as f64);
    }
    let coefficients: Vec<f64> = tau
        .iter()
        .enumerate()
        .map(|(k, tau)| -0.5 * tau * 0.5_f64.powi(2 * k as i32 + 1) / (2 * k + 3) as f64)
        .collect();
    let series = odd_series(&coefficients, &z.clone().clamp_max(1.0)) + 0.25;
    let large = z.clone().clamp_min(1.0);
    let log = (large.clone() * -1.0).exp().log1p() * -1.0;
    // Li₂(−q) in L = −ln(1 + q): L − L²/4 and Bernoulli numbers.
    const ODD: [f64; 7] = [
        1.0,
        1.0 / 36.0,
        -1.0 / 3600.0,
        1.0 / 211_680.0,
        -1.0 / 10_886_400.0,
        1.0 / 526_901_760.0,
        -691.0 / (2730.0 * 6_227_020_800.0),
    ];
    let dilogarithm = odd_series(&ODD, &log) - log.clone().square() / 4.0;
    let constant = std::f64::consts::PI.powi(2) / 12.0;
    let closed = (dilogarithm + large.clone() * log + constant) / large.square();
    closed.mask_where(z.lower_elem(1.0), series)
}

/// n(z) for the gate of tanh-GELU, which has no closed form: (w/z)² ∫₀¹ t·s(−tw) dt
/// with w = min(z, 8), behind which nothing is left.
fn gelu_tanh_moment<const D: usize>(kind: Activation, z: Tensor<D>) -> Tensor<D> {
    let points = match z.dtype() {
        DType::F64 => 24,
        _ => 12,
    };
    let w = z.clone().clamp_max(8.0);
    let mut sum = z.zeros_like();
    for (t, weight) in gauss_points(points) {
        sum = sum + slope(kind, w.clone() * -t) * (t * weight);
    }
    let ratio = w / z.clone().clamp_min(f64::from(f32::MIN_POSITIVE));
    sum.clone()
        .mask_where(z.greater_elem(8.0), sum * ratio.square())
}

/// Σ_k c_k x^(2k+1).
fn odd_series<const D: usize>(coefficients: &[f64], x: &Tensor<D>) -> Tensor<D> {
    let square = x.clone().square();
    let mut sum = x.zeros_like();
    for &coefficient in coefficients.iter().rev() {
        sum = sum * square.clone() + coefficient;
    }
    sum * x.clone()
}

/// Points and weights of Gauss and Legendre on [0, 1].
fn gauss_points(n: usize) -> Vec<(f64, f64)> {
    let root = |i: usize| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut derivative = 1.0;
        for _ in 0..50 {
            let (mut before, mut value) = (1.0, x);
            for k in 2..=n {
                let k = k as f64;
                (before, value) = (
                    value,
                    ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k,
                );
            }
            derivative = n as f64 * (x * value - before) / (x * x - 1.0);
            let change = value / derivative;
            x -= change;
            if change.abs() < 1e-16 {
                break;
            }
        }
        let weight = 1.0 / ((1.0 - x * x) * derivative * derivative);
        ((1.0 - x) / 2.0, weight)
    };
    (0..n).map(root).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauss_points_integrate_polynomials() {
        for n in [8, 12, 24] {
            for degree in [0, 1, 5, 2 * n - 1] {
                let terms = gauss_points(n).into_iter();
                let sum: f64 = terms.map(|(t, w)| w * t.powi(degree as i32)).sum();
                let exact = 1.0 / (degree as f64 + 1.0);
                assert!((sum - exact).abs() < 1e-14, "{n} {degree}: {sum} {exact}");
            }
        }
    }
}
