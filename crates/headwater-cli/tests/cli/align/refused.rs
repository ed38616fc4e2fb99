//! Bitexts, files and choices that are refused.

use super::*;

#[test]
fn lines_have_to_pair() {
    let bitext = Bitext::first(3);
    let refused = |name: &str, text: &[u8], words: &[&str]| {
        let before = fs::read(bitext.path(name)).unwrap();
        bitext.write(name, text);
        let mut command = bitext.gold(&[]);
        command.arg("--output").arg(bitext.path("out"));
        assert_fails(&mut command, 2, words);
        bitext.write(name, before);
        assert_eq!(names(bitext.directory.path()), ["gold", "source", "target"]);
    };
    refused(
        "target",
        b"a\nb\n",
        &["source\" has 3 lines", "target\" 2", "same line"],
    );
    refused("target", b"a\nb\nc\n\n", &["target\" 4"]);
    refused("target", b"", &["target\" 0"]);
    refused(
        "source",
        b"a\n \t\nc\n",
        &["line 2 of \"", "source\" is empty", "take the pairs out"],
    );
    refused(
        "target",
        b"\nb\nc\n",
        &["line 1 of \"", "target\" is empty"],
    );
    refused(
        "source",
        b"a\nb\n\xff\n",
        &["line 3 of \"", "source\": not UTF-8", "convert"],
    );
    // All of them, of both sides, in one line.
    let target = fs::read(bitext.path("target")).unwrap();
    bitext.write("target", format!("{}\nb\n\n", "the ".repeat(70)));
    refused(
        "source",
        b"a\n\xff\nc\n",
        &[
            "line 1: the target: ",
            "source\": not UTF-8",
            "line 2 of \"",
            "line 3 of \"",
            "target\" is empty",
        ],
    );
    bitext.write("target", target);
    refused(
        "gold",
        b"1-1\n",
        &["gold\" has 1 line for 3 sentence pairs"],
    );
    refused("gold", b"1-1\n\n1-1\n1-1\n", &["has 4 lines for 3"]);
    refused(
        "gold",
        b"1-1\n1-10\n1-1\n",
        &[
            "gold\" cannot be read as gold links: line 2: ",
            "\"1-10\"",
            "target word 10",
            "9 words",
        ],
    );
    refused(
        "gold",
        b"1-1\n\n7p1\n",
        &["line 3: ", "source word 7", "5 words"],
    );
    refused(
        "gold",
        b"1-1\n0-0\n\n",
        &["line 2: ", "\"0-0\" is no link", "counted from 1"],
    );
    refused("gold", b"1x1\n\n\n", &["line 1: ", "3s4"]);
    refused(
        "gold",
        b"1-1\n\xff\n\n",
        &["line 2 of \"", "gold\": not UTF-8"],
    );
    let huge = "18446744073709551616-1\n\n\n";
    refused("gold", huge.as_bytes(), &["line 1: "]);
    bitext.write("source", "");
    bitext.write("target", "");
    assert_fails(&mut bitext.align(&ONE), 2, &["source\" has no line"]);
}

#[test]
fn json_lines_are_checked() {
    for (text, words) in [
        ("", &["--input - has no line", "one pair a line"][..]),
        ("\n\n", &["has no line"]),
        (
            "{\"source\": \"a\", \"target\": \"b\"}\n\n{\"source\": \"a\"}",
            &["line 3: ", "target"],
        ),
        (
            "{\"source\": \"a\", \"target\": \" \"}",
            &["line 1: the target is empty", "take the pairs out"],
        ),
        (
            "{\"source\": \"\", \"target\": 5}\n\n{\"target\": \" \"}\n{\"sourec\": \"a\"}",
            &[
                "line 1: the source is empty",
                "line 1: target is the number 5",
                "line 3: there is no source",
                "line 3: the target is empty",
                "line 4: unknown key \"sourec\"; did you mean source?",
            ],
        ),
        (
            "{\"translation\": {\"de\": \"wa\", \"en\": \"the\"}}",
            &["line 1: unknown key \"translation\"; the keys are source, target"],
        ),
        (
            "{\"source\": \"\", \"target\": \"a\"}",
            &["line 1: ", "source is empty"],
        ),
        ("[\"a\", \"b\"]", &["line 1: ", "braces"]),
        (
            "{\"source\": 1, \"target\": \"b\"}",
            &["line 1: ", "source is the number 1"],
        ),
        ("\u{1}", &["line 1: "]),
    ] {
        let mut command = align();
        command.args(["--input", "-"]).args(ONE);
        assert_fails(command.write_stdin(text), 2, words);
    }
    let mut command = align();
    command.args(["--input", "-"]).args(ONE);
    let invalid = b"{\"source\": \"\xff\", \"target\": \"b\"}".to_vec();
    assert_fails(command.write_stdin(invalid), 2, &["line 1: "]);
}

#[test]
fn sentences_are_checked_against_the_model() {
    let bitext = Bitext::first(3);
    let long = "the ".repeat(70);
    bitext.write("target", format!("a\nb\n{long}\n"));
    let mut command = bitext.align(&[]);
    command.arg("--output").arg(bitext.path("out"));
    assert_fails(&mut command, 2, &["line 3: ", "tokens", "64"]);
    // Behind a blank line.
    let pair = serde_json::json!({"source": long, "target": "a"});
    let mut command = align();
    command.args(["--input", "-"]).args(ONE);
    assert_fails(
        command.write_stdin(format!("\n{pair}\n")),
        2,
        &["line 2: ", "64"],
    );
    assert_eq!(names(bitext.directory.path()), ["gold", "source", "target"]);
}

#[test]
fn files_are_checked() {
    let bitext = Bitext::first(3);
    let missing = bitext.path("missing");
    let directory = bitext.directory.path();
    let with = |option: &str, path: &Path| {
        let mut command = align();
        command.args(ONE);
        for (other, name) in [
            ("--source", "source"),
            ("--target", "target"),
            ("--gold", "gold"),
        ] {
            command.arg(other);
            command.arg(if other == option {
                path.to_owned()
            } else {
                bitext.path(name)
            });
        }
        command
    };
    for option in ["--source", "--target", "--gold"] {
        assert_fails(
            &mut with(option, &missing),
            2,
            &[&format!("cannot read {option}"), "missing"],
        );
        assert_fails(&mut with(option, directory), 2, &[option, "is a directory"]);
    }
    let json = |path: &Path| {
        let mut command = align();
        command.arg("--input").arg(path).args(ONE);
        command
    };
    assert_fails(&mut json(&missing), 2, &["cannot read --input", "missing"]);
    assert_fails(&mut json(directory), 2, &["is a directory"]);

    let output = |arguments: &[&str], path: &Path| {
        let mut command = bitext.align(arguments);
        command.arg("--output").arg(path);
        command
    };
    assert_fails(&mut output(&ONE, directory), 2, &["is a directory"]);
    assert_fails(&mut output(&ONE, &missing.join("a")), 2, &["make it first"]);
    // Below a regular file nobody can write, root included.
    assert_fails(&mut output(&ONE, &bitext.path("gold/a")), 1, &["gold/a"]);
    assert_fails(
        &mut output(&[], &bitext.path("gold/a")),
        1,
        &["cannot make", "gold/a"],
    );
    fs::create_dir_all(bitext.path("out/layer3.norm.awo.txt")).unwrap();
    assert_fails(
        &mut output(&[], &bitext.path("out")),
        2,
        &["layer3.norm.awo.txt"],
    );
    assert_eq!(names(&bitext.path("out")), ["layer3.norm.awo.txt"]);
    fs::remove_dir_all(bitext.path("out")).unwrap();
    assert_eq!(names(directory), ["gold", "source", "target"]);
}

#[cfg(unix)]
#[test]
fn a_device_is_not_replaced_by_a_file() {
    use std::os::unix::fs::FileTypeExt;
    let bitext = Bitext::first(1);
    for arguments in [&ONE[..], &[]] {
        let mut command = bitext.align(arguments);
        assert_fails(command.args(["--output", "/dev/full"]), 2, &["/dev/full"]);
    }
    let kind = fs::metadata("/dev/full").unwrap().file_type();
    assert!(kind.is_char_device());
}

/// A limit on the size of files stands in for a full disk: root meets it too.
#[cfg(unix)]
#[test]
fn a_full_disk_keeps_what_was_done() {
    let bitext = Bitext::first(60);
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" align --model \"$MODEL\" --source source \
                  --target target --layers 3 --output links";
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(script)
        .arg(assert_cmd::cargo::cargo_bin!("headwater"))
        .current_dir(bitext.directory.path())
        .env("MODEL", fixture("bundled-marian"));
    assert_fails(&mut command, 1, &["cannot write", "links.unfinished"]);
    // What was done is kept, and the same command goes on.
    assert_eq!(names(&bitext.path("links")), ["links.unfinished"]);
    let kept = fs::read_to_string(bitext.path("links/links.unfinished")).unwrap();
    assert!(kept.lines().count() > 1, "{kept}");
    let run = |output: &str| {
        let mut command = bitext.align(&["--layers", "3"]);
        command.arg("--output").arg(bitext.path(output));
        command.assert().success();
        crate::support::files(&bitext.path(output))
    };
    let (resumed, anew) = (run("links"), run("anew"));
    assert!(anew.len() == 4 && resumed == anew);
}

#[test]
fn choices_are_checked() {
    let bitext = Bitext::first(1);
    for (arguments, words) in [
        (&["--layers", "4"][..], &["layer 4", "0 to 3"][..]),
        (&["--heads", "0-4"], &["--heads", "head 4", "0 to 3"]),
        (&["--heads", "x"], &["'x'", "together"]),
        (&["--heads", ""], &["head"]),
        (&["--layers", "3-1"], &["ends before"]),
        (&["--measure", "alpha"], &["weights or norm"]),
        (&["--setting", "AWI"], &["awi, awo"]),
        (&["--symmetrize", "both"], &["grow-diag-final"]),
        (&["--gold-first", "1"], &["--gold"]),
        (&["--format", "json"], &["--gold"]),
        (&["--batch-size", "0"], &["--batch-size"]),
        (&["--target-language", "de_DE"], &["de_DE"]),
        (&["--input", "x"], &["--input"]),
        (&["--device", "abacus"], &["abacus"]),
    ] {
        assert_fails(&mut bitext.align(arguments), 2, words);
    }
    assert_fails(
        bitext.gold(&ONE).args(["--gold-first", "2"]),
        2,
        &["--gold-first"],
    );
    assert_fails(&mut align(), 2, &["--source"]);
    assert_fails(align().args(["--source", "x"]), 2, &["--target"]);
    assert_fails(align().args(["--target", "x"]), 2, &["--source"]);
}

#[test]
fn a_model_needs_a_decoder() {
    let bitext = Bitext::first(1);
    let mut command = headwater();
    command
        .args(["align", "--model"])
        .arg(fixture("bundled-bert"));
    command.arg("--source").arg(bitext.path("source"));
    command.arg("--target").arg(bitext.path("target"));
    assert_fails(
        &mut command,
        2,
        &["bert model has no decoder", "name a translation model"],
    );
    // Random weights, and no tokenizer.
    let mut command = headwater();
    command
        .args(["align", "--model"])
        .arg(fixture("golden/bart"));
    command.arg("--source").arg(bitext.path("source"));
    command.arg("--target").arg(bitext.path("target"));
    command.arg("--output").arg(bitext.path("out"));
    assert_fails(&mut command, 2, &["tokenizer.json"]);
}
