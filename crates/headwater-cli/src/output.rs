//! Standard output and standard error, where a closed pipe is no error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Writes to standard output; a reader that has gone away has seen enough.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Prints `error: {message}` on standard error.
pub(crate) fn report(message: &dyn Display) {
    // With standard error closed there is nowhere left to complain to.
    let _ = writeln!(io::stderr().lock(), "error: {message}");
}
