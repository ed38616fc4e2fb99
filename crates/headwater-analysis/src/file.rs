//! The analysis file: safetensors, written layer by layer, complete or not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use half::f16;
use serde_json::{Map, Value, json};

use crate::error::FileAction;
use crate::{Array, ArrayKey, Error, Inputs, LayerArray, Precision, WholeFile};

/// The format's name and version, in the metadata of every file.
pub const FORMAT: &str = "headwater.analysis/1";

/// How floating-point arrays are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Store {
    /// In the precision they were computed in.
    #[default]
    Full,
    /// As float32, whatever they were computed in.
    F32,
    /// As float16, half the size and about three digits. Reconstruction errors
    /// stay as they are: they are below what float16 can tell from zero.
    F16,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Store::Full => "full",
            Store::F32 => "f32",
            Store::F16 => "f16",
        })
    }
}

impl FromStr for Store {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "full" => Ok(Store::Full),
            "f32" => Ok(Store::F32),
            "f16" => Ok(Store::F16),
            _ => Err(Error::UnknownStore {
                name: name.to_owned(),
            }),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    I64,
    F64,
    F32,
    F16,
}

impl Element {
    fn of(key: &ArrayKey, precision: Precision, store: Store) -> Self {
        let exact = matches!(
            key,
            ArrayKey::Layer {
                array: LayerArray::ReconstructionError(_),
                ..
            }
        );
        match (store, precision) {
            (Store::F16, _) if !exact => Element::F16,
            (Store::F32, _) | (_, Precision::F32) => Element::F32,
            (_, Precision::F64) => Element::F64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Element::I64 => "I64",
            Element::F64 => "F64",
            Element::F32 => "F32",
            Element::F16 => "F16",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Element::I64 | Element::F64 => 8,
            Element::F32 => 4,
            Element::F16 => 2,
        }
    }
}

/// The room of an array in a file.
#[derive(Debug, Clone)]
struct Slot {
    offset: u64,
    element: Element,
    shape: Vec<usize>,
}

/// Where everything of a file goes; known before anything is computed.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The bytes of a file up to the first computed array: header and ids.
    preamble: Vec<u8>,
    places: BTreeMap<ArrayKey, Slot>,
    length: u64,
}

impl Layout {
    /// The layout of a file with these metadata, inputs and arrays, computed in
    /// `precision` and stored as `store`. Files of one layout are the same to
    /// the byte but for the values of the arrays.
    pub fn new(
        metadata: &BTreeMap<String, String>,
        arrays: &[(ArrayKey, Vec<usize>)],
        inputs: Inputs<'_>,
        precision: Precision,
        store: Store,
    ) -> Self {
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), json!(metadata));
        let mut offset = 0;
        let mut entry = |name: String, element: Element, shape: &[usize]| -> usize {
            let start = offset;
            offset += shape.iter().product::<usize>() * element.bytes();
            header.insert(
                name,
                json!({
                    "dtype": element.name(),
                    "shape": shape,
                    "data_offsets": [start, offset],
                }),
            );
            start
        };
        for (name, ids) in inputs.id_lists() {
            entry(name.to_owned(), Element::I64, &[ids.len()]);
        }
        // Wide elements first: every array is aligned to its element.
        let mut ordered: Vec<_> = arrays
            .iter()
            .map(|(key, shape)| (Element::of(key, precision, store), key, shape))
            .collect();
        ordered.sort_by_key(|(element, ..)| std::cmp::Reverse(element.bytes()));
        let starts: Vec<_> = ordered
            .into_iter()
            .map(|(element, key, shape)| {
                let offset = entry(key.to_string(), element, shape) as u64;
                let shape = shape.clone();
                let slot = Slot {
                    offset,
                    element,
                    shape,
                };
                (*key, slot)
            })
            .collect();

        let mut json = Value::Object(header).to_string().into_bytes();
        // The format aligns the data to 8 bytes by padding the header with spaces.
        json.resize(json.len().next_multiple_of(8), b' ');
        let mut preamble = (json.len() as u64).to_le_bytes().to_vec();
        preamble.extend(json);
        let data = preamble.len() as u64;
        for (_, ids) in inputs.id_lists() {
            preamble.extend(ids.iter().flat_map(|&id| i64::from(id).to_le_bytes()));
        }
        Self {
            places: starts
                .into_iter()
                .map(|(key, slot)| {
                    let offset = data + slot.offset;
                    (key, Slot { offset, ..slot })
                })
                .collect(),
            length: data + offset as u64,
            preamble,
        }
    }

    /// Whether a file is complete and has this layout and input: its header,
    /// which names model, weights, tokens, settings and arrays, is the same to
    /// the byte, and nothing is missing behind it.
    pub fn matches(&self, path: impl AsRef<Path>) -> bool {
        let mut found = vec![0; self.preamble.len()];
        File::open(path)
            .and_then(|mut file| {
                file.read_exact(&mut found)?;
                Ok(file.metadata()?.len() == self.length)
            })
            .is_ok_and(|whole| whole && found == self.preamble)
    }
}

/// Up to this size a file is put together in memory and written at once: short
/// texts have hundreds of arrays of a few numbers each.
const AT_ONCE: u64 = 1 << 20;

/// Writes an analysis layer by layer; dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub struct AnalysisWriter {
    file: WholeFile,
    path: PathBuf,
    places: BTreeMap<ArrayKey, Slot>,
    /// The arrays that are still to come.
    missing: BTreeSet<ArrayKey>,
    /// All of a small file.
    bytes: Option<Vec<u8>>,
}

impl AnalysisWriter {
    /// Begins a file of a layout that will be `path`.
    ///
    /// # Errors
    /// As [`WholeFile::create`].
    pub fn create(path: &Path, layout: &Layout) -> Result<Self, Error> {
        let mut writer = Self {
            file: WholeFile::create(path)?,
            path: path.to_owned(),
            places: layout.places.clone(),
            missing: layout.places.keys().copied().collect(),
            bytes: None,
        };
        if layout.length <= AT_ONCE {
            let mut bytes = layout.preamble.clone();
            bytes.resize(layout.length as usize, 0);
            writer.bytes = Some(bytes);
            return Ok(writer);
        }
        let file = writer.file.file();
        let written = file
            .set_len(layout.length)
            .and_then(|()| file.write_all(&layout.preamble));
        written.map_err(failure(path))?;
        Ok(writer)
    }

    /// Writes one array at its place.
    ///
    /// # Errors
    /// [`Error::NotInLayout`]; [`Error::Float16Overflow`]; [`Error::Io`].
    pub fn write(&mut self, key: &ArrayKey, array: &Array) -> Result<(), Error> {
        let slot = self.places.get(key);
        let slot = slot.filter(|slot| slot.shape == array.shape());
        let &Slot {
            offset, element, ..
        } = slot.ok_or_else(|| Error::NotInLayout {
            key: key.to_string(),
            found: array.shape().to_vec(),
        })?;
        self.missing.remove(key);
        let failed = failure(&self.path);
        match &mut self.bytes {
            Some(bytes) => {
                let mut place = &mut bytes[offset as usize..];
                encode(key, array, element, |piece| {
                    place.write_all(piece).map_err(&failed)
                })
            }
            None => {
                let file = self.file.file();
                file.seek(SeekFrom::Start(offset)).map_err(&failed)?;
                encode(key, array, element, |piece| {
                    file.write_all(piece).map_err(&failed)
                })
            }
        }
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Error::Unwritten`]; [`Error::Io`].
    pub fn finish(mut self) -> Result<(), Error> {
        if let Some(key) = self.missing.first() {
            return Err(Error::Unwritten {
                key: key.to_string(),
            });
        }
        if let Some(bytes) = self.bytes.take() {
            let written = self.file.file().write_all(&bytes);
            written.map_err(failure(&self.path))?;
        }
        self.file.finish()
    }
}

/// For `map_err`: a file that cannot be written.
fn failure(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io {
        action: FileAction::Write,
        path: path.to_owned(),
        source,
    }
}

/// Bytes that are encoded before they are written: of a large array there is no
/// second copy.
const PIECE: usize = 1 << 16;

/// Hands an array as it is stored to `write`, piece by piece.
fn encode(
    key: &ArrayKey,
    array: &Array,
    element: Element,
    write: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    match (array.as_f32(), array.as_f64()) {
        (Some(values), _) => encode_values(key, values, element, write),
        (_, Some(values)) => encode_values(key, values, element, write),
        (None, None) => unreachable!("an array of neither precision"),
    }
}

fn encode_values<T: Copy + Into<f64>>(
    key: &ArrayKey,
    values: &[T],
    element: Element,
    write: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    match element {
        Element::F32 => in_pieces(values, |value| Ok((value as f32).to_le_bytes()), write),
        Element::F64 => in_pieces(values, |value| Ok(value.to_le_bytes()), write),
        Element::F16 => {
            let half = |value: f64| {
                let half = f16::from_f64(value);
                if half.is_infinite() && value.is_finite() {
                    return Err(Error::Float16Overflow {
                        key: key.to_string(),
                        value,
                    });
                }
                Ok(half.to_le_bytes())
            };
            in_pieces(values, half, write)
        }
        Element::I64 => unreachable!("`{key}` is not an array of ids"),
    }
}

/// A piece is encoded into slots of known size, which compiles to wide moves.
fn in_pieces<T: Copy + Into<f64>, const N: usize>(
    values: &[T],
    encoded: impl Fn(f64) -> Result<[u8; N], Error>,
    mut write: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let at_once = PIECE / N;
    let mut slots = vec![[0; N]; at_once.min(values.len())];
    for piece in values.chunks(at_once) {
        let slots = &mut slots[..piece.len()];
        for (slot, &value) in slots.iter_mut().zip(piece) {
            *slot = encoded(value.into())?;
        }
        write(slots.as_flattened())?;
    }
    Ok(())
}
