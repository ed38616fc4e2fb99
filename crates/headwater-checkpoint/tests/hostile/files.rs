//! Files that are missing, or are not what their names say.

use std::fs;
use std::path::Path;

use headwater_checkpoint::{Checkpoint, Dtype, Error};
use serde_json::{Value, json};

use crate::common::{shards, tensors};
use crate::{damaged, refusal, single_line};

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
        "transformers.AutoModel.from_pretrained(DIR).save_pretrained"
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
