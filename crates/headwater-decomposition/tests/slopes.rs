//! Slopes and secants of every activation against 50-digit values, and
//! against the integral they stand for.

use burn::tensor::{Device, Tensor, TensorData};
use headwater_decomposition::{secant, slope};
use headwater_transformer::{Activation, DeviceName, Precision, apply_activation};
use std::collections::BTreeMap;

const ACTIVATIONS: [(&str, Activation); 6] = [
    ("gelu", Activation::Gelu),
    ("gelu_tanh", Activation::GeluTanh),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("tanh", Activation::Tanh),
];

fn tensor(values: Vec<f64>, device: &Device, precision: Precision) -> Tensor<1> {
    let shape = [values.len()];
    let options = (device, headwater_transformer::dtype(precision));
    match precision {
        Precision::F64 => Tensor::from_data(TensorData::new(values, shape), options),
        Precision::F32 => {
            let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
            Tensor::from_data(TensorData::new(values, shape), options)
        }
    }
}

fn assert_values(found: Tensor<1>, expected: &[f64], tolerance: f64, at: &[Vec<f64>], what: &str) {
    for ((found, expected), at) in found.into_data().iter::<f64>().zip(expected).zip(at) {
        assert!(
            (found - expected).abs() <= tolerance,
            "{what} at {at:?}: {found:e}, expected {expected:e}"
        );
    }
}

fn check(device: DeviceName, precision: Precision, tolerance: f64) {
    type Rows = BTreeMap<String, Vec<Vec<f64>>>;
    let path = headwater_fixtures::golden("slopes.json");
    let tables: BTreeMap<String, Rows> =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let device = device.device();
    for (name, activation) in ACTIVATIONS {
        let column =
            |rows: &[Vec<f64>], at: usize| rows.iter().map(|row| row[at]).collect::<Vec<_>>();
        let rows = &tables[name]["slope"];
        let found = slope(activation, tensor(column(rows, 0), &device, precision));
        assert_values(
            found,
            &column(rows, 1),
            tolerance,
            rows,
            &format!("slope of {name}"),
        );

        let rows = &tables[name]["secant"];
        let p = tensor(column(rows, 0), &device, precision);
        let beta = tensor(column(rows, 1), &device, precision);
        let found = secant(activation, p, beta);
        assert_values(
            found,
            &column(rows, 2),
            tolerance,
            rows,
            &format!("secant of {name}"),
        );
    }
}

#[test]
fn float64_slopes_equal_high_precision_values() {
    for &device in DeviceName::ENABLED {
        if device.supports(Precision::F64) {
            check(device, Precision::F64, 1e-10);
        }
    }
}

#[test]
fn float32_slopes_equal_high_precision_values() {
    for &device in DeviceName::ENABLED {
        check(device, Precision::F32, 2e-5);
    }
}

/// The mean of g′ by central differences of g at the midpoints of `steps` steps.
fn quadrature(kind: Activation, p: f64, steps: usize, device: &Device) -> f64 {
    let h = 1e-4;
    let points: Vec<f64> = (0..steps)
        .map(|k| p * (k as f64 + 0.5) / steps as f64)
        .collect();
    let at = |shift: f64| {
        let shifted = points.iter().map(|t| t + shift).collect();
        apply_activation(kind, tensor(shifted, device, Precision::F64))
    };
    let rise = at(h) - at(-h);
    rise.mean().into_scalar::<f64>() / (2.0 * h)
}

#[test]
fn quadrature_converges_to_the_closed_form() {
    for &name in DeviceName::ENABLED {
        if !name.supports(Precision::F64) {
            continue;
        }
        let device = name.device();
        // relu's slope is constant on each side of zero: nothing to converge.
        let smooth = ACTIVATIONS
            .into_iter()
            .filter(|(_, activation)| *activation != Activation::Relu);
        for (label, activation) in smooth {
            for p in [-7.0, -1.3, 0.4, 2.5, 11.0] {
                let exact = slope(activation, tensor(vec![p], &device, Precision::F64))
                    .into_scalar::<f64>();
                let error = |steps| (quadrature(activation, p, steps, &device) - exact).abs();
                let (coarse, fine) = (error(30), error(3000));
                // A midpoint rule's error falls with the square of the step,
                // down to that of the differences.
                assert!(
                    fine <= (coarse / 5_000.0).max(2e-8),
                    "{label} at {p}: {coarse:e}, {fine:e}"
                );
            }
        }
    }
}
