use headwater_kernels::{
    FeedForwardMaps, HeadShape, HeadVectors, Packed, PairMaps, Residual, Tail,
};

use crate::attention::shape;
use crate::heads::vectors;
use crate::{assert_close, on_every_cpu, random, random_weights, same_on_any_threads, sizes};

const SHAPES: [HeadShape; 4] = [
    shape(1, 1, 1, 1, 1, false),
    shape(2, 3, 4, 9, 9, false),
    shape(1, 2, 9, 40, 40, true),
    shape(2, 2, 5, 3, 35, false),
];

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn maps_are_the_norms_of_parts_that_are_made_one_by_one() {
    let (d_model, d_ff) = (19, 35);
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
            let (gamma, last_gamma) = (random(d_model, 3), random(d_model, 4));
            let (up, down) = (random(d_ff * d_model, 7), random(d_ff * d_model, 8));
            let slopes = random(batch * targets * d_ff, 9);
            let weights = random_weights(batch * heads, targets, sources, causal);
            let [scale, last_scale] = [10, 11].map(|seed| -> Vec<f32> {
                random(batch * targets, seed)
                    .iter()
                    .map(|s| 1.5 + s)
                    .collect()
            });
            let size = heads * targets * sources;
            // Post-LN: the residual has the norm; pre-LN: it has none, and nothing follows.
            for is_post in [true, false] {
                let packed: Vec<Packed> = slopes
                    .chunks_exact(targets * d_ff)
                    .map(|slopes| Packed::new(cpu, slopes, d_ff))
                    .collect();
                let sequences: Vec<PairMaps<'_>> = (0..batch)
                    .map(|b| PairMaps {
                        shape,
                        sequence: b,
                        values: HeadVectors::rows(&values, sources, heads, d_head),
                        weights: &weights[b * size..][..size],
                        slope: &packed[b],
                        scale: Some(&scale[b * targets..][..targets]),
                        residual_scale: is_post.then(|| &scale[b * targets..][..targets]),
                        tail_scale: Some(&last_scale[b * targets..][..targets]),
                    })
                    .collect();
                let maps = FeedForwardMaps {
                    output: &output,
                    norm: Some(&gamma),
                    up: &up,
                    down: &down,
                    tail: Tail {
                        residual: Some(Residual {
                            norm: is_post.then_some(&gamma[..]),
                        }),
                        norm: is_post.then_some(&last_gamma[..]),
                    },
                };
                let found = same_on_any_threads(|| maps.norms(&sequences));
                let normalized = vectors(shape, &values, &output, Some(&gamma));
                let plain = vectors(shape, &values, &output, None);
                for (b, found) in found.iter().enumerate() {
                    let mut expected = vec![Vec::new(); if is_post { 3 } else { 2 }];
                    for t in 0..targets {
                        let row = b * targets + t;
                        for s in 0..sources {
                            let sum = |u: &[Vec<f64>], scale: f64| -> Vec<f64> {
                                let mut part = vec![0.0; d_model];
                                for h in 0..heads {
                                    let weight =
                                        weights[((b * heads + h) * targets + t) * sources + s];
                                    let u = &u[(b * sources + s) * heads + h];
                                    part.iter_mut().zip(u).for_each(|(part, u)| {
                                        *part += f64::from(weight) * u / scale
                                    });
                                }
                                part
                            };
                            let times = |map: &[f32], x: &[f64]| -> Vec<f64> {
                                map.chunks_exact(x.len())
                                    .map(|row| {
                                        row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum()
                                    })
                                    .collect()
                            };
                            let part = sum(&normalized, f64::from(scale[row]));
                            let mut hidden = times(&up, &part);
                            hidden
                                .iter_mut()
                                .zip(&slopes[row * d_ff..])
                                .for_each(|(x, &slope)| *x *= f64::from(slope));
                            let mut y = times(&down, &hidden);
                            expected[0].push(norm(&y));
                            let residual = if is_post { part } else { sum(&plain, 1.0) };
                            y.iter_mut()
                                .zip(residual)
                                .for_each(|(y, residual)| *y += residual);
                            expected[1].push(norm(&y));
                            if is_post {
                                let mean = y.iter().sum::<f64>() / d_model as f64;
                                y.iter_mut()
                                    .zip(&last_gamma)
                                    .for_each(|(y, &g)| *y = (*y - mean) * f64::from(g));
                                expected[2].push(norm(&y) / f64::from(last_scale[row]));
                            }
                        }
                    }
                    for (found, expected) in found.iter().zip(&expected) {
                        assert_close(found, expected, 3e-6, "maps");
                    }
                    assert_eq!(found.len(), expected.len());
                }
            }
        }
    });
}
