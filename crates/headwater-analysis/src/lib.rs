#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub use ndarray;

mod analysis;
mod array;
mod builder;
mod error;
mod file;
mod input;
mod key;
mod layer_array;
mod named;
mod precision;
mod quantity;
mod read;
mod scope;
mod shapes;
mod spelling;
mod whole_file;

pub use analysis::Analysis;
pub use array::Array;
pub use builder::AnalysisBuilder;
pub use error::{Blame, Error, FileAction};
pub use file::{AnalysisWriter, FORMAT, Layout, Store};
pub use input::{Inputs, TokenizedInput, TokenizedPair};
pub use key::{ArrayKey, MixingMeasure, Place, Stack};
pub use layer_array::{Axis, LayerArray};
pub use precision::Precision;
pub use quantity::{Quantity, QuantitySet};
pub use read::AnalysisReader;
pub use scope::Scope;
pub use spelling::Spelling;
pub use whole_file::{WholeFile, exit_without_unfinished_files, remove_unfinished};
