//! A small BERT that the tests write to disk in every layout and damage in every way,
//! and the fixtures of other families to change.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use headwater_checkpoint::Dtype;
use safetensors::tensor::{SafeTensors, TensorView};
use serde_json::{Value, json};

/// No two sizes are equal, so that a transposed or swapped tensor is noticed.
pub(crate) const VOCAB: usize = 11;
pub(crate) const POSITIONS: usize = 7;
pub(crate) const TOKEN_TYPES: usize = 3;
pub(crate) const D_MODEL: usize = 6;
pub(crate) const D_FF: usize = 10;
pub(crate) const N_LAYERS: usize = 2;

/// `config.json` of the small BERT.
pub(crate) fn config() -> Value {
    json!({
        "model_type": "bert",
        "vocab_size": VOCAB,
        "hidden_size": D_MODEL,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": D_FF,
        "hidden_act": "gelu",
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": TOKEN_TYPES,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    })
}

/// Canonical name, name in a bare BERT's file, shape.
pub(crate) fn names() -> Vec<(String, String, Vec<usize>)> {
    let embeddings: [(&str, &str, &[usize]); 5] = [
        (
            "embeddings.word.weight",
            "embeddings.word_embeddings.weight",
            &[VOCAB, D_MODEL],
        ),
        (
            "embeddings.position.weight",
            "embeddings.position_embeddings.weight",
            &[POSITIONS, D_MODEL],
        ),
        (
            "embeddings.token_type.weight",
            "embeddings.token_type_embeddings.weight",
            &[TOKEN_TYPES, D_MODEL],
        ),
        (
            "embeddings.norm.weight",
            "embeddings.LayerNorm.weight",
            &[D_MODEL],
        ),
        (
            "embeddings.norm.bias",
            "embeddings.LayerNorm.bias",
            &[D_MODEL],
        ),
    ];
    let layer: [(&str, &str, &[usize]); 16] = [
        (
            "attention.query.weight",
            "attention.self.query.weight",
            &[D_MODEL, D_MODEL],
        ),
        (
            "attention.query.bias",
            "attention.self.query.bias",
            &[D_MODEL],
        ),
        (
            "attention.key.weight",
            "attention.self.key.weight",
            &[D_MODEL, D_MODEL],
        ),
        ("attention.key.bias", "attention.self.key.bias", &[D_MODEL]),
        (
            "attention.value.weight",
            "attention.self.value.weight",
            &[D_MODEL, D_MODEL],
        ),
        (
            "attention.value.bias",
            "attention.self.value.bias",
            &[D_MODEL],
        ),
        (
            "attention.output.weight",
            "attention.output.dense.weight",
            &[D_MODEL, D_MODEL],
        ),
        (
            "attention.output.bias",
            "attention.output.dense.bias",
            &[D_MODEL],
        ),
        (
            "attention_norm.weight",
            "attention.output.LayerNorm.weight",
            &[D_MODEL],
        ),
        (
            "attention_norm.bias",
            "attention.output.LayerNorm.bias",
            &[D_MODEL],
        ),
        (
            "feed_forward.up.weight",
            "intermediate.dense.weight",
            &[D_FF, D_MODEL],
        ),
        ("feed_forward.up.bias", "intermediate.dense.bias", &[D_FF]),
        (
            "feed_forward.down.weight",
            "output.dense.weight",
            &[D_MODEL, D_FF],
        ),
        ("feed_forward.down.bias", "output.dense.bias", &[D_MODEL]),
        (
            "feed_forward_norm.weight",
            "output.LayerNorm.weight",
            &[D_MODEL],
        ),
        (
            "feed_forward_norm.bias",
            "output.LayerNorm.bias",
            &[D_MODEL],
        ),
    ];
    let owned = |(canonical, name, shape): &(&str, &str, &[usize])| {
        (canonical.to_string(), name.to_string(), shape.to_vec())
    };
    let layers = (0..N_LAYERS).flat_map(|l| {
        layer.iter().map(move |(canonical, name, shape)| {
            (
                format!("layers.{l}.{canonical}"),
                format!("encoder.layer.{l}.{name}"),
                shape.to_vec(),
            )
        })
    });
    embeddings.iter().map(owned).chain(layers).collect()
}

/// Element `index` of the tensor with the given number in [`names`].
///
/// Exact in every element type, and different from tensor to tensor.
pub(crate) fn value(tensor: usize, index: usize) -> f64 {
    ((tensor * 13 + index * 7) % 127) as f64 / 32.0 - 2.0
}

/// A tensor as it lies in a file.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Tensor {
    pub(crate) fn new(dtype: Dtype, shape: &[usize], values: impl Iterator<Item = f64>) -> Self {
        let bytes = |value: f64| match dtype {
            Dtype::F16 => f16::from_f64(value).to_le_bytes().to_vec(),
            Dtype::BF16 => bf16::from_f64(value).to_le_bytes().to_vec(),
            Dtype::F32 => (value as f32).to_le_bytes().to_vec(),
            Dtype::F64 => value.to_le_bytes().to_vec(),
            Dtype::I64 => (value as i64).to_le_bytes().to_vec(),
            other => panic!("no test writes {other}"),
        };
        Self {
            dtype,
            shape: shape.to_vec(),
            bytes: values.flat_map(bytes).collect(),
        }
    }
}

/// Tensors by their names in the file.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// The small BERT's tensors; `rename` turns a bare name into the file's.
pub(crate) fn tensors(dtype: Dtype, rename: impl Fn(&str) -> String) -> Tensors {
    let names = names().into_iter().enumerate();
    let tensors = names.map(|(number, (_, name, shape))| {
        let values = (0..shape.iter().product()).map(|index| value(number, index));
        (rename(&name), Tensor::new(dtype, &shape, values))
    });
    tensors.collect()
}

/// The bytes of a safetensors file.
pub(crate) fn serialize(tensors: &Tensors) -> Vec<u8> {
    let views = tensors.iter().map(|(name, tensor)| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
        (name, view.expect("the bytes fit the shape"))
    });
    safetensors::serialize(views, None).expect("the tensors can be serialized")
}

/// Writes `config.json` and `model.safetensors`.
pub(crate) fn write(directory: &Path, config: &Value, tensors: &Tensors) {
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    fs::write(directory.join("model.safetensors"), serialize(tensors)).unwrap();
}

/// The directory of a checkpoint that another library wrote.
pub(crate) fn fixture(family: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
    fixtures.join(family)
}

/// Its configuration and its tensors as they lie in the file.
pub(crate) fn golden(family: &str) -> (Value, Tensors) {
    let read = |name| fs::read(fixture(family).join(name)).unwrap();
    let config = serde_json::from_slice(&read("config.json")).unwrap();
    let bytes = read("model.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |view: &TensorView<'_>| Tensor {
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    let tensors = file
        .iter()
        .map(|(name, view)| (name.to_owned(), tensor(&view)));
    (config, tensors.collect())
}

/// Splits the tensors into two shards; returns file names and contents, the index first.
pub(crate) fn shards(tensors: &Tensors) -> Vec<(String, Vec<u8>)> {
    let parts: [Tensors; 2] = std::array::from_fn(|part| {
        let tensors = tensors
            .iter()
            .enumerate()
            .filter(|(number, _)| number % 2 == part);
        tensors
            .map(|(_, (name, tensor))| (name.clone(), tensor.clone()))
            .collect()
    });
    let file = |part: usize| format!("model-0000{}-of-00002.safetensors", part + 1);
    let map: BTreeMap<&str, String> = parts
        .iter()
        .enumerate()
        .flat_map(|(part, tensors)| tensors.keys().map(move |name| (name.as_str(), file(part))))
        .collect();
    let index = json!({ "metadata": {}, "weight_map": map }).to_string();
    let mut files = vec![(
        "model.safetensors.index.json".to_owned(),
        index.into_bytes(),
    )];
    files.extend(
        parts
            .iter()
            .enumerate()
            .map(|(part, tensors)| (file(part), serialize(tensors))),
    );
    files
}

/// Writes the small BERT as transformers does: bare names, single precision.
pub(crate) fn write_plain(directory: &Path) {
    write(directory, &config(), &tensors(Dtype::F32, str::to_owned));
}

/// The smallest `tokenizer.json`, with padding and truncation switched on.
pub(crate) fn tokenizer() -> Value {
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
        },
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null,
        "decoder": null,
        "model": {
            "type": "WordLevel", "unk_token": "[UNK]",
            "vocab": {"[PAD]": 0, "[UNK]": 1, "rivers": 2, "flow": 3, "down": 4}
        }
    })
}

/// Says that [`tokenizer`] is to be read as it stands: BERT's class would make
/// another one of it.
pub(crate) fn tokenizer_config() -> Value {
    json!({"tokenizer_class": "PreTrainedTokenizerFast"})
}
