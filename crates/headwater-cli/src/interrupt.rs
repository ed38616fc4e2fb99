//! Ctrl-C and a request to terminate: nothing half-written stays behind.

use crate::{output, progress};

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Ends the program on a signal, without its unfinished files.
pub(crate) fn handle() {
    // An error means that the signals are somebody else's, as under `nohup`:
    // they stay so.
    let _ = ctrlc::try_set_handler(|| {
        progress::clear();
        output::report(&"interrupted; what was not finished is removed");
        headwater::exit_without_unfinished_files(INTERRUPTED)
    });
}
