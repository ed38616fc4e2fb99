//! The `headwater` program from outside: its memory, its start, its throughput.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use headwater::decomposition::DecompositionOptions;
use serde::Serialize;

use super::machine;
use super::start_up::Parts;
use super::statistics::{Spread, exponent};
use crate::child::{self, Usage};
use crate::random_model::{Shape, text};

/// The program, and a folder for what it writes.
pub(crate) struct Program {
    headwater: PathBuf,
    /// This program, asked for before a build could replace it.
    own: PathBuf,
    work: tempfile::TempDir,
}

/// The attention block of a post-LN model.
const THROUGH_ATB: [&str; 2] = ["--scopes", "attn,attn_res,atb"];
const RATIOS: [&str; 2] = ["--quantities", "norms,mixing_ratio"];
const PER_HEAD: [&str; 2] = [
    "--quantities",
    "norms,mixing_ratio,weighted_norms,transformed_norms,attention_weights",
];

/// What an analysis of the memory goals may take beside the weights.
const ALLOWANCE: u64 = 250_000_000;

/// One analysis in a process of its own.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) what: &'static str,
    pub(crate) tokens: usize,
    pub(crate) weights: u64,
    pub(crate) peak: u64,
    /// What it may take at the most.
    pub(crate) goal: u64,
    /// What `headwater inspect` says beforehand, where it speaks of this analysis.
    pub(crate) predicted: Option<u64>,
}

/// The analysis of one short text, from start to end.
#[derive(Debug, Serialize)]
pub(crate) struct StartUp {
    pub(crate) tokens: usize,
    /// The whole of `headwater analyze --text … --output FILE`.
    pub(crate) seconds: Spread,
    pub(crate) cpu_seconds: Spread,
    /// `headwater --version`: what any process takes.
    pub(crate) nothing: Spread,
    pub(crate) parts: Vec<(String, Spread)>,
}

/// Many short texts.
#[derive(Debug, Serialize)]
pub(crate) struct Throughput {
    pub(crate) what: &'static str,
    pub(crate) texts: usize,
    pub(crate) tokens: usize,
    /// Seconds with the default options and one by one, round by round.
    pub(crate) batched: Vec<f64>,
    pub(crate) one_by_one: Vec<f64>,
    /// Processor time over wall time and cores, with the default options.
    pub(crate) busy: f64,
}

/// Seconds for files of different numbers of texts.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    /// Number of texts and seconds.
    pub(crate) points: Vec<(usize, f64)>,
    /// Of the seconds beyond those of a file with one text, in the texts beyond it.
    pub(crate) exponent: Option<f64>,
}

impl Program {
    pub(crate) fn build() -> anyhow::Result<Self> {
        Ok(Self {
            own: std::env::current_exe().context("cannot tell where this program lies")?,
            headwater: child::headwater()?,
            work: tempfile::tempdir_in(crate::target()).context("cannot write to target")?,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<Usage> {
        child::run(
            Command::new(&self.headwater)
                .arg("--quiet")
                .args(arguments)
                .stdout(Stdio::null()),
        )
    }

    /// The peak of three analyses with BERT-base: norms and ratios of the
    /// attention block, its per-head norms too, and everything of one layer.
    pub(crate) fn memory(&self, tokens: usize) -> anyhow::Result<Vec<Memory>> {
        let model = Shape::Base.directory()?;
        let tile = DecompositionOptions::default().tile_bytes as u64;
        let predicted = self.predicted(&model, tokens)?;
        [
            (
                "norm maps and mixing ratios, scopes through atb, all layers",
                [THROUGH_ATB, RATIOS].concat(),
                ALLOWANCE,
                None,
            ),
            (
                "the same with per-head norms and attention weights",
                [THROUGH_ATB, PER_HEAD].concat(),
                ALLOWANCE,
                None,
            ),
            (
                "every quantity of every scope, one layer",
                vec!["--layers", "0"],
                ALLOWANCE + tile,
                Some(predicted),
            ),
        ]
        .into_iter()
        .map(|(what, options, allowance, predicted)| {
            let (weights, peak) = self.peak(&model, tokens, &options)?;
            Ok(Memory {
                what,
                tokens,
                weights,
                peak,
                goal: weights + allowance,
                predicted,
            })
        })
        .collect()
    }

    /// How the peak of the attention block's norms and ratios, less the
    /// weights, grows with the tokens: (tokens, bytes).
    pub(crate) fn memory_growth(&self, tokens: &[usize]) -> anyhow::Result<Vec<(usize, u64)>> {
        let model = Shape::Base.directory()?;
        let options = [THROUGH_ATB, RATIOS].concat();
        let points = tokens.iter().map(|&tokens| {
            let (weights, peak) = self.peak(&model, tokens, &options)?;
            Ok((tokens, peak.saturating_sub(weights)))
        });
        points.collect()
    }

    /// The size of a model's weights, and the peak of an analysis with it.
    fn peak(&self, model: &Path, tokens: usize, options: &[&str]) -> anyhow::Result<(u64, u64)> {
        let ids = Shape::Base.ids(tokens, &mut fastrand::Rng::with_seed(2021));
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        let (ids, output) = (ids.join(","), self.path("analysis.safetensors"));
        let [model_name, output] = [utf8(model)?, utf8(&output)?];
        let base = [
            "analyze",
            "--model",
            model_name,
            "--input-ids",
            &ids,
            "--output",
            output,
        ];
        let usage = self.run(&[&base[..], options].concat())?;
        Ok((
            fs::metadata(model.join("model.safetensors"))?.len(),
            usage.peak,
        ))
    }

    /// `headwater inspect`'s estimate.
    fn predicted(&self, model: &Path, tokens: usize) -> anyhow::Result<u64> {
        let output = Command::new(&self.headwater)
            .args(["inspect", "--json", "--tokens", &tokens.to_string()])
            .args(["--model", utf8(model)?])
            .output()?;
        ensure!(output.status.success(), "headwater inspect failed");
        let description: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        description["memory"]["total"]
            .as_u64()
            .context("headwater inspect --json says no memory.total")
    }

    /// One short text with the MiniLM shape.
    pub(crate) fn start_up(&self, rounds: usize) -> anyhow::Result<StartUp> {
        let model = Shape::Minilm.directory()?;
        let text = text(10, &mut fastrand::Rng::with_seed(7));
        let output = self.path("short.safetensors");
        let [model, output] = [utf8(&model)?, utf8(&output)?];
        let whole = [
            "analyze", "--model", model, "--text", &text, "--output", output,
        ];
        let (mut runs, mut nothing, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        self.run(&whole)?;
        for _ in 0..rounds {
            runs.push(self.run(&whole)?);
            nothing.push(self.run(&["--version"])?.seconds);
            parts.push(Parts::of_a_new_process(&self.own, model, &text, output)?);
        }
        let names = parts[0].0.iter().map(|(name, _)| name.clone());
        let spread = |index: usize| Spread::of(parts.iter().map(|parts| parts.0[index].1));
        Ok(StartUp {
            tokens: 12,
            seconds: Spread::of(runs.iter().map(|run| run.seconds)),
            cpu_seconds: Spread::of(runs.iter().map(|run| run.cpu_seconds)),
            nothing: Spread::of(nothing),
            parts: names
                .enumerate()
                .map(|(index, name)| (name, spread(index)))
                .collect(),
        })
    }

    /// A file of short texts, in batches and one by one, with the MiniLM shape.
    pub(crate) fn throughput(
        &self,
        texts: usize,
        rounds: usize,
    ) -> anyhow::Result<Vec<Throughput>> {
        let lines = self.lines(texts)?;
        [
            ("every quantity of every scope", &[][..]),
            ("scopes through atb", &THROUGH_ATB[..]),
        ]
        .into_iter()
        .map(|(what, options)| {
            let one = [options, &["--batch-size", "1"]].concat();
            let (mut batched, mut one_by_one, mut busy) = (Vec::new(), Vec::new(), Vec::new());
            self.corpus(&lines.path, options)?;
            for _ in 0..rounds {
                let usage = self.corpus(&lines.path, options)?;
                batched.push(usage.seconds);
                busy.push(usage.cpu_seconds / usage.seconds / machine::cores() as f64);
                one_by_one.push(self.corpus(&lines.path, &one)?.seconds);
            }
            Ok(Throughput {
                what,
                texts,
                tokens: lines.tokens,
                batched,
                one_by_one,
                busy: Spread::of(busy).median,
            })
        })
        .collect()
    }

    /// How time grows with the number of texts, each number measured `rounds` times.
    pub(crate) fn growth(&self, numbers: &[usize], rounds: usize) -> anyhow::Result<Growth> {
        let seconds = |texts: usize| -> anyhow::Result<f64> {
            let lines = self.lines(texts)?;
            let runs = (0..rounds).map(|_| Ok(self.corpus(&lines.path, &THROUGH_ATB)?.seconds));
            let runs: Vec<f64> = runs.collect::<anyhow::Result<_>>()?;
            Ok(Spread::of(runs).median)
        };
        let single = seconds(1)?;
        let mut points = vec![(1, single)];
        for &texts in numbers {
            points.push((texts, seconds(texts)?));
        }
        let beyond = points[1..].iter().map(|&(texts, seconds)| {
            let more = (seconds - single).max(f64::MIN_POSITIVE);
            ((texts - 1) as f64, more)
        });
        Ok(Growth {
            exponent: exponent(&beyond.collect::<Vec<_>>()),
            points,
        })
    }

    fn lines(&self, texts: usize) -> anyhow::Result<Lines> {
        let mut random = fastrand::Rng::with_seed(11);
        let (mut lines, mut tokens) = (String::new(), 0);
        for id in 0..texts {
            let words = random.usize(4..=24);
            tokens += words + 2;
            let text = text(words, &mut random);
            writeln!(lines, r#"{{"id": "{id}", "text": "{text}"}}"#)?;
        }
        let path = self.path(&format!("{texts}.jsonl"));
        fs::write(&path, lines)?;
        Ok(Lines { path, tokens })
    }

    fn corpus(&self, lines: &Path, options: &[&str]) -> anyhow::Result<Usage> {
        // A folder of its own: a file system may be slow to make files for some
        // seconds after it has removed as many.
        let output = tempfile::tempdir_in(self.work.path())?.keep();
        let model = Shape::Minilm.directory()?;
        let [model, lines, output] = [utf8(&model)?, utf8(lines)?, utf8(&output)?];
        let base = [
            "analyze", "--model", model, "--input", lines, "--output", output,
        ];
        self.run(&[&base[..], options].concat())
    }
}

/// A file of texts.
struct Lines {
    path: PathBuf,
    /// Of all texts together.
    tokens: usize,
}

fn utf8(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path in UTF-8")
}
