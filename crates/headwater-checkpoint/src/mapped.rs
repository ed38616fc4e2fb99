//! Weights that stay in their file and are looked at through memory.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

/// A float32 tensor as it lies in the file: row-major, all values finite, and
/// no copy of them.
///
/// It stays valid for as long as it is kept, whatever becomes of the
/// checkpoint that it was taken from. The bytes are the file's, though: they
/// change if another program writes into it, and a file that is cut short
/// takes the process with it. Programs that replace a file by another of the
/// same name, as downloads do, harm nothing.
#[derive(Clone, Debug)]
pub struct MappedTensor {
    /// The shape; a linear layer's weight is `[out, in]`.
    pub shape: Vec<usize>,
    pub(crate) bytes: MappedBytes,
}

/// The elements, float32 of this machine's byte order; the first lies where a
/// float32 may lie.
impl AsRef<[u8]> for MappedTensor {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// Some bytes of a mapped file.
#[derive(Clone, Debug)]
pub(crate) struct MappedBytes {
    file: Arc<MappedFile>,
    range: Range<usize>,
}

impl AsRef<[u8]> for MappedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.file.map[self.range.clone()]
    }
}

/// A file in memory.
#[derive(Debug)]
pub(crate) struct MappedFile {
    map: Mmap,
    /// Kept to ask how long the file is now.
    file: File,
}

impl MappedFile {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: a slice must not change while it is borrowed. The map is only
        // ever read, and this program does not write to the file. Another one
        // that does so during a run breaks the promise: the weights are then
        // partly its bytes, so that results are wrong but every access stays
        // within the map, and where it cuts the file short, touching what is
        // gone ends the process (SIGBUS). Whoever maps a file has to live with
        // that; `bytes` asks for the length first, so that a file that was cut
        // before a tensor is taken is an error.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self { map, file })
    }

    /// These bytes of the file, if it still has them.
    pub(crate) fn bytes(
        self: &Arc<Self>,
        start: u64,
        length: usize,
    ) -> std::io::Result<MappedBytes> {
        let found = self.file.metadata()?.len().min(self.map.len() as u64);
        if found < start + length as u64 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        // Within the map, so it fits.
        let start = start as usize;
        Ok(MappedBytes {
            file: Arc::clone(self),
            range: start..start + length,
        })
    }
}
