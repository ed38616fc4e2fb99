#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod diagonal;
mod error;
mod form;
mod gate;
mod layer;
mod norm_map;
mod options;
mod rest;
mod scope;
mod shared;
mod slope;
mod stage;
mod tiles;

pub use error::Error;
pub use gate::{first_moment, gated_secants, gated_slopes};
pub use headwater_analysis::Scope;
pub use layer::{LayerDecomposition, ScopeDecomposition};
pub use options::{BiasTreatment, DecompositionOptions};
pub use scope::Segment;
pub use slope::{secant, slope};
