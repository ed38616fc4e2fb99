//! Standard output and standard error, where a closed pipe is no error and
//! colours are for terminals (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` decide).

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anstream::AutoStream;
use anyhow::Context;
use clap::builder::styling::{AnsiColor, Style};

/// Headings of tables.
pub(crate) const HEADING: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Writes to standard output; a reader that has gone away has seen enough.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(AutoStream::auto(io::stdout().lock()));
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Prints `error: {message}` on standard error.
pub(crate) fn report(message: &dyn Display) {
    let mut err = AutoStream::auto(io::stderr().lock());
    // With standard error closed there is nowhere left to complain to.
    let _ = writeln!(err, "{ERROR}error:{ERROR:#} {message}");
}

/// Prints `warning: {message}` on standard error.
pub(crate) fn warn(message: &dyn Display) {
    let mut err = AutoStream::auto(io::stderr().lock());
    let _ = writeln!(err, "{WARNING}warning:{WARNING:#} {message}");
}
