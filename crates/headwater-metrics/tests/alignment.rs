//! Identities of word alignment, and the way from maps to numbers.

use headwater_metrics::{
    AlignmentErrorRate, AlignmentSetting, GoldLinks, Link, LinkLine, Links, Numbering,
    Symmetrization, WordGroups, WordMap, spearman,
};
use ndarray::{Array2, arr2};
use proptest::prelude::*;

fn links() -> impl Strategy<Value = Links> {
    let link = (0..7_usize, 0..6_usize).prop_map(|(source, target)| Link { source, target });
    proptest::collection::vec(link, 0..20).prop_map(Links::from_iter)
}

fn gold() -> impl Strategy<Value = GoldLinks> {
    (links(), links()).prop_map(|(sure, possible)| GoldLinks::new(sure, possible))
}

fn any_line(numbering: Numbering) -> LinkLine {
    LinkLine {
        number: 1,
        numbering,
        words: None,
    }
}

fn subset(part: &Links, whole: &Links) -> bool {
    part.iter().all(|link| whole.contains(link))
}

/// A map and groups of its tokens, some of them in no word.
fn word_map() -> impl Strategy<Value = (Array2<f64>, WordGroups, WordGroups)> {
    (1..8_usize, 1..8_usize).prop_flat_map(|(targets, sources)| {
        let group = |tokens| {
            proptest::collection::vec(proptest::option::of(0..4_usize), tokens)
                .prop_map(|indices| WordGroups::from_indices(indices, 4).unwrap())
        };
        let values = proptest::collection::vec(0..100_u8, (targets + 1) * sources);
        let map = values.prop_map(move |values| {
            let map = Array2::from_shape_vec((targets + 1, sources), values).unwrap();
            map.mapv(f64::from)
        });
        (map, group(sources), group(targets))
    })
}

proptest! {
    #[test]
    fn links_read_back_as_written(found in links(), gold in gold()) {
        let line = any_line(Numbering::FromZero);
        prop_assert_eq!(Links::parse(&found.to_string(), line).unwrap(), found);
        prop_assert_eq!(GoldLinks::parse(&gold.to_string(), line).unwrap(), gold);
    }

    #[test]
    fn numbering_moves_every_word_by_one(found in links()) {
        let moved: Vec<String> = found
            .iter()
            .map(|link| format!("{}-{}", link.source + 1, link.target + 1))
            .collect();
        let read = Links::parse(&moved.join(" "), any_line(Numbering::FromOne));
        prop_assert_eq!(read.unwrap(), found);
    }

    #[test]
    fn any_text_is_links_or_an_error_of_one_line(text in ".{0,40}") {
        for numbering in [Numbering::FromZero, Numbering::FromOne] {
            if let Err(error) = GoldLinks::parse(&text, any_line(numbering)) {
                prop_assert_eq!(error.to_string().lines().count(), 1);
            }
        }
    }

    #[test]
    fn heuristics_lie_between_intersection_and_union(forward in links(), backward in links()) {
        let [both, either, grown, full, careful] =
            Symmetrization::ALL.map(|how| how.combine(&forward, &backward));
        prop_assert!(subset(&both, &grown) && subset(&grown, &careful));
        prop_assert!(subset(&grown, &full) && subset(&full, &either));
        prop_assert!(subset(&careful, &either));
        for how in Symmetrization::ALL {
            prop_assert_eq!(how.combine(&forward, &forward), forward.clone());
        }
    }

    /// Every word that some link of the union could serve has one in the end.
    #[test]
    fn grow_diag_final_covers_all_words(forward in links(), backward in links()) {
        let covered = Symmetrization::GrowDiagFinal.combine(&forward, &backward);
        for link in forward.union(&backward).iter() {
            prop_assert!(covered.iter().any(|other| other.source == link.source));
            prop_assert!(covered.iter().any(|other| other.target == link.target));
        }
    }

    #[test]
    fn error_rates_are_bounded(pairs in proptest::collection::vec((links(), gold()), 0..5)) {
        let mut rate = AlignmentErrorRate::default();
        for (found, gold) in &pairs {
            rate.push(found, gold);
        }
        let shares = [Some(rate.error_rate()), rate.precision(), rate.recall()];
        prop_assert!(shares.into_iter().flatten().all(|share| (0.0..=1.0).contains(&share)));
    }

    /// Without possible links AER is one minus the F-measure.
    #[test]
    fn without_possible_links_the_f_measure_is_the_rest(found in links(), sure in links()) {
        let mut rate = AlignmentErrorRate::default();
        rate.push(&found, &GoldLinks::new(sure, Links::default()));
        if let (Some(precision), Some(recall)) = (rate.precision(), rate.recall()) {
            let f = match precision + recall {
                0.0 => 0.0,
                sum => 2.0 * precision * recall / sum,
            };
            prop_assert!((rate.error_rate() - (1.0 - f)).abs() < 1e-12);
        }
    }

    #[test]
    fn what_is_drawn_is_found_without_error(gold in gold()) {
        let mut rate = AlignmentErrorRate::default();
        rate.push(gold.sure(), &gold);
        rate.push(gold.possible(), &gold);
        prop_assert_eq!(rate.error_rate(), 0.0);
    }

    /// Against the sums written out, for both settings.
    #[test]
    fn word_values_are_means_of_sums((map, source, target) in word_map()) {
        for setting in AlignmentSetting::ALL {
            let words = WordMap::new(map.view(), &source, &target, setting).unwrap();
            for ((t, s), value) in words.values().indexed_iter() {
                let tokens = &target.words()[t];
                let pieces = &source.words()[s];
                let sum: f64 = tokens
                    .iter()
                    .flat_map(|&token| pieces.iter().map(move |&piece| (token, piece)))
                    .map(|(token, piece)| map[[setting.row(token), piece]])
                    .sum();
                prop_assert!((value - sum / tokens.len().max(1) as f64).abs() < 1e-9);
            }
            let links = words.target_links();
            for t in 0..target.words().len() {
                prop_assert!(links.iter().filter(|link| link.target == t).count() <= 1);
            }
            for link in links.iter() {
                let best = words.values()[[link.target, link.source]];
                prop_assert!(words.values().row(link.target).iter().all(|&value| value <= best));
            }
        }
    }

    /// The row of an input is the row of an output one token earlier.
    #[test]
    fn settings_differ_by_one_row((map, source, target) in word_map()) {
        let awi = WordMap::new(map.view(), &source, &target, AlignmentSetting::Awi).unwrap();
        let later = map.slice(ndarray::s![1.., ..]);
        let awo = WordMap::new(later, &source, &target, AlignmentSetting::Awo).unwrap();
        prop_assert_eq!(awi, awo);
    }
}

/// Two heads over two sentence pairs: error rate and mean norm of each head,
/// and their rank correlation.
#[test]
fn heads_by_error_rate_and_norm() {
    let words = |tokens: &[Option<&str>]| WordGroups::from_marks(tokens.iter().copied());
    let source = words(&[Some("▁Quell"), Some("wasser"), Some("▁steigt"), None]);
    let target = words(&[Some("▁water"), Some("▁rises"), None]);
    let heads = [
        arr2(&[
            [3.0, 3.0, 1.0, 0.0],
            [0.0, 1.0, 5.0, 1.0],
            [0.0, 0.0, 0.0, 1.0],
        ]),
        arr2(&[
            [0.0, 0.5, 1.0, 0.5],
            [0.5, 0.5, 0.5, 1.5],
            [0.0, 0.0, 0.0, 1.0],
        ]),
        arr2(&[
            [0.5, 0.5, 0.1, 0.1],
            [0.2, 0.2, 0.1, 0.1],
            [0.0, 0.0, 0.0, 1.0],
        ]),
    ];
    let line = any_line(Numbering::FromOne);
    let gold = GoldLinks::parse("1s1 2s2", line).unwrap();
    let (mut rates, mut norms) = (Vec::new(), Vec::new());
    for head in &heads {
        let map = WordMap::new(head.view(), &source, &target, AlignmentSetting::Awo).unwrap();
        let mut rate = AlignmentErrorRate::default();
        rate.push(&map.target_links(), &gold);
        rates.push(rate.error_rate());
        norms.push(head.mean().unwrap());
    }
    // Links 0-0 1-1; 1-0 alone, as the end mark wins over `▁rises`; 0-0 0-1.
    assert_eq!(rates, [0.0, 1.0, 0.5]);
    // Ranks 1 3 2 against 3 2 1.
    assert_eq!(spearman(&rates, &norms).unwrap(), Some(-0.5));
}
