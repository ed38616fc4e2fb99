use headwater_kernels::{Curve, Packed, gated_slopes};

use crate::{on_every_cpu, random};

const CURVES: [(&str, Curve); 5] = [
    ("gelu", Curve::Gelu),
    ("gelu_tanh", Curve::GeluTanh),
    ("quick_gelu", Curve::QuickGelu),
    ("relu", Curve::Relu),
    ("silu", Curve::Silu),
];

/// R and s − R at points that no formula of this crate knows, in 80 digits.
#[cfg(not(miri))]
#[test]
fn slopes_are_those_of_many_digits() {
    let path = headwater_fixtures::golden("slopes.json");
    let tables: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    on_every_cpu(|cpu| {
        for (name, curve) in CURVES {
            let rows = tables[name]["gate"].as_array().unwrap();
            assert!(rows.len() > 20);
            for row in rows {
                let [point, mean, rest] = [0, 1, 2].map(|at| row[at].as_f64().unwrap());
                let u = point as f32;
                let one = |x: f32| Packed::new(cpu, &[x], 1);
                let (a, c) = gated_slopes(&one(u), &one(1.0), curve);
                let (a, c) = (f64::from(a.unpack()[0]), f64::from(c.unpack()[0]));
                assert!((a - rest).abs() <= 3e-7, "{name} at {point}: a {a}, {rest}");
                let expected = point * mean;
                let apart = (c - expected).abs();
                let bound = 4e-7 * expected.abs();
                assert!(apart <= bound, "{name} at {point}: c {c}, {expected}");
            }
        }
    });
}

/// R by two Gauss points in each of a hundred panels, whatever R's own formula is.
#[cfg(not(miri))]
#[test]
fn slopes_are_the_integrals_of_both_derivatives() {
    on_every_cpu(|cpu| {
        let points: Vec<f32> = (-80..=80).map(|i| i as f32 / 8.0).collect();
        let v = random(points.len(), 1);
        let pack = |x: &[f32]| Packed::new(cpu, x, 1);
        for (name, curve) in CURVES {
            let (a, c) = gated_slopes(&pack(&points), &pack(&v), curve);
            let (a, c) = (a.unpack(), c.unpack());
            for (at, (&u, &v)) in points.iter().zip(&v).enumerate() {
                let (u, v) = (f64::from(u), f64::from(v));
                const PANELS: usize = 100;
                let mean = match name {
                    "relu" if u > 0.0 => 0.5,
                    "relu" => 0.0,
                    _ => {
                        let at = |place: f64| {
                            let t = place / PANELS as f64;
                            t * crate::curves::gate(curve, t * u)
                        };
                        let half = 0.5 / 3.0_f64.sqrt();
                        let panel = |i: usize| {
                            let middle = i as f64 + 0.5;
                            at(middle - half) + at(middle + half)
                        };
                        (0..PANELS).map(panel).sum::<f64>() / (2 * PANELS) as f64
                    }
                };
                let expected_a = v * (crate::curves::gate(curve, u) - mean);
                let expected_c = u * mean;
                let apart = (f64::from(a[at]) - expected_a).abs();
                assert!(apart <= 1e-6, "{name} at {u}: a {}, {expected_a}", a[at]);
                let apart = (f64::from(c[at]) - expected_c).abs();
                assert!(
                    apart <= 1e-6 * (1.0 + expected_c.abs()),
                    "{name} at {u}: c {}",
                    c[at]
                );
            }
        }
    });
}

#[test]
fn slopes_times_their_numbers_sum_to_the_product() {
    on_every_cpu(|cpu| {
        let count = 3 * 35;
        let pack = |seed: u64, size: f32| {
            let x: Vec<f32> = random(count, seed).iter().map(|x| x * size).collect();
            (Packed::new(cpu, &x, 3), x)
        };
        for (_, curve) in CURVES {
            for size in [1e-3, 1.0, 20.0] {
                let ((u, u_rows), (v, v_rows)) = (pack(1, size), pack(2, 1.0));
                let (a, c) = gated_slopes(&u, &v, curve);
                let (a, c, gates) = (a.unpack(), c.unpack(), u.gates(curve).unpack());
                for at in 0..count {
                    let [u, v, a, c, gate] =
                        [u_rows[at], v_rows[at], a[at], c[at], gates[at]].map(f64::from);
                    let apart = (u * a + v * c - u * gate * v).abs();
                    assert!(
                        apart <= 2e-7 * (u * v).abs(),
                        "{curve:?} at {u}, {v}: {apart:e}"
                    );
                }
            }
        }
    });
}
