//! `headwater align`: words of a text and of its translation that belong
//! together, read off a translation model's cross-attention.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use headwater::metrics::{AlignmentSetting, Links, Numbering};
use headwater::{
    Aligner, AlignmentMeasure, AlignmentScores, Bitext, ParallelText, TokenizedPair, Translator,
    WholeFile,
};
use serde::{Deserialize, Serialize};

use crate::args::{AlignArgs, RateFormat};
use crate::failure::BadInput;
use crate::jsonl;
use crate::lines::Lines;
use crate::load;
use crate::output::{self, HEADING};
use crate::progress::{Bar, Verbosity};

pub(crate) fn run(args: &AlignArgs, verbosity: Verbosity) -> anyhow::Result<ExitCode> {
    // What is wrong with the texts is said before a model is loaded.
    let (bitext, lines) = bitext(args)?;
    let gold = args
        .gold
        .as_deref()
        .map(|path| {
            let numbering = match args.gold_first {
                0 => Numbering::FromZero,
                _ => Numbering::FromOne,
            };
            bitext.read_gold(path, numbering).map_err(|error| {
                let other = 1 - args.gold_first;
                match &error {
                    headwater::Error::Gold { .. } => anyhow::Error::from(BadInput(format!(
                        "{error}; if the file counts words from {other}, say --gold-first {other}"
                    ))),
                    _ => error.into(),
                }
            })
        })
        .transpose()?;
    let translator = load::translator(&args.model, &args.languages, args.device, verbosity)?;
    let aligners = aligners(args, &translator)?;
    let texts = bitext
        .pairs()
        .zip(lines)
        .map(|((source, target), line)| {
            let texts = translator.encode_parallel(source, target);
            texts.with_context(|| format!("line {line}"))
        })
        .collect::<anyhow::Result<Vec<ParallelText>>>()?;
    // Last of what can fail, so that a failure leaves no directory behind.
    let mut destination = Destination::of(args, &aligners)?;

    let mut layers: Vec<usize> = aligners.iter().map(|aligner| aligner.layer).collect();
    layers.dedup();
    let mut scores = AlignmentScores::new(aligners.clone(), args.symmetrize);
    let done: Arc<AtomicU64> = Arc::default();
    let bar = Bar::follow(
        verbosity,
        "aligning",
        Some(texts.len() as u64),
        Arc::clone(&done),
    );
    let batch = args.batch_size.get();
    for (index, texts) in texts.chunks(batch).enumerate() {
        let pairs: Vec<TokenizedPair> = texts.iter().map(|texts| texts.tokens.clone()).collect();
        let analyses = translator.cross_attention(&pairs, Some(layers.clone()))?;
        for (offset, (analysis, texts)) in analyses.iter().zip(texts).enumerate() {
            if let Some(gold) = &gold {
                scores.push(analysis, texts, &gold[index * batch + offset])?;
            }
            for (aligner, output) in aligners.iter().zip(&mut destination.files) {
                output.line(&aligner.links(analysis, texts, args.symmetrize)?)?;
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
    drop(bar);
    destination.finish()?;
    if gold.is_some() {
        show(&scores, args.format)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The sentences and their translations, and the number of each pair's line.
fn bitext(args: &AlignArgs) -> anyhow::Result<(Bitext, Vec<u64>)> {
    match (&args.source, &args.target, &args.input) {
        (Some(source), Some(target), _) => {
            let bitext = Bitext::read(source, target)?;
            let lines = (1..).take(bitext.len()).collect();
            Ok((bitext, lines))
        }
        (_, _, Some(path)) => json_lines(path),
        _ => unreachable!("clap lets no call through without sentences"),
    }
}

/// A pair on a line of JSON; other fields are ignored.
#[derive(Deserialize)]
struct Pair {
    source: String,
    target: String,
}

fn json_lines(path: &Path) -> anyhow::Result<(Bitext, Vec<u64>)> {
    let mut lines = Lines::open("--input", path)?;
    let (mut source, mut target, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((number, line)) = jsonl::next_value(&mut lines).context("cannot read --input")? {
        let pair: Pair = line
            .and_then(|line| jsonl::object(&line))
            .with_context(|| format!("line {number}"))?;
        for (side, text) in [("source", &pair.source), ("target", &pair.target)] {
            if text.trim().is_empty() {
                let message = format!(
                    "line {number}: the {side} is empty; take the pair out of the file and out \
                     of the gold links"
                );
                return Err(BadInput(message).into());
            }
        }
        source.push(pair.source);
        target.push(pair.target);
        numbers.push(number);
    }
    if numbers.is_empty() {
        let message = format!(
            "--input {} has no line; give one pair a line: {{\"source\": \"…\", \"target\": \"…\"}}",
            path.display()
        );
        return Err(BadInput(message).into());
    }
    Ok((Bitext::new(source, target, [path, path])?, numbers))
}

/// Every combination of what was asked for, layer by layer.
fn aligners(args: &AlignArgs, translator: &Translator) -> anyhow::Result<Vec<Aligner>> {
    let decoder = translator.model().decoder().architecture();
    let layers = match &args.layers {
        Some(layers) => layers.resolve(decoder.n_layers)?,
        None => (0..decoder.n_layers).collect(),
    };
    let heads = args.heads.resolve(decoder.n_heads)?;
    let measures = match args.measure {
        Some(measure) => vec![measure],
        None => AlignmentMeasure::ALL.to_vec(),
    };
    let settings = match args.setting {
        Some(setting) => vec![setting],
        None => AlignmentSetting::ALL.to_vec(),
    };
    let mut aligners = Vec::new();
    for &layer in &layers {
        for &head in &heads {
            for &measure in &measures {
                for &setting in &settings {
                    aligners.push(Aligner {
                        layer,
                        head,
                        measure,
                        setting,
                    });
                }
            }
        }
    }
    Ok(aligners)
}

/// Where links go: one place for each aligner, or none.
struct Destination {
    files: Vec<Output>,
}

/// One file of links, or standard output.
enum Output {
    File(WholeFile, PathBuf),
    Standard(String),
}

impl Destination {
    fn of(args: &AlignArgs, aligners: &[Aligner]) -> anyhow::Result<Self> {
        let several = aligners.len() > 1;
        let files = match &args.output {
            None if args.gold.is_some() => Vec::new(),
            None if several => {
                let message = format!(
                    "{} alignments were asked for, which do not fit on standard output; name a \
                     directory with --output, or choose one with --layers, --measure and \
                     --setting",
                    aligners.len()
                );
                return Err(BadInput(message).into());
            }
            None => vec![Output::Standard(String::new())],
            Some(path) if several => {
                let directory = path.display();
                if path.exists() && !path.is_dir() {
                    let message = format!(
                        "--output {directory} is a file, but {} alignments were asked for; name a \
                         directory, or choose one with --layers, --measure and --setting",
                        aligners.len()
                    );
                    return Err(BadInput(message).into());
                }
                std::fs::create_dir_all(path)
                    .with_context(|| format!("cannot make the directory {directory}"))?;
                aligners
                    .iter()
                    .map(|aligner| Output::file(path.join(file_name(aligner))))
                    .collect::<anyhow::Result<_>>()?
            }
            Some(path) => {
                output::check_file(path)?;
                vec![Output::file(path.clone())?]
            }
        };
        Ok(Self { files })
    }

    fn finish(self) -> anyhow::Result<()> {
        for output in self.files {
            match output {
                Output::File(file, _) => file.finish()?,
                Output::Standard(text) => output::print(|out| out.write_all(text.as_bytes()))?,
            }
        }
        Ok(())
    }
}

impl Output {
    fn file(path: PathBuf) -> anyhow::Result<Self> {
        Ok(Self::File(WholeFile::create(&path)?, path))
    }

    fn line(&mut self, links: &Links) -> anyhow::Result<()> {
        match self {
            // One write a line: the file has no buffer.
            Output::File(file, path) => file
                .file()
                .write_all(format!("{links}\n").as_bytes())
                .with_context(|| format!("cannot write {}", path.display())),
            Output::Standard(text) => Ok(writeln!(text, "{links}")?),
        }
    }
}

/// `layer3.norm.awo.txt`, `layer3.head0.norm.awo.txt`.
fn file_name(aligner: &Aligner) -> String {
    let head = aligner.head.map(|head| format!(".head{head}"));
    format!(
        "layer{}{}.{}.{}.txt",
        aligner.layer,
        head.unwrap_or_default(),
        aligner.measure,
        aligner.setting
    )
}

/// One row of error rates.
#[derive(Serialize)]
struct Rate {
    layer: usize,
    head: Option<usize>,
    measure: String,
    setting: String,
    alignment_error_rate: f64,
    precision: Option<f64>,
    recall: Option<f64>,
}

fn show(scores: &AlignmentScores, format: RateFormat) -> anyhow::Result<()> {
    let rates: Vec<Rate> = scores
        .aligners()
        .filter_map(|aligner| {
            let rate = scores.rate(aligner)?;
            Some(Rate {
                layer: aligner.layer,
                head: aligner.head,
                measure: aligner.measure.to_string(),
                setting: aligner.setting.to_string(),
                alignment_error_rate: rate.error_rate(),
                precision: rate.precision(),
                recall: rate.recall(),
            })
        })
        .collect();
    output::print(|out| match format {
        RateFormat::Json => {
            serde_json::to_writer(&mut *out, &rates)?;
            writeln!(out)
        }
        RateFormat::Table => {
            writeln!(
                out,
                "{HEADING}layer  head      measure  setting  AER %   precision %  recall %{HEADING:#}"
            )?;
            for rate in &rates {
                let head = rate
                    .head
                    .map_or("together".to_owned(), |head| head.to_string());
                let percent = |share: Option<f64>| match share {
                    Some(share) => format!("{:.1}", 100.0 * share),
                    None => "-".to_owned(),
                };
                writeln!(
                    out,
                    "{:<5}  {head:<8}  {:<7}  {:<7}  {:>5}   {:>11}  {:>8}",
                    rate.layer,
                    rate.measure,
                    rate.setting,
                    percent(Some(rate.alignment_error_rate)),
                    percent(rate.precision),
                    percent(rate.recall)
                )?;
            }
            Ok(())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_what_made_them() {
        let aligner = |head| Aligner {
            layer: 3,
            head,
            measure: AlignmentMeasure::Norm,
            setting: AlignmentSetting::Awo,
        };
        assert_eq!(file_name(&aligner(None)), "layer3.norm.awo.txt");
        assert_eq!(file_name(&aligner(Some(0))), "layer3.head0.norm.awo.txt");
    }
}
