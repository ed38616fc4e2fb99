use headwater_kernels::{
    Fold, add, diagonal, normalize, normalized_part, rest, row_norms, row_sums, sums_of_others,
    times_factors,
};

use crate::{assert_close, on_every_cpu, random, sizes};

const SIZES: [(usize, usize); 4] = [(1, 1), (3, 7), (40, 33), (50, 768)];

#[test]
fn rows_are_normalized_and_measured() {
    on_every_cpu(|cpu| {
        for &(rows, columns) in sizes(&SIZES, 3) {
            let (x, y) = (random(rows * columns, 1), random(rows * columns, 2));
            let (gamma, beta) = (random(columns, 3), random(columns, 4));
            let sum = add(cpu, &x, &y);
            let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
            assert_eq!(sum, expected);

            let squares = x.chunks_exact(columns).map(|row| {
                let squares = row.iter().map(|&x| f64::from(x) * f64::from(x));
                squares.sum::<f64>().sqrt()
            });
            let norms: Vec<f64> = squares.collect();
            for (centre, bias) in [
                (true, Some(&beta[..])),
                (true, None),
                (false, None),
                (false, Some(&beta[..])),
            ] {
                let fold = match centre {
                    true => Fold::layer_norm(&gamma),
                    false => Fold::rms_norm(&gamma),
                };
                let (normalized, scale) = normalize(cpu, &x, fold, bias, 1e-5);
                let (mut expected, mut parts, mut scales) = (Vec::new(), Vec::new(), Vec::new());
                for (row, y) in x.chunks_exact(columns).zip(y.chunks_exact(columns)) {
                    let centred = |row: &[f32]| -> Vec<f64> {
                        let sum = row.iter().map(|&x| f64::from(x)).sum::<f64>();
                        let mean = if centre { sum / columns as f64 } else { 0.0 };
                        row.iter().map(|&x| f64::from(x) - mean).collect()
                    };
                    let centred_row = centred(row);
                    let variance = centred_row.iter().map(|x| x * x).sum::<f64>() / columns as f64;
                    let s = (variance + 1e-5).sqrt();
                    scales.push(s);
                    let beta = |column: usize| bias.map_or(0.0, |beta| f64::from(beta[column]));
                    for (column, x) in centred_row.iter().enumerate() {
                        expected.push(x / s * f64::from(gamma[column]) + beta(column));
                    }
                    for (column, y) in centred(y).iter().enumerate() {
                        parts.push(y / s * f64::from(gamma[column]) + beta(column));
                    }
                }
                assert_close(&normalized, &expected, 1e-5, "normalized");
                assert_close(&scale, &scales, 1e-6, "scale");
                let part = normalized_part(cpu, &y, fold, bias, &scale);
                assert_close(&part, &parts, 1e-5, "part");
            }
            let found = row_norms(cpu, &x, columns, 1.0);
            assert_close(&found, &norms, 1e-6, "norms");
        }
    });
}

#[test]
fn rows_of_which_little_is_left_are_told() {
    on_every_cpu(|cpu| {
        for &(rows, columns) in sizes(&SIZES, 3) {
            let (sum, bias) = (random(rows * columns, 1), random(columns, 2));
            let mut part = random(rows * columns, 3);
            // Next to nothing is left of every third row, from the first on.
            for (row, part) in part.chunks_exact_mut(columns).enumerate().step_by(3) {
                for (column, part) in part.iter_mut().enumerate() {
                    *part = (sum[row * columns + column] - bias[column]) * 0.99;
                }
            }
            let little: Vec<usize> = (0..rows).step_by(3).collect();
            for part in [None, Some(&part[..])] {
                let left = |place: usize| {
                    let part = part.map_or(0.0, |part| f64::from(part[place]));
                    f64::from(sum[place]) - f64::from(bias[place % columns]) - part
                };
                let expected: Vec<f64> = (0..sum.len()).map(left).collect();
                let (found, small) = rest(cpu, &sum, columns, Some(&bias), part, 0.01);
                assert_close(&found, &expected, 1e-6, "rest");
                assert_eq!(small, part.map_or(vec![], |_| little.clone()));
            }
            // No bias is one of zeros, to the bit.
            let zeros = vec![0.0; columns];
            assert_eq!(
                rest(cpu, &sum, columns, None, Some(&part), 0.01),
                rest(cpu, &sum, columns, Some(&zeros), Some(&part), 0.01)
            );
            // Nothing at all is little.
            assert_eq!(rest(cpu, &bias, columns, Some(&bias), None, 0.0).1, [0]);
            assert_eq!(rest(cpu, &zeros, columns, None, None, 0.0).1, [0]);
        }
    });
}

#[test]
fn what_goes_to_others_keeps_its_digits() {
    on_every_cpu(|cpu| {
        for tokens in [1, 5, 40] {
            // From a token that hardly looks at others to one that hardly looks at itself.
            let mut maps = random(3 * tokens * tokens, 1);
            let mut expected = Vec::new();
            for (row, weights) in maps.chunks_exact_mut(tokens).enumerate() {
                let others = tokens - 1;
                let share = 10_f64.powi(-(row as i32 % 7)) / others.max(1) as f64;
                weights.fill(share as f32);
                let others = others as f64 * f64::from(share as f32);
                weights[row % tokens] = (1.0 - others) as f32;
                expected.push(others);
            }
            let own = diagonal(&maps, tokens);
            let found = sums_of_others(cpu, &maps, &own, tokens);
            for (found, expected) in found.iter().zip(&expected) {
                let apart = (f64::from(*found) - expected).abs();
                assert!(apart <= 1e-6 * expected, "{found} {expected}");
            }
        }
    });
}

#[test]
fn the_norm_of_tiny_numbers_is_not_lost() {
    on_every_cpu(|cpu| {
        let found = row_norms(cpu, &[3e-30, 4e-30], 2, (1_u64 << 60) as f32);
        assert_close(&found, &[5e-30], 1e-6, "norm");
    });
}

#[test]
fn rows_of_maps_are_summed_and_multiplied() {
    on_every_cpu(|cpu| {
        for tokens in [1, 5, 40, 130] {
            let maps = random(3 * tokens * tokens, 1);
            let sum = |row: &[f32]| row.iter().map(|&x| f64::from(x)).sum::<f64>();
            let expected: Vec<f64> = maps.chunks_exact(tokens).map(sum).collect();
            assert_close(&row_sums(cpu, &maps, tokens), &expected, 1e-5, "sums");
            let factors = random(3 * tokens, 2);
            let found = times_factors(cpu, &maps, &factors, tokens);
            for (at, found) in found.iter().enumerate() {
                let factor = factors[at / (tokens * tokens) * tokens + at % tokens];
                assert_eq!(*found, maps[at] * factor);
            }
        }
    });
}
