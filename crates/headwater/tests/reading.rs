//! Analysis files read back, and files that are none.

use std::path::Path;

use headwater::analysis::Error;
use headwater::{Analysis, AnalysisReader, Analyzer, Input, LayerArray, Store};
use headwater_fixtures::golden;
use serde_json::{Value, json};

fn analysis() -> Analysis {
    Analyzer::from_pretrained(golden("bert"))
        .unwrap()
        .analyze(Input::from(vec![2, 17, 40, 9, 3]))
        .unwrap()
}

#[test]
fn a_file_read_back_is_the_analysis() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let analysis = analysis();
    analysis.save(&path, Store::Full).unwrap();
    let read = Analysis::open(&path).unwrap();
    assert_eq!(read, analysis);

    let again = folder.path().join("again.safetensors");
    read.save(&again, Store::Full).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), std::fs::read(again).unwrap());
}

#[test]
fn float16_is_read_as_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    let analysis = analysis();
    analysis.save(&path, Store::F16).unwrap();
    let mut reader = AnalysisReader::open(&path).unwrap();
    for (key, exact) in analysis.arrays() {
        let read = reader.array(key).unwrap().unwrap();
        if key.to_string().contains("reconstruction_error") {
            assert_eq!(&read, exact);
            continue;
        }
        let halves = exact
            .iter()
            .map(|value| half::f16::from_f64(value).to_f64());
        assert!(read.iter().eq(halves), "{key}");
    }
    assert_eq!(
        reader.array(&LayerArray::WeightedNorms.at(99)).unwrap(),
        None
    );
}

/// A good file with its header, and perhaps its bytes, changed.
fn refused(edit: impl FnOnce(&mut Value, &mut Vec<u8>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.safetensors");
    analysis().save(&path, Store::Full).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
    let mut data = bytes[8 + size..].to_vec();
    edit(&mut header, &mut data);
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    std::fs::write(&path, bytes).unwrap();
    reason(&path)
}

#[track_caller]
fn reason(path: &Path) -> String {
    let error = AnalysisReader::open(path).unwrap_err();
    assert!(error.is_bad_input());
    assert!(!error.to_string().contains('\n'), "{error}");
    let Error::NotAnAnalysis { reason, source, .. } = error else {
        panic!("{error}");
    };
    match source {
        Some(source) => format!("{reason}: {source}"),
        None => reason,
    }
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    for (bytes, words) in [
        (&b""[..], "ends before its header"),
        (b"1234567", "ends before its header"),
        (b"{\"a\": \"text file\"}", "no safetensors file"),
        (b"\x04\0\0\0\0\0\0\0nope", "header cannot be read"),
        (b"\x02\0\0\0\0\0\0\0{}", "names no format"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let reason = reason(&path);
        assert!(reason.contains(words), "{reason}");
    }
    assert!(reason(folder.path()).contains("not a regular file"));
    let model = golden("bert").join("model.safetensors");
    assert!(reason(&model).contains("format"));
    let missing = AnalysisReader::open(folder.path().join("missing")).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
}

#[test]
fn another_version_is_refused() {
    let reason = refused(|header, _| {
        header["__metadata__"]["format"] = json!("headwater.analysis/9");
    });
    assert!(reason.contains("headwater.analysis/9"), "{reason}");
    assert!(reason.contains(headwater::FORMAT), "{reason}");
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let reason = refused(|_, data| data.truncate(data.len() - 1));
    assert!(reason.contains("cut off"), "{reason}");
}

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let reason = refused(|header, _| {
        header["layers.1.norms.atb"]["shape"] = json!([1, 25]);
    });
    assert!(reason.contains("`layers.1.norms.atb`"), "{reason}");
    assert!(reason.contains("[1, 25]"), "{reason}");

    // As many elements, but another number of heads than in other layers.
    let reason = refused(|header, _| {
        let shape = header["layers.1.attention_weights"]["shape"].clone();
        let heads = shape[0].as_u64().unwrap();
        header["layers.1.attention_weights"]["shape"] = json!([1, 5 * heads, 5]);
    });
    assert!(reason.contains("`layers.1.attention_weights`"), "{reason}");

    let reason = refused(|header, _| {
        header["layers.1.norms.atb"]["dtype"] = json!("I32");
    });
    assert!(reason.contains("I32"), "{reason}");
}

#[test]
fn tokens_that_do_not_fit_are_refused() {
    let reason = refused(|header, _| {
        header["__metadata__"]["tokens"] = json!("[\"a\"]");
    });
    assert!(
        reason.contains("5 ids, 5 token types and 1 tokens"),
        "{reason}"
    );
    let reason = refused(|header, _| {
        header["__metadata__"]["tokens"] = json!("not a list");
    });
    assert!(reason.contains("`tokens`"), "{reason}");
    let reason = refused(|_, data| data[..8].copy_from_slice(&(-1_i64).to_le_bytes()));
    assert!(reason.contains("the id -1"), "{reason}");
}
