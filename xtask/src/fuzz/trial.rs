//! One damaged checkpoint: where it lies, what is run, and what must be true.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;

use super::damage::Damage;
use crate::child::{self, Usage};

/// Whoever takes longer hangs; a sound run takes a tenth of a second.
const TIME: Duration = Duration::from_secs(20);
/// Bytes in memory that no bundled model comes near.
const MEMORY: u64 = 512 << 20;
/// Addresses that a run may ask for, so that the machine outlives it.
const ADDRESSES: u64 = 8 << 30;

/// The sentence that every model reads.
const TEXT: &str = "The girl sees the dog.";
const SOURCE: &str = "tage wa melpol ko dijo .";
const TARGET: &str = "the boy meets melpol .";

/// What a run came to.
pub(super) enum Outcome {
    /// Exit status 0, and the output is there and whole.
    Analysed { usage: Usage },
    /// Exit status 1 or 2, one line and no output.
    Refused { status: i32, usage: Usage },
    /// Anything else.
    Unsound {
        what: String,
        command: String,
        usage: Option<Usage>,
    },
}

impl Outcome {
    fn usage(&self) -> Option<&Usage> {
        match self {
            Self::Analysed { usage } | Self::Refused { usage, .. } => Some(usage),
            Self::Unsound { usage, .. } => usage.as_ref(),
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.usage()
            .map_or(TIME.as_secs_f64(), |usage| usage.seconds)
    }

    pub(super) fn peak(&self) -> u64 {
        self.usage().map_or(0, |usage| usage.peak)
    }
}

/// A copy of a model, its output, and what was printed, in a folder.
pub(super) struct Trial<'a> {
    program: &'a Path,
    model: &'a str,
    folder: PathBuf,
}

impl<'a> Trial<'a> {
    pub(super) fn new(program: &'a Path, work: &Path, model: &'a str, index: usize) -> Self {
        Self {
            program,
            model,
            folder: work.join(index.to_string()),
        }
    }

    fn checkpoint(&self) -> PathBuf {
        self.folder.join("model")
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// Lays out a model whose files are links to the whole ones.
    pub(super) fn place_whole(&self, directory: &Path) -> anyhow::Result<()> {
        let failed = || format!("cannot write below {}", self.folder.display());
        fs::create_dir_all(self.checkpoint()).with_context(failed)?;
        fs::create_dir_all(self.out()).with_context(failed)?;
        fs::write(self.folder.join("source.txt"), format!("{SOURCE}\n")).with_context(failed)?;
        fs::write(self.folder.join("target.txt"), format!("{TARGET}\n")).with_context(failed)?;
        for entry in fs::read_dir(directory).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let link = self.checkpoint().join(entry.file_name());
            std::os::unix::fs::symlink(entry.path(), link).with_context(failed)?;
        }
        Ok(())
    }

    /// The same, with one file damaged.
    pub(super) fn place(&self, directory: &Path, damage: &Damage) -> anyhow::Result<()> {
        self.place_whole(directory)?;
        let path = self.checkpoint().join(&damage.file);
        let failed = || format!("cannot write {}", path.display());
        fs::remove_file(&path).with_context(failed)?;
        fs::write(&path, &damage.bytes).with_context(failed)
    }

    pub(super) fn keep(&self, kept: &Path) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", kept.display());
        if kept.exists() {
            fs::remove_dir_all(kept).with_context(failed)?;
        }
        fs::create_dir_all(kept).with_context(failed)?;
        // Links become what they lead to.
        for entry in fs::read_dir(self.checkpoint()).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            fs::copy(entry.path(), kept.join(entry.file_name())).with_context(failed)?;
        }
        Ok(())
    }

    pub(super) fn remove(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    /// Runs one of the ways to use the model.
    pub(super) fn run(&self, random: &mut Rng) -> anyhow::Result<Outcome> {
        self.run_way(random.usize(..ways(self.model).len()))
    }

    pub(super) fn run_way(&self, way: usize) -> anyhow::Result<Outcome> {
        let Way { arguments, output } = ways(self.model)[way];
        let stderr = self.folder.join("stderr");
        let errors = File::create(&stderr).context("cannot make a file for what is printed")?;
        let mut command = Command::new(self.program);
        command
            .args(arguments)
            .args(["--model", "model"])
            .current_dir(&self.folder)
            .env("RAYON_NUM_THREADS", "1")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        if let Some(output) = output {
            command.args(["--output", output]);
        }
        limit_addresses(&mut command);
        let line = arguments.join(" ");
        let ended = child::run_for(&mut command, TIME)?;
        let printed = fs::read(&stderr).context("cannot read what was printed")?;
        let printed = String::from_utf8_lossy(&printed).into_owned();
        let outputs = fs::read_dir(self.out()).context("cannot look for outputs")?;
        let outputs: Vec<PathBuf> = outputs
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .context("cannot look for outputs")?;
        let Some((status, usage)) = ended else {
            return Ok(Outcome::Unsound {
                what: format!("it was not done after {} s", TIME.as_secs()),
                command: line,
                usage: None,
            });
        };
        let what = verdict(status.code(), &printed, &outputs, output, &usage);
        Ok(match (what, status.code()) {
            (Some(what), _) => Outcome::Unsound {
                what: format!("{status}, {what}: {}", first(&printed)),
                command: line,
                usage: Some(usage),
            },
            (None, Some(0)) => Outcome::Analysed { usage },
            (None, status) => Outcome::Refused {
                status: status.unwrap_or_default(),
                usage,
            },
        })
    }
}

/// What is wrong, if anything is.
fn verdict(
    status: Option<i32>,
    printed: &str,
    outputs: &[PathBuf],
    wanted: Option<&str>,
    usage: &Usage,
) -> Option<String> {
    // What a user ought to know stands before an error, a line each.
    let lines = printed.lines();
    let (errors, others): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.starts_with("error: "));
    let is_told = |line: &&str| line.starts_with("warning: ") || line.starts_with("note: ");
    if printed.contains("panicked") {
        return Some("a panic".to_owned());
    }
    if let Some(line) = others.iter().find(|line| !is_told(line)) {
        return Some(format!("a line that is no error: {line}"));
    }
    if usage.peak > MEMORY {
        return Some(format!("{} MB of memory", usage.peak >> 20));
    }
    match status {
        Some(0) if !errors.is_empty() => Some("success and an error".to_owned()),
        Some(0) => match (wanted, outputs) {
            (None, []) => None,
            (Some(_), [output]) => whole(output),
            _ => Some(format!("{} outputs", outputs.len())),
        },
        Some(1 | 2) if errors.len() != 1 => Some(format!("{} errors", errors.len())),
        Some(1 | 2) if !outputs.is_empty() => Some("an output left behind".to_owned()),
        Some(1 | 2) => None,
        _ => Some("another end".to_owned()),
    }
}

/// What is wrong with an output.
fn whole(output: &Path) -> Option<String> {
    if output
        .extension()
        .is_some_and(|extension| extension == "safetensors")
    {
        return headwater::AnalysisReader::open(output)
            .err()
            .map(|error| error.to_string());
    }
    let is_empty = fs::metadata(output).map_or(true, |metadata| metadata.len() == 0);
    is_empty.then(|| "an empty output".to_owned())
}

fn first(printed: &str) -> String {
    printed.lines().take(2).collect::<Vec<_>>().join(" / ")
}

/// A command line behind the model's, and what it writes.
pub(super) struct Way {
    arguments: &'static [&'static str],
    output: Option<&'static str>,
}

const ANALYSIS: Option<&str> = Some("out/a.safetensors");

/// The ways that a model is used in.
pub(super) fn ways(model: &str) -> &'static [Way] {
    const TEXTS: [Way; 4] = [
        Way {
            arguments: &["analyze", "--text", TEXT],
            output: ANALYSIS,
        },
        Way {
            arguments: &["analyze", "--text", TEXT, "--json", "--layers", "0"],
            output: None,
        },
        Way {
            arguments: &["inspect"],
            output: None,
        },
        Way {
            arguments: &["plot", "map", "--text", TEXT, "--layer", "0"],
            output: Some("out/a.svg"),
        },
    ];
    const TRANSLATIONS: [Way; 5] = [
        Way {
            arguments: &["analyze", "--text", SOURCE, "--target", TARGET],
            output: ANALYSIS,
        },
        Way {
            arguments: &["analyze", "--text", SOURCE],
            output: ANALYSIS,
        },
        Way {
            arguments: &["translate", "--source", "source.txt"],
            output: None,
        },
        Way {
            arguments: &[
                "align",
                "--source",
                "source.txt",
                "--target",
                "target.txt",
                "--layers",
                "3",
                "--measure",
                "norm",
                "--setting",
                "awo",
            ],
            output: Some("out/a.txt"),
        },
        Way {
            arguments: &["inspect"],
            output: None,
        },
    ];
    match model {
        "bundled-marian" => &TRANSLATIONS,
        _ => &TEXTS,
    }
}

/// Beyond so many addresses allocations fail, and the program is not the only one
/// that suffers.
fn limit_addresses(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let limit = libc::rlimit {
        rlim_cur: ADDRESSES,
        rlim_max: ADDRESSES,
    };
    let set = move || {
        // SAFETY: the pointer is to a live value of the type that setrlimit reads.
        match unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec the closure calls setrlimit alone, which is
    // async-signal-safe, and allocates nothing unless that fails.
    unsafe {
        command.pre_exec(set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage {
        seconds: 0.1,
        cpu_seconds: 0.1,
        peak: 1 << 20,
    };

    #[test]
    fn every_kind_of_end_is_told_apart() {
        let refused = |status, printed| verdict(Some(status), printed, &[], Some("a"), &USAGE);
        assert_eq!(refused(2, "error: no such key\n"), None);
        assert_eq!(refused(1, "warning: unknown key\nerror: disk\n"), None);
        for (status, printed) in [
            (2, ""),
            (2, "error: a\nerror: b\n"),
            (2, "thread 'main' panicked at a.rs\nerror: a\n"),
            (2, "what is this\nerror: a\n"),
            (101, "error: a\n"),
            (0, "error: a\n"),
            (0, ""),
        ] {
            assert!(refused(status, printed).is_some(), "{status} {printed:?}");
        }
        assert!(verdict(None, "error: a\n", &[], None, &USAGE).is_some());
        let left = [PathBuf::from("out/a.safetensors")];
        assert!(verdict(Some(2), "error: a\n", &left, None, &USAGE).is_some());
        let large = Usage {
            peak: MEMORY + 1,
            ..USAGE
        };
        assert!(verdict(Some(2), "error: a\n", &[], None, &large).is_some());
    }
}
