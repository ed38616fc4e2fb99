#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod diagonal;
mod error;
mod layer;
mod norm_map;
mod parts;
mod scope;
mod sums;

pub use error::Error;
pub use layer::{LayerDecomposition, ScopeDecomposition};
pub use scope::{Component, Scope};
