//! Damaged checkpoints: whatever is in a model's files, the program says what is
//! wrong in one line, or analyses.

mod damage;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::child;
use trial::{Outcome, Trial};

/// The bundled models, which every family of code is in: an encoder, a decoder,
/// and a translation model with SentencePiece files.
const MODELS: [&str; 3] = ["bundled-bert", "bundled-gpt2", "bundled-marian"];

/// Failures that are told of; one is enough to look at.
const SHOWN: usize = 20;

/// What to damage.
#[derive(Args)]
pub(crate) struct Options {
    /// Damaged checkpoints, of each model
    #[arg(long, value_name = "N", default_value_t = 1000)]
    runs: usize,

    /// What the damage is drawn by: the same seed, the same damage
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// One of the bundled models [default: all]
    #[arg(long, value_name = "NAME", value_parser = MODELS)]
    model: Option<String>,

    /// The program to run [default: that of this workspace, built first]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,

    /// Only this run, from 0, as a failure names it
    #[arg(long, value_name = "N")]
    run: Option<usize>,
}

/// What the runs of a model came to.
#[derive(Default)]
struct Tally {
    sound: usize,
    /// With exit status 1 and 2.
    refused: [usize; 2],
    slowest: f64,
    largest: u64,
    failures: Vec<String>,
}

/// Damages and runs.
///
/// # Errors
/// A run that panics, is killed, hangs, takes memory without bound, says nothing
/// or more than one line, or leaves an output behind.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let program = match &options.program {
        Some(program) => program
            .canonicalize()
            .with_context(|| format!("there is no {}", program.display()))?,
        None => child::headwater()?,
    };
    let models = MODELS.iter().filter(|model| {
        let chosen = options.model.as_deref();
        chosen.is_none_or(|chosen| chosen == **model)
    });
    let mut failed = 0;
    for model in models {
        let tally = of_model(&program, model, options)?;
        println!(
            "{model}: {} damaged checkpoints, seed {}: {} analysed, {} refused with status 2, {} \
             failed with status 1, {} unsound; slowest {:.2} s, largest {} MB",
            tally.sound + tally.refused.iter().sum::<usize>() + tally.failures.len(),
            options.seed,
            tally.sound,
            tally.refused[1],
            tally.refused[0],
            tally.failures.len(),
            tally.slowest,
            tally.largest >> 20,
        );
        for failure in tally.failures.iter().take(SHOWN) {
            println!("  {failure}");
        }
        failed += tally.failures.len();
    }
    ensure!(
        failed == 0,
        "{failed} damaged checkpoints were not met soundly; they lie in {}",
        kept().display()
    );
    Ok(())
}

/// Where damaged checkpoints that failed are kept.
fn kept() -> PathBuf {
    crate::target().join("fuzz")
}

fn of_model(program: &Path, model: &str, options: &Options) -> anyhow::Result<Tally> {
    let directory = crate::repository().join("fixtures").join(model);
    let files = damage::files(&directory)?;
    let work = tempfile::tempdir().context("cannot make a temporary directory")?;
    check_whole(program, model, &directory, work.path())?;
    let runs = match options.run {
        Some(run) => run..run + 1,
        None => 0..options.runs,
    };
    let next = AtomicUsize::new(runs.start);
    let tally = Mutex::new(Tally::default());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let worker = || -> anyhow::Result<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= runs.end {
                    return Ok(());
                }
                let mut random = fastrand::Rng::with_seed(seed_of(options.seed, model, index));
                let damage = damage::draw(&files, &mut random);
                let trial = Trial::new(program, work.path(), model, index);
                trial.place(&directory, &damage)?;
                let outcome = trial.run(&mut random)?;
                let mut tally = tally
                    .lock()
                    .map_err(|_| anyhow::anyhow!("a thread panicked"))?;
                tally.slowest = tally.slowest.max(outcome.seconds());
                tally.largest = tally.largest.max(outcome.peak());
                match outcome {
                    Outcome::Analysed { .. } => tally.sound += 1,
                    Outcome::Refused { status, .. } => {
                        tally.refused[usize::from(status == 2)] += 1;
                    }
                    Outcome::Unsound { what, command, .. } => {
                        let kept = kept().join(format!("{model}-{}-{index}", options.seed));
                        trial.keep(&kept)?;
                        let (file, how) = (&damage.file, &damage.how);
                        tally.failures.push(format!(
                            "run {index}, {file}, {how}: {what} [{command}; {}]",
                            kept.display()
                        ));
                    }
                }
                trial.remove()?;
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            match thread.join() {
                Ok(result) => result?,
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(())
    })?;
    let mut tally = tally.into_inner().context("a thread panicked")?;
    tally.failures.sort();
    Ok(tally)
}

/// The program does its work with files that nobody damaged, or nothing is shown.
fn check_whole(program: &Path, model: &str, directory: &Path, work: &Path) -> anyhow::Result<()> {
    for way in 0..trial::ways(model).len() {
        let trial = Trial::new(program, work, model, usize::MAX - way);
        trial.place_whole(directory)?;
        let outcome = trial.run_way(way)?;
        trial.remove()?;
        if let Outcome::Unsound { what, command, .. } = outcome {
            bail!("{model} as it is: {what} [{command}]");
        }
        ensure!(
            matches!(outcome, Outcome::Analysed { .. }),
            "{model} as it is was refused"
        );
    }
    Ok(())
}

/// Each run can be done again alone.
fn seed_of(seed: u64, model: &str, index: usize) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let name = model.bytes().fold(random.u64(..), |seed, byte| {
        fastrand::Rng::with_seed(seed ^ u64::from(byte)).u64(..)
    });
    fastrand::Rng::with_seed(name ^ index as u64).u64(..)
}

/// All bytes of a file.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
