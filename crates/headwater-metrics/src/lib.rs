#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod correlation;
mod element;
mod error;
mod summary;

pub use correlation::{depth_correlation, pearson, ranks, spearman};
pub use element::Element;
pub use error::MetricsError;
pub use summary::Summary;
