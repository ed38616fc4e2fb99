//! Opening a checkpoint and reading its parameters.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::config::Config;
use crate::families::{self, Stacks};
use crate::host_tensor::first_not_finite;
use crate::resolve::{Resolved, resolve, tied};
use crate::weights::{Entry, Weights};
use crate::{
    Architecture, Dtype, Error, HostTensor, HubOptions, MappedTensor, ModelSource, Parameter,
    TextTokenizer, UnusedTensor, hub, unused,
};

/// A checkpoint whose configuration and tensor shapes have been checked against each other.
///
/// Opening reads headers only. Weights are read one tensor at a time, so that
/// no more than one is in memory for this type's sake, or looked at where they
/// lie in the file.
#[derive(Debug)]
pub struct Checkpoint {
    name: String,
    directory: PathBuf,
    config_sha256: String,
    stacks: Stacks,
    parameters: Vec<Parameter>,
    /// Names in the file of tables that the configuration says are one.
    tied: Vec<String>,
    unused: Vec<UnusedTensor>,
    warnings: Vec<String>,
    /// Canonical name to index into `parameters`.
    indices: HashMap<String, usize>,
    weights: Weights,
}

impl Checkpoint {
    /// Opens a directory that holds `config.json` and `model.safetensors`, or an index and its shards.
    ///
    /// # Errors
    ///
    /// Where a file is missing or damaged, the configuration is one that would
    /// give wrong numbers, or a tensor's name, shape or type does not fit it.
    pub fn open_directory(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = directory.as_ref();
        Self::open_named(directory.display().to_string(), directory)
    }

    /// Opens a directory; of a name, a directory if something exists at that path, else the
    /// hub's model of that name, which is fetched.
    ///
    /// Files that are in the hub's cache already are not fetched again.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open_directory`], and where the model cannot be
    /// fetched; without the feature `hub` that is always so.
    pub fn open(model: impl Into<ModelSource>, hub: &HubOptions) -> Result<Self, Error> {
        let name = match model.into() {
            ModelSource::Directory(directory) => return Self::open_directory(directory),
            ModelSource::Named(name) if Path::new(&name).exists() => {
                return Self::open_directory(name);
            }
            ModelSource::Named(name) => name,
        };
        let directory = hub::fetch(&name, hub)?;
        Self::open_named(name, &directory)
    }

    fn open_named(name: String, directory: &Path) -> Result<Self, Error> {
        if !directory.is_dir() {
            let path = directory.to_owned();
            return Err(Error::MissingDirectory { path });
        }
        let config = Config::read(directory)?;
        let stacks = families::stacks(&config)?;
        let weights = Weights::open(directory, stacks.decoder.is_some())?;
        unused::refuse_adapters(directory, &weights.tensors)?;
        let Resolved { parameters, prefix } = resolve(&stacks, &weights.tensors)?;

        let used: BTreeSet<&str> = parameters.iter().map(|p| p.name_in_file.as_str()).collect();
        let unused = weights
            .tensors
            .iter()
            .filter(|(name, _)| !used.contains(name.as_str()));
        let unused = unused.map(|(name, entry)| UnusedTensor {
            name: name.clone(),
            shape: entry.shape.clone(),
            dtype: entry.dtype,
        });
        let unused: Vec<UnusedTensor> = unused.collect();
        let keys = unused::unknown_keys(&stacks);
        let tensors = unused::within_the_stacks(&stacks, &prefix, &unused);
        let indices = parameters
            .iter()
            .enumerate()
            .map(|(index, p)| (p.name.clone(), index));
        Ok(Self {
            name,
            directory: directory.to_owned(),
            config_sha256: config.sha256,
            tied: tied(&stacks, &prefix, &weights.tensors),
            unused,
            warnings: keys.into_iter().chain(tensors).collect(),
            indices: indices.collect(),
            stacks,
            parameters,
            weights,
        })
    }

    /// What the user called the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory that holds the files; inside the hub's cache for a fetched model.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The sizes and choices of `config.json`; in a translation model those of its encoder.
    pub fn architecture(&self) -> &Architecture {
        &self.stacks.first
    }

    /// The sizes and choices of a translation model's decoder.
    pub fn decoder(&self) -> Option<&Architecture> {
        self.stacks.decoder.as_ref()
    }

    /// What the architecture uses: embeddings, layer by layer, and what stands behind the layers.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The tensors in the file that the architecture has no use for, by name.
    pub fn unused(&self) -> &[UnusedTensor] {
        &self.unused
    }

    /// What was passed over although it may have been meant to count, a line each: keys of
    /// `config.json` that no class knows, unused tensors within layers or embeddings.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether logits are products with the word embeddings (the decoder's in a translation
    /// model). Elsewhere they are with a matrix of their own, which the file of a model without
    /// that head lacks.
    pub fn ties_head(&self) -> bool {
        self.stacks.tied_head
    }

    /// Whether the decoder of a translation model begins with the last token of its text (mBART:
    /// the language), and not with a token of its own.
    pub fn decoder_begins_with_last_token(&self) -> bool {
        self.stacks.begins_with_last()
    }

    /// Number of elements in all parameters. Parts of one tensor share none of
    /// them; a tensor that two stacks share counts once.
    pub fn parameter_count(&self) -> usize {
        let mut counted = HashSet::new();
        self.parameters
            .iter()
            .filter(|p| counted.insert((&p.name_in_file, p.layout)))
            .map(|p| p.shape.iter().product::<usize>())
            .sum()
    }

    /// The parameter of this canonical name.
    pub fn parameter(&self, canonical: &str) -> Option<&Parameter> {
        self.indices
            .get(canonical)
            .map(|&index| &self.parameters[index])
    }

    /// Whether the architecture has a parameter of this canonical name.
    pub fn has(&self, canonical: &str) -> bool {
        self.indices.contains_key(canonical)
    }

    /// Reads one parameter from disk, and puts it into its shape where the file stores another.
    ///
    /// # Errors
    ///
    /// Where the architecture has no such parameter, the file cannot be read, a
    /// value of its tensor is an infinity or a NaN, or it is a table of word
    /// embeddings that another one in the file should equal and does not.
    pub fn read(&self, canonical: &str) -> Result<HostTensor, Error> {
        let (parameter, entry) = self.find(canonical)?;
        self.check_tied(parameter, entry)?;
        let bytes = self.weights.read(entry)?;
        check_finite(parameter, &bytes)?;
        let Parameter {
            shape,
            dtype,
            layout,
            ..
        } = parameter;
        let bytes = layout.take(shape, &entry.shape, *dtype, bytes);
        Ok(HostTensor::new(shape.clone(), *dtype, bytes))
    }

    /// One parameter where it lies in the file, without a copy; `None` where
    /// that is not its float32 elements in this machine's byte order, row-major
    /// and aligned, or where the system cannot map the file. Then
    /// [`Checkpoint::read`] it.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::read`].
    pub fn map(&self, canonical: &str) -> Result<Option<MappedTensor>, Error> {
        let (parameter, entry) = self.find(canonical)?;
        let as_stored = parameter.dtype == Dtype::F32 && parameter.is_whole();
        if !as_stored || cfg!(target_endian = "big") || !entry.is_aligned(align_of::<f32>()) {
            return Ok(None);
        }
        let Some(bytes) = self.weights.map(entry)? else {
            return Ok(None);
        };
        self.check_tied(parameter, entry)?;
        check_finite(parameter, bytes.as_ref())?;
        Ok(Some(MappedTensor {
            shape: parameter.shape.clone(),
            bytes,
        }))
    }

    fn find(&self, canonical: &str) -> Result<(&Parameter, &Entry), Error> {
        match self.parameter(canonical) {
            Some(parameter) => Ok((parameter, &self.weights.tensors[&parameter.name_in_file])),
            None => Err(Error::UnknownParameter {
                name: canonical.to_owned(),
            }),
        }
    }

    /// Refuses a table that is to stand for others in the file and differs from them.
    fn check_tied(&self, parameter: &Parameter, entry: &Entry) -> Result<(), Error> {
        let name = &parameter.name_in_file;
        if !self.tied.contains(name) {
            return Ok(());
        }
        for other in self.tied.iter().filter(|&other| other != name) {
            if !self
                .weights
                .are_equal(entry, &self.weights.tensors[other])?
            {
                return Err(Error::UnequalTies {
                    name: name.clone(),
                    other: other.clone(),
                });
            }
        }
        Ok(())
    }

    /// SHA-256 of `config.json` in hexadecimal, as `sha256sum` prints it.
    pub fn config_sha256(&self) -> &str {
        &self.config_sha256
    }

    /// SHA-256 of the weights in hexadecimal, as `sha256sum model.safetensors`
    /// prints it; read once.
    ///
    /// Of a sharded model it is that of all shards one after another in the
    /// order of their names: `cat model-*.safetensors | sha256sum`.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read.
    pub fn weights_sha256(&self) -> Result<&str, Error> {
        self.weights.checksum.get()
    }

    /// Starts computing [`Checkpoint::weights_sha256`] on another thread, so
    /// that it is there, or nearly so, when it is asked for.
    pub fn begin_weights_sha256(&self) {
        self.weights.checksum.begin();
    }

    /// How many bytes of weights [`Checkpoint::read`] and [`Checkpoint::map`]
    /// have gone through so far; for another thread that shows how far they
    /// have come.
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        self.weights.bytes_read.clone()
    }

    /// The same of [`Checkpoint::weights_sha256`].
    pub fn bytes_hashed(&self) -> Arc<AtomicU64> {
        self.weights.checksum.bytes_read.clone()
    }

    /// Reads the tokenizer of texts.
    ///
    /// # Errors
    ///
    /// As [`TextTokenizer::open`].
    pub fn tokenizer(&self) -> Result<TextTokenizer, Error> {
        TextTokenizer::open(&self.directory)
    }
}

fn check_finite(parameter: &Parameter, stored: &[u8]) -> Result<(), Error> {
    match first_not_finite(parameter.dtype, stored) {
        Some((index, value)) => Err(Error::NotFinite {
            name: parameter.name_in_file.clone(),
            index,
            value,
        }),
        None => Ok(()),
    }
}
