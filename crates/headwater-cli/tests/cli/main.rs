//! The command line as a program: what it writes, prints and returns.

mod analyze;
mod corpus;
mod hostile;
mod inspect;
mod support;
