//! Analysis files read back: all at once, or array by array.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use half::f16;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::input::Given;
use crate::key::{ArrayKey, Axis, LayerArray, MixingMeasure, Stack};
use crate::{Analysis, Array, Error, FORMAT, Scope, TokenizedInput};

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
            action: "read",
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
        let header: Metadata = serde_json::from_slice(&header).map_err(|error| {
            not_an_analysis(path, format!("its header cannot be read: {error}"))
        })?;
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
            input: TokenizedInput {
                input_ids: Vec::new(),
                token_type_ids: Vec::new(),
                tokens: Vec::new(),
            },
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
                action: "read",
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
        let counts = [input_ids.len(), token_type_ids.len(), tokens.len()];
        if counts != [tokens.len(); 3] || tokens.is_empty() {
            return Err(self.wrong(format!(
                "it has {} ids, {} token types and {} tokens; as many of each are needed, and one at least",
                counts[0], counts[1], counts[2]
            )));
        }
        Ok(TokenizedInput {
            input_ids,
            token_type_ids,
            tokens,
        })
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
        let given = Given {
            input: &self.input,
            target: self.target.as_ref(),
        };
        let mut heads = BTreeMap::new();
        for (key, info) in &self.places {
            if !matches!(info.dtype, Dtype::F16 | Dtype::F32 | Dtype::F64) {
                let reason = format!("`{key}` is of type {:?}, not floating point", info.dtype);
                return Err(self.wrong(reason));
            }
            let found = &info.shape;
            let tokens = given.tokens(key.stack());
            let expected = match *key {
                ArrayKey::HiddenStates { .. } => {
                    vec![tokens, found.last().copied().unwrap_or(0)]
                }
                ArrayKey::Layer { stack, array, .. } => {
                    let heads = match array.has_heads() {
                        true => *heads
                            .entry(stack)
                            .or_insert(found.first().copied().unwrap_or(0)),
                        false => 0,
                    };
                    let sources = match array.is_cross() {
                        true => given.tokens(Stack::Encoder),
                        false => tokens,
                    };
                    array.shape(heads, tokens, sources)
                }
            };
            if *found != expected || found.contains(&0) {
                return Err(self.wrong(format!(
                    "`{key}` has the shape {found:?} where {expected:?} fits {tokens} tokens and the other arrays"
                )));
            }
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
        let mut analysis = Self::new(
            reader.input.clone(),
            reader.target.clone(),
            reader.metadata.clone(),
        );
        let keys: Vec<ArrayKey> = reader.keys().copied().collect();
        for key in keys {
            if let Some(array) = reader.array(&key)? {
                analysis.insert(key, array);
            }
        }
        Ok(analysis)
    }
}

impl LayerArray {
    /// Every array that a layer of some model can have, in the order of a file.
    fn all() -> Vec<Self> {
        let mut arrays = vec![
            LayerArray::AttentionWeights,
            LayerArray::TransformedNorms,
            LayerArray::WeightedNorms,
            LayerArray::CrossAttentionWeights,
            LayerArray::CrossTransformedNorms,
            LayerArray::CrossWeightedNorms,
            LayerArray::MixingRatio(MixingMeasure::AttentionWeights),
            LayerArray::MixingRatio(MixingMeasure::AttentionWeightsResidual),
        ];
        for scope in Scope::ALL {
            arrays.extend([
                LayerArray::Norms(scope),
                LayerArray::PreservingNorms(scope),
                LayerArray::MixingNorms(scope),
                LayerArray::MixingRatio(scope.into()),
                LayerArray::BiasNorms(scope),
                LayerArray::ReconstructionError(scope),
            ]);
        }
        arrays
    }

    /// Whether its first axis is the heads.
    fn has_heads(self) -> bool {
        self.axes().first() == Some(&Axis::Head)
    }
}

impl FromStr for ArrayKey {
    type Err = Error;

    /// The inverse of its display.
    fn from_str(name: &str) -> Result<Self, Error> {
        let (stack, rest) = [Stack::Encoder, Stack::Decoder]
            .into_iter()
            .find_map(|stack| Some((stack, name.strip_prefix(stack.prefix())?)))
            .unwrap_or((Stack::Only, name));
        let candidates = match rest.split('.').collect::<Vec<_>>()[..] {
            ["hidden_states", index] => index
                .parse()
                .map(|index| vec![ArrayKey::HiddenStates { stack, index }]),
            ["layers", layer, ..] => layer.parse().map(|layer| {
                let arrays = LayerArray::all().into_iter();
                arrays.map(|array| array.of(stack, layer)).collect()
            }),
            _ => Ok(Vec::new()),
        };
        candidates
            .unwrap_or_default()
            .into_iter()
            .find(|key| key.to_string() == name)
            .ok_or_else(|| Error::UnknownArray {
                name: name.to_owned(),
            })
    }
}

fn not_an_analysis(path: &Path, reason: impl Into<String>) -> Error {
    Error::NotAnAnalysis {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// The elements of a byte string whose length is a multiple of theirs.
fn chunks<const N: usize, T>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|bytes| element(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_as_it_is_written() {
        let mut keys = Vec::new();
        for stack in [Stack::Only, Stack::Encoder, Stack::Decoder] {
            keys.extend([0, 7, 123].map(|index| ArrayKey::HiddenStates { stack, index }));
            for layer in [0, 11, 100] {
                let arrays = LayerArray::all().into_iter();
                keys.extend(arrays.map(|array| array.of(stack, layer)));
            }
        }
        for key in keys {
            assert_eq!(key.to_string().parse::<ArrayKey>().unwrap(), key);
        }
    }

    #[test]
    fn other_names_are_no_keys() {
        for name in [
            "",
            "input_ids",
            "layers.0",
            "layers.00.attention_weights",
            "layers.0.norms.nothing",
            "layers.0.norms.attn.",
            "layers.-1.norms.attn",
            "layers.18446744073709551616.norms.attn",
            "hidden_states.+1",
        ] {
            assert!(name.parse::<ArrayKey>().is_err(), "{name:?}");
        }
    }
}
