//! Keys of the configuration that nothing reads: passed over, told about, or refused.

use headwater_checkpoint::{Checkpoint, Dtype, Error};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{golden, tensors, write};
use crate::refusal;

/// The small BERT with further fields.
fn with(fields: Value) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut config = crate::common::config();
    config
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    write(
        directory.path(),
        &config,
        &tensors(Dtype::F32, str::to_owned),
    );
    directory
}

/// What is said about it.
fn warnings(directory: &TempDir) -> Vec<String> {
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    checkpoint.warnings().to_vec()
}

#[test]
fn harmless_keys_are_passed_over_without_a_word() {
    let published = with(json!({
        "architectures": ["BertForMaskedLM"],
        "attention_probs_dropout_prob": 0.3,
        "classifier_dropout": 0.2,
        "directionality": "bidi",
        "gradient_checkpointing": false,
        "hidden_dropout_prob": 0.3,
        "id2label": {"0": "LABEL"},
        "initializer_range": 7,
        "max_length": 7,
        "pooler_fc_size": 768,
        "prefix": " ",
        "repetition_penalty": 3.5,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.6.0",
        "use_cache": false,
    }));
    assert_eq!(warnings(&published), [""; 0]);
}

#[test]
fn what_a_class_knows_is_refused_unless_at_its_default() {
    let refused = [
        ("per_layer_config", json!({"1": {"hidden_act": "relu"}})),
        ("cross_attention_hidden_size", json!(6)),
        ("tie_encoder_decoder", json!(true)),
    ];
    for (name, value) in refused {
        let error = refusal(&with(json!({ name: value })));
        assert_refused!(error, Error::UnsupportedKey { field, .. } if field == name, name);
    }
    let defaults = with(json!({
        "per_layer_config": null,
        "cross_attention_hidden_size": null,
        "tie_encoder_decoder": false,
    }));
    assert_eq!(warnings(&defaults), [""; 0]);
}

#[test]
fn unknown_keys_are_named_once() {
    let told = warnings(&with(
        json!({"windw": 3, "n_head": 2, "directionality": "bidi"}),
    ));
    let expected =
        "config.json has keys that no bert knows and that are passed over: \"n_head\", \"windw\"";
    assert_eq!(told, [expected]);
    let many: Value = (0..9).map(|i| (format!("x{i}"), json!(i))).collect();
    let told = warnings(&with(many));
    assert!(told[0].ends_with("\"x5\" and 3 more"), "{told:?}");
}

/// Python writes them where a number is missing.
#[test]
fn what_is_no_number_matters_only_where_it_is_read() {
    for name in ["initializer_range", "layer_norm_eps"] {
        let directory = with(json!({ name: "@" }));
        let path = directory.path().join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"@\"", "NaN")).unwrap();
        match name {
            "layer_norm_eps" => {
                assert_refused!(refusal(&directory), Error::InvalidField { .. }, "NaN");
            }
            _ => assert_eq!(warnings(&directory), [""; 0]),
        }
    }
}

/// The small GPT-2 of the fixtures after a change of its configuration.
fn gpt2(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (mut config, tensors) = golden("gpt2");
    change(config.as_object_mut().unwrap());
    write(directory.path(), &config, &tensors);
    directory
}

#[test]
fn keys_go_by_the_other_names_of_their_class() {
    let renamed = gpt2(|config| {
        for (field, alias) in [
            ("n_embd", "hidden_size"),
            ("n_head", "num_attention_heads"),
            ("n_layer", "num_hidden_layers"),
            ("n_positions", "max_position_embeddings"),
        ] {
            let value = config.remove(field).unwrap();
            config.insert(alias.into(), value);
        }
    });
    let plain = gpt2(|_| ());
    let open = |directory: &TempDir| {
        let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
        assert_eq!(checkpoint.warnings(), [""; 0]);
        checkpoint.architecture().clone()
    };
    assert_eq!(open(&renamed), open(&plain));

    let both = gpt2(|config| drop(config.insert("hidden_size".into(), json!(32))));
    assert_eq!(open(&both), open(&plain));
    let contradictory = gpt2(|config| drop(config.insert("hidden_size".into(), json!(64))));
    assert_refused!(
        refusal(&contradictory),
        Error::ContradictoryFields {
            field: "n_embd",
            alias: "hidden_size",
            ..
        },
        "take one of them out"
    );
}

/// As version 5 of transformers has it; version 4 does not know the key.
#[test]
fn a_decoder_that_looks_both_ways() {
    for (value, causal) in [
        (json!(false), false),
        (json!(true), true),
        (Value::Null, false),
    ] {
        let directory = gpt2(|config| drop(config.insert("is_causal".into(), value)));
        let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
        assert_eq!(checkpoint.architecture().causal, causal);
        assert_eq!(checkpoint.warnings(), [""; 0]);
    }
    let directory = gpt2(|config| drop(config.insert("is_causal".into(), json!("no"))));
    assert_refused!(refusal(&directory), Error::InvalidField { .. }, "is_causal");
    // A decoder is one whatever is said of it.
    let directory = gpt2(|config| drop(config.insert("is_decoder".into(), json!(true))));
    assert_eq!(warnings(&directory), [""; 0]);
    // An encoder does anyway.
    assert_eq!(warnings(&with(json!({"is_causal": true}))), [""; 0]);
}

#[test]
fn a_translation_model_whose_decoder_looks_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let (mut config, tensors) = golden("bart");
    config["is_causal"] = json!(false);
    write(directory.path(), &config, &tensors);
    assert_refused!(
        refusal(&directory),
        Error::UnsupportedVariant {
            field: "is_causal",
            ..
        },
        "looks both ways"
    );
}
