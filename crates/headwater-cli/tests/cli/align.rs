//! Word alignment with the bundled translation model and its test bitext.

mod refused;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{assert_fails, fixture, headwater, names, stdout};

fn bundled(name: &str) -> PathBuf {
    fixture("bundled-marian").join(name)
}

/// `headwater align` with the bundled model.
fn align() -> Command {
    let mut command = headwater();
    command
        .args(["align", "--model"])
        .arg(fixture("bundled-marian"));
    command
}

/// The first lines of the bitext and of its gold links, as files.
struct Bitext {
    directory: TempDir,
}

impl Bitext {
    fn first(lines: usize) -> Self {
        let bitext = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for (name, file) in [
            ("source", "source"),
            ("target", "target"),
            ("gold", "alignment"),
        ] {
            let text = fs::read_to_string(bundled(&format!("test.{file}.txt"))).unwrap();
            let first: Vec<&str> = text.lines().take(lines).collect();
            bitext.write(name, first.join("\n") + "\n");
        }
        bitext
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn json(&self) -> String {
        let pairs = self.lines("source").into_iter().zip(self.lines("target"));
        let line = |(source, target)| {
            serde_json::json!({"source": source, "target": target}).to_string() + "\n"
        };
        pairs.map(line).collect()
    }

    fn align(&self, arguments: &[&str]) -> Command {
        let mut command = align();
        command.arg("--source").arg(self.path("source"));
        command.arg("--target").arg(self.path("target"));
        command.args(arguments);
        command
    }

    fn gold(&self, arguments: &[&str]) -> Command {
        let mut command = self.align(arguments);
        command.arg("--gold").arg(self.path("gold"));
        command
    }
}

/// The gold links as lines of `sentence source target S|P`.
fn triples(gold: &[String]) -> String {
    let mut lines = Vec::new();
    for (index, line) in gold.iter().enumerate() {
        for link in line.split_whitespace() {
            let (source, target) = link.split_once(['-', 'p']).unwrap();
            let sure = if link.contains('p') { 'P' } else { 'S' };
            lines.push(format!("{:04} {source} {target} {sure}\n", index + 1));
        }
    }
    lines.reverse();
    lines.concat()
}

/// Options that choose a single alignment.
const ONE: [&str; 6] = ["--layers", "3", "--measure", "norm", "--setting", "awo"];

/// What another program counted, by measure, setting, layer and perhaps head.
fn evaluation(rate: &Value) -> Value {
    let file = fs::read_to_string(bundled("evaluation.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let setting = rate["setting"].as_str().unwrap().to_uppercase();
    let measure = match rate["measure"].as_str().unwrap() {
        "weights" => "alpha",
        measure => measure,
    };
    let of_measure = &file["settings"][setting.as_str()][measure];
    let layer = rate["layer"].as_u64().unwrap() as usize;
    match rate["head"].as_u64() {
        None => of_measure["layers"][layer].clone(),
        Some(head) => of_measure["heads"][layer][head as usize].clone(),
    }
}

fn whole(arguments: &[&str]) -> Command {
    let mut command = align();
    for (option, name) in [
        ("source", "source"),
        ("target", "target"),
        ("gold", "alignment"),
    ] {
        command.arg(format!("--{option}"));
        command.arg(bundled(&format!("test.{name}.txt")));
    }
    command.args(arguments);
    command
}

#[test]
fn error_rates_are_those_of_another_program() {
    let text = stdout(&mut whole(&[
        "--heads",
        "together,0-3",
        "--format",
        "json",
        "--dtype",
        "f64",
    ]));
    let rates: Vec<Value> = serde_json::from_str(&text).unwrap();
    // Layers, all heads and each, measures, settings.
    assert_eq!(rates.len(), 4 * 5 * 2 * 2);
    for rate in &rates {
        let expected = evaluation(rate);
        for (key, expected_key) in [
            ("alignment_error_rate", "aer"),
            ("precision", "precision"),
            ("recall", "recall"),
        ] {
            let (found, expected) = (rate[key].as_f64(), expected[expected_key].as_f64());
            let difference = found.unwrap() - expected.unwrap();
            assert!(difference.abs() < 1e-9, "{rate} {key}: {expected:?}");
        }
    }

    let mut command = whole(&["--heads", "together,2"]);
    let table = command.assert().success().stderr("").get_output().clone();
    let table = String::from_utf8(table.stdout).unwrap();
    let mut rows = table.lines();
    let heading: Vec<&str> = rows.next().unwrap().split_whitespace().collect();
    assert_eq!(
        heading.join(" "),
        "layer head measure setting AER % precision % recall %"
    );
    let mut compared = 0;
    for row in rows {
        let cells: Vec<&str> = row.split_whitespace().collect();
        let rate = serde_json::json!({
            "layer": cells[0].parse::<u64>().unwrap(),
            "head": cells[1].parse::<u64>().ok(),
            "measure": cells[2],
            "setting": cells[3],
        });
        let expected = evaluation(&rate);
        for (cell, key) in cells[4..].iter().zip(["aer", "precision", "recall"]) {
            let percent = 100.0 * expected[key].as_f64().unwrap();
            assert_eq!(*cell, format!("{percent:.1}"), "{row} {key}");
        }
        compared += 1;
    }
    assert_eq!(compared, 4 * 2 * 2 * 2);
}

#[test]
fn one_alignment_goes_to_standard_output() {
    let bitext = Bitext::first(12);
    let text = stdout(&mut bitext.align(&ONE));
    assert_eq!(text.lines().count(), 12);
    // The best of the model's: all links of these are gold, if no end mark.
    let first: Vec<&str> = text.lines().take(3).collect();
    assert_eq!(
        first,
        [
            "0-1 1-0 2-3 4-2 5-4",
            "0-5 1-4 2-3 3-2 4-1 5-0 6-7 8-6 10-8",
            "0-1 1-0 2-2 4-3"
        ]
    );
    // How many pairs are run together changes nothing.
    for batch in ["1", "5", "100"] {
        let batched = stdout(bitext.align(&ONE).args(["--batch-size", batch]));
        assert_eq!(batched, text);
    }
    let mut json = align();
    json.args(["--input", "-"])
        .args(ONE)
        .write_stdin(bitext.json());
    assert_eq!(stdout(&mut json), text);
    for (option, name) in [("--source", "source"), ("--target", "target")] {
        let mut piped = align();
        for (other, file) in [("--source", "source"), ("--target", "target")] {
            piped.arg(other);
            match other == option {
                true => piped.arg("-"),
                false => piped.arg(bitext.path(file)),
            };
        }
        piped.args(ONE).write_stdin(bitext.lines(name).join("\n"));
        assert_eq!(stdout(&mut piped), text);
    }
    let mut twice = align();
    twice.args(["--source", "-", "--target", "-"]).args(ONE);
    assert_fails(&mut twice, 2, &["cannot both be standard input"]);
    // Blank lines and a byte order mark are no pairs, the last line needs no end.
    bitext.write(
        "pairs",
        format!(
            "\u{feff}\n{}",
            bitext.json().replace('\n', "\r\n\r\n").trim()
        ),
    );
    let mut json = align();
    json.arg("--input").arg(bitext.path("pairs")).args(ONE);
    assert_eq!(stdout(&mut json), text);
}

#[test]
fn a_file_holds_what_standard_output_would() {
    let bitext = Bitext::first(4);
    let path = bitext.path("links");
    let mut command = bitext.gold(&ONE);
    let rates = stdout(command.arg("--output").arg(&path));
    assert_eq!(rates, stdout(&mut bitext.gold(&ONE)));
    let links = fs::read_to_string(&path).unwrap();
    assert_eq!(links, stdout(&mut bitext.align(&ONE)));
    assert_eq!(
        names(bitext.directory.path()),
        ["gold", "links", "source", "target"]
    );
}

#[test]
fn several_alignments_need_a_directory() {
    let bitext = Bitext::first(4);
    for arguments in [
        &[][..],
        &["--layers", "0", "--measure", "norm"],
        &["--heads", "0,1"],
    ] {
        assert_fails(
            &mut bitext.align(arguments),
            2,
            &["alignments were asked for", "--output", "--layers"],
        );
    }
    assert_fails(
        bitext.align(&[]).arg("--output").arg(bitext.path("source")),
        2,
        &["source is a file", "16 alignments", "name a directory"],
    );

    let directory = bitext.path("new/links");
    let arguments = [
        "--layers",
        "1,3",
        "--setting",
        "awo",
        "--heads",
        "together,2",
    ];
    let mut command = bitext.align(&arguments);
    command.arg("--output").arg(&directory);
    command.assert().success().stdout("").stderr("");
    assert_eq!(
        names(&directory),
        [
            "layer1.head2.norm.awo.txt",
            "layer1.head2.weights.awo.txt",
            "layer1.norm.awo.txt",
            "layer1.weights.awo.txt",
            "layer3.head2.norm.awo.txt",
            "layer3.head2.weights.awo.txt",
            "layer3.norm.awo.txt",
            "layer3.weights.awo.txt",
        ]
    );
    for (name, layer, head, measure) in [
        ("layer3.norm.awo.txt", "3", "together", "norm"),
        ("layer1.head2.weights.awo.txt", "1", "2", "weights"),
    ] {
        let mut one = bitext.align(&["--layers", layer, "--heads", head]);
        let one = stdout(one.args(["--measure", measure, "--setting", "awo"]));
        assert_eq!(
            fs::read_to_string(directory.join(name)).unwrap(),
            one,
            "{name}"
        );
    }
    // Where they are, they are replaced.
    fs::write(directory.join("layer1.norm.awo.txt"), "70-70\n").unwrap();
    let mut command = bitext.align(&arguments);
    command.arg("--output").arg(&directory).assert().success();
    assert_ne!(
        fs::read_to_string(directory.join("layer1.norm.awo.txt")).unwrap(),
        "70-70\n"
    );
}

#[test]
fn both_directions_are_combined() {
    let bitext = Bitext::first(30);
    let links = |heuristic: Option<&str>| -> Vec<Vec<String>> {
        let mut command = bitext.align(&ONE);
        if let Some(heuristic) = heuristic {
            command.args(["--symmetrize", heuristic]);
        }
        let text = stdout(&mut command);
        let line = |line: &str| line.split(' ').map(str::to_owned).collect();
        text.lines().map(line).collect()
    };
    let chain = [
        links(Some("intersection")),
        links(Some("grow-diag")),
        links(Some("grow-diag-final-and")),
        links(Some("grow-diag-final")),
        links(Some("union")),
    ];
    // Each adds to the one before it.
    for pair in chain.windows(2) {
        for (fewer, more) in pair[0].iter().zip(&pair[1]) {
            assert!(
                fewer.iter().all(|link| more.contains(link)),
                "{fewer:?} {more:?}"
            );
        }
    }
    assert_ne!(chain[0], chain[4]);
    for ((one, intersection), union) in links(None).iter().zip(&chain[0]).zip(&chain[4]) {
        assert!(intersection.iter().all(|link| one.contains(link)));
        assert!(one.iter().all(|link| union.contains(link)));
    }
}

#[test]
fn gold_links_may_count_from_0() {
    let bitext = Bitext::first(20);
    let from_one = stdout(&mut bitext.gold(&ONE));
    let shifted = |line: &String| {
        let link = |link: &str| {
            let (source, target) = link.split_once(['-', 'p']).unwrap();
            let word = |digits: &str| digits.parse::<usize>().unwrap() - 1;
            // Sure links in the other spelling.
            let separator = if link.contains('p') { 'p' } else { 's' };
            format!("{}{separator}{}", word(source), word(target))
        };
        line.split(' ').map(link).collect::<Vec<_>>().join("\t") + "\r\n"
    };
    bitext.write(
        "gold",
        bitext.lines("gold").iter().map(shifted).collect::<String>(),
    );
    let from_zero = stdout(bitext.gold(&ONE).args(["--gold-first", "0"]));
    assert_eq!(from_zero, from_one);
    // Other ways to write the same.
    let gold = Bitext::first(20).lines("gold");
    bitext.write("gold", gold.join("\n").replace('p', "?"));
    assert_eq!(stdout(&mut bitext.gold(&ONE)), from_one);
    bitext.write("gold", triples(&gold));
    assert_eq!(stdout(&mut bitext.gold(&ONE)), from_one);
    assert_fails(
        bitext.gold(&ONE).args(["--gold-first", "0"]),
        2,
        &["counts words from 1", "leave out --gold-first"],
    );
    bitext.write("gold", triples(&gold) + "1-1\n");
    assert_fails(&mut bitext.gold(&ONE), 2, &["is of another notation"]);
    bitext.write("gold", "21 1 1 S\n");
    assert_fails(&mut bitext.gold(&ONE), 2, &["no sentence pair 21", "20"]);
    let shifted_gold = gold.iter().map(shifted).collect::<String>();
    bitext.write("gold", shifted_gold);
    assert_fails(
        &mut bitext.gold(&ONE),
        2,
        &[
            "gold\" cannot be read as gold links: line 1: ",
            "counted from 1",
            "--gold-first 0",
        ],
    );
}
