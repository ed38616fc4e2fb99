//! Standard output and standard error, where a closed pipe is no error and
//! colours are for terminals (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` decide).

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use anstream::AutoStream;
use anyhow::Context;
use clap::builder::styling::{AnsiColor, Style};

use crate::failure::BadInput;

/// Headings of tables.
pub(crate) const HEADING: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Writes to standard output; a reader that has gone away has seen enough.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(AutoStream::auto(io::stdout().lock()));
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Checks what can be known about a file's name before the work is done.
///
/// # Errors
/// The name is a folder's or a device's, or lies in no folder.
pub(crate) fn check_file(path: &Path) -> Result<(), BadInput> {
    let name = path.display();
    let wrong = match path.metadata() {
        // A whole file is put in place by renaming, which would turn a device
        // or a pipe into a file.
        Ok(metadata) if metadata.is_dir() => "is a directory; name a file in it".to_owned(),
        Ok(metadata) if !metadata.is_file() => "is not a regular file; name another".to_owned(),
        Ok(_) => return Ok(()),
        Err(_) => match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => format!(
                "cannot be written: there is no directory {}; make it first",
                folder.display()
            ),
            _ => return Ok(()),
        },
    };
    Err(BadInput(format!("--output {name} {wrong}")))
}

/// Prints `error: {message}` on standard error.
pub(crate) fn report(message: &dyn Display) {
    let mut err = AutoStream::auto(io::stderr().lock());
    // With standard error closed there is nowhere left to complain to.
    let _ = writeln!(err, "{ERROR}error:{ERROR:#} {message}");
}
