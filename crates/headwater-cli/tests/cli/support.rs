//! Running the program, reading what it wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use safetensors::{Dtype, SafeTensors};

/// What of a user's environment would change what the program prints or reads.
const ENVIRONMENT: [&str; 12] = [
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HUGGINGFACE_HUB_CACHE",
    "NO_COLOR",
    "RAYON_NUM_THREADS",
];

/// The program on the path that Cargo built it at, whoever runs it.
pub(crate) fn headwater() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("headwater"));
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    command
}

/// `headwater analyze` on the small BERT with random weights, which has no tokenizer.
pub(crate) fn analyze() -> Command {
    let mut command = headwater();
    command
        .args(["analyze", "--model"])
        .arg(fixture("golden/bert"));
    command
}

/// `headwater analyze` on the small trained BERT, which has a tokenizer.
pub(crate) fn analyze_text() -> Command {
    let mut command = headwater();
    command
        .args(["analyze", "--model"])
        .arg(fixture("bundled-bert"));
    command
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(name)
}

/// The names in a directory, in order.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The files in a directory by name.
pub(crate) fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = names(directory).into_iter();
    names
        .map(|name| (name.clone(), fs::read(directory.join(name)).unwrap()))
        .collect()
}

pub(crate) fn stdout(command: &mut Command) -> String {
    let output = command.assert().success().get_output().clone();
    String::from_utf8(output.stdout).unwrap()
}

/// Asserts an exit status and that standard error is one line, `error: …`,
/// with these words in it.
#[track_caller]
pub(crate) fn assert_fails(command: &mut Command, code: i32, words: &[&str]) {
    let output = command.assert().code(code).get_output().clone();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("error: ") && stderr.ends_with('\n'),
        "{stderr}"
    );
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in {stderr}");
    }
}

/// A safetensors file in memory.
pub(crate) struct Arrays {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) arrays: BTreeMap<String, Array>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Arrays {
    pub(crate) fn read(path: impl AsRef<Path>) -> Self {
        let bytes = fs::read(path.as_ref()).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let array = |name: &str| {
            let view = tensors.tensor(name).unwrap();
            Array {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            }
        };
        Self {
            metadata: header
                .metadata()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            arrays: tensors
                .names()
                .into_iter()
                .map(|name| (name.to_owned(), array(name)))
                .collect(),
        }
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        self.arrays.keys().map(String::as_str).collect()
    }
}

impl Array {
    pub(crate) fn integers(&self) -> Vec<i64> {
        assert_eq!(self.dtype, Dtype::I64);
        self.bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| i64::from_le_bytes(bytes))
            .collect()
    }

    pub(crate) fn floats(&self) -> Vec<f64> {
        match self.dtype {
            Dtype::F16 => self.bytes.as_chunks().0.iter().map(|&b| half(b)).collect(),
            Dtype::F32 => self
                .bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| f32::from_le_bytes(b).into())
                .collect(),
            Dtype::F64 => self
                .bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| f64::from_le_bytes(b))
                .collect(),
            dtype => panic!("{dtype} is no floating point type of the format"),
        }
    }
}

/// A float16 that is finite and not negative, as every value of an analysis
/// but the hidden states is.
fn half(bytes: [u8; 2]) -> f64 {
    let bits = u16::from_le_bytes(bytes);
    let (exponent, fraction) = (i32::from(bits >> 10), f64::from(bits & 0x3ff) / 1024.0);
    match exponent {
        0 => fraction * 2f64.powi(-14),
        1..31 => (1.0 + fraction) * 2f64.powi(exponent - 15),
        _ => panic!("{bits:#x} is negative or not finite"),
    }
}
