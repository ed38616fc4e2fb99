//! Links of two directions, combined as Moses' symal combines them.

use headwater_metrics::{LinkLine, Links, Numbering, Symmetrization};

const HEURISTICS: [Symmetrization; 3] = [
    Symmetrization::GrowDiag,
    Symmetrization::GrowDiagFinal,
    Symmetrization::GrowDiagFinalAnd,
];

fn links(text: &str) -> Links {
    let line = LinkLine {
        number: 1,
        numbering: Numbering::FromZero,
        words: None,
    };
    Links::parse(text, line).unwrap()
}

/// The columns of `fixtures/symmetrization/cases.tsv`, which its script describes.
fn cases() -> Vec<Vec<Links>> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/symmetrization/cases.tsv"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().skip(1);
    rows.map(|row| row.split('\t').map(links).collect())
        .collect()
}

#[test]
fn heuristics_are_those_of_symal_and_not_of_atools() {
    let cases = cases();
    assert_eq!(cases.len(), 150);
    let mut unlike_atools = [0; HEURISTICS.len()];
    for case in &cases {
        let [forward, backward, theirs @ ..] = &case[..] else {
            panic!("a case has eight columns");
        };
        let (symal, atools) = theirs.split_at(HEURISTICS.len());
        for (index, how) in HEURISTICS.into_iter().enumerate() {
            let ours = how.combine(forward, backward);
            assert_eq!(ours, symal[index], "{how} of {forward} and {backward}");
            unlike_atools[index] += usize::from(ours != atools[index]);
        }
    }
    assert_eq!(unlike_atools, [14; 3]);
}
