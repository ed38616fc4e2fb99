//! JSON lines into a directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use assert_cmd::Command;
use tempfile::TempDir;

use crate::support::{Arrays, analyze, files, fixture, headwater, names, stdout};

/// A directory with an input file, and `out` for the output.
struct Corpus {
    directory: TempDir,
}

impl Corpus {
    fn new(lines: &[&str]) -> Self {
        let corpus = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        corpus.rewrite(lines);
        corpus
    }

    fn rewrite(&self, lines: &[&str]) {
        fs::write(self.input(), lines.join("\n")).unwrap();
    }

    fn input(&self) -> PathBuf {
        self.directory.path().join("in.jsonl")
    }

    fn output(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    fn file(&self, id: &str) -> PathBuf {
        self.output().join(format!("{id}.safetensors"))
    }

    fn modified(&self, id: &str) -> SystemTime {
        fs::metadata(self.file(id)).unwrap().modified().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = analyze();
        command
            .arg("--input")
            .arg(self.input())
            .arg("--output")
            .arg(self.output())
            .args(arguments);
        command
    }

    fn names(&self) -> Vec<String> {
        names(&self.output())
    }
}

const LINES: [&str; 3] = [
    r#"{"id": "a", "input_ids": [101, 7, 8, 9, 102]}"#,
    r#"{"id": "b", "input_ids": [101, 7, 102, 9, 102], "token_type_ids": [0, 0, 0, 1, 1]}"#,
    r#"{"input_ids": [101, 5, 102], "text": null}"#,
];

/// The lines of standard error, each of which has to be an error.
#[track_caller]
fn errors(command: &mut Command, code: i32) -> (Vec<String>, String) {
    let output = command.assert().code(code).get_output().clone();
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(
        lines.iter().all(|line| line.starts_with("error: line ")),
        "{text}"
    );
    (lines, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn each_line_gets_its_file() {
    let corpus = Corpus::new(&LINES);
    let summary = stdout(&mut corpus.command(&["--dtype", "f64"]));
    assert_eq!(summary, "3 analyzed, 0 skipped, 0 failed\n");
    assert_eq!(
        corpus.names(),
        ["3.safetensors", "a.safetensors", "b.safetensors"]
    );

    // A padded batch of three equals the three alone.
    let alone = corpus.directory.path().join("alone.safetensors");
    for (id, ids, types) in [
        ("a", "101,7,8,9,102", "0,0,0,0,0"),
        ("b", "101,7,102,9,102", "0,0,0,1,1"),
        ("3", "101,5,102", "0,0,0"),
    ] {
        analyze()
            .args([
                "--input-ids",
                ids,
                "--token-type-ids",
                types,
                "--dtype",
                "f64",
                "--output",
            ])
            .arg(&alone)
            .assert()
            .success();
        let (alone, batched) = (Arrays::read(&alone), Arrays::read(corpus.file(id)));
        assert_eq!(alone.metadata, batched.metadata);
        assert_eq!(alone.keys(), batched.keys());
        for (key, array) in &alone.arrays {
            let other = &batched.arrays[key];
            assert_eq!(array.shape, other.shape, "{key}");
            if key.ends_with("_ids") {
                assert_eq!(array.integers(), other.integers());
            } else if !key.contains("reconstruction_error") {
                for (a, b) in array.floats().into_iter().zip(other.floats()) {
                    assert!((a - b).abs() <= 1e-12 * a, "{id} {key}: {a} {b}");
                }
            }
        }
    }
}

/// Eighty lines of lengths from 1 to 40 in no order, every seventh of which is
/// bad in one way or another.
fn many_lines() -> Vec<String> {
    let line = |index: usize| {
        let length = 1 + index * 23 % 40;
        let ids: Vec<usize> = (0..length)
            .map(|i| 5 + (index * 31 + i * 17) % 110)
            .collect();
        match (index % 7, index % 4) {
            (3, 0) => "{\"input_ids\": [7".to_owned(),
            (3, 1) => r#"{"text": "needs a tokenizer"}"#.to_owned(),
            (3, 2) => r#"{"input_ids": [101, 120]}"#.to_owned(),
            (3, _) => format!("{{\"input_ids\": {:?}}}", [7; 41]),
            _ => format!("{{\"input_ids\": {ids:?}}}"),
        }
    };
    (0..80).map(line).collect()
}

/// What is written and printed depends neither on how many lines are analyzed
/// together nor on how many at the same time.
#[test]
fn lines_of_many_lengths_come_out_as_one_by_one() {
    let lines = many_lines();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let run = |threads: &str, batch_size: &str| {
        let corpus = Corpus::new(&lines);
        let mut command = corpus.command(&["--batch-size", batch_size]);
        let (errors, summary) = errors(command.env("RAYON_NUM_THREADS", threads), 2);
        (files(&corpus.output()), errors, summary)
    };
    let (one_by_one, errors, summary) = run("1", "1");
    assert_eq!(summary, "69 analyzed, 0 skipped, 11 failed\n");
    let numbers: Vec<u64> = errors
        .iter()
        .map(|error| error.split([' ', ':']).nth(3).unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..11).map(|i| 4 + 7 * i).collect::<Vec<_>>());
    for (threads, batch_size) in [("2", "1"), ("2", "2"), ("2", "8"), ("1", "8"), ("3", "80")] {
        let (files, other_errors, other_summary) = run(threads, batch_size);
        let setting = format!("{threads} threads, batches of {batch_size}");
        assert_eq!(errors, other_errors, "{setting}");
        assert_eq!(summary, other_summary, "{setting}");
        assert_eq!(one_by_one.len(), files.len(), "{setting}");
        for (name, bytes) in &one_by_one {
            assert!(bytes == &files[name], "{name}: {setting}");
        }
    }
}

#[test]
fn standard_input_is_read() {
    let corpus = Corpus::new(&[]);
    let mut command = analyze();
    command
        .args(["--input", "-", "--output"])
        .arg(corpus.output());
    command.write_stdin(LINES.join("\n"));
    assert_eq!(stdout(&mut command), "3 analyzed, 0 skipped, 0 failed\n");
    assert_eq!(corpus.names().len(), 3);
}

#[test]
fn bad_lines_are_reported_and_do_not_stop_the_others() {
    let long = format!(r#"{{"id": "long", "input_ids": {:?}}}"#, [7; 41]);
    let corpus = Corpus::new(&[
        LINES[0],
        "{\"id\": \"broken",
        r#"{"id": "../escaped", "input_ids": [7]}"#,
        r#"{"id": "A", "input_ids": [7]}"#,
        r#"{"id": "vocabulary", "input_ids": [101, 120, 102]}"#,
        &long,
        r#"{"id": "types", "input_ids": [7, 8], "token_type_ids": [0]}"#,
        r#"{"id": "none", "input_ids": []}"#,
        r#"{"id": "text", "text": "needs a tokenizer"}"#,
        LINES[1],
    ]);
    let (lines, summary) = errors(&mut corpus.command(&["--batch-size", "1"]), 2);
    for (line, (number, words)) in lines.iter().zip([
        (2, "JSON"),
        (3, "path separator"),
        (4, "line 1"),
        (5, "120"),
        (6, "41 tokens"),
        (7, "token type"),
        (8, "at least one"),
        (9, "tokenizer.json"),
    ]) {
        assert!(
            line.starts_with(&format!("error: line {number}: ")),
            "{line}"
        );
        assert!(line.contains(words), "{words:?} is not in {line}");
    }
    assert_eq!(lines.len(), 8);
    assert_eq!(summary, "2 analyzed, 0 skipped, 8 failed\n");
    assert_eq!(corpus.names(), ["a.safetensors", "b.safetensors"]);
    assert_eq!(names(corpus.directory.path()), ["in.jsonl", "out"]);
}

#[test]
fn a_taken_path_fails_its_line_only() {
    let corpus = Corpus::new(&LINES);
    fs::create_dir_all(corpus.file("a")).unwrap();
    let (lines, summary) = errors(&mut corpus.command(&[]), 2);
    assert!(
        lines.len() == 1 && lines[0].starts_with("error: line 1: "),
        "{lines:?}"
    );
    assert_eq!(summary, "2 analyzed, 0 skipped, 1 failed\n");
}

#[test]
fn another_configuration_is_another_model() {
    let corpus = Corpus::new(&LINES);
    let model = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(fixture("golden/bert").join(name), model.path().join(name)).unwrap();
    }
    let run = || {
        let mut command = headwater();
        command.args(["analyze", "--model"]).arg(model.path());
        command.arg("--input").arg(corpus.input());
        stdout(command.arg("--output").arg(corpus.output()))
    };
    assert_eq!(run(), "3 analyzed, 0 skipped, 0 failed\n");
    assert_eq!(run(), "0 analyzed, 3 skipped, 0 failed\n");
    let config = fs::read_to_string(model.path().join("config.json")).unwrap();
    let relu = config.replace(r#""gelu""#, r#""relu""#);
    assert_ne!(relu, config);
    fs::write(model.path().join("config.json"), relu).unwrap();
    assert_eq!(run(), "3 analyzed, 0 skipped, 0 failed\n");
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    let corpus = Corpus::new(&LINES);
    stdout(&mut corpus.command(&[]));
    assert_eq!(
        stdout(&mut corpus.command(&[])),
        "0 analyzed, 3 skipped, 0 failed\n"
    );

    // One is missing, one was cut off, one is whole.
    let whole = fs::read(corpus.file("b")).unwrap();
    fs::remove_file(corpus.file("a")).unwrap();
    fs::write(corpus.file("b"), &whole[..whole.len() - 1]).unwrap();
    let untouched = corpus.modified("3");
    assert_eq!(
        stdout(&mut corpus.command(&["--batch-size", "2"])),
        "2 analyzed, 1 skipped, 0 failed\n"
    );
    assert_eq!(corpus.modified("3"), untouched);
    assert!(fs::read(corpus.file("b")).unwrap() == whole);
    assert_eq!(
        stdout(&mut corpus.command(&[])),
        "0 analyzed, 3 skipped, 0 failed\n"
    );
}

#[cfg(unix)]
#[test]
fn a_killed_run_leaves_nothing_for_good() {
    let line = |id: usize| format!(r#"{{"id": "{id}", "input_ids": {:?}}}"#, [id % 100; 40]);
    let lines: Vec<String> = (0..400).map(line).collect();
    let corpus = Corpus::new(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let mut run = std::process::Command::new(assert_cmd::cargo::cargo_bin!("headwater"))
        .args(["analyze", "--model"])
        .arg(fixture("golden/bert"))
        .arg("--input")
        .arg(corpus.input())
        .arg("--output")
        .arg(corpus.output())
        .spawn()
        .unwrap();
    let unfinished = |name: &String| name.ends_with(".partial");
    while !(corpus.output().exists() && corpus.names().iter().any(unfinished)) {
        assert!(
            run.try_wait().unwrap().is_none(),
            "no unfinished file was ever seen"
        );
    }
    run.kill().unwrap();
    run.wait().unwrap();

    let finished = corpus
        .names()
        .into_iter()
        .filter(|name| !unfinished(name))
        .count();
    let summary = stdout(&mut corpus.command(&[]));
    let rest = 400 - finished;
    assert_eq!(
        summary,
        format!("{rest} analyzed, {finished} skipped, 0 failed\n")
    );
    assert_eq!(corpus.names().len(), 400);
}

#[test]
fn what_was_made_otherwise_is_made_again() {
    let corpus = Corpus::new(&LINES);
    stdout(&mut corpus.command(&[]));
    // Each differs from the settings before it in one respect.
    for settings in [
        &["--store", "f16"][..],
        &["--store", "f16", "--layers", "0"],
        &["--store", "f16", "--layers", "1"],
        &["--store", "f16", "--layers", "1", "--scopes", "atb"],
        &[
            "--store",
            "f16",
            "--layers",
            "1",
            "--scopes",
            "atb",
            "--quantities",
            "norms",
        ],
        &["--layers", "1", "--scopes", "atb", "--quantities", "norms"],
        &[
            "--layers",
            "1",
            "--scopes",
            "atb",
            "--quantities",
            "norms",
            "--hidden-states",
        ],
        &[
            "--layers",
            "1",
            "--scopes",
            "atb",
            "--quantities",
            "norms",
            "--dtype",
            "f64",
        ],
    ] {
        assert_eq!(
            stdout(&mut corpus.command(settings)),
            "3 analyzed, 0 skipped, 0 failed\n"
        );
        assert_eq!(
            stdout(&mut corpus.command(settings)),
            "0 analyzed, 3 skipped, 0 failed\n"
        );
    }

    // Another input under the same id.
    stdout(&mut corpus.command(&[]));
    corpus.rewrite(&[
        r#"{"id": "a", "input_ids": [101, 7, 9, 9, 102]}"#,
        r#"{"id": "b", "input_ids": [101, 7, 102, 9, 102]}"#,
        LINES[2],
    ]);
    assert_eq!(
        stdout(&mut corpus.command(&[])),
        "2 analyzed, 1 skipped, 0 failed\n"
    );
}

#[test]
fn other_weights_make_other_files() {
    let corpus = Corpus::new(&LINES);
    stdout(&mut corpus.command(&[]));
    let model = corpus.directory.path().join("model");
    copy_model(&model);
    let weights = model.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    // The lowest bit of a weight.
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let mut command = headwater();
    command
        .args(["analyze", "--model"])
        .arg(&model)
        .arg("--input")
        .arg(corpus.input());
    command.arg("--output").arg(corpus.output());
    assert_eq!(stdout(&mut command), "3 analyzed, 0 skipped, 0 failed\n");
}

fn copy_model(to: &Path) {
    fs::create_dir(to).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(fixture("golden/bert").join(name), to.join(name)).unwrap();
    }
}
