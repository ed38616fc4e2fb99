//! The weights on disk: one safetensors file or several behind an index.
//!
//! Only headers are read at first. A tensor is then read by seeking to it, or
//! looked at where it lies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use safetensors::tensor::Metadata;
use serde::Deserialize;

use crate::checksum::Checksum;
use crate::config::read_json;
use crate::mapped::{MappedBytes, MappedFile};
use crate::{Dtype, Error};

/// The name of an unsharded file.
pub(crate) const SINGLE: &str = "model.safetensors";
/// The name of the file that says which tensor is in which shard.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// The length field in front of a header.
const LENGTH_BYTES: u64 = 8;
/// The format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Bytes of two tensors that are compared at a time.
const COMPARED_BYTES: usize = 1 << 14;
/// How a Git LFS pointer begins.
const LFS_POINTER: [u8; LENGTH_BYTES as usize] = *b"version ";

/// Where a tensor lies, and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: Dtype,
    /// Index into the files.
    file: usize,
    /// First byte in the file, and how many.
    start: u64,
    length: usize,
}

impl Entry {
    /// Whether the first element lies at a multiple of so many bytes, wherever
    /// the file's first byte is on a page of memory.
    pub(crate) fn is_aligned(&self, to: usize) -> bool {
        self.start.is_multiple_of(to as u64)
    }
}

/// All tensors of a checkpoint by their names in the file.
#[derive(Debug)]
pub(crate) struct Weights {
    /// In the order of their names.
    files: Vec<WeightsFile>,
    pub(crate) tensors: BTreeMap<String, Entry>,
    pub(crate) checksum: Checksum,
    /// Of tensors, so far.
    pub(crate) bytes_read: Arc<AtomicU64>,
}

#[derive(Debug)]
struct WeightsFile {
    path: PathBuf,
    /// Once a tensor has been looked at in it; `None` where it cannot be mapped.
    mapped: OnceLock<Option<Arc<MappedFile>>>,
}

/// The part of an index that is used.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Reads the headers of the weights in `directory`. Those of a model that
    /// `generates` have a head.
    pub(crate) fn open(directory: &Path, generates: bool) -> Result<Self, Error> {
        let single = directory.join(SINGLE);
        if single.is_file() {
            let tensors = read_header(&single, 0)?;
            return Ok(Self::new(vec![single], tensors));
        }
        let index = directory.join(INDEX);
        if index.is_file() {
            return Self::open_shards(directory, &index);
        }
        let pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
        let directory = directory.to_owned();
        Err(
            if pickled.iter().any(|name| directory.join(name).is_file()) {
                let class = match generates {
                    true => "AutoModelForSeq2SeqLM",
                    false => "AutoModel",
                };
                Error::PickledWeights { directory, class }
            } else {
                Error::MissingWeights { directory }
            },
        )
    }

    fn open_shards(directory: &Path, index: &Path) -> Result<Self, Error> {
        let (map, shards) = read_index(index)?;
        let mut headers = BTreeMap::new();
        let mut files = Vec::new();
        for shard in shards {
            let path = directory.join(&shard);
            if !path.is_file() {
                return Err(Error::MissingShard {
                    path: index.into(),
                    shard,
                });
            }
            headers.insert(shard, read_header(&path, files.len())?);
            files.push(path);
        }
        // The index decides: a tensor that it does not name is not seen.
        let mut tensors = BTreeMap::new();
        for (name, shard) in map {
            match headers
                .get_mut(&shard)
                .and_then(|header| header.remove(&name))
            {
                Some(entry) => tensors.insert(name, entry),
                None => return Err(Error::MissingFromShard { name, shard }),
            };
        }
        Ok(Self::new(files, tensors))
    }

    fn new(paths: Vec<PathBuf>, tensors: BTreeMap<String, Entry>) -> Self {
        let file = |path: &PathBuf| WeightsFile {
            path: path.clone(),
            mapped: OnceLock::new(),
        };
        Self {
            files: paths.iter().map(file).collect(),
            tensors,
            checksum: Checksum::new(paths),
            bytes_read: Arc::default(),
        }
    }

    /// The little-endian elements of a tensor.
    pub(crate) fn read(&self, entry: &Entry) -> Result<Vec<u8>, Error> {
        let path = &self.files[entry.file].path;
        let mut file = self.open_at(entry)?;
        let mut read = || {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(entry.length)?;
            bytes.resize(entry.length, 0);
            file.read_exact(&mut bytes)?;
            self.bytes_read
                .fetch_add(entry.length as u64, Ordering::Relaxed);
            Ok(bytes)
        };
        read().map_err(Error::io(path))
    }

    /// The file that a tensor is in, to be read from its first byte on.
    fn open_at(&self, entry: &Entry) -> Result<File, Error> {
        let path = &self.files[entry.file].path;
        let open = || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(entry.start))?;
            Ok(file)
        };
        open().map_err(Error::io(path))
    }

    /// Whether two tensors are the same to the bit.
    pub(crate) fn are_equal(&self, one: &Entry, other: &Entry) -> Result<bool, Error> {
        if (&one.shape, one.dtype) != (&other.shape, other.dtype) {
            return Ok(false);
        }
        let reader = |entry: &Entry| {
            let path = &self.files[entry.file].path;
            Ok((path, self.open_at(entry)?, [0; COMPARED_BYTES]))
        };
        let mut readers = [reader(one)?, reader(other)?];
        for done in (0..one.length).step_by(COMPARED_BYTES) {
            let length = COMPARED_BYTES.min(one.length - done);
            for (path, file, bytes) in &mut readers {
                file.read_exact(&mut bytes[..length])
                    .map_err(Error::io(*path))?;
            }
            let [(.., one), (.., other)] = &readers;
            if one[..length] != other[..length] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The same bytes where they lie; `None` where the system maps no files.
    pub(crate) fn map(&self, entry: &Entry) -> Result<Option<MappedBytes>, Error> {
        let WeightsFile { path, mapped } = &self.files[entry.file];
        let Some(file) = mapped.get_or_init(|| Some(Arc::new(MappedFile::open(path).ok()?))) else {
            return Ok(None);
        };
        let bytes = file
            .bytes(entry.start, entry.length)
            .map_err(Error::io(path))?;
        self.bytes_read
            .fetch_add(entry.length as u64, Ordering::Relaxed);
        Ok(Some(bytes))
    }
}

/// Which file each tensor is in, and the files in the order of their names.
pub(crate) fn read_index(
    path: &Path,
) -> Result<(BTreeMap<String, String>, BTreeSet<String>), Error> {
    let index: Index = read_json(path, |path, source| Error::MalformedIndex {
        path: path.into(),
        source,
    })?;
    let shards: BTreeSet<String> = index.weight_map.values().cloned().collect();
    let plain = |name: &str| {
        let mut components = Path::new(name).components();
        let only = (components.next(), components.next());
        matches!(only, (Some(Component::Normal(part)), None) if part == name)
            && !name.contains(['\\', ':'])
    };
    match shards.iter().find(|shard| !plain(shard)) {
        Some(shard) => Err(Error::InvalidShardName {
            path: path.into(),
            shard: shard.clone(),
        }),
        None => Ok((index.weight_map, shards)),
    }
}

/// The entries of one file; `file` is their index into the files.
fn read_header(path: &Path, file: usize) -> Result<BTreeMap<String, Entry>, Error> {
    let mut reader = File::open(path).map_err(Error::io(path))?;
    let found = reader.metadata().map_err(Error::io(path))?.len();
    let truncated = |expected| Error::TruncatedHeader {
        path: path.into(),
        expected,
        found,
    };
    if found < LENGTH_BYTES {
        return Err(truncated(LENGTH_BYTES));
    }
    let mut length = [0; LENGTH_BYTES as usize];
    reader.read_exact(&mut length).map_err(Error::io(path))?;
    if length == LFS_POINTER {
        return Err(Error::LfsPointer { path: path.into() });
    }
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err(Error::HeaderTooLarge {
            path: path.into(),
            length,
            limit: MAX_HEADER_BYTES,
        });
    }
    let data = LENGTH_BYTES + length;
    if found < data {
        return Err(truncated(data));
    }
    let mut header = vec![0; length as usize];
    reader.read_exact(&mut header).map_err(Error::io(path))?;

    // Deserializing checks that the tensors lie side by side without gaps and
    // that each has as many bytes as its shape and type need.
    let header: Metadata =
        serde_json::from_slice(&header).map_err(|source| Error::MalformedHeader {
            path: path.into(),
            source,
        })?;
    let expected = data.saturating_add(header.data_len() as u64);
    if found != expected {
        return Err(Error::WrongFileSize {
            path: path.into(),
            expected,
            found,
        });
    }
    let entries = header.tensors().into_iter().map(|(name, tensor)| {
        let (start, end) = tensor.data_offsets;
        let entry = Entry {
            shape: tensor.shape.clone(),
            dtype: tensor.dtype,
            file,
            start: data + start as u64,
            length: end - start,
        };
        (name, entry)
    });
    Ok(entries.collect())
}
