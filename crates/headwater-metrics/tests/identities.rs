//! Identities that hold for whatever comes in.

use headwater_metrics::{
    AttentionMap, FrequencyRanks, LayerAttention, OwnEntry, Summary, TokenCategory,
    WeightNormRelation, attention_ratio, attention_residual_ratio, category_statistics,
    deciding_rank, expansion_rate, mixing_ratio, pearson, ranks, spearman,
};
use ndarray::{Array1, Array2, Array3, Axis, concatenate, s};
use proptest::prelude::*;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0)
}

/// Values with many ties, exact in every computation below.
fn tied_values() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec((-20..20_i32).prop_map(f64::from), 0..60)
}

fn tied_pairs() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    proptest::collection::vec((-20..20_i32, -20..20_i32), 0..60).prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(x, y)| (f64::from(x), f64::from(y)))
            .unzip()
    })
}

fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
    proptest::collection::vec(-3.0..3.0, rows * columns)
        .prop_map(move |values| Array2::from_shape_vec((rows, columns), values).unwrap())
}

fn category() -> impl Strategy<Value = TokenCategory> {
    proptest::sample::select(&TokenCategory::ALL[..])
}

#[derive(Clone, Debug)]
struct Attention {
    weights: Array3<f64>,
    norms: Array2<f64>,
    categories: Vec<TokenCategory>,
}

/// Self-attention of 1 to 3 heads over 1 to 6 tokens, rows summing to 1, from
/// few distinct numbers so that ties occur.
fn attention() -> impl Strategy<Value = Attention> {
    (1..4_usize, 1..7_usize).prop_flat_map(|(heads, tokens)| {
        let weights = proptest::collection::vec(1..5_u8, heads * tokens * tokens);
        let norms = proptest::collection::vec(1..5_u8, heads * tokens);
        let categories = proptest::collection::vec(category(), tokens);
        (weights, norms, categories).prop_map(move |(weights, norms, categories)| {
            let shape = (heads, tokens, tokens);
            let mut weights = Array3::from_shape_vec(shape, weights)
                .unwrap()
                .mapv(f64::from);
            for mut row in weights.rows_mut() {
                let sum = row.sum();
                row /= sum;
            }
            let norms = Array2::from_shape_vec((heads, tokens), norms)
                .unwrap()
                .mapv(f64::from);
            Attention {
                weights,
                norms,
                categories,
            }
        })
    })
}

proptest! {
    #[test]
    fn ranks_sum_to_their_triangular_number(values in tied_values()) {
        let n = values.len() as f64;
        prop_assert_eq!(ranks(&values).unwrap().iter().sum::<f64>(), n * (n + 1.0) / 2.0);
    }

    #[test]
    fn a_rank_counts_what_lies_below(values in tied_values()) {
        for (rank, value) in ranks(&values).unwrap().into_iter().zip(&values) {
            let below = values.iter().filter(|other| *other < value).count() as f64;
            let ties = values.iter().filter(|other| *other == value).count() as f64;
            prop_assert_eq!(rank, below + (ties + 1.0) / 2.0);
        }
    }

    #[test]
    fn increasing_maps_leave_spearman_alone((x, y) in tied_pairs()) {
        let rho = spearman(&x, &y).unwrap();
        let cubes = x.iter().map(|x| x * x * x + x);
        let powers = y.iter().map(|y| y.exp2());
        prop_assert_eq!(spearman(cubes, powers).unwrap(), rho);
        let turned = spearman(x.iter().map(|x| -x), &y).unwrap();
        match (turned, rho) {
            (Some(turned), Some(rho)) => prop_assert!(close(turned, -rho)),
            (turned, rho) => prop_assert_eq!(turned, rho),
        }
    }

    #[test]
    fn correlations_are_symmetric_and_bounded(
        pairs in proptest::collection::vec((-1e6..1e6_f64, -1e-6..1e-6_f64), 0..60),
    ) {
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let both_ways = [
            (pearson(&x, &y).unwrap(), pearson(&y, &x).unwrap()),
            (spearman(&x, &y).unwrap(), spearman(&y, &x).unwrap()),
        ];
        for (one_way, other_way) in both_ways {
            match (one_way, other_way) {
                (Some(one), Some(other)) => {
                    prop_assert!((-1.0..=1.0).contains(&one), "{}", one);
                    prop_assert!(close(one, other));
                }
                _ => prop_assert_eq!(one_way, other_way),
            }
        }
    }

    #[test]
    fn pearson_is_that_of_the_textbook((x, y) in tied_pairs()) {
        // Sums of small whole numbers are exact, so this is the formula itself.
        let n = x.len() as f64;
        let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let ones = vec![1.0; x.len()];
        let (sx, sy) = (sum(&x, &ones), sum(&y, &ones));
        let spread = (n * sum(&x, &x) - sx * sx) * (n * sum(&y, &y) - sy * sy);
        let expected = (spread > 0.0).then(|| (n * sum(&x, &y) - sx * sy) / spread.sqrt());
        match (pearson(&x, &y).unwrap(), expected) {
            (Some(found), Some(expected)) => prop_assert!(close(found, expected)),
            (found, expected) => prop_assert_eq!(found, expected),
        }
    }

    #[test]
    fn merged_summaries_are_the_summary_of_all(
        left in proptest::collection::vec(-1e3..1e3_f32, 0..40),
        right in proptest::collection::vec(-1e3..1e3_f32, 0..40),
    ) {
        let mut merged = Summary::of(&left).unwrap();
        merged.merge(&Summary::of(&right).unwrap());
        let all = Summary::of(left.iter().chain(&right)).unwrap();
        prop_assert_eq!(merged.count(), all.count());
        prop_assert_eq!(merged.min(), all.min());
        prop_assert_eq!(merged.max(), all.max());
        prop_assert_eq!(merged.mean().is_some(), !left.is_empty() || !right.is_empty());
        if let (Some(a), Some(b)) = (merged.mean(), all.mean()) {
            // The mean may cancel to nearly 0, so the scale is that of the values.
            prop_assert!((a - b).abs() <= 1e-12 * 1e3);
            let (a, b) = (merged.standard_deviation().unwrap(), all.standard_deviation().unwrap());
            prop_assert!(close(a, b), "{} {}", a, b);
        }
    }

    #[test]
    fn mixing_ratios_lie_between_0_and_1(preserving in 0.0..1e30_f32, mixing in 0.0..1e30_f32) {
        let ratio = mixing_ratio(preserving, mixing);
        prop_assert!((0.0..=1.0).contains(&ratio));
        // What is not mixed is preserved.
        prop_assume!(preserving + mixing > 0.0);
        prop_assert!(close(ratio + mixing_ratio(mixing, preserving), 1.0));
    }

    #[test]
    fn weight_baselines_are_what_other_sources_receive(attention in attention()) {
        let ratios = attention_ratio(attention.weights.view()).unwrap();
        let halves = attention_residual_ratio(attention.weights.view()).unwrap();
        let mean = attention.weights.mean_axis(Axis(0)).unwrap();
        for (target, row) in mean.outer_iter().enumerate() {
            let others: f64 = row.iter().enumerate().filter(|(j, _)| *j != target).map(|(_, a)| a).sum();
            prop_assert!(close(ratios[target], others));
            prop_assert_eq!(halves[target] * 2.0, ratios[target]);
        }
        if ratios.len() == 1 {
            prop_assert_eq!(ratios[0], 0.0);
        }
    }

    #[test]
    fn categories_share_all_attention(attention in attention()) {
        let layer = LayerAttention::new(attention.weights.view(), attention.norms.view()).unwrap();
        prop_assert!(close(layer.received().sum(), 1.0));
        let mut sums = vec![0.0; layer.heads()];
        for category in TokenCategory::ALL {
            let found = category_statistics(&layer, &attention.categories, category).unwrap();
            prop_assert_eq!(found.is_some(), attention.categories.contains(&category));
            for (head, statistics) in found.iter().flatten().enumerate() {
                sums[head] += statistics.attention;
                // ‖αf(x)‖ written out, summed over sources, averaged over targets.
                let mut weighted = 0.0;
                for target in 0..layer.targets() {
                    for (source, of) in attention.categories.iter().enumerate() {
                        if *of == category {
                            let norm = attention.norms[[head, source]];
                            weighted += attention.weights[[head, target, source]] * norm;
                        }
                    }
                }
                prop_assert!(close(statistics.weighted_norm, weighted / layer.targets() as f64));
            }
        }
        prop_assert!(sums.iter().all(|&sum| close(sum, 1.0)));
    }

    #[test]
    fn the_relation_is_spearman_of_the_lists_written_out(
        sequences in proptest::collection::vec(attention(), 1..4),
        category in category(),
    ) {
        let mut relation = WeightNormRelation::new();
        let (mut weights, mut norms) = (Vec::new(), Vec::new());
        for sequence in &sequences {
            let layer = LayerAttention::new(sequence.weights.view(), sequence.norms.view()).unwrap();
            relation.push(&layer, &sequence.categories).unwrap();
            for ((head, _, source), &weight) in sequence.weights.indexed_iter() {
                if sequence.categories[source] == category {
                    weights.push(weight);
                    norms.push(sequence.norms[[head, source]]);
                }
            }
        }
        prop_assert_eq!(relation.count(category), weights.len());
        match (relation.spearman(category), spearman(&weights, &norms).unwrap()) {
            (Some(found), Some(expected)) => prop_assert!(close(found, expected)),
            (found, expected) => prop_assert_eq!(found, expected),
        }
    }

    #[test]
    fn frequency_ranks_count_the_more_frequent(
        counts in proptest::collection::btree_map(0..50_u32, 0..6_u64, 0..30),
    ) {
        let table = FrequencyRanks::from_counts(counts.clone());
        let seen = || counts.values().filter(|&&count| count > 0);
        let lowest = seen().min();
        for (&token_id, count) in &counts {
            let expected = match count {
                0 => 1 + lowest.map_or(0, |low| 1 + seen().filter(|&other| other > low).count()),
                _ => 1 + seen().filter(|&other| other > count).count(),
            };
            prop_assert_eq!(table.rank(token_id), expected as u64);
        }
        prop_assert_eq!(table.to_string().parse::<FrequencyRanks>().unwrap(), table);
    }

    #[test]
    fn a_deciding_rank_is_a_rank_from_above(
        row in proptest::collection::vec((0..6_u8).prop_map(f64::from), 2..12),
        target in any::<prop::sample::Index>(),
        source in any::<prop::sample::Index>(),
    ) {
        let (target, source) = (target.index(row.len()), source.index(row.len()));
        let from_above = ranks(row.iter().map(|value| -value)).unwrap();
        let found = deciding_rank(&row, target, &[source], OwnEntry::Included).unwrap();
        prop_assert_eq!(found.ranks(), &from_above[source..=source]);
        prop_assume!(source != target);
        let mut others = row.clone();
        others.remove(target);
        let position = source - usize::from(source > target);
        let found = deciding_rank(&row, target, &[source], OwnEntry::Excluded).unwrap();
        let removed = deciding_rank(&others, position, &[position], OwnEntry::Included).unwrap();
        prop_assert_eq!(found, removed);
    }

    #[test]
    fn the_expansion_rate_is_that_of_the_product_of_affine_maps(
        (value, output) in (matrix(4, 6), matrix(6, 4)),
        (value_bias, output_bias) in (matrix(1, 6), matrix(1, 4)),
    ) {
        let affine = |weight: &Array2<f64>, bias: &Array2<f64>| {
            let top = concatenate![Axis(1), weight.view(), Array2::zeros((weight.nrows(), 1))];
            let bottom = concatenate![Axis(1), bias.view(), Array2::ones((1, 1))];
            concatenate![Axis(0), top, bottom]
        };
        let product = affine(&value, &value_bias).dot(&affine(&output, &output_bias));
        let expected = (product.map(|value| value * value).sum() / 5.0).sqrt();

        let rate = |value: &Array2<f64>, value_bias: &Array1<f64>, output: &Array2<f64>| {
            expansion_rate(&AttentionMap {
                value_weight: value.view(),
                value_bias: value_bias.view(),
                output_weight: output.view(),
                output_bias: Some(output_bias.row(0)),
            }).unwrap()
        };
        let value_bias = value_bias.row(0).to_owned();
        prop_assert!(close(rate(&value, &value_bias, &output), expected));

        // Two heads of width three: their order does not matter.
        let swapped_value = concatenate![Axis(1), value.slice(s![.., 3..]), value.slice(s![.., ..3])];
        let swapped_bias = concatenate![Axis(0), value_bias.slice(s![3..]), value_bias.slice(s![..3])];
        let swapped_output = concatenate![Axis(0), output.slice(s![3.., ..]), output.slice(s![..3, ..])];
        prop_assert!(close(rate(&swapped_value, &swapped_bias, &swapped_output), expected));
    }
}

#[test]
fn ten_million_float32_values_keep_their_mean() {
    let n = 10_000_000;
    let tenth = f64::from(0.1_f32);
    let constant = Summary::of(std::iter::repeat_n(0.1_f32, n)).unwrap();
    assert_eq!(constant.mean(), Some(tenth));
    assert_eq!(constant.standard_deviation(), Some(0.0));

    // One in ten is 1: mean 0.9·0.1 + 0.1, standard deviation 0.9·sqrt(0.9·0.1).
    let values = (0..n).map(|i| if i % 10 == 0 { 1.0_f32 } else { 0.1 });
    let mixed = Summary::of(values.clone()).unwrap();
    let mean = 0.9 * tenth + 0.1;
    assert!((mixed.mean().unwrap() - mean).abs() < 1e-12 * mean);
    let deviation = (1.0 - tenth) * 0.09_f64.sqrt();
    assert!((mixed.standard_deviation().unwrap() - deviation).abs() < 1e-12);

    // What adding them one after the other in float32 would have given.
    let naive = values.sum::<f32>() / n as f32;
    assert!((f64::from(naive) - mean).abs() > 1e-3 * mean);
}
