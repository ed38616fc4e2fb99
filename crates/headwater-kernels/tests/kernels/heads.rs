use headwater_kernels::{HeadShape, HeadVectors, diagonal, finished_map, norm_maps, transformed};

use crate::attention::SHAPES;
use crate::{assert_close, on_every_cpu, random, random_weights, same_on_any_threads, sizes};

/// U^h_j, `[sequence][source][head][d_model]`, centred and multiplied by γ if it is given.
pub(crate) fn vectors(
    shape: HeadShape,
    values: &[f32],
    output: &[f32],
    norm: Option<&[f32]>,
) -> Vec<Vec<f64>> {
    let HeadShape {
        batch,
        heads,
        d_head,
        sources,
        ..
    } = shape;
    let width = heads * d_head;
    let mut all = Vec::new();
    for token in 0..batch * sources {
        for h in 0..heads {
            let mut u: Vec<f64> = output
                .chunks_exact(width)
                .map(|row| {
                    let inner = h * d_head..(h + 1) * d_head;
                    inner
                        .map(|c| f64::from(row[c]) * f64::from(values[token * width + c]))
                        .sum()
                })
                .collect();
            if let Some(norm) = norm {
                let mean = u.iter().sum::<f64>() / u.len() as f64;
                let numbers = u.iter_mut().zip(norm);
                numbers.for_each(|(u, &factor)| *u = (*u - mean) * f64::from(factor));
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
        for &shape in sizes(&SHAPES, 2) {
            let HeadShape {
                batch,
                heads,
                d_head,
                targets,
                sources,
                causal,
            } = shape;
            let width = heads * d_head;
            let (values, output) = (
                random(batch * sources * width, 1),
                random(d_model * width, 2),
            );
            let gamma = random(d_model, 3);
            let weights = random_weights(batch * heads, targets, sources, causal);
            let own = (targets == sources).then(|| diagonal(&weights, targets));
            let scale: Vec<f32> = random(batch * targets, 4).iter().map(|s| 1.5 + s).collect();
            let mine = random(batch * targets, 6);
            let rows = HeadVectors::rows(&values, sources, heads, d_head);
            let found = same_on_any_threads(|| {
                let both = transformed(
                    cpu,
                    shape,
                    rows,
                    &output,
                    own.as_deref(),
                    Some(&gamma),
                    true,
                );
                let without = transformed(cpu, shape, rows, &output, own.as_deref(), None, false);
                assert!(without.grams.is_empty());
                assert_eq!(without.own, both.own);
                let own_norms = own.is_some().then_some(&mine[..]);
                let finish =
                    |map: &Vec<f32>| finished_map(map, [targets, sources], Some(&scale), own_norms);
                let maps = norm_maps(&both.grams, &weights, targets);
                assert_eq!(maps[..1], norm_maps(&both.grams[..1], &weights, targets));
                let maps: Vec<Vec<f32>> = maps.iter().map(finish).collect();
                let norms: Vec<Vec<f32>> = both
                    .grams
                    .iter()
                    .map(|gram| gram.transformed_norms())
                    .collect();
                (maps, norms, both.own)
            });
            for (kind, gamma) in [None, Some(&gamma[..])].into_iter().enumerate() {
                let u = vectors(shape, &values, &output, gamma);
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
                assert_close(&found.0[kind], &maps, 2e-6, "maps");
                assert_close(&found.1[kind], &norms, 2e-6, "norms");
                if let (Some(own), None) = (&found.2, gamma) {
                    assert_close(own, &own_parts, 2e-6, "own parts");
                }
            }
        }
    });
}
