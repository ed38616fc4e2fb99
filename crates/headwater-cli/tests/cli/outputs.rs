//! What a command reads is never what it writes, whatever it is called.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

use crate::support::{analyze_text, assert_fails, fixture, headwater, names};

const SOURCE: &str = "tage wa melpol ko dijo .\n";
const TARGET: &str = "the boy meets melpol .\n";

/// A folder to work in.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("s.txt", SOURCE);
        folder.write("t.txt", TARGET);
        folder.write("g.txt", "1-2\n");
        let pair = serde_json::json!({"source": SOURCE.trim(), "target": TARGET.trim()});
        folder.write("p.jsonl", &format!("{pair}\n"));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Command {
        let mut command = headwater();
        command.args(arguments).current_dir(self.0.path());
        command
    }

    /// The command fails and the file is as it was.
    #[track_caller]
    fn assert_kept(&self, kept: &str, arguments: &[&str], words: &[&str]) {
        let before = fs::read(self.path(kept)).unwrap();
        let listed = names(self.0.path());
        assert_fails(&mut self.run(arguments), 2, words);
        assert!(fs::read(self.path(kept)).unwrap() == before, "{kept}");
        assert_eq!(names(self.0.path()), listed);
    }

    fn copy_model(&self, name: &str) {
        fs::create_dir(self.path(name)).unwrap();
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            let from = fixture("bundled-bert").join(file);
            fs::copy(from, self.path(name).join(file)).unwrap();
        }
    }
}

fn marian() -> String {
    fixture("bundled-marian").display().to_string()
}

#[test]
fn align_keeps_its_texts_and_gold_links() {
    let folder = Folder::new();
    let marian = marian();
    let links = ["--layers", "3", "--measure", "norm", "--setting", "awo"];
    let text = [
        "align", "-m", &marian, "-s", "s.txt", "--target", "t.txt", "--gold", "g.txt",
    ];
    for (file, option) in [
        ("s.txt", "--source"),
        ("t.txt", "--target"),
        ("g.txt", "--gold"),
    ] {
        let what = format!("what {option} reads");
        let words = &[file, &what, "name another file"][..];
        let line = |output| [&text[..], &links, &["-o", output]].concat();
        folder.assert_kept(file, &line(file), words);
        #[cfg(unix)]
        {
            let (soft, hard) = (format!("soft-{file}"), format!("hard-{file}"));
            std::os::unix::fs::symlink(folder.path(file), folder.path(&soft)).unwrap();
            fs::hard_link(folder.path(file), folder.path(&hard)).unwrap();
            folder.assert_kept(file, &line(&soft), &words[1..]);
            folder.assert_kept(file, &line(&hard), &words[1..]);
        }
    }
    let json = ["align", "-m", &marian, "--input", "p.jsonl"];
    let line = [&json[..], &links, &["-o", "p.jsonl"]].concat();
    folder.assert_kept("p.jsonl", &line, &["what --input reads"]);
    // Another text in the place of links, alone or in a folder.
    folder.write("thesis.txt", "Chapter one.\n");
    let line = [&text[..], &links, &["-o", "thesis.txt"]].concat();
    folder.assert_kept("thesis.txt", &line, &["does not hold word links"]);
    fs::create_dir(folder.path("out")).unwrap();
    folder.write("out/layer2.norm.awo.txt", "Chapter two.\n");
    let several = ["--measure", "norm", "-o", "out"];
    let line = [&text[..], &several].concat();
    folder.assert_kept("out/layer2.norm.awo.txt", &line, &["layer2.norm.awo.txt"]);
    assert_eq!(names(&folder.path("out")), ["layer2.norm.awo.txt"]);
}

/// The shell opens the files, the program knows them all the same.
#[cfg(unix)]
#[test]
fn standard_streams_are_files_too() {
    use std::fs::File;
    let folder = Folder::new();
    let marian = marian();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("headwater"));
        command.args(arguments).current_dir(folder.0.path());
        command
    };
    let links = ["--layers", "3", "--measure", "norm", "--setting", "awo"];
    let align = ["align", "-m", &marian, "--input", "-"];
    let mut command = run(&[&align[..], &links, &["-o", "p.jsonl"]].concat());
    command.stdin(File::open(folder.path("p.jsonl")).unwrap());
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("is what --input reads"), "{stderr}");

    // `translate --source s.txt >> s.txt` would read what it writes for ever.
    let mut command = run(&["translate", "-m", &marian, "--source", "s.txt"]);
    let appended = File::options().append(true).open(folder.path("s.txt"));
    let output = command.stdout(appended.unwrap()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("standard output"), "{stderr}");
    assert_eq!(fs::read_to_string(folder.path("s.txt")).unwrap(), SOURCE);
}

#[test]
fn analyses_and_pages_keep_what_they_are_made_of() {
    let folder = Folder::new();
    for name in ["one", "two"] {
        let mut command = analyze_text();
        command.args(["--text", name, "--output"]);
        command.arg(folder.path(&format!("{name}.safetensors")));
        command.assert().success();
    }
    let (one, two) = ("one.safetensors", "two.safetensors");
    // What the command becomes when the page's name is forgotten.
    let words = ["has to end in .html"];
    folder.assert_kept(one, &["report", "-o", one, two], &words);
    folder.assert_kept(one, &["report", one, "-o", one], &words);
    folder.assert_kept(one, &["report", one, "-o", "page"], &words);
    fs::rename(folder.path(one), folder.path("one.html")).unwrap();
    let line = ["report", "one.html", "-o", "one.html"];
    folder.assert_kept("one.html", &line, &["what the command reads"]);
    fs::rename(folder.path("one.html"), folder.path("one.svg")).unwrap();
    let line = ["plot", "mixing", "one.svg", "-o", "one.svg"];
    folder.assert_kept("one.svg", &line, &["what the command reads"]);
    // A finished analysis is replaced by an analysis.
    let mut command = analyze_text();
    command
        .args(["--text", "three", "--output"])
        .arg(folder.path(two));
    command.assert().success();
}

#[test]
fn a_models_files_are_kept() {
    let folder = Folder::new();
    folder.copy_model("model");
    let weights = "model/model.safetensors";
    let one = ["analyze", "-m", "model", "--text", "one", "-o"];
    let line = |output| [&one[..], &[output]].concat();
    folder.assert_kept(weights, &line(weights), &["a file of the model"]);
    folder.write("c.jsonl", "{\"id\": \"model\", \"text\": \"one\"}\n");
    let corpus = ["analyze", "-q", "-m", "model", "--input", "c.jsonl", "-o"];
    let line = [&corpus[..], &["model"]].concat();
    folder.assert_kept(weights, &line, &["line 1: ", "a file of the model"]);
    // Weights of another model, and whatever else is no analysis.
    folder.copy_model("other");
    let weights = "other/model.safetensors";
    folder.assert_kept(
        weights,
        &[&one[..], &[weights]].concat(),
        &["does not hold an analysis"],
    );
    let line = [&corpus[..], &["other"]].concat();
    folder.assert_kept(
        weights,
        &line,
        &["line 1: ", "model.safetensors", "analysis"],
    );
    // Beside it there is room.
    folder.write(
        "c.jsonl",
        "{\"id\": \"a\", \"text\": \"one\"}\n{\"id\": \"config\", \"text\": \"two\"}\n",
    );
    folder
        .run(&[&corpus[..], &["other"]].concat())
        .assert()
        .success();
    assert!(Path::new(&folder.path("other/a.safetensors")).is_file());
}

#[test]
fn a_corpus_keeps_its_lines_and_what_is_not_its_own() {
    let folder = Folder::new();
    fs::create_dir(folder.path("out")).unwrap();
    let bert = fixture("bundled-bert").display().to_string();
    let lines = "{\"id\": \"in\", \"text\": \"one\"}\n{\"id\": \"b\", \"text\": \"two\"}\n";
    folder.write("out/in.safetensors", lines);
    let line = |input| ["analyze", "-m", &bert, "--input", input, "-o", "out"];
    let mut command = folder.run(&line("out/in.safetensors"));
    assert_fails(&mut command, 2, &["line 1: ", "what --input reads"]);
    command.assert().stdout("0 analyzed, 1 skipped, 1 failed\n");
    folder.write("in.jsonl", lines);
    folder.write("out/in.safetensors", "figures of another program");
    let mut command = folder.run(&line("in.jsonl"));
    assert_fails(
        &mut command,
        2,
        &["line 1: ", "does not hold an analysis", "move it away"],
    );
    let kept = fs::read_to_string(folder.path("out/in.safetensors")).unwrap();
    assert_eq!(kept, "figures of another program");
}
