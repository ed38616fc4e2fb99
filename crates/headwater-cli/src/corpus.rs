//! A file of JSON lines: one `{id}.safetensors` a line into a directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use headwater::{Request, Store};

use crate::failure::{self, BadInput};
use crate::jsonl::{Item, Items};
use crate::leftovers;
use crate::output;
use crate::progress::{Bar, Verbosity};
use crate::subject::{Encoded, Subject};

/// A line whose file is still to be made.
struct Pending {
    line: u64,
    input: Encoded,
    path: PathBuf,
}

/// A run over one file of JSON lines.
pub(crate) struct Run<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) request: &'a Request,
    pub(crate) store: Store,
    pub(crate) directory: &'a Path,
    pub(crate) batch_size: usize,
    pub(crate) verbosity: Verbosity,
}

#[derive(Debug, Default)]
struct Counts {
    analyzed: u64,
    skipped: u64,
    failed: u64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            analyzed,
            skipped,
            failed,
        } = self;
        write!(f, "{analyzed} analyzed, {skipped} skipped, {failed} failed")
    }
}

impl Run<'_> {
    /// Analyzes every line whose file is not there yet.
    ///
    /// # Errors
    /// The directory or the file cannot be read or written. A line that
    /// cannot be analyzed is reported and counted instead.
    pub(crate) fn run(&self, mut items: Items) -> anyhow::Result<ExitCode> {
        self.make_directory()?;
        let _lock = leftovers::clear(self.directory);
        let mut progress = Progress::new(&items, self.verbosity);
        let outcome = self.items(&mut items, &mut progress);
        let counts = progress.finish();
        if self.verbosity == Verbosity::Normal {
            output::print(|out| writeln!(out, "{counts}"))?;
        }
        outcome?;
        Ok(if counts.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(failure::BAD_INPUT)
        })
    }

    fn make_directory(&self) -> anyhow::Result<()> {
        let directory = self.directory.display();
        if self.directory.exists() && !self.directory.is_dir() {
            let message = format!("--output {directory} is a file; with --input name a directory");
            return Err(BadInput(message).into());
        }
        fs::create_dir_all(self.directory)
            .with_context(|| format!("cannot make the directory {directory}"))
    }

    fn items(&self, items: &mut Items, progress: &mut Progress) -> anyhow::Result<()> {
        let mut pending = Vec::new();
        while let Some((line, item)) = items.next_item().context("cannot read --input")? {
            match item
                .map_err(anyhow::Error::from)
                .and_then(|item| self.open(line, &item))
            {
                Ok(Some(item)) => pending.push(item),
                Ok(None) => progress.counts.skipped += 1,
                Err(error) => progress.failed(line, error)?,
            }
            if pending.len() >= self.batch_size {
                self.analyze(&mut pending, progress)?;
            }
            progress.at(items.lines.bytes_read);
        }
        self.analyze(&mut pending, progress)
    }

    /// The work that a line needs; `None` if its file is there already.
    fn open(&self, line: u64, item: &Item) -> anyhow::Result<Option<Pending>> {
        let input = self.subject.encode(&item.given)?;
        let path = self.directory.join(format!("{}.safetensors", item.id));
        if path.exists() && !path.is_file() {
            let path = path.display();
            let message = format!("{path} is there and is no file; remove it or change the id");
            return Err(BadInput(message).into());
        }
        if self
            .subject
            .is_written(&input, self.request, self.store, &path)?
        {
            return Ok(None);
        }
        Ok(Some(Pending { line, input, path }))
    }

    /// Analyzes what is pending as one batch, or one by one if that fails, so
    /// that one bad input does not take the others with it.
    fn analyze(&self, pending: &mut Vec<Pending>, progress: &mut Progress) -> anyhow::Result<()> {
        let pending = std::mem::take(pending);
        if pending.len() > 1 && self.write(&pending).is_ok() {
            progress.counts.analyzed += pending.len() as u64;
            return Ok(());
        }
        for item in pending {
            let line = item.line;
            match self.write(&[item]) {
                Ok(()) => progress.counts.analyzed += 1,
                Err(error) => progress.failed(line, error)?,
            }
        }
        Ok(())
    }

    fn write(&self, batch: &[Pending]) -> anyhow::Result<()> {
        let inputs: Vec<Encoded> = batch.iter().map(|item| item.input.clone()).collect();
        let paths: Vec<PathBuf> = batch.iter().map(|item| item.path.clone()).collect();
        Ok(self
            .subject
            .write_analysis(&inputs, self.request, self.store, &paths)?)
    }
}

/// What a run has done so far.
struct Progress {
    bar: Bar,
    bytes_read: Arc<AtomicU64>,
    counts: Counts,
}

impl Progress {
    fn new(items: &Items, verbosity: Verbosity) -> Self {
        let bytes_read = Arc::default();
        let counts = Counts::default();
        let bar = Bar::follow(
            verbosity,
            &counts.to_string(),
            items.lines.total_bytes,
            Arc::clone(&bytes_read),
        );
        Self {
            bar,
            bytes_read,
            counts,
        }
    }

    fn at(&self, bytes: u64) {
        self.bar.set_message(self.counts.to_string());
        self.bytes_read.store(bytes, Ordering::Relaxed);
    }

    /// Takes the bar away.
    fn finish(self) -> Counts {
        self.counts
    }

    /// Reports a line and counts it.
    ///
    /// # Errors
    /// Reading or writing failed: a full disk would fail every line to come.
    fn failed(&mut self, line: u64, error: anyhow::Error) -> anyhow::Result<()> {
        self.counts.failed += 1;
        let error = error.context(format!("line {line}"));
        if failure::is_io(&error) && !failure::is_bad_input(&error) {
            return Err(error);
        }
        self.bar
            .suspend(|| output::report(&failure::one_line(&error)));
        Ok(())
    }
}
