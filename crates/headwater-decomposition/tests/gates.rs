//! Slopes of gated blocks against 50-digit values, and against the integrals
//! that they stand for.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use headwater_decomposition::{Error, first_moment, gated_secants, gated_slopes, slope};
use headwater_transformer::{Activation, DeviceName, Gate, Linear, Precision, apply_activation};

const ACTIVATIONS: [(&str, Activation); 5] = [
    ("gelu", Activation::Gelu),
    ("gelu_tanh", Activation::GeluTanh),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
];

fn tensor(values: &[f64], device: &Device, precision: Precision) -> Tensor<1> {
    let options = (device, headwater_transformer::dtype(precision));
    let data = TensorData::new(values.to_vec(), [values.len()]);
    Tensor::from_data(data, options)
}

fn numbers(tensor: Tensor<1>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn check(device: DeviceName, precision: Precision, tolerance: f64) {
    type Rows = BTreeMap<String, Vec<Vec<f64>>>;
    let path = headwater_fixtures::golden("slopes.json");
    let tables: BTreeMap<String, Rows> =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for (name, activation) in ACTIVATIONS {
        let rows = &tables[name]["gate"];
        let points: Vec<f64> = rows.iter().map(|row| row[0]).collect();
        let u = tensor(&points, &device.device(), precision);
        let moment = first_moment(activation, u.clone()).unwrap();
        let rest = slope(activation, u) - moment.clone();
        for ((row, moment), rest) in rows.iter().zip(numbers(moment)).zip(numbers(rest)) {
            let [u, expected, expected_rest] = row[..] else {
                panic!("three numbers a row");
            };
            let what = format!("{name} at {u} on {device} in {precision}");
            // Relu is 0 on both sides of its corner at 0, by convention.
            assert!(
                (moment - expected).abs() <= tolerance,
                "{what}: {moment:e} {expected:e}"
            );
            assert!(
                (rest - expected_rest).abs() <= tolerance,
                "{what}: {rest:e}"
            );
        }
    }
}

#[test]
fn moments_have_the_digits_of_their_type() {
    for &device in DeviceName::ENABLED {
        check(device, Precision::F32, 3e-7);
        if device.supports(Precision::F64) {
            check(device, Precision::F64, 5e-16);
        }
    }
}

fn gate(limit: Option<f64>, shift: f64, device: &Device) -> Gate {
    Gate {
        map: Linear {
            weight: Tensor::zeros([1, 1], device),
            bias: None,
        },
        limit,
        shift,
    }
}

/// The points of the grid, at small and large distances and on both sides.
const ENDS: [f64; 9] = [-6.0, -2.1, -0.6, -1e-4, 0.0, 1e-4, 0.5, 1.9, 7.0];

/// What u and v are given, by Simpson's rule: both gradients along the straight
/// path, from differences of the block itself.
fn integrated(h: impl Fn(f64, f64) -> f64, from: [f64; 2], to: [f64; 2]) -> [f64; 2] {
    const STEPS: usize = 4000;
    let at = |t: f64| [0, 1].map(|i| from[i] + t * (to[i] - from[i]));
    let mut sums = [0.0; 2];
    for step in 0..STEPS {
        // The middle of each step: a corner costs no more than its step.
        let [u, v] = at((step as f64 + 0.5) / STEPS as f64);
        let d = 1e-5;
        sums[0] += (h(u + d, v) - h(u - d, v)) / (2.0 * d);
        sums[1] += (h(u, v + d) - h(u, v - d)) / (2.0 * d);
    }
    [0, 1].map(|i| sums[i] / STEPS as f64 * (to[i] - from[i]))
}

fn scalar(activation: Activation, x: f64) -> f64 {
    let (pi, phi) = (std::f64::consts::PI, 0.044_715);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Silu => x * sigmoid(x),
        Activation::QuickGelu => x * sigmoid(1.702 * x),
        Activation::GeluTanh => x * sigmoid(2.0 * (2.0 / pi).sqrt() * (x + phi * x * x * x)),
        Activation::Relu => x.max(0.0),
        // No error function in the standard library: Burn's.
        Activation::Gelu | Activation::BloomGelu | Activation::Tanh => {
            let device = DeviceName::ENABLED[0].device();
            let x = tensor(&[x], &device, Precision::F64);
            numbers(apply_activation(activation, x))[0]
        }
    }
}

/// Every pair of ends.
fn pairs() -> Vec<[f64; 2]> {
    let pairs = ENDS.iter().flat_map(|&u| ENDS.map(|v| [u, v]));
    pairs.collect()
}

#[test]
fn slopes_are_those_of_the_integral() {
    let name = DeviceName::ENABLED[0];
    if !name.supports(Precision::F64) {
        return;
    }
    let device = name.device();
    // GELU differs from the others in s alone, which has digits of its own above.
    let activations = [
        Activation::Silu,
        Activation::QuickGelu,
        Activation::GeluTanh,
        Activation::Relu,
    ];
    for activation in activations {
        for (limit, shift) in [(None, 0.0), (None, 1.0), (Some(1.5), 1.0), (Some(1.5), 0.0)] {
            let gate = gate(limit, shift, &device);
            let cut = limit.unwrap_or(f64::INFINITY);
            let h = |u: f64, v: f64| scalar(activation, u.min(cut)) * (v.clamp(-cut, cut) + shift);
            let ends = pairs();
            let column = |i: usize| ends.iter().map(|end| end[i]).collect::<Vec<_>>();
            let [u, v] = [0, 1].map(|i| tensor(&column(i), &device, Precision::F64));
            let [a, c] = gated_slopes(activation, &gate, u.clone(), v.clone()).unwrap();
            let [of_u, of_v] = [numbers(a * u), numbers(c * v)];
            for (i, &end) in ends.iter().enumerate() {
                let [expected_u, expected_v] = integrated(h, [0.0; 2], end);
                let what = format!("{activation:?} {limit:?} {shift} {end:?}");
                assert!(
                    (of_u[i] - expected_u).abs() < 2e-3 * (1.0 + expected_u.abs()),
                    "{what}: u {} {expected_u}",
                    of_u[i]
                );
                assert!(
                    (of_v[i] - expected_v).abs() < 2e-3 * (1.0 + expected_v.abs()),
                    "{what}: v {} {expected_v}",
                    of_v[i]
                );
                let whole = h(end[0], end[1]);
                let sum = of_u[i] + of_v[i];
                assert!(
                    (sum - whole).abs() < 1e-13 * (1.0 + whole.abs()),
                    "{what}: {sum} {whole}"
                );
            }
        }
    }
}

#[test]
fn secants_are_those_of_the_integral() {
    let name = DeviceName::ENABLED[0];
    if !name.supports(Precision::F64) {
        return;
    }
    let device = name.device();
    let activations = [
        Activation::Silu,
        Activation::QuickGelu,
        Activation::GeluTanh,
        Activation::Relu,
    ];
    for activation in activations {
        let gate = gate(None, 0.0, &device);
        let h = |u: f64, v: f64| scalar(activation, u) * v;
        for from in [[0.0, 0.0], [0.4, -1.0], [-1.3, 2.0], [1.9, 0.3]] {
            let ends = pairs();
            let column = |i: usize| ends.iter().map(|end| end[i]).collect::<Vec<_>>();
            let [u, v] = [0, 1].map(|i| tensor(&column(i), &device, Precision::F64));
            let start = from.map(|x| u.zeros_like() + x);
            let slopes = gated_secants(activation, &gate, [u, v], start).unwrap();
            let [a, c] = slopes.map(numbers);
            for (i, &end) in ends.iter().enumerate() {
                let [expected_u, expected_v] = integrated(h, from, end);
                let (of_u, of_v) = (a[i] * (end[0] - from[0]), c[i] * (end[1] - from[1]));
                let what = format!("{activation:?} {from:?} {end:?}");
                assert!(
                    (of_u - expected_u).abs() < 2e-3 * (1.0 + expected_u.abs()),
                    "{what}: u {of_u} {expected_u}"
                );
                assert!(
                    (of_v - expected_v).abs() < 2e-3 * (1.0 + expected_v.abs()),
                    "{what}: v {of_v} {expected_v}"
                );
                let gain = h(end[0], end[1]) - h(from[0], from[1]);
                let sum = of_u + of_v;
                assert!(
                    (sum - gain).abs() < 1e-11 * (1.0 + gain.abs()),
                    "{what}: {sum} {gain}"
                );
            }
        }
    }
}

#[test]
fn with_v_of_zero_and_a_shift_of_one_a_gate_is_a_plain_block() {
    let name = DeviceName::ENABLED[0];
    let device = name.device();
    for (_, activation) in ACTIVATIONS {
        let u = tensor(&ENDS, &device, Precision::F32);
        let gate = gate(None, 1.0, &device);
        let [a, _] = gated_slopes(activation, &gate, u.clone(), u.zeros_like()).unwrap();
        assert_eq!(numbers(a), numbers(slope(activation, u)), "{activation:?}");
    }
}

#[test]
fn gates_that_have_no_closed_form_are_refused() {
    let device = DeviceName::ENABLED[0].device();
    let x = || tensor(&ENDS, &device, Precision::F32);
    let tanh = gated_slopes(Activation::Tanh, &gate(None, 0.0, &device), x(), x());
    assert!(matches!(tanh, Err(Error::TanhGate)));
    let limited = gate(Some(7.0), 1.0, &device);
    let fixed = gated_secants(Activation::QuickGelu, &limited, [x(), x()], [x(), x()]);
    assert!(matches!(fixed, Err(Error::LimitedGate)));
}
