use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use crate::Error;
use crate::error::FileAction;

/// What the temporary name of an unfinished file begins with, and ends with.
const PREFIX: &str = ".headwater-";
const SUFFIX: &str = ".partial";

/// The temporary names of the files that are being written.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A file that appears under its name only when it is complete: written under
/// a temporary name beside its destination and renamed by
/// [`WholeFile::finish`]; dropped before that, it leaves nothing.
#[derive(Debug)]
pub struct WholeFile {
    file: Option<NamedTempFile>,
    path: PathBuf,
}

impl WholeFile {
    /// Begins a file that will be `path`, in place of what is there.
    ///
    /// # Errors
    /// [`Error::NotAFile`] for a directory or a device; [`Error::Io`].
    pub fn create(path: &Path) -> Result<Self, Error> {
        // A rename would replace a device or fail on a directory only at the end.
        if path.exists() && !path.is_file() {
            return Err(Error::NotAFile {
                path: path.to_owned(),
            });
        }
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // An ordinary file's permissions, less the user's mask.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        // Held while the file is made, so that an exit in between cannot miss it.
        let mut unfinished = unfinished();
        let file = builder.tempfile_in(folder).map_err(|source| Error::Io {
            action: FileAction::Create,
            path: path.to_owned(),
            source,
        })?;
        unfinished.push(file.path().to_owned());
        Ok(Self {
            file: Some(file),
            path: path.to_owned(),
        })
    }

    /// Writes a whole file at once.
    ///
    /// # Errors
    /// As [`WholeFile::create`].
    pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let mut whole = Self::create(path)?;
        whole.file().write_all(bytes).map_err(|source| Error::Io {
            action: FileAction::Write,
            path: path.to_owned(),
            source,
        })?;
        whole.finish()
    }

    /// The file to write to.
    pub fn file(&mut self) -> &mut File {
        self.file
            .as_mut()
            .expect("the file is there until it is finished")
            .as_file_mut()
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<(), Error> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        // Held until the file has its name, so that an exit finds it whole or removes it.
        let mut unfinished = unfinished();
        forget(&mut unfinished, file.path());
        file.persist(&self.path)
            .map(drop)
            .map_err(|error| Error::Io {
                action: FileAction::Write,
                path: self.path.clone(),
                source: error.error,
            })
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // Held until the file is gone, so that an exit in between cannot leave it.
            let mut unfinished = unfinished();
            forget(&mut unfinished, file.path());
            drop(file);
        }
    }
}

/// Ends the process after removing every file that is not complete, as a
/// program does when it is interrupted.
pub fn exit_without_unfinished_files(status: i32) -> ! {
    // The lock is kept to the end: no new file can be begun any more.
    let unfinished = unfinished();
    for path in unfinished.iter() {
        // What cannot be removed does no harm.
        let _ = std::fs::remove_file(path);
    }
    std::process::exit(status)
}

/// Removes the unfinished files of a run that was killed from a directory,
/// unless another run is at work there, and says so to other runs for as long
/// as the result is kept.
///
/// Every run that calls this holds a shared lock on the directory, so whoever
/// gets an exclusive one is alone. Where directories cannot be locked nothing
/// is removed: an unfinished file is litter, but does no harm.
pub fn remove_unfinished(directory: &Path) -> Option<File> {
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

fn forget(unfinished: &mut Vec<PathBuf>, path: &Path) {
    unfinished.retain(|unfinished| unfinished != path);
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.svg");
        let mut dropped = WholeFile::create(&path).unwrap();
        dropped.file().write_all(b"half").unwrap();
        let temporary = dropped.file.as_ref().unwrap().path().to_owned();
        assert!(temporary.exists() && unfinished().contains(&temporary));
        drop(dropped);
        assert!(!unfinished().contains(&temporary));
        assert!(names(folder.path()).is_empty());

        WholeFile::write(&path, b"whole").unwrap();
        assert_eq!(names(folder.path()), ["a.svg"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_folder_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let error = WholeFile::write(folder.path(), b"").unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn only_a_run_that_is_alone_removes_files() {
        let directory = tempfile::tempdir().unwrap();
        // The name that a file of a killed run was left with.
        let mut killed = WholeFile::create(&directory.path().join("x")).unwrap();
        let (file, partial) = killed.file.take().unwrap().keep().unwrap();
        forget(&mut unfinished(), &partial);
        drop((file, killed));
        let mine = directory.path().join("x.partial");
        fs::write(&mine, "").unwrap();
        let first = remove_unfinished(directory.path()).unwrap();
        assert!(!partial.exists() && mine.exists());

        fs::write(&partial, "").unwrap();
        let second = remove_unfinished(directory.path()).unwrap();
        assert!(partial.exists());
        drop(first);
        let third = remove_unfinished(directory.path()).unwrap();
        assert!(partial.exists());
        drop((second, third));
        remove_unfinished(directory.path()).unwrap();
        assert!(!partial.exists());
    }
}
