//! One damaged checkpoint for each way to fail; every message is a single line.

mod common;

use std::error::Error as _;
use std::fs::{self, File};
use std::path::Path;

use common::{Tensor, Tensors, config, serialize, shards, tensors, write, write_plain};
use headwater_checkpoint::{Checkpoint, Dtype, Error};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with the small BERT in it, after `damage`.
fn damaged(damage: impl FnOnce(&Path)) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write_plain(directory.path());
    damage(directory.path());
    directory
}

/// The error of opening it, after checking that it and its sources fit one line each.
fn refusal(directory: &TempDir) -> Error {
    single_line(Checkpoint::open_directory(directory.path()).unwrap_err())
}

fn single_line(error: Error) -> Error {
    let message = error.to_string();
    assert!(
        !message.is_empty() && !message.contains('\n') && !message.ends_with('.'),
        "{message:?}"
    );
    let mut source = error.source();
    while let Some(cause) = source {
        assert!(!cause.to_string().contains('\n'), "{cause}");
        source = cause.source();
    }
    error
}

/// The error after `config.json` has been changed.
fn refused_config(change: impl FnOnce(&mut Value)) -> Error {
    let mut config = config();
    change(&mut config);
    refusal(&damaged(|d| {
        fs::write(d.join("config.json"), config.to_string()).unwrap()
    }))
}

/// The error after the tensors have been changed.
fn refused_tensors(change: impl FnOnce(&mut Tensors)) -> Error {
    let mut tensors = tensors(Dtype::F32, str::to_owned);
    change(&mut tensors);
    refusal(&damaged(|d| write(d, &config(), &tensors)))
}

/// The error of a file with this header, followed by `data` zeros.
fn refused_header(header: &str, data: usize) -> Error {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    refusal(&damaged(|d| {
        fs::write(d.join("model.safetensors"), bytes).unwrap()
    }))
}

/// The error of a sharded model after its index has been changed.
fn refused_index(change: impl FnOnce(&mut Value)) -> Error {
    refusal(&damaged(|d| {
        fs::remove_file(d.join("model.safetensors")).unwrap();
        let mut files = shards(&tensors(Dtype::F32, str::to_owned));
        let mut index: Value = serde_json::from_slice(&files[0].1).unwrap();
        change(&mut index);
        files[0].1 = index.to_string().into_bytes();
        for (name, bytes) in files {
            fs::write(d.join(name), bytes).unwrap();
        }
    }))
}

/// Asserts the variant and a part of the message.
macro_rules! assert_refused {
    ($error:expr, $pattern:pat $(if $guard:expr)?, $message:expr) => {
        let error = $error;
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
        assert!(error.to_string().contains($message), "{error}");
    };
}

#[test]
fn no_directory() {
    let error = single_line(Checkpoint::open_directory("no/such/place").unwrap_err());
    assert_refused!(error, Error::MissingDirectory { path } if path == Path::new("no/such/place"), "not a directory");
}

#[test]
fn file_in_place_of_a_directory() {
    let directory = damaged(|_| ());
    let file = directory.path().join("model.safetensors");
    let error = Checkpoint::open(file.to_str().unwrap(), &Default::default()).unwrap_err();
    assert_refused!(
        single_line(error),
        Error::MissingDirectory { .. },
        "name the one that holds"
    );
}

#[test]
fn no_config() {
    let directory = damaged(|d| fs::remove_file(d.join("config.json")).unwrap());
    assert_refused!(
        refusal(&directory),
        Error::MissingConfig { .. },
        "no config.json"
    );
}

#[test]
fn broken_config() {
    for text in ["{\"model_type\": ", "[]", "\u{0}"] {
        let directory = damaged(|d| fs::write(d.join("config.json"), text).unwrap());
        assert_refused!(
            refusal(&directory),
            Error::MalformedConfig { .. },
            "not a JSON object"
        );
    }
}

#[test]
fn endless_config() {
    let directory = damaged(|d| {
        // Sparse, so it takes no room on disk.
        File::create(d.join("config.json"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
    });
    assert_refused!(
        refusal(&directory),
        Error::FileTooLarge { .. },
        "larger than"
    );
}

#[test]
fn config_without_a_size() {
    let error =
        refused_config(|config| drop(config.as_object_mut().unwrap().remove("hidden_size")));
    assert_refused!(
        error,
        Error::MissingField {
            field: "hidden_size"
        },
        "hidden_size"
    );
}

#[test]
fn config_without_a_model_type() {
    let error = refused_config(|config| config["model_type"] = Value::Null);
    assert_refused!(
        error,
        Error::MissingField {
            field: "model_type"
        },
        "model_type"
    );
}

#[test]
fn impossible_values() {
    for value in [json!(0), json!(-1), json!(2.5), json!("6"), json!(1e300)] {
        for field in [
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "type_vocab_size",
        ] {
            let error = refused_config(|config| config[field] = value.clone());
            assert_refused!(error, Error::InvalidField { .. }, field);
        }
    }
    for (field, value) in [
        ("layer_norm_eps", json!(-1e-5)),
        ("pad_token_id", json!(-1)),
        ("hidden_act", json!(["gelu"])),
    ] {
        assert_refused!(
            refused_config(|config| config[field] = value),
            Error::InvalidField { .. },
            field
        );
    }
}

#[test]
fn unknown_model_type() {
    let error = refused_config(|config| config["model_type"] = json!("gpt\n2"));
    let supported = "bert, roberta, xlm-roberta, camembert, distilbert, electra";
    assert_refused!(error, Error::UnsupportedModel { model_type } if model_type == "gpt\n2", supported);
}

#[test]
fn variants_that_would_give_wrong_numbers() {
    let variants = [
        ("position_embedding_type", json!("relative_key")),
        ("is_decoder", json!(true)),
        ("add_cross_attention", json!(true)),
        ("pruned_heads", json!({"1": [0]})),
    ];
    for (name, value) in variants {
        let error = refused_config(|config| config[name] = value);
        assert_refused!(error, Error::UnsupportedVariant { field, .. } if *field == name, "support");
    }
    // Spelt out, the usual values change nothing.
    let mut config = config();
    config["position_embedding_type"] = json!("absolute");
    config["is_decoder"] = json!(false);
    config["pruned_heads"] = json!({});
    let directory = damaged(|d| fs::write(d.join("config.json"), config.to_string()).unwrap());
    assert!(Checkpoint::open_directory(directory.path()).is_ok());
}

#[test]
fn unknown_activation() {
    let error = refused_config(|config| config["hidden_act"] = json!("mish"));
    assert_refused!(error, Error::UnsupportedActivation { activation } if activation == "mish", "gelu_new");
}

#[test]
fn heads_that_do_not_divide_the_width() {
    let error = refused_config(|config| config["num_attention_heads"] = json!(4));
    assert_refused!(
        error,
        Error::IndivisibleHeads {
            n_heads: 4,
            d_model: 6
        },
        "4 attention heads"
    );
}

#[test]
fn no_weights() {
    let directory = damaged(|d| fs::remove_file(d.join("model.safetensors")).unwrap());
    assert_refused!(
        refusal(&directory),
        Error::MissingWeights { .. },
        "no model.safetensors"
    );
}

#[test]
fn pickled_weights_only() {
    let rename =
        |d: &Path| fs::rename(d.join("model.safetensors"), d.join("pytorch_model.bin")).unwrap();
    assert_refused!(
        refusal(&damaged(rename)),
        Error::PickledWeights { .. },
        "save_pretrained"
    );
}

#[test]
fn broken_index() {
    let error = refused_index(|index| *index = json!({"weight_map": 3}));
    assert_refused!(error, Error::MalformedIndex { .. }, "no map");
}

#[test]
fn index_that_leaves_the_directory() {
    for shard in [
        "../model.safetensors",
        "/etc/passwd",
        "a/../b",
        "a/b",
        "..",
        ".",
        "",
        "a/",
        "..\\b",
        "C:b",
        "./a",
    ] {
        let error =
            refused_index(|index| index["weight_map"]["embeddings.LayerNorm.bias"] = json!(shard));
        assert_refused!(error, Error::InvalidShardName { shard: found, .. } if found == shard, "beside it");
    }
}

#[test]
fn index_with_a_missing_shard() {
    let name = "model-00003-of-00002.safetensors";
    let error =
        refused_index(|index| index["weight_map"]["embeddings.LayerNorm.bias"] = json!(name));
    assert_refused!(error, Error::MissingShard { shard, .. } if shard == name, name);
}

#[test]
fn index_with_a_tensor_in_the_wrong_shard() {
    let error = refused_index(|index| {
        let map = index["weight_map"].as_object_mut().unwrap();
        let first = map["embeddings.LayerNorm.bias"].clone();
        map.values_mut().for_each(|shard| *shard = first.clone());
    });
    assert_refused!(error, Error::MissingFromShard { name, .. } if name == "embeddings.LayerNorm.weight", "does not hold");
}

#[test]
fn truncated_header() {
    for length in [0, 7, 8, 100] {
        let directory = damaged(|d| {
            let file = File::options()
                .write(true)
                .open(d.join("model.safetensors"))
                .unwrap();
            file.set_len(length).unwrap();
        });
        let error = refusal(&directory);
        assert_refused!(error, Error::TruncatedHeader { found, .. } if *found == length, "ends within its header");
    }
}

#[test]
fn giant_header() {
    for length in [100_000_001, 1 << 40, u64::MAX - 7, u64::MAX] {
        let directory =
            damaged(|d| fs::write(d.join("model.safetensors"), length.to_le_bytes()).unwrap());
        let error = refusal(&directory);
        assert_refused!(error, Error::HeaderTooLarge { length: found, .. } if *found == length, "no safetensors file");
    }
}

#[test]
fn damaged_header() {
    let headers = [
        ("not JSON", "rubbish"),
        (
            "overlap",
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
        ),
        (
            "gap",
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
        ),
        (
            "backwards",
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,0]},"b":{"dtype":"F32","shape":[2],"data_offsets":[12,4]}}"#,
        ),
        (
            "too few bytes",
            r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}}"#,
        ),
        (
            "overflow",
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,12]}}"#,
        ),
        (
            "unknown type",
            r#"{"a":{"dtype":"F128","shape":[1],"data_offsets":[0,12]}}"#,
        ),
    ];
    for (damage, header) in headers {
        let error = refused_header(header, 12);
        assert!(
            matches!(error, Error::MalformedHeader { .. }),
            "{damage}: {error:?}"
        );
        assert!(error.to_string().contains("damaged"), "{error}");
    }
    let bytes = [&8_u64.to_le_bytes()[..], &[0xff; 8]].concat();
    let directory = damaged(|d| fs::write(d.join("model.safetensors"), bytes).unwrap());
    assert_refused!(
        refusal(&directory),
        Error::MalformedHeader { .. },
        "damaged"
    );
}

#[test]
fn offsets_past_the_end() {
    let header =
        r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#;
    let error = refused_header(header, 12);
    assert_refused!(error, Error::WrongFileSize { expected, .. } if *expected > 4_000_000_000_000, "its header says");
    let error = refused_header(
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
        12,
    );
    assert_refused!(error, Error::WrongFileSize { .. }, "its header says");
}

#[test]
fn misspelt_tensor() {
    let expected = "encoder.layer.1.attention.self.key.weight";
    let error = refused_tensors(|tensors| {
        let tensor = tensors.remove(expected).unwrap();
        tensors.insert("encoder.layer.1.attention.self.keys.weight".into(), tensor);
    });
    assert_refused!(
        error,
        Error::MissingTensor { name, nearest: Some(nearest) }
            if name == expected && nearest == "encoder.layer.1.attention.self.keys.weight",
        "the nearest name is"
    );
}

#[test]
fn missing_tensor_with_nothing_like_it() {
    let error =
        refused_tensors(|tensors| drop(tensors.remove("encoder.layer.0.output.dense.bias")));
    assert_refused!(
        error,
        Error::MissingTensor { name, nearest: None } if name == "encoder.layer.0.output.dense.bias",
        "no tensor \"encoder.layer.0.output.dense.bias\""
    );
}

#[test]
fn more_layers_than_any_file_holds() {
    let error = refused_config(|config| config["num_hidden_layers"] = json!(u64::MAX));
    let name = "encoder.layer.2.attention.self.query.weight";
    assert_refused!(error, Error::MissingTensor { name: found, .. } if found == name, name);
}

#[test]
fn names_that_break_lines_are_quoted() {
    let error = refused_tensors(|tensors| {
        let tensor = tensors.remove("embeddings.LayerNorm.weight").unwrap();
        tensors.insert("embeddings.LayerNorm.w\neight".into(), tensor);
    });
    assert_refused!(error, Error::MissingTensor { .. }, "w\\neight");
}

#[test]
fn sizes_that_contradict_the_config() {
    for (field, name) in [
        ("vocab_size", "embeddings.word_embeddings.weight"),
        (
            "max_position_embeddings",
            "embeddings.position_embeddings.weight",
        ),
        ("type_vocab_size", "embeddings.token_type_embeddings.weight"),
        (
            "intermediate_size",
            "encoder.layer.0.intermediate.dense.weight",
        ),
        ("hidden_size", "embeddings.word_embeddings.weight"),
    ] {
        let error = refused_config(|config| config[field] = json!(12));
        assert_refused!(error, Error::ShapeMismatch { name: found, .. } if found == name, "config.json says");
    }
}

#[test]
fn transposed_tensor() {
    let name = "encoder.layer.1.output.dense.weight";
    let error = refused_tensors(|tensors| tensors.get_mut(name).unwrap().shape = vec![10, 6]);
    assert_refused!(
        error,
        Error::ShapeMismatch { expected, found, .. } if expected == &[6, 10] && found == &[10, 6],
        "has shape [10, 6], config.json says [6, 10]"
    );
}

#[test]
fn integers_in_place_of_weights() {
    let name = "embeddings.LayerNorm.weight";
    let ones = Tensor::new(Dtype::I64, &[6], [1.0; 6].into_iter());
    let error = refused_tensors(|tensors| drop(tensors.insert(name.into(), ones)));
    assert_refused!(
        error,
        Error::UnsupportedDtype {
            dtype: Dtype::I64,
            ..
        },
        "holds I64"
    );
}

#[test]
fn weights_that_are_not_finite() {
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64] {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut tensors = tensors(dtype, str::to_owned);
            let values = [0.0, 1.0, 2.0, bad, 4.0, 5.0];
            let tensor = Tensor::new(dtype, &[6], values.into_iter());
            tensors.insert("embeddings.LayerNorm.bias".into(), tensor);
            let directory = damaged(|d| write(d, &config(), &tensors));
            let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
            let error = single_line(checkpoint.read("embeddings.norm.bias").unwrap_err());
            assert_refused!(error, Error::NotFinite { index: 3, .. }, "at element 3");
        }
    }
}

#[test]
fn parameter_that_there_is_not() {
    let directory = damaged(|_| ());
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    let error = single_line(checkpoint.read("embeddings.projection.weight").unwrap_err());
    assert_refused!(
        error,
        Error::UnknownParameter { .. },
        "embeddings.projection.weight"
    );
}

#[test]
fn weights_cut_off_after_opening() {
    let directory = damaged(|_| ());
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    let bytes = serialize(&tensors(Dtype::F32, str::to_owned));
    let file = File::options()
        .write(true)
        .open(directory.path().join("model.safetensors"))
        .unwrap();
    file.set_len(bytes.len() as u64 - 1).unwrap();
    // The tensor that comes last in the file.
    let last = checkpoint
        .parameters()
        .iter()
        .max_by_key(|p| &p.name_in_file)
        .unwrap();
    let error = single_line(checkpoint.read(&last.name).unwrap_err());
    assert_refused!(error, Error::Io { .. }, "model.safetensors");
}

#[test]
fn no_tokenizer() {
    let directory = damaged(|_| ());
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    let error = single_line(checkpoint.tokenizer().unwrap_err());
    assert_refused!(error, Error::MissingTokenizer { .. }, "token ids");
}

#[test]
fn broken_tokenizer() {
    for text in ["{", "{}", "[1, 2]"] {
        let directory = damaged(|d| fs::write(d.join("tokenizer.json"), text).unwrap());
        let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
        let error = single_line(checkpoint.tokenizer().unwrap_err());
        assert_refused!(error, Error::MalformedTokenizer { .. }, "not a tokenizer");
    }
}

#[cfg(not(feature = "hub"))]
#[test]
fn hub_id_without_the_feature() {
    let error = Checkpoint::open("owner/model", &Default::default()).unwrap_err();
    assert_refused!(
        single_line(error),
        Error::HubDisabled { .. },
        "feature \"hub\""
    );
}
