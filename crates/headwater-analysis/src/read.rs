//! Analysis files read back: all at once, or array by array.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::f16;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::error::FileAction;
use crate::shapes::Shapes;
use crate::{Analysis, Array, ArrayKey, Error, FORMAT, Inputs, Spelling, Stack, TokenizedInput};

/// A longer header than this is no header; the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// An analysis file whose arrays are read one by one, when they are asked for.
///
/// An analysis of 512 tokens with all its maps is hundreds of megabytes; this
/// holds the header and one array at a time. Arrays that this version does not
/// know are left out.
#[derive(Debug)]
pub struct AnalysisReader {
    path: PathBuf,
    file: File,
    input: TokenizedInput,
    target: Option<TokenizedInput>,
    metadata: BTreeMap<String, String>,
    places: BTreeMap<ArrayKey, TensorInfo>,
    /// Where the arrays begin in the file.
    data: u64,
}

impl AnalysisReader {
    /// Opens a file and checks its header: format, tokens, the shape of every
    /// array, and that nothing is missing behind it.
    ///
    /// # Errors
    /// [`Error::NotAnAnalysis`], which says what is wrong; [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let io = |source| Error::Io {
            action: FileAction::Read,
            path: path.to_owned(),
            source,
        };
        // Opening a pipe would wait for a writer.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(not_an_analysis(path, "it is not a regular file"));
        }
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut size = [0; 8];
        let mut header = Vec::new();
        match file.read_exact(&mut size) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(not_an_analysis(path, "it ends before its header"));
            }
            result => result.map_err(io)?,
        }
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER_BYTES.min(length - 8) {
            let reason = "it is no safetensors file, or it ends within its header";
            return Err(not_an_analysis(path, reason));
        }
        (&mut file)
            .take(size)
            .read_to_end(&mut header)
            .map_err(io)?;
        let header: Metadata = serde_json::from_slice(&header)
            .map_err(|error| damaged(path, "its header cannot be read", error))?;
        let data = 8 + size;
        if data + header.data_len() as u64 != length {
            let reason = format!(
                "it has {length} bytes where its header says {}; it was cut off or added to",
                data + header.data_len() as u64
            );
            return Err(not_an_analysis(path, reason));
        }

        let metadata: BTreeMap<String, String> = header
            .metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect();
        match metadata.get("format").map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                let reason = format!("its format is `{other}`; this version reads `{FORMAT}`");
                return Err(not_an_analysis(path, reason));
            }
            None => return Err(not_an_analysis(path, "its metadata names no format")),
        }
        let places: BTreeMap<ArrayKey, TensorInfo> = header
            .tensors()
            .into_iter()
            .filter_map(|(name, info)| Some((name.parse().ok()?, info.clone())))
            .collect();
        let mut reader = Self {
            path: path.to_owned(),
            file,
            input: TokenizedInput::nothing(),
            target: None,
            metadata,
            places,
            data,
        };
        reader.read_input(&header)?;
        reader.check_shapes()?;
        Ok(reader)
    }

    /// What was analysed; of a translation model what its encoder read.
    pub fn input(&self) -> &TokenizedInput {
        &self.input
    }

    /// What the decoder of a translation model read.
    pub fn target(&self) -> Option<&TokenizedInput> {
        self.target.as_ref()
    }

    /// What was analysed: a text, or a text and its translation.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs::new(&self.input, self.target.as_ref())
    }

    /// Model, weights, device and the like.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The arrays of the file, in order.
    pub fn keys(&self) -> impl Iterator<Item = &ArrayKey> {
        self.places.keys()
    }

    /// The shape of an array; `None` if the file does not have it.
    pub fn shape(&self, key: &ArrayKey) -> Option<&[usize]> {
        Some(&self.places.get(key)?.shape)
    }

    /// Reads one array; `None` if the file does not have it. float16 arrives as
    /// float32, which holds every float16 exactly.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn array(&mut self, key: &ArrayKey) -> Result<Option<Array>, Error> {
        let Some(info) = self.places.get(key).cloned() else {
            return Ok(None);
        };
        let bytes = self.bytes(&info)?;
        let shape = info.shape;
        Ok(Some(match info.dtype {
            Dtype::F16 => {
                let values = chunks(&bytes, |b| f16::from_le_bytes(b).to_f32());
                Array::from_f32(shape, values)
            }
            Dtype::F64 => Array::from_f64(shape, chunks(&bytes, f64::from_le_bytes)),
            // `check_shapes` lets no other type through.
            _ => Array::from_f32(shape, chunks(&bytes, f32::from_le_bytes)),
        }))
    }

    fn bytes(&mut self, info: &TensorInfo) -> Result<Vec<u8>, Error> {
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        self.file
            .seek(SeekFrom::Start(self.data + start as u64))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|source| Error::Io {
                action: FileAction::Read,
                path: self.path.clone(),
                source,
            })?;
        Ok(bytes)
    }

    fn read_input(&mut self, header: &Metadata) -> Result<(), Error> {
        if header.info("decoder.input_ids").is_some() {
            let encoder = Stack::Encoder.prefix();
            let decoder = Stack::Decoder.prefix();
            self.input = self.tokenized(header, encoder)?;
            self.target = Some(self.tokenized(header, decoder)?);
        } else {
            self.input = self.tokenized(header, Stack::Only.prefix())?;
        }
        Ok(())
    }

    fn tokenized(&mut self, header: &Metadata, prefix: &str) -> Result<TokenizedInput, Error> {
        let input_ids = self.ids(header, &format!("{prefix}input_ids"))?;
        // Translation models have no token types.
        let token_type_ids = match prefix {
            "" => self.ids(header, "token_type_ids")?,
            _ => vec![0; input_ids.len()],
        };
        let name = format!("{prefix}tokens");
        let tokens: Vec<String> = self
            .metadata
            .get(&name)
            .and_then(|tokens| serde_json::from_str(tokens).ok())
            .ok_or_else(|| self.wrong(format!("its metadata has no list `{name}`")))?;
        // Of a spelling that this version does not know, tokens are shown as they are.
        let spelling = self.metadata.get(Spelling::METADATA_KEY);
        let spelling = spelling
            .and_then(|name| name.parse().ok())
            .unwrap_or_default();
        TokenizedInput::with_token_types(input_ids, token_type_ids, tokens)
            .map(|input| input.with_spelling(spelling))
            .map_err(|error| damaged(&self.path, "its tokens do not fit", error))
    }

    fn ids(&mut self, header: &Metadata, name: &str) -> Result<Vec<u32>, Error> {
        let info = header
            .info(name)
            .filter(|info| info.dtype == Dtype::I64 && info.shape.len() == 1)
            .ok_or_else(|| self.wrong(format!("`{name}` is not a list of int64")))?;
        let ids = chunks(&self.bytes(info)?, i64::from_le_bytes);
        ids.into_iter()
            .map(|id| {
                u32::try_from(id).map_err(|_| self.wrong(format!("`{name}` has the id {id}")))
            })
            .collect()
    }

    fn check_shapes(&self) -> Result<(), Error> {
        let mut shapes = Shapes::default();
        for (key, info) in &self.places {
            if !matches!(info.dtype, Dtype::F16 | Dtype::F32 | Dtype::F64) {
                let reason = format!("`{key}` is of type {:?}, not floating point", info.dtype);
                return Err(self.wrong(reason));
            }
            shapes
                .check(self.inputs(), key, &info.shape)
                .map_err(|error| damaged(&self.path, "an array does not fit", error))?;
        }
        Ok(())
    }

    fn wrong(&self, reason: String) -> Error {
        not_an_analysis(&self.path, reason)
    }
}

impl Analysis {
    /// Reads a whole analysis file; [`AnalysisReader`] reads it array by array.
    ///
    /// # Errors
    /// As [`AnalysisReader::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let mut reader = AnalysisReader::open(path)?;
        let keys: Vec<ArrayKey> = reader.keys().copied().collect();
        let mut arrays = BTreeMap::new();
        for key in keys {
            if let Some(array) = reader.array(&key)? {
                arrays.insert(key, array);
            }
        }
        Ok(Self {
            input: reader.input,
            target: reader.target,
            metadata: reader.metadata,
            arrays,
        })
    }
}

fn not_an_analysis(path: &Path, reason: impl Into<String>) -> Error {
    Error::NotAnAnalysis {
        path: path.to_owned(),
        reason: reason.into(),
        source: None,
    }
}

fn damaged(
    path: &Path,
    reason: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::NotAnAnalysis {
        path: path.to_owned(),
        reason: reason.to_owned(),
        source: Some(Box::new(source)),
    }
}

/// The elements of a byte string whose length is a multiple of theirs.
fn chunks<const N: usize, T>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|bytes| element(*bytes)).collect()
}
