//! `headwater align`: words of a text and of its translation that belong
//! together, read off a translation model's cross-attention.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use headwater::metrics::{AlignmentSetting, LinkLine, Links, Numbering};
use headwater::{
    Aligner, AlignmentMeasure, AlignmentScores, ParallelText, TokenizedPair, Translator, WholeFile,
};
use serde::Serialize;

use crate::args::{AlignArgs, RateFormat};
use crate::failure::BadInput;
use crate::journal::{self, Journal};
use crate::load;
use crate::output::{self, HEADING};
use crate::outputs::{Kind, Reads};
use crate::pairs::{self, Pairs};
use crate::progress::{Bar, Verbosity};

pub(crate) fn run(args: &AlignArgs, verbosity: Verbosity) -> anyhow::Result<ExitCode> {
    let reads = reads(args);
    reads.check_standard_output()?;
    let pairs = Pairs::read(args)?;
    let translator = load::translator(&args.model, &args.languages, args.device, verbosity)?;
    let aligners = aligners(args, &translator)?;
    let (bitext, texts) = pairs.encode(&translator)?;
    let gold = args.gold.as_deref();
    let gold = gold
        .map(|path| pairs::gold(&bitext, path, args.gold_first))
        .transpose()?;
    // A model from the hub lies somewhere in a cache.
    let reads = reads.model(translator.checkpoint().directory());
    // Last of what can fail, so that a failure leaves no directory behind.
    let mut destination = Destination::of(args, &aligners, &reads)?;
    let mut journal = match destination.journal.take() {
        Some(path) => Some(Journal::open(
            path,
            &settings(args, &aligners, &translator)?,
        )?),
        None => None,
    };

    let work = Work {
        translator: &translator,
        layers: layers(&aligners),
        aligners: &aligners,
        args,
    };
    let mut scores = AlignmentScores::new(aligners.clone(), args.symmetrize);
    let done: Arc<AtomicU64> = Arc::default();
    let bar = Bar::follow(
        verbosity,
        "aligning",
        Some(texts.len() as u64),
        Arc::clone(&done),
    );
    let batch = args.batch_size.get();
    let sentences: Vec<(&str, &str)> = bitext.pairs().collect();
    for (index, texts) in texts.chunks(batch).enumerate() {
        let sentences = &sentences[index * batch..][..texts.len()];
        let links = work.links(sentences, texts, &mut journal)?;
        for (offset, links) in links.iter().enumerate() {
            if let Some(gold) = &gold {
                scores.push_links(links, &gold[index * batch + offset])?;
            }
            for (links, output) in links.iter().zip(&mut destination.files) {
                output.line(links)?;
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
        destination.flush()?;
    }
    drop(bar);
    destination.finish()?;
    if let Some(journal) = journal {
        journal.remove()?;
    }
    if gold.is_some() {
        show(&scores, args.format)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What aligns.
struct Work<'a> {
    translator: &'a Translator,
    /// Those of the aligners, each once.
    layers: Vec<usize>,
    aligners: &'a [Aligner],
    args: &'a AlignArgs,
}

impl Work<'_> {
    /// The links of a batch of pairs, for each those of every aligner; computed
    /// unless an earlier run has, and kept for a later one.
    fn links(
        &self,
        sentences: &[(&str, &str)],
        texts: &[ParallelText],
        journal: &mut Option<Journal>,
    ) -> anyhow::Result<Vec<Vec<Links>>> {
        let mut known = Vec::new();
        for &(source, target) in sentences {
            let outputs = match journal {
                Some(journal) => journal.outputs(&[source, target])?,
                None => None,
            };
            known.push(outputs.and_then(|outputs| self.parsed(&outputs)));
        }
        let is_new = known.iter().map(Option::is_none);
        let new: Vec<&ParallelText> = texts
            .iter()
            .zip(is_new)
            .filter_map(|(texts, is_new)| is_new.then_some(texts))
            .collect();
        let pairs: Vec<TokenizedPair> = new.iter().map(|texts| texts.tokens.clone()).collect();
        let analyses = match pairs.is_empty() {
            true => Vec::new(),
            false => self
                .translator
                .cross_attention(&pairs, Some(self.layers.clone()))?,
        };
        let mut analyses = analyses.iter().zip(new);
        let mut all = Vec::new();
        for (known, &(source, target)) in known.into_iter().zip(sentences) {
            if let Some(links) = known {
                all.push(links);
                continue;
            }
            let (analysis, texts) = analyses.next().context("one analysis a pair")?;
            let links = self
                .aligners
                .iter()
                .map(|aligner| aligner.links(analysis, texts, self.args.symmetrize))
                .collect::<Result<Vec<Links>, _>>()?;
            if let Some(journal) = journal {
                let lines: Vec<String> = links.iter().map(Links::to_string).collect();
                journal.keep(&[source, target], &lines)?;
            }
            all.push(links);
        }
        Ok(all)
    }

    /// Links that a journal kept, if they are one line an aligner.
    fn parsed(&self, lines: &[String]) -> Option<Vec<Links>> {
        let line = LinkLine {
            number: 1,
            numbering: Numbering::FromZero,
            words: None,
        };
        let links = lines.iter().map(|text| Links::parse(text, line).ok());
        let links: Vec<Links> = links.collect::<Option<_>>()?;
        (links.len() == self.aligners.len()).then_some(links)
    }
}

/// The layers that are looked at.
fn layers(aligners: &[Aligner]) -> Vec<usize> {
    let mut layers: Vec<usize> = aligners.iter().map(|aligner| aligner.layer).collect();
    layers.dedup();
    layers
}

/// All that links depend on but the texts.
fn settings(
    args: &AlignArgs,
    aligners: &[Aligner],
    translator: &Translator,
) -> anyhow::Result<String> {
    let names: Vec<String> = aligners.iter().map(file_name).collect();
    Ok(format!(
        "align {} {} {} {} {:?} {:?} {}",
        env!("CARGO_PKG_VERSION"),
        journal::model_settings(translator.checkpoint())?,
        args.model.options.dtype,
        args.device,
        args.languages,
        args.symmetrize,
        names.join(" ")
    ))
}

/// What must not be written over.
fn reads(args: &AlignArgs) -> Reads {
    let files = [
        ("--source", &args.source),
        ("--target", &args.target),
        ("--input", &args.input),
        ("--gold", &args.gold),
    ];
    let mut reads = Reads::default().model(args.model.model.as_ref());
    for (option, path) in files {
        if let Some(path) = path {
            reads = reads.file(option, path);
        }
    }
    reads
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
    /// Where what is done is kept until the files are whole.
    journal: Option<PathBuf>,
}

/// One file of links, or standard output.
enum Output {
    File(WholeFile, PathBuf),
    /// Lines that are not printed yet.
    Standard(String),
}

impl Destination {
    fn of(args: &AlignArgs, aligners: &[Aligner], reads: &Reads) -> anyhow::Result<Self> {
        let several = aligners.len() > 1;
        let (files, journal) = match &args.output {
            None if args.gold.is_some() => (Vec::new(), None),
            None if several => {
                let message = format!(
                    "{} alignments were asked for, which do not fit on standard output; name a \
                     directory with --output, or choose one with --layers, --measure and \
                     --setting",
                    aligners.len()
                );
                return Err(BadInput(message).into());
            }
            None => (vec![Output::Standard(String::new())], None),
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
                let names = aligners.iter().map(file_name);
                let paths: Vec<PathBuf> = names.map(|name| path.join(name)).collect();
                let journal = path.join("links.unfinished");
                for path in &paths {
                    reads.check(path, Kind::Links)?;
                }
                reads.check(&journal, Kind::Journal)?;
                let files = paths.into_iter().map(Output::file);
                (files.collect::<anyhow::Result<_>>()?, Some(journal))
            }
            Some(path) => {
                reads.check(path, Kind::Links)?;
                let journal = journal::beside(path);
                reads.check(&journal, Kind::Journal)?;
                (vec![Output::file(path.clone())?], Some(journal))
            }
        };
        Ok(Self { files, journal })
    }

    /// Prints what is there: whoever stops the run keeps it.
    fn flush(&mut self) -> anyhow::Result<()> {
        for output in &mut self.files {
            if let Output::Standard(text) = output {
                output::print(|out| out.write_all(text.as_bytes()))?;
                text.clear();
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        for output in self.files {
            if let Output::File(file, _) = output {
                file.finish()?;
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
