//! SHA-256 of the weights: computed once, and beside other work if that is
//! known to be wanted early.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

use crate::Error;

/// The checksum of files one after another.
#[derive(Debug)]
pub(crate) struct Checksum {
    paths: Vec<PathBuf>,
    known: OnceLock<String>,
    running: Mutex<Option<JoinHandle<Result<String, Error>>>>,
    /// So far.
    pub(crate) bytes_read: Arc<AtomicU64>,
}

impl Checksum {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            known: OnceLock::new(),
            running: Mutex::new(None),
            bytes_read: Arc::default(),
        }
    }

    /// Starts computing it on a thread, unless that has been done.
    pub(crate) fn begin(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() || self.known.get().is_some() {
            return;
        }
        let (paths, bytes_read) = (self.paths.clone(), Arc::clone(&self.bytes_read));
        // Without a thread to be had, whoever wants to know computes it.
        *running = thread::Builder::new()
            .name("checksum".to_owned())
            .spawn(move || of_files(&paths, &bytes_read))
            .ok();
    }

    /// In hexadecimal.
    pub(crate) fn get(&self) -> Result<&str, Error> {
        // Held while it is computed, so that another thread waits for this one.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let computed = match running.take() {
            Some(thread) => thread.join().unwrap_or_else(|panic| {
                std::panic::resume_unwind(panic);
            }),
            None => of_files(&self.paths, &self.bytes_read),
        }?;
        Ok(self.known.get_or_init(|| computed))
    }
}

/// In hexadecimal.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads through a buffer and not through a map: pages that were touched only
/// for this would count as memory of the process.
fn of_files(paths: &[PathBuf], bytes_read: &AtomicU64) -> Result<String, Error> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    for path in paths {
        let mut file = File::open(path).map_err(Error::io(path))?;
        loop {
            match file.read(&mut buffer).map_err(Error::io(path))? {
                0 => break,
                read => {
                    hash.update(&buffer[..read]);
                    bytes_read.fetch_add(read as u64, Ordering::Relaxed);
                }
            }
        }
    }
    Ok(hexadecimal(&hash.finalize()))
}
