//! Byte-level tokens are shown as the characters that they are.

use std::fs;

use headwater_analysis::{Analysis, Array, LayerArray, Scope, Spelling, Stack, TokenizedInput};
use headwater_report::Report;
use headwater_report::plot::{Diagonal, Heads, Place, Plotter, Rows, View};

fn analysis() -> Analysis {
    let tokens = ["Ã¤", "×©", "Ċ", "Ġgirl", "æ¼", "<s>"].map(str::to_owned);
    let input = TokenizedInput::new((0..6).collect(), tokens.to_vec()).unwrap();
    let norms = LayerArray::Norms(Scope::Atb).at(0);
    let values = (1..=36).map(|value| value as f32);
    Analysis::builder(input.with_spelling(Spelling::ByteLevel))
        .metadata("model", "small")
        .array(norms, Array::from_f32(vec![6, 6], values.collect()))
        .unwrap()
        .build()
}

const READABLE: [&str; 6] = ["ä", "ש", "\\n", "▁girl", "\u{FFFD}", "<s>"];

#[test]
fn pictures_have_characters() {
    let mut plotter = Plotter::new("it", analysis());
    let place = Place {
        stack: Stack::Only,
        layer: 0,
    };
    let view = View {
        rows: Rows::Unchanged,
        diagonal: Diagonal::Shown,
    };
    let map = plotter
        .map(place, LayerArray::Norms(Scope::Atb), Heads::Mean, view)
        .unwrap();
    assert_eq!(map.rows.labels, READABLE);
    assert_eq!(map.columns.labels, READABLE);
}

#[test]
fn pages_have_characters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    let mut report = Report::new();
    report.add("it", analysis());
    report.write(&path).unwrap();
    let page = fs::read_to_string(path).unwrap();
    assert!(page.contains(r#"["ä","ש","\\n","▁girl"#), "no tokens");
    assert!(!page.contains("Ã¤") && !page.contains("Ġgirl"));
}
