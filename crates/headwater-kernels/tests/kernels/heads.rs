use headwater_kernels::{
    Fold, HeadShape, HeadVectors, Matrix, diagonal, finished_map, norm_maps, transformed,
};

use crate::attention::SHAPES;
use crate::{assert_close, on_every_cpu, random, random_weights, same_on_any_threads, sizes};

/// What a norm does to a vector, s apart.
pub(crate) fn folded(fold: Fold<'_>, vector: &mut [f64]) {
    let mean = match fold.centre {
        true => vector.iter().sum::<f64>() / vector.len() as f64,
        false => 0.0,
    };
    let numbers = vector.iter_mut().zip(fold.weight);
    numbers.for_each(|(x, &factor)| *x = (*x - mean) * f64::from(factor));
}

/// U^h_j, `[sequence][source][head][d_model]`, behind folds.
pub(crate) fn vectors(
    shape: HeadShape,
    values: &[f32],
    output: &[f32],
    folds: &[Fold<'_>],
) -> Vec<Vec<f64>> {
    let HeadShape {
        batch,
        heads,
        groups,
        d_head,
        sources,
        ..
    } = shape;
    let mut all = Vec::new();
    for token in 0..batch * sources {
        for h in 0..heads {
            let value = (token * groups + h * groups / heads) * d_head;
            let mut u: Vec<f64> = output
                .chunks_exact(heads * d_head)
                .map(|row| {
                    let products = (0..d_head)
                        .map(|c| f64::from(row[h * d_head + c]) * f64::from(values[value + c]));
                    products.sum()
                })
                .collect();
            for &fold in folds {
                folded(fold, &mut u);
            }
            all.push(u);
        }
    }
    all
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn norms_and_own_parts_are_those_of_the_vectors() {
    let d_model = 41;
    on_every_cpu(|cpu| {
        for &shape in sizes(&SHAPES, 4) {
            let HeadShape {
                batch,
                heads,
                groups,
                d_head,
                targets,
                sources,
                band,
            } = shape;
            let values = random(batch * sources * groups * d_head, 1);
            let output = random(d_model * heads * d_head, 2);
            let gammas = [3, 7, 8].map(|seed| random(d_model, seed));
            let folds = [
                Fold::layer_norm(&gammas[0]),
                Fold::rms_norm(&gammas[1]),
                Fold::layer_norm(&gammas[2]),
            ];
            let weights = random_weights(batch * heads, targets, sources, band);
            let own = (targets == sources).then(|| diagonal(&weights, targets));
            let scale: Vec<f32> = random(batch * targets, 4).iter().map(|s| 1.5 + s).collect();
            let mine = random(batch * targets, 6);
            let output_map = Matrix::rows(&output, heads * d_head);
            let rows = HeadVectors::rows(&values, sources, groups, d_head);
            let families = [0, 1, 2, 3];
            let found = same_on_any_threads(|| {
                let of = |folds: &[Fold<'_>], families: &[usize]| {
                    let own = own.as_deref();
                    transformed(cpu, shape, rows, output_map, own, folds, families)
                };
                let all = of(&folds, &families);
                let without = of(&folds, &[]);
                assert!(without.grams.is_empty());
                assert_eq!(without.own, all.own);
                let own_norms = own.is_some().then_some(&mine[..]);
                let finish =
                    |map: &Vec<f32>| finished_map(map, [targets, sources], Some(&scale), own_norms);
                let mut maps = norm_maps(&all.grams[..2], &weights, targets);
                assert_eq!(maps[..1], norm_maps(&all.grams[..1], &weights, targets));
                // A family is the same whichever others are made.
                let alone = of(&folds, &[2]);
                assert_eq!(
                    norm_maps(&alone.grams, &weights, targets),
                    norm_maps(&all.grams[2..3], &weights, targets)
                );
                maps.extend(norm_maps(&all.grams[2..], &weights, targets));
                let maps: Vec<Vec<f32>> = maps.iter().map(finish).collect();
                let norms = all.grams.iter().map(|gram| gram.transformed_norms());
                (maps, norms.collect::<Vec<_>>(), all.own)
            });
            for family in families {
                let u = vectors(shape, &values, &output, &folds[..family]);
                let at = |b: usize, s: usize, h: usize| &u[(b * sources + s) * heads + h];
                let (mut maps, mut norms) = (Vec::new(), Vec::new());
                let mut own_parts = Vec::new();
                for b in 0..batch {
                    for t in 0..targets {
                        for s in 0..sources {
                            let mut part = vec![0.0; d_model];
                            for h in 0..heads {
                                let weight = weights[((b * heads + h) * targets + t) * sources + s];
                                let numbers = part.iter_mut().zip(at(b, s, h));
                                numbers.for_each(|(part, u)| *part += f64::from(weight) * u);
                            }
                            maps.push(match own.is_some() && s == t {
                                true => f64::from(mine[b * targets + t]),
                                false => norm(&part) / f64::from(scale[b * targets + t]),
                            });
                            if s == t {
                                own_parts.extend(part);
                            }
                        }
                    }
                    for h in 0..heads {
                        norms.extend((0..sources).map(|s| norm(at(b, s, h))));
                    }
                }
                assert_close(&found.0[family], &maps, 3e-6, "maps");
                assert_close(&found.1[family], &norms, 3e-6, "norms");
                if let (Some(own), 0) = (&found.2, family) {
                    assert_close(own, &own_parts, 2e-6, "own parts");
                }
            }
        }
    });
}
