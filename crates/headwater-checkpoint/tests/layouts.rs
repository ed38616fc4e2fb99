//! One model in every layout that checkpoints come in gives the same tensors.

mod common;

use std::fs;
use std::path::Path;

use common::{
    config, names, serialize, shards, tensors, tokenizer, tokenizer_config, value, write,
    write_plain,
};
use headwater_checkpoint::wiring::{
    AttentionSpec, EmbeddingSpec, FeedForwardSpec, LayerSpec, Layers, NormSpec, PlainSpec,
    Sublayer, Wiring,
};
use headwater_checkpoint::{Activation, Architecture, Checkpoint, Dtype, HubOptions};
use sha2::{Digest, Sha256};

/// Asserts that the small BERT comes out whole, whatever its layout.
fn check(directory: &Path, dtype: Dtype, unused: &[&str]) -> Checkpoint {
    let checkpoint = Checkpoint::open_directory(directory).unwrap();
    let canonical: Vec<&str> = checkpoint
        .parameters()
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    let names = names();
    assert_eq!(
        canonical,
        names
            .iter()
            .map(|(name, ..)| name.as_str())
            .collect::<Vec<_>>()
    );

    for (number, (name, _, shape)) in names.iter().enumerate() {
        let tensor = checkpoint.read(name).unwrap();
        let expected: Vec<f64> = (0..shape.iter().product())
            .map(|index| value(number, index))
            .collect();
        assert_eq!(&tensor.shape, shape, "{name}");
        assert_eq!(tensor.dtype(), dtype, "{name}");
        assert_eq!(tensor.to_f64(), expected, "{name}");
        let single: Vec<f32> = expected.iter().map(|&value| value as f32).collect();
        assert_eq!(tensor.to_f32(), single, "{name}");
    }
    let elements: usize = names
        .iter()
        .map(|(.., shape)| shape.iter().product::<usize>())
        .sum();
    assert_eq!(checkpoint.parameter_count(), elements);
    let found: Vec<&str> = checkpoint
        .unused()
        .iter()
        .map(|t| t.name.as_str())
        .collect();
    assert_eq!(found, unused);
    checkpoint
}

#[test]
fn bare_encoder() {
    let directory = tempfile::tempdir().unwrap();
    write_plain(directory.path());
    let checkpoint = check(directory.path(), Dtype::F32, &[]);
    assert_eq!(checkpoint.directory(), directory.path());
    assert_eq!(checkpoint.name(), directory.path().to_str().unwrap());
    assert!(checkpoint.has("layers.1.feed_forward_norm.bias"));
    assert!(!checkpoint.has("layers.2.feed_forward_norm.bias"));
    let norm = NormSpec::layer(1e-12);
    let feed_forward = FeedForwardSpec::Plain(PlainSpec::new(10, Activation::Gelu));
    let sublayers = [
        Sublayer::Attention(AttentionSpec::new(2, 3)),
        Sublayer::FeedForward(feed_forward),
    ];
    let wiring = Wiring {
        embeddings: EmbeddingSpec {
            token_types: 3,
            norm: Some(norm),
            ..EmbeddingSpec::learned(6, 7, 0)
        },
        layers: Layers::alike(2, LayerSpec::post_norm(norm, sublayers)),
        final_norm: None,
        head: None,
    };
    let expected = Architecture::new("bert", [11, 6], 0, wiring);
    assert_eq!(checkpoint.architecture(), &expected);
    assert_eq!(expected.d_head(), 3);
}

#[test]
fn encoder_below_a_task_head() {
    let directory = tempfile::tempdir().unwrap();
    let mut tensors = tensors(Dtype::F32, |name| format!("bert.{name}"));
    let head = common::Tensor::new(Dtype::F32, &[2], [0.5, f64::NAN].into_iter());
    let ids = common::Tensor::new(Dtype::I64, &[1, 7], (0..7).map(f64::from));
    tensors.insert("classifier.bias".into(), head);
    tensors.insert("bert.embeddings.position_ids".into(), ids);
    write(directory.path(), &config(), &tensors);

    let unused = ["bert.embeddings.position_ids", "classifier.bias"];
    let checkpoint = check(directory.path(), Dtype::F32, &unused);
    let ids = &checkpoint.unused()[0];
    assert_eq!(
        (ids.shape.as_slice(), ids.dtype),
        ([1, 7].as_slice(), Dtype::I64)
    );
    let words = &checkpoint.parameters()[0];
    assert_eq!(words.name_in_file, "bert.embeddings.word_embeddings.weight");
}

#[test]
fn old_layer_norm_names() {
    let directory = tempfile::tempdir().unwrap();
    let old = |name: &str| match name.rsplit_once("LayerNorm.") {
        Some((module, "weight")) => format!("bert.{module}LayerNorm.gamma"),
        Some((module, _)) => format!("bert.{module}LayerNorm.beta"),
        None => format!("bert.{name}"),
    };
    write(directory.path(), &config(), &tensors(Dtype::F32, old));
    check(directory.path(), Dtype::F32, &[]);
}

#[test]
fn every_float_type() {
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F64] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &config(), &tensors(dtype, str::to_owned));
        check(directory.path(), dtype, &[]);
    }
}

#[test]
fn shards_behind_an_index() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.json"), config().to_string()).unwrap();
    let files = shards(&tensors(Dtype::F32, str::to_owned));
    for (name, bytes) in &files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let checkpoint = check(directory.path(), Dtype::F32, &[]);
    let whole = [&files[1].1[..], &files[2].1[..]].concat();
    assert_eq!(checkpoint.weights_sha256().unwrap(), hexadecimal(&whole));
}

#[test]
fn checksum_is_that_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    write_plain(directory.path());
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    let bytes = serialize(&tensors(Dtype::F32, str::to_owned));
    assert_eq!(checkpoint.weights_sha256().unwrap(), hexadecimal(&bytes));
}

fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn a_directory_is_no_hub_id() {
    let directory = tempfile::tempdir().unwrap();
    write_plain(directory.path());
    let name = directory.path().to_str().unwrap();
    let checkpoint = Checkpoint::open(name, &HubOptions::default()).unwrap();
    assert_eq!(checkpoint.name(), name);
}

#[test]
fn tokenizer_neither_pads_nor_truncates() {
    let directory = tempfile::tempdir().unwrap();
    write_plain(directory.path());
    let put = |file: &str, text: String| fs::write(directory.path().join(file), text).unwrap();
    put("tokenizer.json", tokenizer().to_string());
    put("tokenizer_config.json", tokenizer_config().to_string());
    let tokenizer = Checkpoint::open_directory(directory.path())
        .unwrap()
        .tokenizer()
        .unwrap();
    let text = tokenizer.encode("rivers flow down", None).unwrap();
    assert_eq!(text.ids, [2, 3, 4]);
    assert_eq!(text.offsets, [Some(0..6), Some(7..11), Some(12..16)]);
}

/// What `torch.compile` and parallel training leave before all names.
#[test]
fn wrapped_encoders() {
    for prefix in [
        "_orig_mod.",
        "module.bert.",
        "module._orig_mod.bert.",
        "_orig_mod.module.",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let tensors = tensors(Dtype::F32, |name| format!("{prefix}{name}"));
        write(directory.path(), &config(), &tensors);
        let checkpoint = check(directory.path(), Dtype::F32, &[]);
        let words = &checkpoint.parameters()[0].name_in_file;
        assert_eq!(words, &format!("{prefix}embeddings.word_embeddings.weight"));
    }
}

/// What lies within layers or embeddings and is not used is told about; heads and buffers are not.
#[test]
fn unused_tensors_within_the_layers() {
    let directory = tempfile::tempdir().unwrap();
    let mut tensors = tensors(Dtype::F32, |name| format!("bert.{name}"));
    let one = tensors["bert.embeddings.LayerNorm.weight"].clone();
    for name in [
        "bert.embeddings.position_ids",
        "bert.pooler.dense.weight",
        "classifier.weight",
        "cls.predictions.decoder.weight",
        "bert.encoder.layer.0.attention.self.distance_embedding.weight",
        "bert.encoder.layer.1.attention.self.distance_embedding.weight",
        "bert.embeddings.entity.weight",
    ] {
        tensors.insert(name.into(), one.clone());
    }
    write(directory.path(), &config(), &tensors);
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    assert_eq!(checkpoint.unused().len(), 7);
    assert_eq!(
        checkpoint.warnings(),
        [
            "the weights have tensors within layers or embeddings that a bert does not use and that \
             are passed over: \"bert.embeddings.entity.weight\", \
             \"bert.encoder.layer.*.attention.self.distance_embedding.weight\" (2)"
        ]
    );
}
