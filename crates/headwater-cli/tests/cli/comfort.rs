//! Help, completions, colours, `--quiet`.

use std::fs;

use crate::support::{analyze, headwater, stdout};

/// What begins a colour.
const ESCAPE: char = '\u{1b}';

#[test]
fn help_and_version_are_no_errors() {
    assert!(stdout(headwater().arg("--version")).contains(env!("CARGO_PKG_VERSION")));
    let help = stdout(headwater().arg("--help"));
    for words in [
        "Take texts apart:\n  analyze ",
        "Know a model:\n  inspect ",
        "Examples:\n",
        "headwater analyze --model bert-base-uncased --text \"",
    ] {
        assert!(help.contains(words), "{words:?} is not in\n{help}");
    }
    for (command, words) in [
        ("analyze", "--quantities"),
        ("inspect", "--tokens"),
        ("models", "--json"),
        ("completions", "fish"),
    ] {
        let help = stdout(headwater().args([command, "--help"]));
        assert!(help.contains(words), "{help}");
        assert!(help.contains("Examples:"), "{help}");
        assert!(help.contains(&format!("headwater {command}")), "{help}");
        assert!(!help.contains(ESCAPE), "{help}");
        // The line of usage, which clap keeps whole, is the only longer one.
        let mut prose = help.lines().filter(|line| !line.starts_with("Usage:"));
        assert!(prose.all(|line| line.chars().count() <= 100), "{help}");
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, words) in [
        ("bash", "complete -F _headwater"),
        ("zsh", "#compdef headwater"),
        ("fish", "complete -c headwater"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = stdout(headwater().args(["completions", shell]));
        assert!(script.contains(words), "{shell}");
        for word in ["analyze", "inspect", "models", "--quantities", "--quiet"] {
            let word = word.trim_start_matches('-');
            assert!(script.contains(word), "{word} is not in that of {shell}");
        }
    }
}

#[test]
fn colours_are_for_terminals() {
    let run = |variables: &[(&str, &str)]| {
        let mut command = analyze();
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        command.args(["--input-ids", "101,7,102", "--layers", "0"]);
        stdout(&mut command)
    };
    let plain = run(&[]);
    assert!(!plain.contains(ESCAPE), "{plain}");
    let forced = run(&[("CLICOLOR_FORCE", "1")]);
    assert!(
        forced.contains("\u{1b}[1mmixing_ratio\u{1b}[0m"),
        "{forced}"
    );
    assert_eq!(run(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), plain);

    let error = |variables: &[(&str, &str)]| {
        let mut command = headwater();
        command
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied());
        let output = command.arg("analyse").assert().code(2).get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(error(&[]).starts_with("error: "));
    assert!(error(&[("CLICOLOR_FORCE", "1")]).contains(ESCAPE));
}

#[test]
fn quiet_leaves_results_and_errors() {
    let directory = tempfile::tempdir().unwrap();
    let lines = directory.path().join("in.jsonl");
    fs::write(&lines, "{\"input_ids\": [7]}\nnothing\n").unwrap();
    for place in [&["--quiet"][..], &["-q"]] {
        let out = directory.path().join(place[0]);
        let mut command = analyze();
        command.args(place).arg("--input").arg(&lines);
        let output = command.arg("--output").arg(&out).assert().code(2);
        let output = output.stdout("").get_output().clone();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with("error: line 2: ") && stderr.lines().count() == 1);
        assert!(out.join("1.safetensors").is_file());
    }
    let table = stdout(analyze().args(["--input-ids", "7", "--quiet"]));
    assert!(table.contains("mixing_ratio"));
}
