use headwater_kernels::{HeadShape, HeadVectors, ScoreBias, attention, weighted_sums};

use crate::{assert_close, on_every_cpu, random, random_weights, same_on_any_threads, sizes};

pub(crate) const SHAPES: [HeadShape; 6] = [
    shape(1, 1, 1, 1, 1, false),
    shape(2, 3, 8, 5, 5, false),
    shape(1, 2, 33, 70, 70, false),
    shape(2, 2, 16, 9, 40, false),
    shape(1, 5, 64, 100, 100, true),
    shape(1, 1, 520, 3, 530, false),
];

pub(crate) const fn shape(
    batch: usize,
    heads: usize,
    d_head: usize,
    targets: usize,
    sources: usize,
    causal: bool,
) -> HeadShape {
    HeadShape {
        batch,
        heads,
        d_head,
        targets,
        sources,
        causal,
    }
}

/// α and context, in float64.
fn expected(shape: HeadShape, [q, k, v]: [&[f32]; 3], bias: Option<&[f32]>) -> [Vec<f64>; 2] {
    let HeadShape {
        batch,
        heads,
        d_head,
        targets,
        sources,
        causal,
    } = shape;
    let width = heads * d_head;
    let mut all = Vec::new();
    let mut context = vec![0.0; batch * targets * width];
    for b in 0..batch {
        for h in 0..heads {
            for t in 0..targets {
                let of = |x: &[f32], token: usize, c: usize| {
                    f64::from(x[token * width + h * d_head + c])
                };
                let scores: Vec<f64> = (0..sources)
                    .map(|s| {
                        let product = |c| of(q, b * targets + t, c) * of(k, b * sources + s, c);
                        let dot: f64 = (0..d_head).map(product).sum();
                        let bias = bias.map_or(0.0, |bias| f64::from(bias[b * sources + s]));
                        match causal && s > t {
                            true => f64::NEG_INFINITY,
                            false => dot / (d_head as f64).sqrt() + bias,
                        }
                    })
                    .collect();
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
                let sum: f64 = powers.iter().sum();
                for (s, power) in powers.iter().enumerate() {
                    all.push(power / sum);
                    for c in 0..d_head {
                        context[(b * targets + t) * width + h * d_head + c] +=
                            power / sum * of(v, b * sources + s, c);
                    }
                }
            }
        }
    }
    [all, context]
}

#[test]
fn weights_and_context_are_those_of_the_definition() {
    on_every_cpu(|cpu| {
        for &shape in sizes(&SHAPES, 2) {
            let HeadShape {
                batch,
                heads,
                d_head,
                targets,
                sources,
                ..
            } = shape;
            let width = heads * d_head;
            let q = random(batch * targets * width, 1);
            let [k, v] = [2, 3].map(|seed| random(batch * sources * width, seed));
            // The last source of every sequence is padding.
            let mut bias = vec![0.0; batch * sources];
            bias.iter_mut()
                .skip(1)
                .step_by(sources)
                .for_each(|bias| *bias = -1e30);
            for bias in [None, (sources > 1).then_some(&bias)] {
                let [weights, context] = expected(shape, [&q, &k, &v], bias.map(|bias| &bias[..]));
                let found = same_on_any_threads(|| {
                    let vectors = [(&q, targets), (&k, sources), (&v, sources)]
                        .map(|(rows, tokens)| HeadVectors::rows(rows, tokens, heads, d_head));
                    let bias = bias.map(|bias| ScoreBias {
                        data: bias,
                        batch_stride: sources,
                        target_stride: 0,
                    });
                    let (weights, context) = attention(cpu, shape, vectors, bias, true);
                    let plain = attention(cpu, shape, vectors, bias, false);
                    assert_eq!(plain, (None, context.clone()));
                    (weights.expect("they are kept"), context)
                });
                assert_close(&found.0, &weights, 2e-6, "weights");
                assert_close(&found.1, &context, 2e-6, "context");
            }
        }
    });
}

#[test]
fn weighted_sums_of_some_targets_can_leave_out_the_token_itself() {
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
            let weights = random_weights(batch * heads, targets, sources, causal);
            let v = random(batch * sources * width, 1);
            let all: Vec<usize> = (0..batch * targets).collect();
            let some: Vec<usize> = all.iter().copied().filter(|row| row % 3 != 1).collect();
            let last = all[all.len() - 1..].to_vec();
            for (rows, skip_own) in [
                (all, false),
                (some, targets == sources),
                (last, targets == sources),
                (vec![], false),
            ] {
                let mut expected = vec![0.0; rows.len() * width];
                for (place, row) in rows.iter().enumerate() {
                    let (b, t) = (row / targets, row % targets);
                    for (h, s) in (0..heads).flat_map(|h| (0..sources).map(move |s| (h, s))) {
                        if skip_own && s == t {
                            continue;
                        }
                        let weight = weights[((b * heads + h) * targets + t) * sources + s];
                        for c in h * d_head..(h + 1) * d_head {
                            expected[place * width + c] +=
                                f64::from(weight) * f64::from(v[(b * sources + s) * width + c]);
                        }
                    }
                }
                let found = same_on_any_threads(|| {
                    let v = HeadVectors::rows(&v, sources, heads, d_head);
                    weighted_sums(cpu, shape, &weights, v, &rows, skip_own)
                });
                assert_close(&found, &expected, 2e-6, "context");
            }
        }
    });
}
