//! How a report reads.

use std::fmt::Write as _;

use super::flops;
use super::goals;
use super::machine::Machine;
use super::product::Sizes;
use super::report::Report;
use super::statistics::{Spread, exponent};
use super::work::Work;
use crate::memory::megabytes;
use crate::random_model::Shape;

fn rate(flops: f64, seconds: &[f64]) -> Spread {
    Spread::of(seconds.iter().map(|seconds| flops / seconds / 1e9))
}

impl Report {
    pub(crate) fn markdown(&self) -> String {
        let parts = [
            self.head(),
            format!("## Goals\n\n{}", goals::table(&self.goals())),
            self.machine_table(),
            self.case_table(),
            self.feed_forward_table(),
            self.growth_table(),
            self.memory_table(),
            self.start_up_table(),
            self.throughput_table(),
        ];
        parts.join("\n")
    }

    fn head(&self) -> String {
        let Machine {
            processor,
            cores,
            load_before,
        } = &self.machine;
        let load = load_before.map_or(String::new(), |load| {
            format!(", {load:.1} other processes wanting to run in the minute before")
        });
        let torch = self.peer.as_ref().map_or(String::new(), |peer| {
            format!(
                " PyTorch {} with {} threads, transformers {}, eager attention.",
                peer.torch, peer.threads, peer.transformers
            )
        });
        format!(
            "`{}`, {}, {:.0} minutes: {processor}, {cores} cores{load}; {:.0} % of their time \
             went to other guests of the host.{torch} float32 on `{}`, random weights, T tokens \
             a text. Medians with quartiles; what is compared was measured in turns, and ratios \
             are those of one round.\n",
            self.command,
            self.date,
            self.minutes,
            1e2 * self.taken,
            headwater::DeviceName::ENABLED[0],
        )
    }

    fn machine_table(&self) -> String {
        let mut text =
            "## The machine\n\n| product of 2048³ by | GFLOP/s |\n|---|---:|\n".to_owned();
        for (name, seconds) in &self.products {
            let rate = rate(Sizes::LARGE.flops(), seconds).display(0);
            let _ = writeln!(text, "| {name} | {rate} |");
        }
        let gigabytes = |rate: Spread| rate.map(|rate| rate / 1e9).display(1);
        let _ = writeln!(
            text,
            "\nMemory: a = b at {} GB/s, a = b + s·c at {} GB/s, over arrays of 256 MiB.",
            gigabytes(self.bandwidth.copy),
            gigabytes(self.bandwidth.triad)
        );
        text
    }

    fn case_table(&self) -> String {
        let mut text = "## Whole analyses\n\n\
            GFLOP: matrix products alone. Floor: these at the rate of the fastest large product \
            of this process, or the layers' matrices and the arrays handed over at the rate of \
            memory, whichever takes longer. Attention-block maps are every scope through `atb` \
            of all layers: norm maps, per-head norms and mixing ratios; PyTorch's are a plain \
            program that makes every part as a vector.\n\n\
            | model | T | batch | what | ms | GFLOP | GFLOP/s | / floor | / own forward | PyTorch, ms | / PyTorch |\n\
            |---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
        for case in &self.cases {
            for measured in &case.measured {
                let work = measured.work;
                let spread = Spread::of(measured.seconds.iter().copied());
                let milliseconds = |spread: Spread| {
                    let digits = if spread.median < 0.1 { 1 } else { 0 };
                    spread.map(|seconds| 1e3 * seconds).display(digits)
                };
                let flops = measured.flops(case);
                let torch = measured.torch.as_ref();
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {:.1} | {:.0} | {:.1} | {} | {} | {} |",
                    case.shape.name(),
                    case.tokens,
                    case.batch,
                    work.name(),
                    milliseconds(spread),
                    flops / 1e9,
                    flops / spread.median / 1e9,
                    spread.median / self.floor(work, case),
                    match work {
                        Work::Forward => String::new(),
                        _ => case.to_forward(work).display(2),
                    },
                    torch.map_or(String::new(), |torch| milliseconds(Spread::of(
                        torch.seconds.iter().copied()
                    ))),
                    case.to_torch(work)
                        .map_or(String::new(), |ratio| ratio.display(3)),
                );
            }
        }
        text
    }

    fn feed_forward_table(&self) -> String {
        let mut text = "## Feed-forward maps\n\n\
            One layer of BERT-base, its maps counted as 2·T²·d_ff·d_model FLOPs; the product \
            alone has the sizes of one tile. GFLOP/s:\n\n\
            | T | best 2048³ product | product of a tile | / best | all of the maps | / best |\n\
            |---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
        for found in &self.feed_forward {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                found.tokens,
                rate(Sizes::LARGE.flops(), &found.best).display(0),
                rate(found.streamed_flops, &found.streamed).display(0),
                found.streamed_to_best().display(2),
                rate(found.flops(), &found.maps).display(0),
                found.maps_to_best().display(2),
            );
        }
        text += "\nNorm maps of every scope of all layers, forward pass included:\n\n\
            | model | T | s | GFLOP/s of the feed-forward maps |\n|---|---:|---:|---:|\n";
        for maps in &self.all_maps {
            let layers = maps.shape.layers() as f64;
            let flops = layers * flops::feed_forward_maps(maps.shape, maps.tokens);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                maps.shape.name(),
                maps.tokens,
                Spread::of(maps.seconds.iter().copied()).display(2),
                rate(flops, &maps.seconds).display(0),
            );
        }
        text
    }

    fn growth_table(&self) -> String {
        let mut text = "## Growth\n\n\
            The exponent b of a·x^b, fitted to medians.\n\n\
            | what | x | from | to | b |\n|---|---|---:|---:|---:|\n"
            .to_owned();
        let mut row = |what: String, x: &str, points: &[(f64, f64)]| {
            let (Some(first), Some(last)) = (points.first(), points.last()) else {
                return;
            };
            if let Some(exponent) = exponent(points) {
                let _ = writeln!(
                    text,
                    "| {what} | {x} | {} | {} | {exponent:.2} |",
                    first.0, last.0
                );
            }
        };
        for shape in [Shape::Base, Shape::Minilm, Shape::Gpt2] {
            for work in Work::ALL {
                let alone = self.cases.iter();
                let alone = alone.filter(|case| case.shape == shape && case.batch == 1);
                let points = alone.map(|case| {
                    let seconds = Spread::of(case.seconds(work).iter().copied());
                    (case.tokens as f64, seconds.median)
                });
                let what = format!("{}: time of {}", shape.name(), work.name());
                row(what, "T", &points.collect::<Vec<_>>());
            }
        }
        let memory = self.memory_growth.iter();
        let memory = memory.map(|&(tokens, bytes)| (tokens as f64, bytes as f64));
        row(
            "BERT-base: peak beyond the weights, norms and ratios through `atb`".to_owned(),
            "T",
            &memory.collect::<Vec<_>>(),
        );
        if let (Some(exponent), [(first, _), .., (last, _)]) =
            (self.growth.exponent, &self.growth.points[..])
        {
            let _ = writeln!(
                text,
                "| MiniLM: time of a file, scopes through `atb`, beyond that of its first text | texts | {first} | {last} | {exponent:.2} |"
            );
        }
        text
    }

    fn memory_table(&self) -> String {
        let mut text = "## Memory\n\n\
            The peak of `headwater analyze` in a process of its own, with BERT-base's shape.\n\n\
            | T | what | weights | peak | beyond the weights | estimate of `headwater inspect` |\n\
            |---:|---|---:|---:|---:|---:|\n"
            .to_owned();
        for memory in &self.memory {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                memory.tokens,
                memory.what,
                megabytes(memory.weights),
                megabytes(memory.peak),
                megabytes(memory.peak.saturating_sub(memory.weights)),
                memory.predicted.map_or(String::new(), megabytes),
            );
        }
        let peaks = self.cases.iter().flat_map(|case| {
            let measured = case.measured.iter();
            measured.filter_map(move |measured| {
                let peak = measured.torch.as_ref()?.peak?;
                (measured.work == Work::AttentionMaps).then_some((case, peak))
            })
        });
        for (case, peak) in peaks {
            let _ = writeln!(
                text,
                "| {} | the materialised PyTorch program, {} | | {} | | |",
                case.tokens,
                case.shape.name(),
                megabytes(peak),
            );
        }
        let [tokens, d_model] = [512, Shape::Base.d_model()];
        let map = Shape::Base.heads() * tokens * tokens * d_model * 4;
        let _ = writeln!(
            text,
            "\nOne layer's `[head, target, source, d_model]` tensor at T = {tokens}, which is \
             never made, would take {}.",
            megabytes(map as u64)
        );
        text
    }

    fn start_up_table(&self) -> String {
        let start_up = &self.start_up;
        let milliseconds = |spread: Spread| spread.map(|seconds| 1e3 * seconds).display(0);
        let mut text = format!(
            "## Start-up\n\n\
            `headwater analyze --text … --output FILE` with MiniLM's shape and a text of {} \
            tokens: every quantity of every scope.\n\n| what | ms |\n|---|---:|\n",
            start_up.tokens
        );
        let rows = [
            ("the whole process", start_up.seconds),
            ("its processor time", start_up.cpu_seconds),
            ("`headwater --version`", start_up.nothing),
        ];
        let parts = start_up.parts.iter();
        let parts = parts.map(|(name, spread)| (name.as_str(), *spread));
        for (name, spread) in rows.into_iter().chain(parts) {
            let _ = writeln!(text, "| {name} | {} |", milliseconds(spread));
        }
        text
    }

    fn throughput_table(&self) -> String {
        let mut text = "## Throughput\n\n\
            `headwater analyze --input FILE.jsonl --output DIRECTORY` with MiniLM's shape, start \
            and files included.\n\n\
            | what | texts | tokens a text | texts/s | one by one | ratio | cores busy |\n\
            |---|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
        for found in &self.throughput {
            let texts = found.texts as f64;
            let rate = |seconds: &[f64]| Spread::of(seconds.iter().map(|s| texts / s)).display(0);
            let _ = writeln!(
                text,
                "| {} | {} | {:.0} | {} | {} | {} | {:.0} % |",
                found.what,
                found.texts,
                found.tokens as f64 / texts,
                rate(&found.batched),
                rate(&found.one_by_one),
                Spread::of_ratios(&found.one_by_one, &found.batched).display(2),
                100.0 * found.busy,
            );
        }
        text
    }
}
