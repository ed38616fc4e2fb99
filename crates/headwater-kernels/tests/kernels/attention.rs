use headwater_kernels::{
    Band, HeadShape, HeadVectors, ScoreBias, ScoreTerms, attention, weighted_sums,
};

use crate::{assert_close, on_every_cpu, random, random_weights, same_on_any_threads, sizes};

pub(crate) const SHAPES: [HeadShape; 9] = [
    shape(1, 1, 1, 1, 1, false),
    shape(2, 3, 8, 5, 5, false),
    grouped(shape(2, 4, 6, 37, 37, true), 2, WINDOW),
    grouped(shape(1, 6, 5, 61, 61, false), 1, AROUND),
    grouped(shape(1, 4, 9, 3, 40, false), 2, Band::WHOLE),
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
        groups: heads,
        d_head,
        targets,
        sources,
        band: if causal { Band::CAUSAL } else { Band::WHOLE },
    }
}

/// Two query heads a key and value head, and a window.
pub(crate) const fn grouped(mut shape: HeadShape, groups: usize, band: Band) -> HeadShape {
    shape.groups = groups;
    shape.band = band;
    shape
}

pub(crate) const WINDOW: Band = Band {
    back: Some(17),
    ahead: Some(0),
};
pub(crate) const AROUND: Band = Band {
    back: Some(3),
    ahead: Some(40),
};

/// What [`ScoreTerms`] add, as plainly as can be.
#[derive(Clone, Copy)]
struct Terms<'a> {
    scale: f64,
    cap: Option<f64>,
    /// `[batch, source]`.
    padding: Option<&'a [f32]>,
    /// `[head, 2·tokens − 1]`, of s − t + tokens − 1.
    distance: Option<&'a [f32]>,
    sinks: Option<&'a [f32]>,
}

/// α and context, in float64.
fn expected(shape: HeadShape, [q, k, v]: [&[f32]; 3], terms: Terms<'_>) -> [Vec<f64>; 2] {
    let HeadShape {
        batch,
        heads,
        groups,
        d_head,
        targets,
        sources,
        band,
    } = shape;
    let mut all = Vec::new();
    let mut context = vec![0.0; batch * targets * heads * d_head];
    for (b, h, t) in (0..batch * heads * targets)
        .map(|at| (at / targets / heads, at / targets % heads, at % targets))
    {
        let group = h * groups / heads;
        let of_key = |x: &[f32], s: usize, c: usize| {
            f64::from(x[((b * sources + s) * groups + group) * d_head + c])
        };
        let query = |c: usize| f64::from(q[((b * targets + t) * heads + h) * d_head + c]);
        let seen = |s: usize| {
            band.back.is_none_or(|back| s + back >= t)
                && band.ahead.is_none_or(|ahead| s <= t + ahead)
        };
        let score = |s: usize| {
            let dot: f64 = (0..d_head).map(|c| query(c) * of_key(k, s, c)).sum();
            let mut score = dot * terms.scale;
            if let Some(cap) = terms.cap {
                score = cap * (score / cap).tanh();
            }
            if let Some(padding) = terms.padding {
                score += f64::from(padding[b * sources + s]);
            }
            if let Some(distance) = terms.distance {
                let at = h * (2 * sources - 1) + s + sources - 1 - t;
                score += f64::from(distance[at]);
            }
            if seen(s) { score } else { f64::NEG_INFINITY }
        };
        let scores: Vec<f64> = (0..sources).map(score).collect();
        let sink = terms
            .sinks
            .map_or(f64::NEG_INFINITY, |sinks| f64::from(sinks[h]));
        let largest = scores.iter().copied().fold(sink, f64::max);
        let powers: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
        let sum: f64 = powers.iter().sum::<f64>() + (sink - largest).exp();
        for (s, power) in powers.iter().enumerate() {
            all.push(power / sum);
            for c in 0..d_head {
                context[((b * targets + t) * heads + h) * d_head + c] +=
                    power / sum * of_key(v, s, c);
            }
        }
    }
    [all, context]
}

#[test]
fn weights_and_context_are_those_of_the_definition() {
    on_every_cpu(|cpu| {
        for &shape in sizes(&SHAPES, 5) {
            let HeadShape {
                batch,
                heads,
                groups,
                d_head,
                targets,
                sources,
                ..
            } = shape;
            let q = random(batch * targets * heads * d_head, 1);
            let [k, v] = [2, 3].map(|seed| random(batch * sources * groups * d_head, seed));
            // One source of every sequence is padding.
            let mut padding = vec![0.0; batch * sources];
            let of_every = padding.iter_mut().skip(1).step_by(sources);
            of_every.for_each(|padding| *padding = -1e30);
            let distance = random(heads * (2 * sources - 1), 4);
            let sinks = random(heads, 5);
            let plain = Terms {
                scale: 1.0 / (d_head as f64).sqrt(),
                cap: None,
                padding: None,
                distance: None,
                sinks: None,
            };
            let padded = Terms {
                padding: (sources > 1).then_some(&padding),
                ..plain
            };
            let square = (targets == sources).then_some(&distance[..]);
            let everything = Terms {
                scale: 0.7,
                cap: Some(1.5),
                distance: square,
                sinks: Some(&sinks),
                ..padded
            };
            let capped = Terms {
                cap: Some(0.25),
                ..plain
            };
            let with_distance = Terms {
                distance: square,
                ..padded
            };
            let with_sinks = Terms {
                sinks: Some(&sinks),
                ..padded
            };
            for terms in [plain, padded, capped, with_distance, with_sinks, everything] {
                let [weights, context] = expected(shape, [&q, &k, &v], terms);
                let bias = |data,
                            [offset, batch_stride, head_stride]: [usize; 3],
                            target_stride| ScoreBias {
                    data,
                    offset,
                    batch_stride,
                    head_stride,
                    target_stride,
                };
                let score_terms = ScoreTerms {
                    scale: terms.scale as f32,
                    soft_cap: terms.cap.map(|cap| cap as f32),
                    padding: (terms.padding).map(|data| bias(data, [0, sources, 0], 0)),
                    position: (terms.distance)
                        .map(|data| bias(data, [sources - 1, 0, 2 * sources - 1], -1)),
                    sinks: terms.sinks,
                };
                let found = same_on_any_threads(|| {
                    let vectors = [
                        (&q, targets, heads),
                        (&k, sources, groups),
                        (&v, sources, groups),
                    ]
                    .map(|(rows, tokens, heads)| HeadVectors::rows(rows, tokens, heads, d_head));
                    let (weights, context) = attention(cpu, shape, vectors, &score_terms, true);
                    let plain = attention(cpu, shape, vectors, &score_terms, false);
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
fn terms_that_do_nothing_and_shared_heads_change_no_bit() {
    on_every_cpu(|cpu| {
        let shape = grouped(shape(2, 4, 7, 45, 45, true), 2, Band::CAUSAL);
        let (tokens, d_head) = (shape.sources, shape.d_head);
        let q = random(2 * tokens * 4 * d_head, 1);
        let [k, v] = [2, 3].map(|seed| random(2 * tokens * 2 * d_head, seed));
        let repeated = |x: &[f32]| -> Vec<f32> {
            let groups = x.chunks_exact(d_head);
            groups.flat_map(|group| [group, group].concat()).collect()
        };
        let (all_k, all_v) = (repeated(&k), repeated(&v));
        let terms = ScoreTerms::scaled(d_head);
        let of_groups = [(&q, 4), (&k, 2), (&v, 2)]
            .map(|(rows, heads)| HeadVectors::rows(rows, tokens, heads, d_head));
        let of_heads = [&q, &all_k, &all_v].map(|rows| HeadVectors::rows(rows, tokens, 4, d_head));
        let wide = Band {
            back: Some(1000),
            ahead: Some(0),
        };
        let expected = attention(cpu, shape, of_groups, &terms, true);
        let alone = grouped(shape, 4, Band::CAUSAL);
        assert_eq!(attention(cpu, alone, of_heads, &terms, true), expected);
        let banded = grouped(shape, 2, wide);
        assert_eq!(attention(cpu, banded, of_groups, &terms, true), expected);
        let zeros = vec![0.0; tokens];
        let nothing = ScoreTerms {
            position: Some(ScoreBias {
                data: &zeros,
                offset: 0,
                batch_stride: 0,
                head_stride: 0,
                target_stride: 0,
            }),
            sinks: Some(&[-1e30; 4]),
            ..terms
        };
        assert_eq!(attention(cpu, shape, of_groups, &nothing, true), expected);
    });
}

#[test]
#[should_panic(expected = "a source for each target")]
fn a_target_that_sees_nothing_is_refused() {
    on_every_cpu(|cpu| {
        let band = Band {
            back: Some(1),
            ahead: Some(0),
        };
        let shape = grouped(shape(1, 1, 1, 9, 3, false), 1, band);
        let [q, k] = [vec![0.0; 9], vec![0.0; 3]];
        let vectors = [(&q, 9), (&k, 3), (&k, 3)];
        let vectors = vectors.map(|(rows, tokens)| HeadVectors::rows(rows, tokens, 1, 1));
        attention(cpu, shape, vectors, &ScoreTerms::scaled(1), false);
    });
}

#[test]
fn weighted_sums_of_some_targets_can_leave_out_the_token_itself() {
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
            let width = heads * d_head;
            let weights = random_weights(batch * heads, targets, sources, band);
            let v = random(batch * sources * groups * d_head, 1);
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
                        let value = ((b * sources + s) * groups + h * groups / heads) * d_head;
                        for c in 0..d_head {
                            expected[place * width + h * d_head + c] +=
                                f64::from(weight) * f64::from(v[value + c]);
                        }
                    }
                }
                let found = same_on_any_threads(|| {
                    let v = HeadVectors::rows(&v, sources, groups, d_head);
                    weighted_sums(cpu, shape, &weights, v, &rows, skip_own)
                });
                assert_close(&found, &expected, 2e-6, "context");
            }
        }
    });
}
