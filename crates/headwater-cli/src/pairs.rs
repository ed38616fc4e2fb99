//! Sentences and their translations, and everything that is wrong with them.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use headwater::metrics::{GoldLinks, GoldNotation, MetricsError, Numbering};
use headwater::{Bitext, Input, ParallelText, Translator};

use crate::args::AlignArgs;
use crate::failure::BadInput;
use crate::jsonl;
use crate::lines::{self, Lines};
use crate::object::Object;

/// Faults that are listed; one more says how many there are besides.
const LISTED: usize = 20;

/// The sentence pairs that were given.
pub(crate) struct Pairs {
    pairs: Vec<Pair>,
    /// Of the two sides, for errors; twice the same for JSON lines.
    names: [PathBuf; 2],
    faults: Faults,
}

/// A sentence and its translation.
struct Pair {
    line: u64,
    texts: [String; 2],
    /// Whether nothing is known to be wrong with it.
    is_sound: bool,
}

/// What is wrong with sentences, all of it.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn push(&mut self, fault: impl fmt::Display) {
        self.0.push(fault.to_string());
    }

    /// # Errors
    /// There are faults.
    fn into_result(self) -> Result<(), BadInput> {
        let Self(faults) = self;
        if faults.is_empty() {
            return Ok(());
        }
        let mut listed = faults.iter().take(LISTED).cloned().collect::<Vec<_>>();
        if faults.len() > LISTED {
            listed.push(format!("and {} more", faults.len() - LISTED));
        }
        let listed = listed.join("; ");
        Err(BadInput(format!(
            "{listed}; mend them, or take the pairs out of the text and out of the gold links"
        )))
    }
}

const SIDES: [&str; 2] = ["source", "target"];

impl Pairs {
    /// Reads what the options name. Lines that are no sentences are kept in mind.
    ///
    /// # Errors
    /// A file cannot be read, there is no line, or sides have different lengths.
    pub(crate) fn read(args: &AlignArgs) -> anyhow::Result<Self> {
        match (&args.source, &args.target, &args.input) {
            (Some(source), Some(target), _) => Self::from_files(source, target),
            (_, _, Some(path)) => Self::from_json_lines(path),
            _ => unreachable!("clap lets no call through without sentences"),
        }
    }

    fn from_files(source: &Path, target: &Path) -> anyhow::Result<Self> {
        let dash = Path::new("-");
        if source == dash && target == dash {
            let message =
                "--source and --target cannot both be standard input; name a file for one";
            return Err(BadInput(message.to_owned()).into());
        }
        let mut faults = Faults::default();
        let mut side = |option: &str, path: &Path| -> anyhow::Result<Vec<Option<String>>> {
            let mut lines = Lines::open(option, path)?;
            let mut texts = Vec::new();
            let failed = || format!("cannot read {option}");
            while let Some((number, line)) = lines.next_line().with_context(failed)? {
                let text = match lines::text(line) {
                    Ok(text) if !text.trim().is_empty() => Some(text),
                    Ok(_) => {
                        faults.push(format_args!("line {number} of {path:?} is empty"));
                        None
                    }
                    Err(BadInput(wrong)) => {
                        faults.push(format_args!("line {number} of {path:?}: {wrong}"));
                        None
                    }
                };
                texts.push(text);
            }
            Ok(texts)
        };
        let [sources, targets] = [side("--source", source)?, side("--target", target)?];
        let names = [source, target].map(Path::to_owned);
        if sources.len() != targets.len() {
            let [path, other_path] = names;
            return Err(headwater::Error::UnequalLines {
                path,
                lines: sources.len(),
                other_path,
                other_lines: targets.len(),
            }
            .into());
        }
        if sources.is_empty() {
            let [path, _] = names;
            return Err(headwater::Error::NoLines { path }.into());
        }
        let pairs = sources.into_iter().zip(targets).zip(1..);
        let pairs = pairs.map(|((source, target), line)| Pair {
            line,
            is_sound: source.is_some() && target.is_some(),
            texts: [source, target].map(Option::unwrap_or_default),
        });
        Ok(Self {
            pairs: pairs.collect(),
            names,
            faults,
        })
    }

    fn from_json_lines(path: &Path) -> anyhow::Result<Self> {
        let mut lines = Lines::open("--input", path)?;
        let (mut pairs, mut faults) = (Vec::new(), Faults::default());
        while let Some((number, line)) =
            jsonl::next_value(&mut lines).context("cannot read --input")?
        {
            let texts = line
                .map_err(|error| vec![error])
                .and_then(|line| pair(&line));
            let (texts, wrong) = match texts {
                Ok(texts) => (texts, Vec::new()),
                Err(wrong) => (Default::default(), wrong),
            };
            for wrong in &wrong {
                faults.push(format_args!("line {number}: {wrong}"));
            }
            pairs.push(Pair {
                line: number,
                texts,
                is_sound: wrong.is_empty(),
            });
        }
        if pairs.is_empty() {
            let message = format!(
                "--input {} has no line; give one pair a line: {{\"source\": \"…\", \"target\": \"…\"}}",
                path.display()
            );
            return Err(BadInput(message).into());
        }
        Ok(Self {
            pairs,
            names: [path, path].map(Path::to_owned),
            faults,
        })
    }

    /// The texts as the model sees them.
    ///
    /// # Errors
    /// Every line that is no sentence or that the model cannot take, with its side.
    pub(crate) fn encode(
        self,
        translator: &Translator,
    ) -> anyhow::Result<(Bitext, Vec<ParallelText>)> {
        let mut faults = self.faults;
        let mut encoded = Vec::new();
        for Pair { line, texts, .. } in self.pairs.iter().filter(|pair| pair.is_sound) {
            let error = match translator.encode_parallel(&texts[0], &texts[1]) {
                Ok(texts) => {
                    encoded.push(texts);
                    continue;
                }
                // The model's fault, and every other line's as well.
                Err(error @ headwater::Error::Checkpoint(_)) => return Err(error.into()),
                Err(error) => error,
            };
            let sides = sides(translator, texts);
            if sides.iter().all(Option::is_none) {
                faults.push(format_args!("line {line}: {error}"));
            }
            for (side, error) in SIDES.iter().zip(sides) {
                if let Some(error) = error {
                    faults.push(format_args!("line {line}: the {side}: {error}"));
                }
            }
        }
        faults.into_result()?;
        let texts = self.pairs.into_iter().map(|pair| {
            let [source, target] = pair.texts;
            (source, target)
        });
        let (sources, targets) = texts.unzip();
        let names = [self.names[0].as_path(), self.names[1].as_path()];
        Ok((Bitext::new(sources, targets, names)?, encoded))
    }
}

/// The sentences on a line of JSON, or all that is wrong with them.
fn pair(line: &[u8]) -> Result<[String; 2], Vec<BadInput>> {
    let mut object = Object::parse(line, &SIDES).map_err(|error| vec![error])?;
    let mut wrong = Vec::new();
    let texts = SIDES.map(|side| match object.text(side) {
        Ok(Some(text)) if !text.trim().is_empty() => text,
        Ok(Some(_)) => {
            wrong.push(BadInput(format!("the {side} is empty")));
            String::new()
        }
        Ok(None) => {
            wrong.push(BadInput(format!("there is no {side}")));
            String::new()
        }
        Err(error) => {
            wrong.push(error);
            String::new()
        }
    });
    match wrong.is_empty() {
        true => Ok(texts),
        false => Err(wrong),
    }
}

/// What is wrong with each side, beside another one that cannot be wrong.
fn sides(translator: &Translator, texts: &[String; 2]) -> [Option<headwater::Error>; 2] {
    let any = || Input::from(vec![0]);
    let text = |side: usize| Input::from(texts[side].as_str());
    [
        translator.encode(&text(0), &any()).err(),
        translator.encode(&any(), &text(1)).err(),
    ]
}

/// Gold links for the pairs.
///
/// # Errors
/// The file cannot be read, or does not fit the pairs.
pub(crate) fn gold(bitext: &Bitext, path: &Path, first: u8) -> anyhow::Result<Vec<GoldLinks>> {
    let mut lines = Lines::open("--gold", path)?;
    let mut texts = Vec::new();
    while let Some((number, line)) = lines.next_line().context("cannot read --gold")? {
        let text = lines::text(line)
            .map_err(|BadInput(wrong)| BadInput(format!("line {number} of {path:?}: {wrong}")))?;
        texts.push(text);
    }
    if first == 0 && GoldNotation::of(&texts) == Ok(GoldNotation::Triples) {
        let message = format!(
            "{path:?} has a line a link, which counts words from 1; leave out --gold-first 0"
        );
        return Err(BadInput(message).into());
    }
    let numbering = match first {
        0 => Numbering::FromZero,
        _ => Numbering::FromOne,
    };
    bitext.gold(&texts, path, numbering).map_err(|error| {
        let other = 1 - first;
        match &error {
            headwater::Error::Gold {
                source:
                    source @ (MetricsError::LinkSyntax { .. } | MetricsError::LinkOutside { .. }),
                ..
            } if GoldNotation::of(&texts) == Ok(GoldNotation::Pairs) => {
                anyhow::Error::from(BadInput(format!(
                    "{error}: {source}; if the file counts words from {other}, say \
                     --gold-first {other}"
                )))
            }
            _ => error.into(),
        }
    })
}
