//! `cargo xtask bench`: time, memory and throughput, beside what is wanted.

mod date;
mod flops;
mod goals;
mod interleaved;
mod machine;
mod peer;
mod plan;
mod product;
mod program;
mod report;
mod rounds;
mod start_up;
mod statistics;
mod tables;
mod work;

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use clap::{Args, ValueEnum};

use self::machine::Machine;
use self::peer::Peer;
use self::plan::{BATCH, FULL, QUICK};
use self::program::Program;
use self::report::{AllMaps, Case, Report};
use self::rounds::{Task, interleave};
pub(crate) use self::start_up::{StartUpOptions, start_up_parts};
use self::work::Subject;
use crate::random_model::Shape;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Compare with another implementation, set up in a Python environment of its own
    #[arg(long, value_enum, value_name = "NAME")]
    against: Option<Against>,
    /// Small sizes and few rounds: for development, not for numbers
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// Write docs/PERFORMANCE.md and target/bench.json
    #[arg(long)]
    write: bool,
    /// Tokens up to which the PyTorch program that makes every part as a vector
    /// is run: 512 take 15 GB and minutes [default: 512 where 20 GB are free, 256 elsewhere]
    #[arg(long, value_name = "T")]
    materialised_tokens: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    /// transformers' models on PyTorch
    Torch,
}

/// Measures, and prints or writes what was found.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let docs = crate::repository().join("docs/PERFORMANCE.md");
    if options.write {
        // What cannot be written is said before a quarter of an hour is spent.
        place(&docs, "")?;
    }
    let report = measure(options)?;
    let text = report.markdown();
    if options.write {
        let document = place(&docs, &text)?;
        fs::write(&docs, document).with_context(|| format!("cannot write {}", docs.display()))?;
        let json = crate::target().join("bench.json");
        let mut value = serde_json::to_value(&report)?;
        value["goals"] = serde_json::to_value(report.goals())?;
        fs::write(&json, serde_json::to_vec_pretty(&value)?)?;
        println!("{}\n{}", docs.display(), json.display());
    } else {
        println!("{text}");
    }
    Ok(())
}

/// What stands around the generated part of the document.
const MARKS: [&str; 2] = ["<!-- measured -->\n", "<!-- end of measured -->\n"];

/// The document with a new generated part.
fn place(document: &Path, measured: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string(document)
        .with_context(|| format!("cannot read {}", document.display()))?;
    let parts = text
        .split_once(MARKS[0])
        .and_then(|(before, rest)| Some((before, rest.split_once(MARKS[1])?.1)));
    let (before, after) = parts.with_context(|| {
        format!(
            "{} has no lines {} and {}",
            document.display(),
            MARKS[0].trim(),
            MARKS[1].trim()
        )
    })?;
    Ok([before, MARKS[0], "\n", measured, "\n", MARKS[1], after].concat())
}

fn measure(options: &Options) -> anyhow::Result<Report> {
    let start = Instant::now();
    let taken_before = machine::taken_seconds();
    let plan = if options.quick { &QUICK } else { &FULL };
    let machine = Machine::this();
    for (shape, ..) in plan.cases {
        shape.directory()?;
    }
    // First what runs in processes of its own: the system counts this one's
    // size among a child's, from before the child has begun.
    let program = Program::build()?;
    say("memory");
    let memory = program.memory(plan.memory)?;
    let memory_growth = program.memory_growth(plan.memory_growth)?;
    say("start-up");
    let start_up = program.start_up(plan.start_rounds)?;
    say("throughput");
    let throughput = program.throughput(plan.texts, plan.text_rounds)?;
    let growth = program.growth(plan.growth, plan.text_rounds)?;

    let materialised = options.materialised_tokens.unwrap_or_else(|| {
        let enough = machine::free_memory().is_some_and(|bytes| bytes >= 20_000_000_000);
        if enough { 512 } else { 256 }
    });
    let peer = match options.against {
        Some(Against::Torch) => Some(RefCell::new(Peer::start()?)),
        None => None,
    };
    say("the machine");
    let bandwidth = machine::bandwidth(plan.start_rounds);
    let products = interleaved::products(peer.as_ref(), plan)?;
    let mut versions = None;
    let (mut cases, mut feed_forward, mut all_maps) = (Vec::new(), Vec::new(), Vec::new());
    for &(shape, alone, in_batch) in plan.cases {
        let subject = Subject::load(shape)?;
        if let Some(peer) = &peer {
            versions = Some(peer.borrow_mut().load(&shape.directory()?)?);
        }
        let alone = alone.iter().map(|&tokens| (tokens, 1));
        for (tokens, batch) in alone.chain(in_batch.iter().map(|&tokens| (tokens, BATCH))) {
            say(&format!("{}, T = {tokens}, batch {batch}", shape.name()));
            let texts = subject.texts(tokens, batch)?;
            let is_materialised = batch == 1 && !shape.is_causal() && tokens <= materialised;
            let measured = interleaved::case(&texts, peer.as_ref(), is_materialised, plan)?;
            cases.push(Case {
                shape,
                tokens,
                batch,
                measured,
            });
        }
        if shape == Shape::Base {
            for &tokens in plan.feed_forward {
                say(&format!("feed-forward maps, T = {tokens}"));
                feed_forward.push(interleaved::one_layer(
                    &subject.texts(tokens, 1)?,
                    tokens,
                    plan,
                )?);
            }
        }
        for &(_, tokens) in plan.all_maps.iter().filter(|(of, _)| *of == shape) {
            say(&format!(
                "maps of all layers of {}, T = {tokens}",
                shape.name()
            ));
            let texts = subject.texts(tokens, 1)?;
            let mut tasks = [Task::new(|| texts.all_maps())];
            let seconds = interleave(&mut tasks, plan.slow_rounds)?.remove(0);
            all_maps.push(AllMaps {
                shape,
                tokens,
                seconds,
            });
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let taken = machine::taken_seconds() - taken_before;
    Ok(Report {
        command: command(options),
        date: date::today(),
        minutes: seconds / 60.0,
        taken: taken / (seconds * machine.cores as f64),
        machine,
        bandwidth,
        peer: versions,
        products,
        cases,
        feed_forward,
        all_maps,
        memory,
        memory_growth,
        start_up,
        throughput,
        growth,
    })
}

fn say(what: &str) {
    eprintln!("{what} …");
}

fn command(options: &Options) -> String {
    let mut command = "cargo xtask bench".to_owned();
    if options.against.is_some() {
        command += " --against torch";
    }
    if let Some(tokens) = options.materialised_tokens {
        command += &format!(" --materialised-tokens {tokens}");
    }
    if options.quick {
        command += " --quick";
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("# By hand\n{}old\n{}\nWhy.\n", MARKS[0], MARKS[1]);
        fs::write(file.path(), text).unwrap();
        let placed = place(file.path(), "new\n").unwrap();
        let expected = format!("# By hand\n{}\nnew\n\n{}\nWhy.\n", MARKS[0], MARKS[1]);
        assert_eq!(placed, expected);
        fs::write(file.path(), &placed).unwrap();
        assert_eq!(place(file.path(), "new\n").unwrap(), expected);
        fs::write(file.path(), "# All by hand\n").unwrap();
        assert!(place(file.path(), "new\n").is_err());
    }
}
