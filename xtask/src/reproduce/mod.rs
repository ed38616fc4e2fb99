//! `cargo xtask reproduce`: the papers' tables and figures, from real weights.

mod amplified;
mod block;
mod corpus;
mod deciding;
mod docs;
mod measure_2020;
mod measure_2021;
mod measure_2023;
mod model;
mod norm_maps;
mod outliers;
mod published;
mod report;
mod run;
mod sample;
mod table;
mod translation;
mod words;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use headwater::metrics::Numbering;
use headwater::{DeviceName, Precision};

/// What to reproduce, with which model, on which texts.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// A directory, a hub id, or one of `bundled-bert`, `bundled-gpt2` and `minilm` (the real
    /// all-MiniLM-L6-v2) [default: bundled-bert, and bundled-gpt2 for 2023]
    #[arg(long, value_name = "DIR|HUB_ID|NAME")]
    model: Option<String>,

    /// Whose experiments
    #[arg(long, value_enum, default_value_t = Paper::All)]
    paper: Paper,

    /// JSON lines of {"text"}, {"text", "text_pair"} or {"tokens"}
    /// [default: the bundled texts of a bundled model, English ones for any other]
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,

    /// Lines of `rank count token_id` [default: a bundled model's own, else counted in the corpus]
    #[arg(long, value_name = "FILE")]
    frequency_ranks: Option<PathBuf>,

    /// Use the first N texts only
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,

    /// Where to compute
    #[arg(long, value_name = "NAME", default_value_t = DeviceName::ENABLED[0])]
    device: DeviceName,

    /// Element type of the computation: f32 or f64
    #[arg(long, value_name = "TYPE", default_value_t = Precision::F32)]
    dtype: Precision,

    /// Texts that are analyzed together
    #[arg(long, value_name = "N", default_value = "8")]
    batch_size: NonZeroUsize,

    /// Which model of the papers this is, where neither hub id nor config.json says so
    #[arg(long, value_name = "NAME")]
    published_as: Option<String>,

    /// Which corpus of the papers --corpus holds: wikipedia-992, sst-2, mnli, conll-2003
    #[arg(long, value_name = "NAME", requires = "corpus")]
    corpus_is: Option<String>,

    /// A translation model for the second half of 2020: a directory, a hub id or bundled-marian
    /// [default: bundled-marian, unless --model names another model]
    #[arg(long, value_name = "DIR|HUB_ID|NAME")]
    nmt_model: Option<String>,

    /// Sentences for --nmt-model to align: two files, a sentence a line
    #[arg(long, num_args = 2, value_names = ["SOURCE", "TARGET"], requires = "nmt_model")]
    bitext: Vec<PathBuf>,

    /// Gold links of --bitext: a line of `1-2` (sure) and `1p2` (possible) a pair
    #[arg(long, value_name = "FILE", requires = "bitext")]
    gold: Option<PathBuf>,

    /// The number of the first word in --gold
    #[arg(long, value_name = "0|1", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..2))]
    gold_first: u8,

    /// Where report.md, report.json and figures/ go [default: target/reproduce]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Paper {
    #[value(name = "2020")]
    P2020,
    #[value(name = "2021")]
    P2021,
    #[value(name = "2023")]
    P2023,
    All,
}

impl Options {
    fn gold_numbering(&self) -> Numbering {
        match self.gold_first {
            0 => Numbering::FromZero,
            _ => Numbering::FromOne,
        }
    }
}

impl Paper {
    fn has(self, paper: Self) -> bool {
        self == paper || self == Self::All
    }

    fn has_2020(self) -> bool {
        self.has(Self::P2020)
    }

    fn has_2021(self) -> bool {
        self.has(Self::P2021)
    }

    fn has_2023(self) -> bool {
        self.has(Self::P2023)
    }
}

pub(crate) use docs::write as write_docs;
pub(crate) use report::write as write_file;

/// Runs the experiments and writes the report.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let output = match &options.output {
        Some(output) => output.clone(),
        None => crate::target().join("reproduce"),
    };
    // Before hours of work, not after.
    report::prepare(&output)?;
    run::reproduce(options)?.write(&output)?;
    println!("{}", output.join("report.md").display());
    Ok(())
}
