//! Pages as files: what they hold, and what cannot become one. What they show
//! is tested in a browser, by `cargo xtask report-test`.

use std::path::Path;

use headwater::{Analysis, Analyzer, Input, Quantity, Request, Store};
use headwater_fixtures::golden;
use headwater_report::{Error, Report};

fn analysis_of(family: &str, request: &Request) -> Analysis {
    let analyzer = Analyzer::from_pretrained(golden(family)).unwrap();
    let input = Input::from(vec![2, 17, 40, 9, 3]);
    let input = analyzer.encode(&input).unwrap();
    analyzer
        .analyze_tokenized(&[input], request)
        .unwrap()
        .remove(0)
}

fn analysis() -> Analysis {
    let request = Request::new().quantities(Report::quantities());
    analysis_of("bert", &request)
}

fn page(report: Report) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    report.write(&path).unwrap();
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn texts_and_names_are_never_markup() {
    let hostile = "</script><script>alert(1)</script><!--";
    let mut analysis = analysis();
    analysis.input.tokens[1] = hostile.to_owned();
    analysis
        .metadata
        .insert("model".to_owned(), hostile.to_owned());
    let mut report = Report::new().title(hostile);
    report.add(hostile, analysis);
    let page = page(report);
    assert!(!page.contains("alert(1)</script>"));
    assert!(!page.contains("<!--"));
    assert!(page.contains("\\u003c/script>\\u003cscript>alert(1)"));
}

#[test]
fn nothing_in_a_page_is_fetched() {
    let mut report = Report::new();
    report.add("text", analysis());
    let page = page(report);
    assert!(page.contains("default-src 'none'"));
    for fetching in ["http:", "https:", " src=", "@import", "url(", "import("] {
        assert!(!page.contains(fetching), "{fetching}");
    }
}

#[test]
fn a_file_and_an_analysis_in_memory_make_the_same_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.safetensors");
    let analysis = analysis();
    analysis.save(&path, Store::Full).unwrap();
    let mut from_file = Report::new();
    from_file.add_file(&path).unwrap();
    let mut from_memory = Report::new();
    from_memory.add("text", analysis);
    assert_eq!(page(from_file), page(from_memory));
}

/// A report that cannot be written, and leaves nothing.
#[track_caller]
fn refused(report: Report) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let error = report.write(folder.path().join("report.html")).unwrap_err();
    assert!(error.is_bad_input());
    assert!(!error.to_string().contains('\n'), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    error
}

#[test]
fn no_analysis() {
    let error = refused(Report::new());
    assert!(matches!(error, Error::NoAnalysis), "{error}");
}

#[test]
fn nothing_to_show() {
    let request = Request::new().quantities([Quantity::BiasNorms]);
    let mut report = Report::new();
    report.add("text", analysis_of("bert", &request));
    let error = refused(report);
    assert!(matches!(error, Error::NothingToShow { .. }), "{error}");
}

#[test]
fn analyses_that_do_not_belong_together() {
    let mut report = Report::new();
    report.add("one", analysis());
    report.add("two", analysis_of("roberta", &Request::new()));
    let error = refused(report);
    assert!(
        matches!(
            error,
            Error::Unlike {
                what: "weights",
                ..
            }
        ),
        "{error}"
    );

    let request = Request::new().layers([0]);
    let mut report = Report::new();
    report.add("one", analysis());
    report.add("two", analysis_of("bert", &request));
    let error = refused(report);
    assert!(matches!(error, Error::Unlike { .. }), "{error}");
}

#[test]
fn a_file_with_numbers_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.safetensors");
    for (value, words) in [(f32::NAN, "NaN"), (-1.0, "-1")] {
        analysis().save(&path, Store::Full).unwrap();
        put(&path, "layers.1.norms.atb", value);
        let mut report = Report::new();
        report.add_file(&path).unwrap();
        let error = refused(report).to_string();
        assert!(error.contains("`layers.1.norms.atb` of `text`"), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

/// Overwrites the first value of an array.
fn put(path: &Path, key: &str, value: f32) {
    let mut bytes = std::fs::read(path).unwrap();
    let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
    let start = header[key]["data_offsets"][0].as_u64().unwrap() as usize + 8 + size;
    bytes[start..start + 4].copy_from_slice(&value.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_file_that_is_no_analysis() {
    let error = Report::new()
        .add_file(golden("bert").join("model.safetensors"))
        .unwrap_err();
    assert!(error.is_bad_input());
    assert!(
        error.to_string().contains("is not an analysis file"),
        "{error}"
    );
}
