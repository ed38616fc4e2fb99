//! Translation models: their own output, and analyses of a text and its translation.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use safetensors::Dtype;
use serde_json::Value;

use crate::support::{Arrays, analyze_text, assert_fails, fixture, headwater, names, stdout};

fn bundled(name: &str) -> PathBuf {
    fixture("bundled-marian").join(name)
}

fn with_model(command: &str) -> Command {
    let mut program = headwater();
    program
        .arg(command)
        .arg("--model")
        .arg(fixture("bundled-marian"));
    program
}

const SOURCE: &str = "tage wa melpol ko dijo .";
const TARGET: &str = "the boy meets melpol .";

#[test]
fn the_test_sentences_are_translated() {
    let mut command = with_model("translate");
    let source = bundled("test.source.txt");
    let found = stdout(command.arg("--source").arg(&source).args(["--beams", "1"]));
    let target = fs::read_to_string(bundled("test.target.txt")).unwrap();
    assert!(target.lines().count() == 200 && found == target);

    // As the model's makers set it up, of the first lines.
    let first = |text: &str| {
        text.lines()
            .take(5)
            .map(|l| format!("{l}\r\n"))
            .collect::<String>()
    };
    let mut command = with_model("translate");
    command.args(["--source", "-"]);
    command.write_stdin(first(&fs::read_to_string(&source).unwrap()));
    assert_eq!(stdout(&mut command).replace('\n', "\r\n"), first(&target));
    for beams in ["1", "3", "50"] {
        let mut command = with_model("translate");
        let text = stdout(command.args(["--text", SOURCE, "--beams", beams]));
        assert_eq!(text, format!("{TARGET}\n"));
    }
}

#[test]
fn what_cannot_be_translated() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let translate = |arguments: &[&str]| {
        let mut command = with_model("translate");
        command.args(arguments);
        command
    };
    let from = |text: &[u8]| {
        let mut command = translate(&["--source", "-"]);
        command.write_stdin(text.to_vec());
        command
    };
    assert_fails(
        &mut from(b""),
        2,
        &["--source has no line", "one sentence a line"],
    );
    // Lines stay each other's: of an empty one comes an empty one.
    let mut command = from(format!("{SOURCE}\n \t\n\n{SOURCE}\n").as_bytes());
    assert_eq!(stdout(&mut command), format!("{TARGET}\n\n\n{TARGET}\n"));
    assert_eq!(stdout(&mut from(b"\n")), "\n");
    // So are those that cannot be translated, and the others go on.
    let long = "tage ".repeat(70);
    let lines = [
        SOURCE.as_bytes(),
        b"\xff",
        long.as_bytes(),
        SOURCE.as_bytes(),
    ];
    let mut command = from(&lines.join(&b"\n"[..]));
    let output = command.assert().code(2).get_output().clone();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, format!("{TARGET}\n\n\n{TARGET}\n"));
    let errors = String::from_utf8(output.stderr).unwrap();
    let errors: Vec<&str> = errors.lines().collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].starts_with("error: line 2: not UTF-8"),
        "{errors:?}"
    );
    assert!(
        errors[1].starts_with("error: line 3: ") && errors[1].contains("64"),
        "{errors:?}"
    );
    assert_fails(&mut translate(&["--text", " "]), 2, &["empty"]);

    for (arguments, words) in [
        (&[][..], "--text"),
        (&["--text", "a", "--source", "b"], "--source"),
        (&["--text", "a", "--beams", "0"], "--beams"),
        (&["--text", "a", "--target-language", "de_DE"], "de_DE"),
        (&["--text", "a", "--source-language", "en_XX"], "en_XX"),
    ] {
        assert_fails(&mut translate(arguments), 2, &[words]);
    }
    let path = missing.to_str().unwrap();
    assert_fails(
        &mut translate(&["--source", path]),
        2,
        &["cannot read --source", path],
    );
    let path = directory.path().to_str().unwrap();
    assert_fails(&mut translate(&["--source", path]), 2, &["is a directory"]);
    let mut bert = headwater();
    bert.args(["translate", "--text", "the", "--model"])
        .arg(fixture("bundled-bert"));
    assert_fails(
        &mut bert,
        2,
        &["bert model has no decoder", "translation model"],
    );
}

/// Sentences of the bundled bitext, as many as are asked for.
fn sentences(lines: usize) -> [String; 2] {
    ["source", "target"].map(|side| {
        let text = fs::read_to_string(bundled(&format!("test.{side}.txt"))).unwrap();
        let lines = text.lines().take(lines);
        lines.map(|line| format!("{line}\n")).collect()
    })
}

fn translate_file(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = with_model("translate");
    command.args(["--source", "text", "--output", "out"]);
    command.args(arguments).current_dir(folder);
    command
}

#[test]
fn a_stopped_translation_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [source, target] = sentences(12);
    fs::write(file("text"), &source).unwrap();
    let run = |arguments: &[&str]| translate_file(folder.path(), arguments);
    assert_eq!(
        stdout(&mut run(&[])),
        "12 translated, 0 skipped, 0 failed\n"
    );
    assert_eq!(fs::read_to_string(file("out")).unwrap(), target);
    assert_eq!(names(folder.path()), ["out", "text"]);
    // What is finished is the user's.
    assert_fails(&mut run(&[]), 2, &["out", "is there", "move it away"]);
    assert_eq!(fs::read_to_string(file("out")).unwrap(), target);
    fs::remove_file(file("out")).unwrap();

    // The fifth line is mended after a first run: only that is done.
    let broken = source.replace(source.lines().nth(4).unwrap(), &"tage ".repeat(70));
    fs::write(file("text"), &broken).unwrap();
    let mut command = run(&[]);
    assert_fails(&mut command, 2, &["line 5: ", "64"]);
    command
        .assert()
        .stdout("0 translated, 11 skipped, 1 failed\n");
    assert_eq!(names(folder.path()), ["out", "out.unfinished", "text"]);
    let lines: Vec<String> = fs::read_to_string(file("out"))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!((lines.len(), lines[4].as_str()), (12, ""));
    fs::write(file("text"), &source).unwrap();
    assert_eq!(
        stdout(&mut run(&[])),
        "1 translated, 11 skipped, 0 failed\n"
    );
    assert_eq!(fs::read_to_string(file("out")).unwrap(), target);
    assert_eq!(names(folder.path()), ["out", "text"]);

    // What another setting made is made anew, and what somebody changed is kept.
    fs::write(file("text"), &broken).unwrap();
    fs::remove_file(file("out")).unwrap();
    run(&["--quiet"]).assert().code(2).stdout("");
    fs::write(file("out"), "by hand\n").unwrap();
    assert_fails(&mut run(&[]), 2, &["out", "is there"]);
    assert_eq!(fs::read_to_string(file("out")).unwrap(), "by hand\n");
    fs::remove_file(file("out")).unwrap();
    run(&["--beams", "1"])
        .assert()
        .code(2)
        .stdout("11 translated, 0 skipped, 1 failed\n");
    fs::write(file("out.unfinished"), "my notes").unwrap();
    assert_fails(&mut run(&[]), 2, &["out.unfinished", "no journal"]);
}

/// A limit on the size of files stands in for a full disk: root meets it too.
#[cfg(unix)]
#[test]
fn a_full_disk_keeps_what_was_translated() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [source, target] = sentences(60);
    fs::write(file("text"), source).unwrap();
    let script = "trap '' XFSZ; ulimit -f 4; exec \"$0\" translate --model \"$MODEL\" --beams 1 \
                  --source text --output out";
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(script)
        .arg(assert_cmd::cargo::cargo_bin!("headwater"))
        .current_dir(folder.path())
        .env("MODEL", fixture("bundled-marian"));
    assert_fails(&mut command, 1, &["cannot write", "out.unfinished"]);
    assert_eq!(names(folder.path()), ["out.unfinished", "text"]);
    let summary = stdout(&mut translate_file(folder.path(), &["--beams", "1"]));
    let numbers: Vec<u64> = summary
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!((numbers[0] + numbers[1], numbers[2]), (60, 0), "{summary}");
    assert!(numbers[1] > 5, "{summary}");
    assert_eq!(fs::read_to_string(file("out")).unwrap(), target);
    assert_eq!(names(folder.path()), ["out", "text"]);
}

/// The format's table: key and shape of every array of the bundled model.
fn expected_shapes(source: usize, target: usize) -> Vec<(String, Vec<usize>)> {
    let (layers, heads, d_model) = (4, 4, 96);
    let mut shapes = vec![
        ("encoder.input_ids".to_owned(), vec![source]),
        ("decoder.input_ids".to_owned(), vec![target]),
    ];
    for (stack, tokens) in [("encoder", source), ("decoder", target)] {
        for l in 0..=layers {
            shapes.push((format!("{stack}.hidden_states.{l}"), vec![tokens, d_model]));
        }
        for l in 0..layers {
            let mut add = |name: &str, shape: &[usize]| {
                shapes.push((format!("{stack}.layers.{l}.{name}"), shape.to_vec()));
            };
            let mut attention = |prefix: &str, sources: usize| {
                add(
                    &format!("{prefix}attention_weights"),
                    &[heads, tokens, sources],
                );
                add(&format!("{prefix}transformed_norms"), &[heads, sources]);
                add(
                    &format!("{prefix}weighted_norms"),
                    &[heads, tokens, sources],
                );
            };
            attention("", tokens);
            if stack == "decoder" {
                attention("cross_", source);
            }
            let own = [
                "attn",
                "attn_res",
                "atb",
                "atb_ff",
                "atb_ff_res",
                "atb_ff_res_ln",
            ];
            let cross = [
                "cross_attn",
                "cross_attn_res",
                "cross_attn_res_ln",
                "cross_attn_res_ln_ff",
                "cross_attn_res_ln_ff_res",
                "cross_attn_res_ln_ff_res_ln",
            ];
            let scopes: Vec<(&str, usize)> = match stack {
                "encoder" => own.iter().map(|&scope| (scope, tokens)).collect(),
                // The feed-forward block comes behind cross-attention.
                _ => own[..3]
                    .iter()
                    .map(|&scope| (scope, tokens))
                    .chain(cross.iter().map(|&scope| (scope, source)))
                    .collect(),
            };
            for (scope, sources) in scopes {
                add(&format!("norms.{scope}"), &[tokens, sources]);
                for name in [
                    "preserving_norms",
                    "mixing_norms",
                    "mixing_ratio",
                    "bias_norms",
                ] {
                    add(&format!("{name}.{scope}"), &[tokens]);
                }
                add(&format!("reconstruction_error.{scope}"), &[1]);
            }
            add("mixing_ratio.attn_w", &[tokens]);
            add("mixing_ratio.attn_res_w", &[tokens]);
        }
    }
    shapes.sort();
    shapes
}

fn analyze(arguments: &[&str]) -> Command {
    let mut command = with_model("analyze");
    command.args(arguments);
    command
}

#[test]
fn a_file_holds_every_array_of_both_stacks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.safetensors");
    let mut command = analyze(&["--text", SOURCE, "--target", TARGET, "--hidden-states"]);
    command.arg("--output").arg(&path);
    command.assert().success().stdout("").stderr("");
    let file = Arrays::read(&path);
    let tokens =
        |name: &str| -> Vec<String> { serde_json::from_str(&file.metadata[name]).unwrap() };
    let (source, target) = (tokens("encoder.tokens"), tokens("decoder.tokens"));
    assert_eq!(source.last().unwrap(), "</s>");
    assert_eq!(target[0], "<pad>");
    assert_ne!(target.last().unwrap(), "</s>");
    assert!(!file.metadata.contains_key("tokens"));
    assert_eq!(file.metadata["format"], "headwater.analysis/1");
    assert_eq!(file.metadata["architecture"], "marian");
    let shapes: Vec<(String, Vec<usize>)> = file
        .arrays
        .iter()
        .map(|(key, array)| (key.clone(), array.shape.clone()))
        .collect();
    assert_eq!(shapes, expected_shapes(source.len(), target.len()));
    for (key, array) in &file.arrays {
        match key.ends_with("input_ids") {
            true => assert_eq!(array.dtype, Dtype::I64, "{key}"),
            false => assert!(
                array.floats().iter().all(|value| value.is_finite()),
                "{key}"
            ),
        }
        if key.contains("reconstruction_error") {
            assert!(array.floats()[0] < 1e-5, "{key}");
        }
    }

    // The ids say the same without a tokenizer; the model's own translation is this one.
    let ids = |key: &str| {
        let ids = file.arrays[key].integers();
        ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
    };
    let (source, target) = (ids("encoder.input_ids"), ids("decoder.input_ids"));
    for (name, arguments) in [
        (
            "ids",
            &["--input-ids", &source, "--decoder-input-ids", &target][..],
        ),
        ("own", &["--text", SOURCE]),
        ("own of ids", &["--input-ids", &source]),
        ("mixed", &["--text", SOURCE, "--decoder-input-ids", &target]),
    ] {
        let other = directory.path().join(format!("{name}.safetensors"));
        let mut command = analyze(arguments);
        command.args(["--hidden-states", "--output"]).arg(&other);
        command.assert().success().stdout("").stderr("");
        assert_eq!(
            fs::read(&other).unwrap(),
            fs::read(&path).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn tables_and_json_show_both_stacks() {
    let text = stdout(&mut analyze(&["--text", SOURCE, "--target", TARGET]));
    for heading in [
        "11 and 10 tokens",
        "encoder.mixing_ratio",
        "decoder.cross_mixing_ratio",
        "decoder.cross_reconstruction_error",
        "norms.cross_attn_res_ln_ff_res_ln",
    ] {
        assert!(text.contains(heading), "{heading} is not in\n{text}");
    }
    assert!(
        text.lines().skip(1).all(|line| line.chars().count() <= 100),
        "{text}"
    );

    // The longer side decides whether single tokens are listed.
    let ids = ["5"; 41].join(",");
    let text = stdout(&mut analyze(&[
        "--text",
        SOURCE,
        "--decoder-input-ids",
        &ids,
    ]));
    assert!(!text.contains("Strongest sources") && text.contains("up to 40 tokens"));

    let mut command = analyze(&["--text", SOURCE, "--target", TARGET, "--json"]);
    let json: Value = serde_json::from_str(&stdout(&mut command)).unwrap();
    let (source, target) = (&json["encoder.tokens"], &json["decoder.tokens"]);
    let lengths = [source, target].map(|tokens| tokens.as_array().unwrap().len());
    assert_eq!(
        json["encoder.input_ids"].as_array().unwrap().len(),
        lengths[0]
    );
    assert_eq!(
        json["decoder.input_ids"].as_array().unwrap().len(),
        lengths[1]
    );
    let map = &json["arrays"]["decoder.layers.3.norms.cross_attn"];
    assert_eq!(map.as_array().unwrap().len(), lengths[1]);
    for row in json["arrays"]["decoder.layers.3.cross_attention_weights"][0]
        .as_array()
        .unwrap()
    {
        let weights: Vec<f64> = row
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        assert_eq!(weights.len(), lengths[0]);
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-5);
    }
    let mut command = analyze(&["--text", SOURCE, "--layers", "2", "--json"]);
    command.args(["--scopes", "cross_attn", "--quantities", "norms"]);
    let json: Value = serde_json::from_str(&stdout(&mut command)).unwrap();
    let keys: Vec<&String> = json["arrays"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["decoder.layers.2.norms.cross_attn"]);
}

#[test]
fn json_lines_are_analyzed_and_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (
        directory.path().join("in.jsonl"),
        directory.path().join("out"),
    );
    let line = |id: &str, rest: Value| {
        let mut line = serde_json::json!({"id": id});
        line.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        line.to_string() + "\n"
    };
    let lines = [
        line(
            "text",
            serde_json::json!({"text": SOURCE, "target": TARGET}),
        ),
        line("own", serde_json::json!({"text": SOURCE})),
        line(
            "ids",
            serde_json::json!({"input_ids": [5, 6, 0], "decoder_input_ids": [343, 5]}),
        ),
        line(
            "mixed",
            serde_json::json!({"input_ids": [5, 6, 0], "target": TARGET}),
        ),
    ];
    fs::write(&input, lines.concat()).unwrap();
    let run = || {
        let mut command = analyze(&["--input", input.to_str().unwrap(), "--batch-size", "3"]);
        command.arg("--output").arg(&output);
        command
    };
    assert_eq!(stdout(&mut run()), "4 analyzed, 0 skipped, 0 failed\n");
    assert_eq!(
        names(&output),
        [
            "ids.safetensors",
            "mixed.safetensors",
            "own.safetensors",
            "text.safetensors"
        ]
    );
    assert_eq!(stdout(&mut run()), "0 analyzed, 4 skipped, 0 failed\n");
    let file = |id: &str| Arrays::read(output.join(format!("{id}.safetensors")));
    assert_eq!(file("ids").arrays["decoder.input_ids"].integers(), [343, 5]);
    for key in ["encoder.tokens", "decoder.tokens"] {
        assert_eq!(file("own").metadata[key], file("text").metadata[key]);
    }
    fs::remove_file(output.join("own.safetensors")).unwrap();
    assert_eq!(stdout(&mut run()), "1 analyzed, 3 skipped, 0 failed\n");

    // Another target makes another file; bad lines are named and stop no other.
    let bad = [
        line(
            "text",
            serde_json::json!({"text": SOURCE, "target": "the girl sleeps ."}),
        ),
        line(
            "both",
            serde_json::json!({"text": SOURCE, "target": "a", "decoder_input_ids": [1]}),
        ),
        line(
            "pair",
            serde_json::json!({"text": SOURCE, "text_pair": "a"}),
        ),
        line("empty", serde_json::json!({"text": SOURCE, "target": " "})),
        line(
            "start",
            serde_json::json!({"text": SOURCE, "decoder_input_ids": []}),
        ),
        line(
            "outside",
            serde_json::json!({"text": SOURCE, "decoder_input_ids": [344]}),
        ),
        line("alone", serde_json::json!({"target": TARGET})),
    ];
    fs::write(&input, bad.concat()).unwrap();
    let found = run().assert().code(2).get_output().clone();
    assert_eq!(found.stdout, b"1 analyzed, 0 skipped, 6 failed\n");
    let errors = String::from_utf8(found.stderr).unwrap();
    let errors: Vec<&str> = errors.lines().collect();
    assert_eq!(errors.len(), 6, "{errors:?}");
    for (error, (line, words)) in errors.iter().zip([
        (2, "both target and decoder_input_ids"),
        (3, "one text for each side"),
        (4, "empty"),
        (5, "at least one"),
        (6, "344"),
        (7, "neither text nor input_ids"),
    ]) {
        assert!(
            error.starts_with(&format!("error: line {line}: ")),
            "{error}"
        );
        assert!(error.contains(words), "{words:?} is not in {error}");
    }
}

#[test]
fn inputs_are_checked() {
    let ids = vec!["7"; 65].join(",");
    for (arguments, words) in [
        (&["--text", SOURCE, "--target", ""][..], &["empty"][..]),
        (&["--text", "", "--target", TARGET], &["empty"]),
        (
            &["--text", SOURCE, "--text-pair", "a"],
            &["one text for each side"],
        ),
        (
            &["--text", SOURCE, "--decoder-input-ids", "343,344"],
            &["344", "position 1"],
        ),
        (
            &["--text", SOURCE, "--decoder-input-ids", &ids],
            &["65 tokens", "64"],
        ),
        (&["--input-ids", &ids], &["65 tokens", "64"]),
        (
            &["--text", SOURCE, "--decoder-input-ids", "1,"],
            &["not a token id"],
        ),
        (
            &[
                "--text",
                SOURCE,
                "--target",
                "a",
                "--decoder-input-ids",
                "1",
            ],
            &["cannot be used with"],
        ),
        (&["--target", TARGET], &["--text"]),
        (
            &["--input-ids", "5,6", "--token-type-ids", "0"],
            &["2 token ids", "1 token type"],
        ),
        (
            &["--input-ids", "5,6", "--token-type-ids", "0,1"],
            &["token type"],
        ),
        (
            &["--text", SOURCE, "--scopes", "atb_ln"],
            &["atb_ln", "cross_attn_res"],
        ),
        (&["--text", SOURCE, "--layers", "4"], &["layer 4", "0 to 3"]),
        (
            &["--text", SOURCE, "--source-language", "de_DE"],
            &["de_DE"],
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = analyze(arguments);
        command
            .arg("--output")
            .arg(directory.path().join("a.safetensors"));
        assert_fails(&mut command, 2, words);
        assert!(names(directory.path()).is_empty());
    }
    for option in ["--target", "--decoder-input-ids"] {
        let mut command = analyze(&["--input", "x", "--output", "y", option, "1"]);
        assert_fails(&mut command, 2, &["cannot be used with", option]);
    }
    let mut bert = analyze_text();
    assert_fails(
        bert.args(["--text", "the", "--target", "the"]),
        2,
        &["bert model has no decoder", "leave out the target"],
    );
    let mut bert = analyze_text();
    assert_fails(
        bert.args(["--text", "the", "--target-language", "de_DE"]),
        2,
        &["--target-language", "translation models"],
    );
}
