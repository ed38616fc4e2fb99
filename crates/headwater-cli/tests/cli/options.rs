//! Every option does something: a command line with it comes to something else
//! than one without it. What `--help` lists and no row is about fails the test.

mod place;
mod rows;

use std::collections::BTreeSet;

use self::place::Place;
use self::rows::{Row, rows};
use crate::support::{headwater, stdout};

/// Options that change nothing by what they promise, and where they are tested.
const ELSEWHERE: [(&str, &str, &str); 10] = [
    // More at a time, the same numbers: `lines_of_many_lengths_come_out_as_one_by_one`,
    // and of a full disk another line is written: `a_full_disk_leaves_nothing`.
    ("analyze", "--batch-size", "corpus.rs, hostile.rs"),
    // `one_alignment_goes_to_standard_output` compares sizes, `choices_are_checked` 0.
    ("align", "--batch-size", "align.rs"),
    // One device is compiled in; others are refused by name: `devices_are_known`.
    ("analyze", "--device", "below"),
    ("align", "--device", "below"),
    ("translate", "--device", "below"),
    ("plot map", "--device", "below"),
    ("plot mixing", "--device", "below"),
    ("plot change", "--device", "below"),
    ("report", "--device", "below"),
    // Every command has it; `quiet_leaves_results_and_errors`.
    ("*", "--quiet", "comfort.rs"),
];

const COMMANDS: [&str; 10] = [
    "analyze",
    "align",
    "translate",
    "plot map",
    "plot mixing",
    "plot change",
    "report",
    "inspect",
    "models",
    "completions",
];

/// The long options that a command's help lists.
fn listed(command: &str) -> BTreeSet<String> {
    let help = stdout(headwater().args(command.split(' ')).arg("--help"));
    let options = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = match line.split_once(", ") {
            Some((short, long)) if short.len() == 2 && short.starts_with('-') => long,
            _ => line,
        };
        let name = line.split([' ', '=', '[']).next()?;
        (name.starts_with("--") && name.len() > 2).then(|| name.to_owned())
    });
    let mut options: BTreeSet<String> = options.collect();
    options.remove("--help");
    assert!(options.remove("--quiet"), "{help}");
    options
}

#[test]
fn every_option_has_its_row() {
    let rows = rows();
    for command in COMMANDS {
        let here = rows.iter().filter(|row| row.command == command);
        let mut tested: BTreeSet<String> = here.map(|row| row.option.clone()).collect();
        let elsewhere = ELSEWHERE.iter().filter(|(of, ..)| *of == command);
        tested.extend(elsewhere.map(|(_, option, _)| (*option).to_owned()));
        assert_eq!(tested, listed(command), "{command}");
    }
}

#[test]
fn devices_are_known() {
    for command in ["analyze", "align", "translate", "plot map", "report"] {
        let place = tempfile::tempdir().unwrap();
        let mut program = headwater();
        program
            .args(command.split(' '))
            .args(["--device", "abacus"]);
        let output = program.current_dir(place.path()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains("abacus") && stderr.contains("flex"),
            "{stderr}"
        );
    }
}

#[test]
fn every_option_does_something() {
    let place = Place::new();
    let mut failures = Vec::new();
    let mut repeated = BTreeSet::new();
    for Row {
        command,
        option,
        common,
        first,
        second,
    } in rows()
    {
        let [first, second] = [&first, &second].map(|own| {
            let line = format!("{common} {own}");
            (place.outcome(&command, &line), line)
        });
        // The same line comes to the same, or nothing is shown by a difference.
        if repeated.insert(command.clone()) {
            assert!(
                place.outcome(&command, &first.1) == first.0,
                "{command} {}",
                first.1
            );
        }
        if first.0.0 != Some(0) {
            failures.push(format!("{command} {}: {}", first.1, first.0.2));
        } else if first.0 == second.0 {
            failures.push(format!("{command} {}: {option} does nothing", second.1));
        } else if second.0.0 != Some(0) && option != "--dtype" {
            failures.push(format!("{command} {}: {}", second.1, second.0.2));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What the bias is to the feed-forward block changes what is behind it, and
/// nothing in front of it.
#[test]
fn the_bias_treatment_changes_the_feed_forward_block() {
    let place = Place::new();
    let arrays = |line: &str| {
        let line = format!("--model BERT --text The_girl_sees_the_dog. --json {line}");
        let (status, stdout, stderr, _) = place.outcome("analyze", &line);
        assert_eq!(status, Some(0), "{stderr}");
        let json: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
        json["arrays"].as_object().unwrap().clone()
    };
    let (player, fixed) = (arrays(""), arrays("--bias-treatment fixed"));
    assert_eq!(arrays("--bias-treatment player"), player);
    let mut changed = 0;
    for (key, value) in &player {
        let behind = key.contains("_ff") && !key.contains("reconstruction_error");
        match behind {
            true => changed += usize::from(fixed[key] != *value),
            false if key.contains("reconstruction_error") => {}
            false => assert_eq!(fixed[key], *value, "{key}"),
        }
    }
    let behind = player
        .keys()
        .filter(|key| key.contains("norms.atb_ff"))
        .count();
    assert!(changed >= behind, "{changed} of {behind}");
}
