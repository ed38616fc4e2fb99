//! The command line as a program: what it writes, prints and returns.

mod align;
mod analyze;
mod comfort;
mod corpus;
mod determinism;
mod hostile;
mod inspect;
mod interrupt;
mod models;
mod options;
mod outputs;
mod plot;
mod report;
mod support;
mod translate;
