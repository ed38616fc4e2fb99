use headwater_kernels::{Affine, Curve, Matrix, Packed, Then, linear_packed};

use crate::on_every_cpu;

/// Φ(x) by the power series near zero and a continued fraction far from it.
fn normal_distribution(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let tail = if z < 2.0 {
        let mut term = z;
        let mut sum = z;
        for n in 1..200 {
            term *= -z * z / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        (1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI) / 2.0
    } else {
        let fraction = (1..200).rev().fold(0.0, |f, n| n as f64 / 2.0 / (z + f));
        (-z * z).exp() / (z + fraction) / std::f64::consts::PI.sqrt() / 2.0
    };
    if x < 0.0 { tail } else { 1.0 - tail }
}

pub(crate) fn gate(curve: Curve, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match curve {
        Curve::Gelu => normal_distribution(x),
        Curve::GeluTanh => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            (1.0 + u.tanh()) / 2.0
        }
        Curve::QuickGelu => sigmoid(1.702 * x),
        Curve::Relu => f64::from(x > 0.0),
        Curve::Silu => sigmoid(x),
        other => panic!("{other:?} is not tested"),
    }
}

#[test]
fn curves_and_their_gates_are_right_to_the_last_digits() {
    let curves = [
        Curve::Gelu,
        Curve::GeluTanh,
        Curve::QuickGelu,
        Curve::Relu,
        Curve::Silu,
    ];
    let mut x: Vec<f32> = (-3000..3000).map(|i| i as f32 / 200.0).collect();
    if cfg!(miri) {
        x.truncate(20);
    }
    x.extend([0.0, 1e-30, -1e-30, 1e-45, 80.0, -80.0, 1e4, -1e4]);
    on_every_cpu(|cpu| {
        let packed = Packed::new(cpu, &x, 1);
        let one = Affine {
            weight: Matrix::rows(&[1.0], 1),
            bias: None,
        };
        for curve in curves {
            let values = linear_packed(&packed, one, Then::Activation(curve)).unpack();
            let gates = packed.gates(curve).unpack();
            for ((&x, value), found) in x.iter().zip(values).zip(gates) {
                let expected = gate(curve, f64::from(x));
                // Half a dozen units in the last place of Φ, wherever it is
                // a normal number; the tanh form loses digits where it is small.
                let tolerance = match curve {
                    Curve::GeluTanh => 4e-7,
                    _ => 4e-7 * expected + 1e-37,
                };
                // σ's argument is rounded: so many units more far out.
                let far = 1.5e-7 * f64::from(x.abs()).min(100.0) * expected;
                let apart = (f64::from(found) - expected).abs();
                assert!(
                    apart <= tolerance + far,
                    "{curve:?} gate at {x}: {found}, {expected}"
                );
                let expected = expected * f64::from(x);
                let apart = (f64::from(value) - expected).abs();
                let bound = (tolerance + far) * f64::from(x.abs()) + 1e-7 * expected.abs() + 1e-45;
                assert!(apart <= bound, "{curve:?} at {x}: {value}, {expected}");
            }
        }
    });
}
