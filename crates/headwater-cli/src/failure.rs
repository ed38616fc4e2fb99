//! Errors as the user sees them: one line, and an exit status.

use std::fmt;

/// Exit status for bad arguments or input.
pub(crate) const BAD_INPUT: u8 = 2;
/// Exit status for anything else that went wrong.
const OTHER: u8 = 1;

/// Something that the user mends by changing an argument or the input.
#[derive(Debug)]
pub(crate) struct BadInput(pub(crate) String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// Whether the input is to blame, and not the machine.
pub(crate) fn is_bad_input(error: &anyhow::Error) -> bool {
    let library = error.downcast_ref::<headwater::Error>();
    let analysis = error.downcast_ref::<headwater::analysis::Error>();
    let pictures = error.downcast_ref::<headwater_report::Error>();
    error.is::<BadInput>()
        || library.is_some_and(headwater::Error::is_bad_input)
        || analysis.is_some_and(headwater::analysis::Error::is_bad_input)
        || pictures.is_some_and(headwater_report::Error::is_bad_input)
}

/// Whether reading or writing failed: the next input would fare no better.
pub(crate) fn is_io(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<std::io::Error>())
}

/// The exit status for an error.
pub(crate) fn exit_status(error: &anyhow::Error) -> u8 {
    if is_bad_input(error) {
        BAD_INPUT
    } else {
        OTHER
    }
}

/// The error and its causes on one line.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    printable(&format!("{error:#}"))
}

/// The text with control characters made visible, so that a token or a file
/// name can neither break a line nor command the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            visible.extend(c.escape_default());
        } else {
            visible.push(c);
        }
    }
    visible
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_are_joined_once() {
        let error = Err::<(), _>(BadInput("the disk is\nround".to_owned()))
            .context("cannot write")
            .context("line 3")
            .unwrap_err();
        assert_eq!(
            one_line(&error),
            "line 3: cannot write: the disk is\\nround"
        );
        assert_eq!(exit_status(&error), 2);
        assert_eq!(exit_status(&anyhow::anyhow!("no memory")), 1);
    }
}
