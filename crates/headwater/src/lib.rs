#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

/// The tensor library of the lower crates' signatures.
pub use burn;
/// Host arrays, as accessors return them.
pub use ndarray;

pub use headwater_analysis as analysis;
pub use headwater_checkpoint as checkpoint;
pub use headwater_decomposition as decomposition;
pub use headwater_metrics as metrics;
pub use headwater_transformer as transformer;

mod alignment;
mod alignment_scores;
mod analyzer;
mod bitext;
mod error;
mod input;
mod layer_arrays;
mod lazy;
mod members;
mod memory;
mod plan;
mod process;
mod progress;
mod read_back;
mod recording;
mod request;
mod translation_texts;
mod translator;

pub use alignment::{Aligner, AlignmentMeasure, ParallelText};
pub use alignment_scores::AlignmentScores;
pub use analysis::{
    Analysis, AnalysisBuilder, AnalysisReader, AnalysisWriter, Array, ArrayKey, Blame, FORMAT,
    LayerArray, Layout, MixingMeasure, Place, Precision, Quantity, QuantitySet, Scope, Spelling,
    Stack, Store, TokenizedInput, TokenizedPair, WholeFile, exit_without_unfinished_files,
    remove_unfinished,
};
pub use analyzer::{Analyzer, LoadOptions};
pub use bitext::Bitext;
pub use checkpoint::{HubOptions, ModelSource};
pub use decomposition::{BiasTreatment, Segment};
pub use error::Error;
pub use input::Input;
pub use layer_arrays::Sink;
pub use memory::MemoryEstimate;
pub use process::prepare_process;
pub use progress::Progress;
pub use request::Request;
pub use transformer::DeviceName;
pub use translator::{Translation, Translator};
