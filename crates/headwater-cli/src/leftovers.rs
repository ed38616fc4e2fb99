//! Unfinished files of a run that was killed.

use std::fs::{self, File};
use std::path::Path;

/// How the library names a file until it is complete.
const PREFIX: &str = ".headwater-";
const SUFFIX: &str = ".partial";

/// Removes the unfinished files in a directory, unless another run is at work
/// there, and says so to other runs for as long as the result is kept.
///
/// Every run holds a shared lock on the directory, so whoever gets an
/// exclusive one is alone. Where directories cannot be locked nothing is
/// removed: an unfinished file is litter, but does no harm.
pub(crate) fn clear(directory: &Path) -> Option<File> {
    let lock = File::open(directory).ok()?;
    if lock.try_lock().is_ok() {
        for entry in fs::read_dir(directory).ok()?.flatten() {
            let name = entry.file_name();
            let unfinished = name
                .to_str()
                .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
            if unfinished {
                // Litter that cannot be removed still does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
    lock.lock_shared().ok()?;
    Some(lock)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_that_is_alone_removes_files() {
        let directory = tempfile::tempdir().unwrap();
        let partial = directory.path().join(".headwater-x.partial");
        let mine = directory.path().join("x.partial");
        fs::write(&mine, "").unwrap();
        fs::write(&partial, "").unwrap();
        let first = clear(directory.path()).unwrap();
        assert!(!partial.exists() && mine.exists());

        fs::write(&partial, "").unwrap();
        let second = clear(directory.path()).unwrap();
        assert!(partial.exists());
        drop(first);
        let third = clear(directory.path()).unwrap();
        assert!(partial.exists());
        drop((second, third));
        clear(directory.path()).unwrap();
        assert!(!partial.exists());
    }
}
