use std::fs;

use crate::support::{analyze_text, assert_fails, fixture, headwater, names};

#[test]
fn a_model_and_a_text() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("report.html");
    headwater()
        .args(["report", "--model"])
        .arg(fixture("bundled-bert"))
        .args(["--text", "The girl sees the dog.", "--output"])
        .arg(&page)
        .assert()
        .success();
    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>"));
    assert!(page.contains(r#""title":"The girl sees the dog.""#));
    assert!(page.contains("norms.atb_ff_res_ln"));
    assert_eq!(names(directory.path()), ["report.html"]);
}

#[test]
fn several_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    for (name, text) in [
        ("a.safetensors", "The dog."),
        ("b.safetensors", "The old dog."),
    ] {
        analyze_text()
            .args(["--text", text, "--output"])
            .arg(file(name))
            .assert()
            .success();
    }
    headwater()
        .arg("report")
        .args([file("a.safetensors"), file("b.safetensors")])
        .args(["--title", "Dogs", "--output"])
        .arg(file("report.html"))
        .assert()
        .success();
    let page = fs::read_to_string(file("report.html")).unwrap();
    assert!(page.contains(r#""title":"Dogs""#));
    assert!(page.contains(r#""name":"a""#) && page.contains(r#""name":"b""#));
}

#[test]
fn what_is_wrong_is_said_in_a_line_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("report.html");
    let report = |arguments: &[&str]| {
        let mut command = headwater();
        command
            .arg("report")
            .args(arguments)
            .arg("--output")
            .arg(&output);
        command
    };
    let weights = fixture("bundled-bert").join("model.safetensors");
    let weights = weights.to_str().unwrap();
    assert_fails(
        &mut report(&[weights]),
        2,
        &["is not an analysis file", "format"],
    );
    assert_fails(
        &mut report(&["missing.safetensors"]),
        2,
        &["missing", "headwater analyze --output"],
    );
    assert_fails(&mut report(&[]), 2, &["--model"]);
    assert_fails(&mut report(&["--text", "a"]), 2, &["--model"]);
    let model = fixture("bundled-bert");
    let model = model.to_str().unwrap();
    assert_fails(
        &mut report(&[weights, "--model", model]),
        2,
        &["cannot be used with"],
    );
    assert!(names(directory.path()).is_empty());
}
