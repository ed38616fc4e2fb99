//! Configurations that are missing, broken or not supported.

use std::fs::{self, File};

use headwater_checkpoint::{Checkpoint, Error};
use serde_json::{Value, json};

use crate::common::config;
use crate::{damaged, refusal};

/// The error after `config.json` has been changed.
fn refused_config(change: impl FnOnce(&mut Value)) -> Error {
    let mut config = config();
    change(&mut config);
    refusal(&damaged(|d| {
        fs::write(d.join("config.json"), config.to_string()).unwrap()
    }))
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
    // The parser's own message says only where it stopped.
    let text = "{\"model_type\": \"bert\",\n \"hidden_size\": 6,,}";
    let error = refusal(&damaged(|d| {
        fs::write(d.join("config.json"), text).unwrap()
    }));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.ends_with("at the key \"hidden_size\""), "{source}");
}

#[test]
fn quantized_weights_are_refused_before_anything_else() {
    let fields = json!({"quant_method": "bitsandbytes", "load_in_4bit": true});
    let error = refused_config(|config| {
        config["quantization_config"] = fields;
        config["model_type"] = json!("of-tomorrow");
    });
    assert_refused!(
        error,
        Error::Quantized { method: Some(method), .. } if method == "bitsandbytes",
        "quantized by \"bitsandbytes\""
    );
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

/// The class's default, 768, takes the place of what is absent; the error says where it is from.
#[test]
fn config_without_a_size() {
    let error =
        refused_config(|config| drop(config.as_object_mut().unwrap().remove("hidden_size")));
    assert_refused!(
        error,
        Error::ShapeMismatch { expected, .. } if expected == &[11, 768],
        "config.json says [11, 768] (it lacks hidden_size, so the defaults count)"
    );
    let error = refused_config(|config| config["hidden_size"] = Value::Null);
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
        Error::MissingModelType { guess: None },
        "add the line \"model_type\": with one of bert, roberta"
    );
    for (class, guess) in [
        ("BertForMaskedLM", "bert"),
        ("XLMRobertaModel", "xlm-roberta"),
        ("MBartForConditionalGeneration", "mbart"),
        ("GPT2LMHeadModel", "gpt2"),
    ] {
        let error = refused_config(|config| {
            config.as_object_mut().unwrap().remove("model_type");
            config["architectures"] = json!([class]);
        });
        let line = format!("add the line \"model_type\": \"{guess}\"");
        assert_refused!(error, Error::MissingModelType { guess: Some(found) } if *found == guess, &line);
    }
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
        ("pad_token_id", json!(11)),
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
    let supported = "bert, roberta, xlm-roberta, camembert, distilbert, electra, ";
    assert_refused!(error, Error::UnsupportedModel { model_type } if model_type == "gpt\n2", supported);
}

#[test]
fn variants_that_would_give_wrong_numbers() {
    let variants = [
        ("position_embedding_type", json!("relative_key")),
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
fn more_layers_than_any_file_holds() {
    let error = refused_config(|config| config["num_hidden_layers"] = json!(u64::MAX));
    let name = "encoder.layer.2.attention.self.query.weight";
    assert_refused!(error, Error::MissingTensor { name: found, .. } if found == name, name);
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
