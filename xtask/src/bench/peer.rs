//! PyTorch in a process of its own, asked line by line for one repetition.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::machine;

/// The program, `xtask/bench/peer.py`, and the model it has loaded.
pub(crate) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What it runs on.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Versions {
    pub(crate) torch: String,
    pub(crate) transformers: String,
    pub(crate) threads: usize,
}

/// One repetition.
#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    /// The process's largest resident set during it; Linux only.
    pub(crate) peak: Option<u64>,
    values: Vec<f32>,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask<'a> {
    /// transformers' forward pass.
    Forward(&'a [Vec<u32>]),
    /// The attention block with every part as a vector.
    Materialised(&'a [Vec<u32>]),
    /// A product of two square matrices.
    Product(usize),
}

impl Ask<'_> {
    fn json(self, compare: bool) -> Value {
        match self {
            Self::Forward(ids) => json!({ "forward": ids, "compare": compare }),
            Self::Materialised(ids) => json!({ "materialised": ids, "compare": compare }),
            Self::Product(size) => json!({ "product": size }),
        }
    }
}

/// Two float32 programs that compute the same thing differ by less.
const TOLERANCE: f64 = 1e-4;

impl Peer {
    /// Starts the program, in an environment that is made if it is not there.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let sources = crate::repository().join("xtask/bench");
        let python = environment(&sources.join("requirements.txt"))?;
        let mut child = Command::new(python)
            .arg(sources.join("peer.py"))
            .arg(machine::cores().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run python")?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.context("both pipes were asked for")?;
        Ok(Self {
            child,
            input: Some(input),
            output: BufReader::new(output),
        })
    }

    fn ask<T: for<'de> Deserialize<'de>>(&mut self, request: &Value) -> anyhow::Result<T> {
        let input = self.input.as_mut().context("the program is running")?;
        let sent = writeln!(input, "{request}").and_then(|()| input.flush());
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            bail!("peer.py ended; what it said is above");
        }
        sent?;
        let reply: Value = serde_json::from_str(&line).context("peer.py printed no JSON")?;
        if let Some(error) = reply.get("error") {
            bail!("peer.py: {error}");
        }
        Ok(serde_json::from_value(reply)?)
    }

    /// Loads a model in place of the one before.
    pub(crate) fn load(&mut self, model: &Path) -> anyhow::Result<Versions> {
        self.ask(&json!({ "load": model }))
    }

    /// Does something once.
    pub(crate) fn run(&mut self, ask: Ask<'_>) -> anyhow::Result<Run> {
        self.ask(&ask.json(false))
    }

    /// Does something once, and checks that our own results are the same.
    pub(crate) fn compare(&mut self, ask: Ask<'_>, ours: &[f32]) -> anyhow::Result<()> {
        let theirs: Run = self.ask(&ask.json(true))?;
        let difference = difference(ours, &theirs.values);
        ensure!(
            difference < TOLERANCE,
            "PyTorch computes something else ({difference:.1e} away): the comparison would be of different work"
        );
        Ok(())
    }
}

impl Drop for Peer {
    /// The program ends with its input.
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// ‖a − b‖ / ‖b‖; infinite for lists of different lengths.
fn difference(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let squares = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values.map(|value| f64::from(value).powi(2)).sum()
    };
    let apart = squares(&mut a.iter().zip(b).map(|(a, b)| a - b));
    (apart / squares(&mut b.iter().copied())).sqrt()
}

/// The interpreter of a virtual environment with exactly these requirements.
fn environment(requirements: &Path) -> anyhow::Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let directory = crate::target().join("bench/python");
    let python = directory.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    });
    // Written when everything is installed.
    let stamp = directory.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    eprintln!("installing PyTorch into {}: once", directory.display());
    let run = |command: &mut Command| -> anyhow::Result<()> {
        let status = command
            .status()
            .context("cannot run python3; install it, with venv")?;
        ensure!(
            status.success(),
            "the Python environment cannot be made; python3's words are above"
        );
        Ok(())
    };
    let venv = ["-m", "venv", "--clear"];
    run(Command::new("python3").args(venv).arg(&directory))?;
    let install = ["-m", "pip", "--quiet", "--disable-pip-version-check"];
    run(Command::new(&python)
        .args(install)
        .args(["install", "-r"])
        .arg(requirements))?;
    fs::write(&stamp, wanted)?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_compared_by_the_size_of_what_differs() {
        let found = difference(&[3.0, 4.001], &[3.0, 4.0]);
        assert!((found - 2e-4).abs() < 1e-6, "{found}");
        assert_eq!(difference(&[1.0], &[1.0]), 0.0);
        assert_eq!(difference(&[], &[1.0]), f64::INFINITY);
        // Neither is below any tolerance.
        assert!(difference(&[], &[]).is_nan());
        assert!(difference(&[f32::NAN], &[1.0]).is_nan());
    }
}
