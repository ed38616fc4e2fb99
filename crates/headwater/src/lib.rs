#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub use headwater_checkpoint as checkpoint;
pub use headwater_decomposition as decomposition;
pub use headwater_metrics as metrics;
pub use headwater_transformer as transformer;

mod alignment;
mod alignment_scores;
mod analysis;
mod analyzer;
mod array;
mod bitext;
mod error;
mod file;
mod input;
mod key;
mod layer_arrays;
mod lazy;
mod plan;
mod process;
mod read;
mod read_back;
mod recording;
mod request;
mod translation_texts;
mod translator;
mod whole_file;

pub use alignment::{Aligner, AlignmentMeasure, ParallelText};
pub use alignment_scores::AlignmentScores;
pub use analysis::Analysis;
pub use analyzer::{Analyzer, LoadOptions};
pub use array::Array;
pub use bitext::Bitext;
pub use checkpoint::HubOptions;
pub use decomposition::{BiasTreatment, Scope, Segment};
pub use error::Error;
pub use file::{FORMAT, Store};
pub use input::{Input, TokenizedInput, TokenizedPair};
pub use key::{ArrayKey, LayerArray, MixingMeasure, Stack};
pub use layer_arrays::Sink;
pub use process::prepare_process;
pub use read::AnalysisReader;
pub use request::{Quantity, QuantitySet, Request};
pub use transformer::{DeviceName, Precision};
pub use translator::{Translation, Translator};
pub use whole_file::{WholeFile, exit_without_unfinished_files};
