//! `headwater translate`: a translation model's own output, one line a text.

use std::fmt;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use headwater::{Input, Translator, WholeFile};

use crate::args::TranslateArgs;
use crate::failure::{self, BadInput};
use crate::journal::{self, Hashed, Journal};
use crate::lines::{self, Lines};
use crate::load;
use crate::output;
use crate::outputs::{Kind, Reads};
use crate::progress::Verbosity;

pub(crate) fn run(args: &TranslateArgs, verbosity: Verbosity) -> anyhow::Result<ExitCode> {
    let mut reads = Reads::default().model(args.model.model.as_ref());
    if let Some(source) = &args.source {
        reads = reads.file("--source", source);
        reads.check_standard_output()?;
    }
    // What is wrong with the file is said before a model is loaded.
    let lines = args.source.as_deref();
    let lines = lines
        .map(|path| Lines::open("--source", path))
        .transpose()?;
    let translator = load::translator(&args.model, &args.languages, args.device, verbosity)?;
    let model = Model {
        translator: &translator,
        beams: args.beams.map(usize::from),
    };
    match (lines, &args.text, &args.output) {
        (Some(lines), _, Some(path)) => {
            // A model from the hub lies somewhere in a cache.
            let reads = reads.model(translator.checkpoint().directory());
            let mut file = Resumed::open(path, &reads, &settings(args, &translator)?)?;
            let counts = each(lines, &model, &mut file)?;
            file.finish(&counts)?;
            if verbosity == Verbosity::Normal {
                output::print(|out| writeln!(out, "{counts}"))?;
            }
            Ok(counts.status())
        }
        (Some(lines), _, None) => Ok(each(lines, &model, &mut Printed)?.status()),
        (None, Some(text), _) => {
            let text = model.translate(text)?;
            output::print(|out| writeln!(out, "{text}"))?;
            Ok(ExitCode::SUCCESS)
        }
        (None, None, _) => unreachable!("clap lets no call through without a text"),
    }
}

/// What translates.
struct Model<'a> {
    translator: &'a Translator,
    beams: Option<usize>,
}

impl Model<'_> {
    fn translate(&self, text: &str) -> Result<String, headwater::Error> {
        let translation = self.translator.translate(&Input::from(text), self.beams)?;
        let text = self.translator.decode(&translation)?;
        // A vocabulary of bytes has line breaks too.
        Ok(text.replace(['\n', '\r'], " "))
    }
}

/// All that a translation depends on but the text.
fn settings(args: &TranslateArgs, translator: &Translator) -> anyhow::Result<String> {
    Ok(format!(
        "translate {} {} {} {} {:?} {:?}",
        env!("CARGO_PKG_VERSION"),
        journal::model_settings(translator.checkpoint())?,
        args.model.options.dtype,
        args.device,
        args.languages,
        args.beams
    ))
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Counts {
    translated: u64,
    skipped: u64,
    failed: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            translated,
            skipped,
            failed,
        } = self;
        write!(
            f,
            "{translated} translated, {skipped} skipped, {failed} failed"
        )
    }
}

impl Counts {
    fn status(&self) -> ExitCode {
        match self.failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(failure::BAD_INPUT),
        }
    }
}

/// Where translations go.
trait Destination {
    /// What an earlier run has made of a text.
    fn known(&mut self, text: &str) -> anyhow::Result<Option<String>>;
    /// Keeps what became of a text, in case the run is stopped.
    fn keep(&mut self, text: &str, translation: &str) -> anyhow::Result<()>;
    /// Writes the next line.
    fn line(&mut self, line: &str) -> anyhow::Result<()>;
}

/// Translates line by line, so that a pipe shows each as soon as it is there. Of
/// an empty line, and of one that cannot be translated, comes an empty line: the
/// lines of both sides stay each other's.
///
/// # Errors
/// What no line to come would fare better with; a file without a line.
fn each(
    mut lines: Lines,
    model: &Model<'_>,
    destination: &mut impl Destination,
) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let mut any = false;
    while let Some((number, line)) = lines.next_line().context("cannot read --source")? {
        any = true;
        let translation = match lines::text(line).map_err(anyhow::Error::from) {
            Ok(text) if text.trim().is_empty() => Ok(String::new()),
            Ok(text) => match destination.known(&text)? {
                Some(translation) => {
                    counts.skipped += 1;
                    Ok(translation)
                }
                None => match model.translate(&text) {
                    Ok(translation) => {
                        destination.keep(&text, &translation)?;
                        counts.translated += 1;
                        Ok(translation)
                    }
                    // The model's fault, and every other line's as well.
                    Err(error @ headwater::Error::Checkpoint(_)) => return Err(error.into()),
                    Err(error) => Err(error.into()),
                },
            },
            Err(error) => Err(error),
        };
        match translation {
            Ok(translation) => destination.line(&translation)?,
            Err(error) => {
                counts.failed += 1;
                let error = error.context(format!("line {number}"));
                output::report(&failure::one_line(&error));
                destination.line("")?;
            }
        }
    }
    if any {
        return Ok(counts);
    }
    Err(BadInput("--source has no line; give one sentence a line".to_owned()).into())
}

/// Standard output.
struct Printed;

impl Destination for Printed {
    fn known(&mut self, _: &str) -> anyhow::Result<Option<String>> {
        Ok(None)
    }

    fn keep(&mut self, _: &str, _: &str) -> anyhow::Result<()> {
        Ok(())
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        output::print(|out| writeln!(out, "{line}"))
    }
}

/// A file that is there when it is whole, and the journal until then.
struct Resumed<'a> {
    path: &'a Path,
    whole: WholeFile,
    lines: Hashed<BufWriter<std::fs::File>>,
    journal: Journal,
}

impl<'a> Resumed<'a> {
    fn open(path: &'a Path, reads: &Reads, settings: &str) -> anyhow::Result<Self> {
        let beside = journal::beside(path);
        reads.check(&beside, Kind::Journal)?;
        let journal = Journal::open(beside, settings)?;
        // What a run wrote that some lines failed in is written anew.
        if !journal.has_written(path) {
            reads.check(path, Kind::Translations)?;
        }
        let mut whole = WholeFile::create(path)?;
        let file = whole.file().try_clone();
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            path,
            whole,
            lines: Hashed::new(BufWriter::new(file)),
            journal,
        })
    }

    /// Gives the file its name. What failed may be mended: then the journal stays.
    fn finish(mut self, counts: &Counts) -> anyhow::Result<()> {
        let flushed = self.lines.flush();
        flushed.with_context(|| format!("cannot write {}", self.path.display()))?;
        let sha256 = self.lines.finish();
        if counts.failed > 0 {
            self.journal.note_written(sha256)?;
            self.whole.finish()?;
            return Ok(());
        }
        self.whole.finish()?;
        self.journal.remove()
    }
}

impl Destination for Resumed<'_> {
    fn known(&mut self, text: &str) -> anyhow::Result<Option<String>> {
        let outputs = self.journal.outputs(&[text])?;
        Ok(outputs.and_then(|outputs| outputs.into_iter().next()))
    }

    fn keep(&mut self, text: &str, translation: &str) -> anyhow::Result<()> {
        self.journal.keep(&[text], &[translation.to_owned()])
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.lines, "{line}")
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
