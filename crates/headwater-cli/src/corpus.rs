//! A file of JSON lines: one `{id}.safetensors` a line into a directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use anyhow::Context;
use headwater::{DeviceName, Request, Store};

use crate::batches::{Padding, batches};
use crate::failure::{self, BadInput};
use crate::jsonl::{Item, Items};
use crate::output;
use crate::outputs::{Kind, Reads};
use crate::progress::{Bar, Verbosity};
use crate::subject::{Encoded, Subject};
use crate::workers::Workers;

/// Batches whose lines are read before the first is analyzed: enough to find
/// short texts of one length.
const BATCHES_AHEAD: usize = 32;

/// Bytes of lines that are read ahead; long texts gain nothing by it.
const BYTES_AHEAD: u64 = 64 << 10;

/// A line that was read.
struct Line {
    number: u64,
    /// With the blank lines before it.
    bytes: u64,
    item: Result<Item, BadInput>,
}

/// A line whose file is still to be made.
struct Pending {
    line: u64,
    bytes: u64,
    input: Encoded,
    path: PathBuf,
}

/// A run over one file of JSON lines.
pub(crate) struct Run<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) request: &'a Request,
    pub(crate) store: Store,
    pub(crate) directory: &'a Path,
    /// What must not be written over.
    pub(crate) reads: &'a Reads,
    /// Inputs that are analyzed at the same time.
    pub(crate) batch_size: usize,
    pub(crate) device: DeviceName,
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
        let _lock = headwater::remove_unfinished(self.directory);
        let progress = Progress::new(&items, self.verbosity);
        let outcome = self.items(&mut items, &progress);
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

    fn items(&self, items: &mut Items, progress: &Progress) -> anyhow::Result<()> {
        let workers = Workers::new(self.device, self.batch_size)?;
        loop {
            let mut lines = Vec::new();
            let read = self.read_ahead(items, &mut lines);
            let is_end = lines.is_empty();
            self.lines(lines, &workers, progress)?;
            read.context("cannot read --input")?;
            if is_end {
                return Ok(());
            }
        }
    }

    /// Reads lines, so that those of one length can be found among them; one
    /// at a time where nothing is analyzed together.
    fn read_ahead(&self, items: &mut Items, lines: &mut Vec<Line>) -> io::Result<()> {
        let most = match self.batch_size {
            1 => 1,
            size => size.saturating_mul(BATCHES_AHEAD),
        };
        let begin = items.lines.bytes_read;
        let mut end = begin;
        while lines.len() < most && end - begin < BYTES_AHEAD {
            let Some((number, item)) = items.next_item()? else {
                break;
            };
            let bytes = items.lines.bytes_read - end;
            end += bytes;
            lines.push(Line {
                number,
                bytes,
                item,
            });
        }
        Ok(())
    }

    /// Analyzes lines and reports those that fail, in their order: what is
    /// printed does not depend on which was ready first.
    fn lines(
        &self,
        lines: Vec<Line>,
        workers: &Workers,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let opened = workers.map(&lines, |line| self.open(line));
        let (mut pending, mut failures) = (Vec::new(), Vec::new());
        for (line, opened) in lines.iter().zip(opened) {
            match opened {
                Ok(Some(item)) => pending.push(item),
                Ok(None) => progress.count(line.bytes, |counts| counts.skipped += 1),
                Err(error) => {
                    progress.count(line.bytes, |counts| counts.failed += 1);
                    failures.push((line.number, error));
                }
            }
        }
        let (most, padding) = match self.device.is_cpu() {
            true => (self.batch_size / workers.count(), Padding::None),
            false => (self.batch_size, Padding::Short),
        };
        let batches = batches(pending, |item| item.input.lengths(), most, padding);
        let failed = workers.map(&batches, |batch| self.analyze(batch, progress));
        failures.extend(failed.into_iter().flatten());
        failures.sort_by_key(|&(number, _)| number);
        for (number, error) in failures {
            progress.report(error.context(format!("line {number}")))?;
        }
        Ok(())
    }

    /// The work that a line needs; `None` if its file is there already.
    fn open(&self, line: &Line) -> anyhow::Result<Option<Pending>> {
        let Line {
            number,
            bytes,
            item,
        } = line;
        let item = item.as_ref().map_err(|error| BadInput(error.0.clone()))?;
        let input = self.subject.encode(&item.given)?;
        let path = self.directory.join(format!("{}.safetensors", item.id));
        if path.exists() && !path.is_file() {
            let path = path.display();
            let message = format!("{path} is there and is no file; remove it or change the id");
            return Err(BadInput(message).into());
        }
        if path.exists()
            && self
                .subject
                .is_written(&input, self.request, self.store, &path)?
        {
            return Ok(None);
        }
        self.reads.check(&path, Kind::Analysis)?;
        Ok(Some(Pending {
            line: *number,
            bytes: *bytes,
            input,
            path,
        }))
    }

    /// Analyzes a batch, or its members one by one if that fails, so that one
    /// bad input does not take the others with it. Returns what failed.
    fn analyze(&self, batch: &[Pending], progress: &Progress) -> Vec<(u64, anyhow::Error)> {
        if batch.len() > 1 && self.write(batch).is_ok() {
            let bytes = batch.iter().map(|item| item.bytes).sum();
            progress.count(bytes, |counts| counts.analyzed += batch.len() as u64);
            return Vec::new();
        }
        let mut failures = Vec::new();
        for item in batch {
            match self.write(std::slice::from_ref(item)) {
                Ok(()) => progress.count(item.bytes, |counts| counts.analyzed += 1),
                Err(error) => {
                    progress.count(item.bytes, |counts| counts.failed += 1);
                    failures.push((item.line, error));
                }
            }
        }
        failures
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
    /// Bytes of the lines that are done.
    bytes: Arc<AtomicU64>,
    counts: Mutex<Counts>,
}

impl Progress {
    fn new(items: &Items, verbosity: Verbosity) -> Self {
        let bytes = Arc::default();
        let counts = Counts::default();
        let bar = Bar::follow(
            verbosity,
            &counts.to_string(),
            items.lines.total_bytes,
            Arc::clone(&bytes),
        );
        Self {
            bar,
            bytes,
            counts: Mutex::new(counts),
        }
    }

    /// Counts lines of so many bytes.
    fn count(&self, bytes: u64, count: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut counts);
        self.bar.set_message(counts.to_string());
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes the bar away.
    fn finish(self) -> Counts {
        self.counts
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports a line that failed.
    ///
    /// # Errors
    /// Reading or writing failed: a full disk would fail every line to come.
    fn report(&self, error: anyhow::Error) -> anyhow::Result<()> {
        if failure::is_io(&error) && !failure::is_bad_input(&error) {
            return Err(error);
        }
        self.bar
            .suspend(|| output::report(&failure::one_line(&error)));
        Ok(())
    }
}
