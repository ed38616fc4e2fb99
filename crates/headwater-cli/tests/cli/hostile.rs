//! What must fail does so in one line, with the right exit status, and leaves nothing behind.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use crate::support::{analyze, analyze_text, assert_fails, fixture, headwater, names};

const IDS: [&str; 2] = ["--input-ids", "101,7,102"];

#[test]
fn arguments_are_checked() {
    for (arguments, words) in [
        (&[][..], "--text"),
        (&["--text", "a", "--input-ids", "1"], "cannot be used with"),
        (&["--text-pair", "a", "--input-ids", "1"], "--text"),
        (&["--input-ids", "1", "--token-type-ids", "x"], "'x'"),
        (&["--input-ids", "1,2,"], "not a token id"),
        (
            &["--input-ids", "1", "--scopes", "attention"],
            "atb_ff_res_ln",
        ),
        (
            &["--input-ids", "1", "--quantities", "norm"],
            "attention_weights, ",
        ),
        (&["--input-ids", "1", "--layers", "2-1"], "ends before"),
        (&["--input-ids", "1", "--device", "abacus"], "flex"),
        (&["--input-ids", "1", "--dtype", "f16"], "f64"),
        (
            &["--input-ids", "1", "--store", "f64", "--output", "x"],
            "f16",
        ),
        (
            &["--input-ids", "1", "--hidden-states"],
            "--output or --json",
        ),
        (&["--input-ids", "1", "--revision", "main"], "--revision"),
        (&["--input", "a.jsonl"], "--output"),
        (&["--input-ids", "1", "--txt", "a"], "--text"),
    ] {
        assert_fails(analyze().args(arguments), 2, &[words]);
    }
    assert_fails(&mut headwater(), 2, &["analyze"]);
    assert_fails(
        headwater().args(["analyze", "--input-ids", "1"]),
        2,
        &["--model"],
    );
}

#[test]
fn inputs_are_checked_against_the_model() {
    let many = vec!["7"; 41].join(",");
    for (arguments, words) in [
        (
            &["--input-ids", "101,120,102"][..],
            &["120", "position 1"][..],
        ),
        (&["--input-ids", &many], &["41 tokens", "40"]),
        (
            &["--input-ids", "7", "--token-type-ids", "2"],
            &["token type"],
        ),
        (
            &["--input-ids", "7,8", "--token-type-ids", "0"],
            &["2 token ids", "1 token type"],
        ),
        (
            &["--input-ids", "7", "--layers", "0-3"],
            &["layer 3", "0 to 2"],
        ),
        (&["--text", "no tokenizer here"], &["tokenizer.json"]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.safetensors");
        assert_fails(
            analyze().args(arguments).arg("--output").arg(&path),
            2,
            words,
        );
        assert!(names(directory.path()).is_empty());
        assert_fails(analyze().args(arguments), 2, words);
    }
}

#[test]
fn texts_are_checked() {
    assert_fails(analyze_text().args(["--text", ""]), 2, &["empty"]);
    assert_fails(analyze_text().args(["--text", " \n\t"]), 2, &["empty"]);
    let long = "the ".repeat(600);
    assert_fails(analyze_text().args(["--text", &long]), 2, &["602 tokens"]);
}

#[test]
fn models_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let run = |model: &Path, words: &[&str]| {
        let mut command = headwater();
        command
            .args(["analyze", "--model"])
            .arg(model)
            .args(["--text", "the"]);
        command
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HOME", directory.path().join("hub"));
        assert_fails(&mut command, 2, words);
    };
    run(&directory.path().join("nowhere/at/all"), &["nowhere"]);
    run(directory.path(), &["config.json"]);
    run(Path::new("no-such-model"), &["no-such-model"]);

    for name in ["config.json", "model.safetensors"] {
        fs::copy(
            fixture("golden/bert").join(name),
            directory.path().join(name),
        )
        .unwrap();
    }
    for broken in ["{", "{\"version\": \"1.0\"}", ""] {
        fs::write(directory.path().join("tokenizer.json"), broken).unwrap();
        run(directory.path(), &["tokenizer"]);
    }
}

#[test]
fn a_hub_out_of_reach_is_not_the_users_fault() {
    let cache = tempfile::tempdir().unwrap();
    let mut command = headwater();
    command.args(["analyze", "--model", "someone/something", "--text", "the"]);
    // Nothing listens on port 9 of this machine.
    command
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .env("HF_HOME", cache.path());
    command
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_HUB_CACHE");
    assert_fails(&mut command, 1, &["127.0.0.1:9", "HF_HUB_OFFLINE"]);
}

#[test]
fn outputs_that_cannot_be_written_leave_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "mine").unwrap();

    // Below a regular file nobody can write, root included.
    assert_fails(
        analyze()
            .args(IDS)
            .arg("--output")
            .arg(file.join("a.safetensors")),
        1,
        &["file"],
    );
    let missing = directory.path().join("missing/a.safetensors");
    assert_fails(
        analyze().args(IDS).arg("--output").arg(missing),
        2,
        &["missing", "make it first"],
    );
    for (name, instead) in [("a.svg", "headwater plot"), ("a.JSON", "--json")] {
        let path = directory.path().join(name);
        let mut command = analyze();
        command.args(IDS).arg("--output").arg(path);
        assert_fails(&mut command, 2, &[".safetensors", instead]);
    }
    assert_fails(
        analyze().args(IDS).arg("--output").arg(directory.path()),
        2,
        &["directory"],
    );

    let lines = directory.path().join("in.jsonl");
    fs::write(&lines, r#"{"input_ids": [7]}"#).unwrap();
    let corpus = |output: &Path| {
        let mut command = analyze();
        command
            .arg("--input")
            .arg(&lines)
            .arg("--output")
            .arg(output);
        command
    };
    assert_fails(&mut corpus(&file), 2, &["directory"]);
    assert_fails(&mut corpus(&file.join("below")), 1, &["below"]);
    assert_fails(
        analyze().args(["--input", "/nowhere.jsonl", "--output", "x"]),
        2,
        &["/nowhere"],
    );
    let mut command = analyze();
    command
        .arg("--input")
        .arg(directory.path())
        .args(["--output", "x"]);
    assert_fails(&mut command, 2, &["is a directory"]);

    assert_eq!(names(directory.path()), ["file", "in.jsonl"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[cfg(unix)]
#[test]
fn a_device_is_not_replaced_by_a_file() {
    use std::os::unix::fs::FileTypeExt;
    assert_fails(
        analyze().args(IDS).args(["--output", "/dev/full"]),
        2,
        &["/dev/full"],
    );
    assert!(
        fs::metadata("/dev/full")
            .unwrap()
            .file_type()
            .is_char_device()
    );
}

/// A limit on the size of files stands in for a full disk: root meets it too.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let limited = |arguments: &str, blocks: u32| {
        // Ignored, so that the limit is an error of the write and not a signal.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" {arguments}");
        let mut command = assert_cmd::Command::new("sh");
        command
            .arg("-c")
            .arg(script)
            .arg(assert_cmd::cargo::cargo_bin!("headwater"));
        command
            .current_dir(directory.path())
            .env("MODEL", fixture("golden/bert"));
        command
    };
    let one = "analyze --model \"$MODEL\" --input-ids 101,7,8,9,102 --output a.safetensors";
    assert_fails(&mut limited(one, 8), 1, &["a.safetensors"]);
    assert!(names(directory.path()).is_empty());

    // The second line stops the run: on a full disk no line to come would fare
    // better. Those that were read with it may still fit.
    let long = format!("{{\"input_ids\": {:?}}}", [7; 40]);
    let lines = format!("{{\"input_ids\": [7]}}\n{long}\n{{\"input_ids\": [8]}}\n");
    fs::write(directory.path().join("in.jsonl"), lines).unwrap();
    let many = "analyze --model \"$MODEL\" --input in.jsonl --output out";
    let one_by_one = format!("{many} --batch-size 1");
    for (arguments, written, summary) in [
        (
            one_by_one.as_str(),
            &["1"][..],
            "0 analyzed, 1 skipped, 1 failed\n",
        ),
        (many, &["1", "3"], "0 analyzed, 2 skipped, 1 failed\n"),
    ] {
        let mut command = limited(arguments, 40);
        assert_fails(&mut command, 1, &["line 2: ", "2.safetensors"]);
        let files = written.iter().map(|id| format!("{id}.safetensors"));
        let files: Vec<String> = files.collect();
        assert_eq!(names(&directory.path().join("out")), files);
        command.assert().stdout(summary);
    }
}

#[cfg(unix)]
#[test]
fn a_full_standard_output_is_an_error() {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("headwater"));
    command
        .args(["analyze", "--model"])
        .arg(fixture("golden/bert"))
        .args(IDS);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command
        .stdout(Stdio::from(full))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("error: cannot write to standard output"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1);
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    for arguments in [
        &["--input-ids", "101,7,102"][..],
        &["--input-ids", "7,8", "--json"],
    ] {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("headwater"));
        command
            .args(["analyze", "--model"])
            .arg(fixture("golden/bert"))
            .args(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
}

/// Texts that are none are named once, by what they are.
#[test]
fn files_that_are_no_text_are_known() {
    let directory = tempfile::tempdir().unwrap();
    let utf16: Vec<u8> = "\u{feff}{\"text\": \"the\"}\n"
        .repeat(3)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabVP*I\xad(Q\xb2R".to_vec();
    let (bert, marian) = (fixture("bundled-bert"), fixture("bundled-marian"));
    let (bert, marian) = (bert.to_str().unwrap(), marian.to_str().unwrap());
    for (bytes, what, mend) in [(utf16, "UTF-16", "iconv"), (gzip, "gzip", "gzip -dc")] {
        fs::write(directory.path().join("text"), bytes).unwrap();
        for (option, arguments) in [
            ("--input", &["analyze", "-m", bert, "--output", "out"][..]),
            ("--source", &["translate", "-m", marian]),
            ("--source", &["align", "-m", marian, "--target", "text"]),
            ("--input", &["align", "-m", marian]),
        ] {
            let mut command = headwater();
            command.current_dir(directory.path()).args(arguments);
            command.args([option, "text"]);
            assert_fails(&mut command, 2, &[option, "text", what, mend]);
        }
        assert_eq!(names(directory.path()), ["text"]);
    }
}
