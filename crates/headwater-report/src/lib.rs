#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod document;
mod error;
mod measure;
mod packed;
mod page;
pub mod plot;
mod report;
mod source;
mod statistics;
mod survey;

pub use error::Error;
pub use report::Report;
