//! One damaged checkpoint for each way to fail; every message is a single line.

#[path = "../common/mod.rs"]
mod common;

use std::error::Error as _;
use std::path::Path;

use headwater_checkpoint::{Checkpoint, Error};
use tempfile::TempDir;

/// Asserts the variant and a part of the message.
macro_rules! assert_refused {
    ($error:expr, $pattern:pat $(if $guard:expr)?, $message:expr) => {
        let error = $error;
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
        assert!(error.to_string().contains($message), "{error}");
    };
}

// Behind the macro that they use.
mod config;
mod decoders;
mod files;
mod keys;
mod weights;

/// A directory with the small BERT in it, after `damage`.
fn damaged(damage: impl FnOnce(&Path)) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    common::write_plain(directory.path());
    damage(directory.path());
    directory
}

/// The error of opening it.
fn refusal(directory: &TempDir) -> Error {
    single_line(Checkpoint::open_directory(directory.path()).unwrap_err())
}

/// The error itself, after checking that it and its sources fit one line each.
fn single_line(error: Error) -> Error {
    let message = error.to_string();
    assert!(
        !message.is_empty() && !message.contains('\n') && !message.ends_with('.'),
        "{message:?}"
    );
    let mut source = error.source();
    while let Some(cause) = source {
        assert!(!cause.to_string().contains('\n'), "{cause}");
        source = cause.source();
    }
    error
}
