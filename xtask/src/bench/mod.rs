//! `cargo xtask bench`: time, memory and throughput, beside what is wanted.

mod date;
mod flops;
mod goals;
mod machine;
mod peer;
mod product;
mod program;
mod report;
mod rounds;
mod statistics;
mod work;

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use self::machine::Machine;
use self::peer::{Ask, Peer};
use self::product::{Burn, Product, Sizes};
use self::program::Program;
pub(crate) use self::program::{StartUpOptions, start_up_parts};
use self::report::{AllMaps, Case, FeedForward, Measured, Report, Torch};
use self::rounds::{Rounds, Task, interleave};
use self::work::{Subject, Texts, Work};
use crate::random_model::Shape;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Compare with another implementation, set up in a Python environment of its own
    #[arg(long, value_enum, value_name = "NAME")]
    against: Option<Against>,
    /// Small sizes and few rounds: for development, not for numbers
    #[arg(long)]
    quick: bool,
    /// Write docs/PERFORMANCE.md and target/bench.json
    #[arg(long)]
    write: bool,
    /// Tokens up to which the PyTorch program that makes every part as a vector
    /// is run: 512 take 15 GB and minutes
    #[arg(long, value_name = "T", default_value_t = 256)]
    materialised_tokens: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    /// transformers' models on PyTorch
    Torch,
}

/// How much is measured.
struct Plan {
    /// Models, with the lengths of their texts alone and in a batch of [`BATCH`].
    cases: &'static [(Shape, &'static [usize], &'static [usize])],
    rounds: Rounds,
    /// Of the materialised program, which is slow.
    materialised_rounds: usize,
    /// Lengths for the feed-forward maps of one layer.
    feed_forward: &'static [usize],
    /// Models and lengths for the maps of all layers.
    all_maps: &'static [(Shape, usize)],
    slow_rounds: Rounds,
    memory: usize,
    memory_growth: &'static [usize],
    start_rounds: usize,
    texts: usize,
    text_rounds: usize,
    growth: &'static [usize],
}

const BATCH: usize = 8;

const FULL: Plan = Plan {
    cases: &[
        (Shape::Base, &[32, 128, 256, 512], &[32, 128]),
        (Shape::Minilm, &[32, 128, 512], &[32, 128, 512]),
        (Shape::Gpt2, &[32, 128, 512, 1024], &[32, 128]),
    ],
    rounds: Rounds {
        least: 5,
        most: 21,
        seconds: 15.0,
    },
    materialised_rounds: 3,
    feed_forward: &[64, 128, 512],
    all_maps: &[(Shape::Base, 64), (Shape::Minilm, 128), (Shape::Gpt2, 64)],
    slow_rounds: Rounds {
        least: 3,
        most: 7,
        seconds: 10.0,
    },
    memory: 512,
    memory_growth: &[128, 256, 512],
    start_rounds: 11,
    texts: 200,
    text_rounds: 5,
    growth: &[25, 50, 100, 200],
};

const QUICK: Plan = Plan {
    cases: &[
        (Shape::Base, &[32, 128], &[]),
        (Shape::Minilm, &[128], &[32]),
        (Shape::Gpt2, &[128], &[]),
    ],
    rounds: Rounds {
        least: 3,
        most: 5,
        seconds: 2.0,
    },
    materialised_rounds: 1,
    feed_forward: &[64, 128],
    all_maps: &[(Shape::Minilm, 64)],
    slow_rounds: Rounds {
        least: 2,
        most: 3,
        seconds: 1.0,
    },
    memory: 128,
    memory_growth: &[64, 128],
    start_rounds: 3,
    texts: 40,
    text_rounds: 1,
    growth: &[10, 20],
};

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

    let peer = match options.against {
        Some(Against::Torch) => Some(RefCell::new(Peer::start()?)),
        None => None,
    };
    say("the machine");
    let bandwidth = machine::bandwidth(plan.start_rounds);
    let products = products(peer.as_ref(), plan)?;
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
            let is_materialised =
                batch == 1 && !shape.is_causal() && tokens <= options.materialised_tokens;
            let measured = case(&texts, peer.as_ref(), is_materialised, plan)?;
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
                feed_forward.push(one_layer(&subject.texts(tokens, 1)?, tokens, plan)?);
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
    Ok(Report {
        command: command(options),
        date: date::today(),
        minutes: start.elapsed().as_secs_f64() / 60.0,
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
    if options.quick {
        command += " --quick";
    }
    command
}

/// Seconds of a large product by every implementation, PyTorch's last.
fn products(peer: Option<&RefCell<Peer>>, plan: &Plan) -> anyhow::Result<Vec<(String, Vec<f64>)>> {
    let mut names = Vec::new();
    let mut tasks = Vec::new();
    for mut product in product::implementations(Sizes::LARGE) {
        names.push(product.name());
        tasks.push(Task::new(move || Ok(product.run().0)));
    }
    if let Some(peer) = peer {
        names.push("PyTorch, in its own process".to_owned());
        let ask = Ask::Product(Sizes::LARGE.m);
        tasks.push(Task::new(move || Ok(peer.borrow_mut().run(ask)?.seconds)));
    }
    let seconds = interleave(&mut tasks, plan.rounds)?;
    Ok(names.into_iter().zip(seconds).collect())
}

/// Everything that is done with some texts, ours and PyTorch's in turns.
fn case(
    texts: &Texts<'_>,
    peer: Option<&RefCell<Peer>>,
    is_materialised: bool,
    plan: &Plan,
) -> anyhow::Result<Vec<Measured>> {
    let mut asked = Vec::new();
    if let Some(peer) = peer {
        let forward = Ask::Forward(&texts.ids);
        let mut comparing = peer.borrow_mut();
        comparing.compare(forward, &texts.first_hidden_states())?;
        asked.push((Work::Forward, forward, usize::MAX));
        if is_materialised {
            let parts = Ask::Materialised(&texts.ids);
            comparing.compare(parts, &texts.first_attention_rows()?)?;
            asked.push((Work::AttentionMaps, parts, plan.materialised_rounds));
        }
    }
    let peaks: Vec<Cell<Option<u64>>> = asked.iter().map(|_| Cell::new(None)).collect();
    let ours = Work::ALL.map(|work| Task::new(move || texts.seconds(work)));
    let theirs = asked.iter().zip(&peaks).map(|(&(_, ask, rounds), peak)| {
        let run = move || {
            let peer = peer.context("only a peer is asked")?;
            let run = peer.borrow_mut().run(ask)?;
            peak.set(run.peak.max(peak.get()));
            Ok(run.seconds)
        };
        Task::new(run).at_most(rounds)
    });
    let mut tasks: Vec<_> = ours.into_iter().chain(theirs).collect();
    let mut seconds = interleave(&mut tasks, plan.rounds)?;
    drop(tasks);

    let theirs = seconds.split_off(Work::ALL.len());
    let mut theirs: Vec<_> = asked
        .iter()
        .zip(peaks.into_iter().zip(theirs))
        .map(|(&(work, ..), (peak, seconds))| (work, seconds, peak.into_inner()))
        .collect();
    let of_work = |(work, seconds)| {
        let found = theirs.iter().position(|(of, ..)| *of == work);
        Measured {
            work,
            seconds,
            torch: found.map(|index| {
                let (_, seconds, peak) = theirs.remove(index);
                Torch { seconds, peak }
            }),
        }
    };
    Ok(Work::ALL.into_iter().zip(seconds).map(of_work).collect())
}

/// The feed-forward maps of the first layer, with large products in between.
fn one_layer(texts: &Texts<'_>, tokens: usize, plan: &Plan) -> anyhow::Result<FeedForward> {
    let captured = texts.first_layer()?;
    let sizes = tile(tokens);
    let mut streamed = Burn::new(sizes);
    let mut tasks = vec![
        Task::new(|| texts.feed_forward_maps(&captured)),
        Task::new(|| Ok(streamed.run().0)),
    ];
    for mut product in product::implementations(Sizes::LARGE) {
        tasks.push(Task::new(move || Ok(product.run().0)));
    }
    let mut seconds = interleave(&mut tasks, plan.slow_rounds)?;
    drop(tasks);
    let large = seconds.split_off(2);
    ensure!(!large.is_empty(), "there is an implementation");
    let best = (0..large[0].len())
        .map(|round| large.iter().map(move |seconds| seconds[round]))
        .map(|round| round.fold(f64::INFINITY, f64::min))
        .collect();
    let streamed = seconds.remove(1);
    Ok(FeedForward {
        tokens,
        best,
        streamed,
        streamed_flops: sizes.flops(),
        maps: seconds.remove(0),
    })
}

/// The product with W_2 that the maps of BERT-base are streamed through: as
/// many pairs as fit beside their pre-activations in three quarters of the tile.
fn tile(tokens: usize) -> Sizes {
    let budget = headwater::decomposition::DecompositionOptions::default().tile_bytes * 3 / 4;
    let (d_ff, d_model) = (Shape::Base.d_ff(), Shape::Base.d_model());
    let pairs = budget / (2 * (d_ff + d_model) * size_of::<f32>());
    Sizes {
        m: pairs.min(tokens * tokens),
        k: d_ff,
        n: d_model,
    }
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
