//! Identities of the measures around the feed-forward block.

use headwater_metrics::{
    AmplificationOrder, AmplifiedPair, DimensionMagnitudes, MetricsError, OwnEntry, PairKind,
    PairKindShares, PairSelection, Region, WordMarks, amplification_map, amplified_pairs,
    block_change, contextualization_change, dimension_weights, pair_kind_shares, spearman,
    vector_norms, vector_norms_without,
};
use ndarray::{Array2, Axis, concatenate, s};
use proptest::prelude::*;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0)
}

/// Square maps of one size from few distinct numbers, so that ties occur.
fn maps<const N: usize>() -> impl Strategy<Value = [Array2<f64>; N]> {
    (1..7_usize).prop_flat_map(|tokens| {
        let map = proptest::collection::vec((0..9_u8).prop_map(f64::from), tokens * tokens);
        let map = map.prop_map(move |map| Array2::from_shape_vec((tokens, tokens), map).unwrap());
        proptest::collection::vec(map, N).prop_map(|maps| maps.try_into().unwrap())
    })
}

/// A map in which no two entries are equal.
fn permuted_map() -> impl Strategy<Value = Array2<f64>> {
    (2..7_usize).prop_flat_map(|tokens| {
        let entries: Vec<f64> = (0..tokens * tokens).map(|entry| entry as f64).collect();
        Just(entries)
            .prop_shuffle()
            .prop_map(move |map| Array2::from_shape_vec((tokens, tokens), map).unwrap())
    })
}

fn region() -> impl Strategy<Value = Region> {
    proptest::sample::select(&[Region::Full, Region::LowerTriangle][..])
}

fn selection() -> impl Strategy<Value = PairSelection> {
    use AmplificationOrder::{MostAmplified, MostReduced};
    let orders = proptest::sample::select(&[MostAmplified, MostReduced][..]);
    let own = proptest::sample::select(&[OwnEntry::Excluded, OwnEntry::Included][..]);
    (0..40_usize, orders, region(), own).prop_map(|(count, order, region, own_entry)| {
        PairSelection {
            count,
            order,
            region,
            own_entry,
        }
    })
}

fn matrix() -> impl Strategy<Value = Array2<f64>> {
    (0..8_usize, 1..6_usize).prop_flat_map(|(rows, columns)| {
        proptest::collection::vec(-3.0..3.0, rows * columns)
            .prop_map(move |values| Array2::from_shape_vec((rows, columns), values).unwrap())
    })
}

proptest! {
    #[test]
    fn increasing_maps_change_nothing([map] in maps::<1>(), region in region()) {
        let cubes = map.mapv(|entry| entry * entry * entry + entry);
        let change = contextualization_change(map.view(), cubes.view(), region).unwrap();
        // Undefined only where the entries that count are all the same.
        let entries: Vec<f64> = map
            .indexed_iter()
            .filter(|((target, source), _)| region == Region::Full || source <= target)
            .map(|(_, entry)| *entry)
            .collect();
        let constant = entries.iter().all(|entry| *entry == entries[0]);
        prop_assert_eq!(change, (!constant).then_some(0.0));
    }

    #[test]
    fn the_reverse_order_changes_everything(map in permuted_map(), region in region()) {
        let reverse = map.mapv(|entry| -entry);
        let change = contextualization_change(map.view(), reverse.view(), region).unwrap();
        prop_assert!(close(change.unwrap(), 2.0), "{:?}", change);
    }

    #[test]
    fn a_change_is_one_minus_spearman_of_the_flattened_maps([before, after] in maps::<2>()) {
        let change = contextualization_change(before.view(), after.view(), Region::Full).unwrap();
        prop_assert_eq!(change, spearman(&before, &after).unwrap().map(|rho| 1.0 - rho));
        let back = contextualization_change(after.view(), before.view(), Region::Full).unwrap();
        match (change, back) {
            (Some(change), Some(back)) => {
                prop_assert!(close(change, back));
                prop_assert!((0.0..=2.0).contains(&change));
            }
            _ => prop_assert_eq!(change, back),
        }
    }

    #[test]
    fn a_causal_change_ignores_the_future([before, after, noise] in maps::<3>()) {
        let mut disturbed = after.clone();
        for ((target, source), entry) in disturbed.indexed_iter_mut() {
            if source > target {
                *entry = if source == target + 1 { f64::NAN } else { noise[[target, source]] };
            }
        }
        let change = |after: &Array2<f64>| {
            contextualization_change(before.view(), after.view(), Region::LowerTriangle)
        };
        prop_assert_eq!(change(&after).unwrap(), change(&disturbed).unwrap());
    }

    #[test]
    fn the_order_of_tokens_does_not_matter_to_a_full_change([before, after] in maps::<2>()) {
        let turned = |map: &Array2<f64>| map.slice(s![..;-1, ..;-1]).to_owned();
        let change = contextualization_change(before.view(), after.view(), Region::Full).unwrap();
        let (before, after) = (turned(&before), turned(&after));
        let again = contextualization_change(before.view(), after.view(), Region::Full).unwrap();
        match (change, again) {
            (Some(change), Some(again)) => prop_assert!(close(change, again)),
            _ => prop_assert_eq!(change, again),
        }
    }

    #[test]
    fn a_block_is_its_pairs_of_maps([a, b, c, d] in maps::<4>(), region in region()) {
        let block = block_change(a.view(), &[b.view(), c.view(), d.view()], region).unwrap();
        let change = |before: &Array2<f64>, after: &Array2<f64>| {
            contextualization_change(before.view(), after.view(), region).unwrap()
        };
        prop_assert_eq!(block.components(), [change(&a, &b), change(&b, &c), change(&c, &d)]);
        prop_assert_eq!(block.whole(), change(&a, &d));
    }

    #[test]
    fn the_amplification_turns_round_with_its_maps([before, after] in maps::<2>()) {
        let there = amplification_map(before.view(), after.view()).unwrap();
        let back = amplification_map(after.view(), before.view()).unwrap();
        prop_assert_eq!(&there, &-&back);
        prop_assert_eq!(&before + &there, after);
    }

    #[test]
    fn pairs_are_the_head_of_the_sorted_map(
        [before, after] in maps::<2>(),
        selection in selection(),
    ) {
        let mut all: Vec<AmplifiedPair> = amplification_map(before.view(), after.view())
            .unwrap()
            .indexed_iter()
            .filter(|((i, j), _)| selection.region == Region::Full || j <= i)
            .filter(|((i, j), _)| selection.own_entry == OwnEntry::Included || i != j)
            .map(|((target, source), &amount)| AmplifiedPair {
                target,
                source,
                amount,
                before: before[[target, source]],
                after: after[[target, source]],
            })
            .collect();
        // Row by row already, so a stable sort leaves ties as they should be.
        all.sort_by(|a, b| match selection.order {
            AmplificationOrder::MostAmplified => b.amount.partial_cmp(&a.amount).unwrap(),
            AmplificationOrder::MostReduced => a.amount.partial_cmp(&b.amount).unwrap(),
        });
        all.truncate(selection.count);
        prop_assert_eq!(amplified_pairs(before.view(), after.view(), &selection).unwrap(), all);
    }

    #[test]
    fn shares_of_kinds_sum_to_1(
        [before, after] in maps::<2>(),
        selection in selection(),
        tokens in proptest::collection::vec(prop_oneof![Just("s"), Just("a"), Just("##b")], 6),
    ) {
        let tokens = &tokens[..before.nrows()];
        let words = WordMarks::WordPiece
            .word_indices(tokens.iter().map(|&token| (token != "s").then_some(token)));
        let pairs = amplified_pairs(before.view(), after.view(), &selection).unwrap();
        let shares = pair_kind_shares(&pairs, tokens, &words).unwrap();
        prop_assert_eq!(shares.is_none(), pairs.is_empty());
        let mut means = PairKindShares::new(1);
        for part in [&pairs[..], &pairs[..pairs.len() / 2]] {
            means.push(0, part, tokens, &words).unwrap();
        }
        if let Some(shares) = shares {
            prop_assert!(close(shares.iter().sum(), 1.0));
            let table = means.table();
            let row: Option<Vec<f64>> = table.rows()[0].iter().copied().collect();
            prop_assert!(close(row.unwrap().iter().sum(), 1.0));
        }
    }

    #[test]
    fn kinds_are_symmetric_and_special_tokens_come_first(
        tokens in proptest::collection::vec(prop_oneof![Just("s"), Just("a"), Just("##b")], 1..8),
        (target, source) in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let special = |index: usize| tokens[index] == "s";
        let words = WordMarks::WordPiece
            .word_indices(tokens.iter().map(|&token| (token != "s").then_some(token)));
        let (target, source) = (target.index(tokens.len()), source.index(tokens.len()));
        let kind = PairKind::of(target, source, &tokens, &words).unwrap();
        prop_assert_eq!(PairKind::of(source, target, &tokens, &words).unwrap(), kind);
        prop_assert_eq!(kind == PairKind::SpecialToken, special(target) || special(source));
        if kind == PairKind::WordPieces {
            let (first, last) = (target.min(source), target.max(source));
            prop_assert!(tokens[first + 1..=last].iter().all(|token| *token == "##b"));
        }
    }

    #[test]
    fn words_are_numbered_alike_under_any_marks(
        text in proptest::collection::vec(proptest::option::weighted(0.8, 1..4_usize), 0..8),
    ) {
        // Words of one to three pieces, written in each convention.
        let written = |first: &str, piece: &str| -> Vec<Option<String>> {
            let word = |pieces: usize| {
                let pieces = (0..pieces).map(|at| if at == 0 { first } else { piece });
                pieces.map(|mark| Some(format!("{mark}x"))).collect()
            };
            text.iter().flat_map(|pieces| pieces.map_or(vec![None], word)).collect()
        };
        let numbered = |marks: WordMarks, first: &str, piece: &str| {
            let tokens = written(first, piece);
            marks.word_indices(tokens.iter().map(Option::as_deref))
        };
        let expected: Vec<Option<usize>> = (0..)
            .zip(&text)
            .flat_map(|(at, pieces)| pieces.map_or(vec![None], |pieces| vec![Some(at); pieces]))
            .collect();
        prop_assert_eq!(&numbered(WordMarks::WordPiece, "", "##"), &expected);
        prop_assert_eq!(&numbered(WordMarks::ByteLevel, "Ġ", ""), &expected);
        prop_assert_eq!(&numbered(WordMarks::SentencePiece, "▁", ""), &expected);
    }

    #[test]
    fn magnitudes_of_parts_are_those_of_all_tokens(vectors in matrix(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(vectors.nrows() + 1);
        let of = |vectors: ndarray::ArrayView2<'_, f64>| {
            let mut magnitudes = DimensionMagnitudes::new(vectors.ncols());
            magnitudes.push(vectors).unwrap();
            magnitudes
        };
        let mut parts = of(vectors.slice(s![..cut, ..]));
        parts.merge(&of(vectors.slice(s![cut.., ..]))).unwrap();
        let outliers = of(vectors.view()).outliers(usize::MAX);
        prop_assert_eq!(outliers.len(), if vectors.nrows() == 0 { 0 } else { vectors.ncols() });
        prop_assert!(outliers.is_sorted_by(|a, b| a.mean_magnitude >= b.mean_magnitude));
        for outlier in outliers {
            let column = vectors.column(outlier.dimension);
            let mean = column.mapv(f64::abs).sum() / vectors.nrows() as f64;
            prop_assert!(close(outlier.mean_magnitude, mean));
            let part = parts.dimension(outlier.dimension).unwrap().mean().unwrap();
            prop_assert!(close(part, mean));
        }
    }

    #[test]
    fn what_is_left_out_and_what_is_kept_make_the_norm(
        vectors in matrix(),
        chosen in proptest::collection::vec(any::<bool>(), 6),
    ) {
        let of = |choice: bool| -> Vec<usize> {
            (0..vectors.ncols()).filter(|&k| chosen[k] == choice).collect()
        };
        let without_some = vector_norms_without(vectors.view(), &of(true)).unwrap();
        let without_others = vector_norms_without(vectors.view(), &of(false)).unwrap();
        let norms = vector_norms(vectors.view());
        for ((a, b), norm) in without_some.iter().zip(&without_others).zip(&norms) {
            prop_assert!(close(a.hypot(*b), *norm));
        }
        prop_assert_eq!(vector_norms_without(vectors.view(), &[]).unwrap(), norms);
        // Leaving out is the same as cutting the columns away.
        let kept = vectors.select(Axis(1), &of(false));
        prop_assert_eq!(without_some, vector_norms(kept.view()));
    }

    #[test]
    fn ranks_of_weights_count_smaller_magnitudes(gamma in proptest::collection::vec(-5..5_i32, 1..20)) {
        let gamma: Vec<f64> = gamma.into_iter().map(f64::from).collect();
        let dimensions: Vec<usize> = (0..gamma.len()).rev().collect();
        let weights = dimension_weights(&gamma, &dimensions).unwrap();
        prop_assert_eq!(weights.len(), gamma.len());
        for (weight, dimension) in weights.into_iter().zip(dimensions) {
            prop_assert_eq!((weight.dimension, weight.gamma), (dimension, gamma[dimension]));
            let count = |test: &dyn Fn(f64) -> bool| gamma.iter().filter(|g| test(g.abs())).count();
            let below = count(&|other| other < weight.gamma.abs());
            let ties = count(&|other| other == weight.gamma.abs());
            prop_assert_eq!(weight.rank, below as f64 + (ties as f64 + 1.0) / 2.0);
        }
    }
}

#[test]
fn padding_must_be_sliced_away_because_it_counts() {
    // Rows and columns of zeros are entries like any other: the change of the
    // real tokens alone is another number.
    let before = ndarray::arr2(&[[3.0, 1.0], [2.0, 4.0]]);
    let after = ndarray::arr2(&[[2.0, 1.0], [3.0, 4.0]]);
    let padded = |map: &Array2<f64>| {
        let wide = concatenate![Axis(1), map.view(), Array2::zeros((2, 1))];
        concatenate![Axis(0), wide.view(), Array2::zeros((1, 3))]
    };
    let change = |before: &Array2<f64>, after: &Array2<f64>| -> Result<_, MetricsError> {
        contextualization_change(before.view(), after.view(), Region::Full)
    };
    let real = change(&before, &after).unwrap().unwrap();
    let with_padding = change(&padded(&before), &padded(&after)).unwrap().unwrap();
    assert!(with_padding < real / 2.0, "{with_padding} {real}");
    let wide = padded(&before);
    let sliced = wide.slice(s![..2, ..2]);
    let again = contextualization_change(sliced, after.view(), Region::Full);
    assert_eq!(again.unwrap(), Some(real));
}
