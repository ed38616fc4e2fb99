//! `generation_config.json` as published, left out, and broken.

use std::fs;

use headwater_checkpoint::{EarlyStopping, Error, GenerationSettings};
use serde_json::{Value, json};

/// What is read from a directory with these files.
fn read(config: Option<Value>, generation: Option<&str>) -> Result<GenerationSettings, Error> {
    let directory = tempfile::tempdir().unwrap();
    if let Some(config) = config {
        fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    }
    if let Some(generation) = generation {
        fs::write(directory.path().join("generation_config.json"), generation).unwrap();
    }
    GenerationSettings::read(directory.path())
}

fn config() -> Value {
    json!({ "vocab_size": 100, "max_position_embeddings": 512 })
}

/// The error's message for a field of `generation_config.json`.
fn refused(field: &str, value: Value) -> Error {
    let mut fields = json!({ "decoder_start_token_id": 99, "eos_token_id": 0 });
    fields[field] = value;
    let error = read(Some(config()), Some(&fields.to_string())).unwrap_err();
    let message = error.to_string();
    assert!(
        !message.contains('\n') && message.contains(field),
        "{message}"
    );
    error
}

#[test]
fn marian() {
    let fields = json!({
        "bad_words_ids": [[99]], "bos_token_id": 0, "decoder_start_token_id": 99,
        "eos_token_id": 0, "forced_eos_token_id": 0, "max_length": 512, "num_beams": 4,
        "pad_token_id": 99, "renormalize_logits": true, "transformers_version": "4.32.0"
    });
    let expected = GenerationSettings {
        num_beams: 4,
        max_length: 512,
        forced_eos_token_id: vec![0],
        bad_words_ids: vec![vec![99]],
        renormalize_logits: true,
        ..GenerationSettings::new(99, 0)
    };
    let found = read(Some(config()), Some(&fields.to_string())).unwrap();
    assert_eq!(found, expected);
    // The same in config.json alone, among the fields of the model.
    let mut both = fields;
    both["vocab_size"] = json!(100);
    both["d_model"] = json!(512);
    both["repetition_penalty"] = json!(1.0);
    assert_eq!(read(Some(both), None).unwrap(), expected);
}

#[test]
fn summarizing_bart() {
    let fields = json!({
        "bos_token_id": 0, "decoder_start_token_id": 2, "early_stopping": true,
        "eos_token_id": 2, "forced_bos_token_id": 0, "forced_eos_token_id": 2,
        "length_penalty": 2.0, "max_length": 142, "min_length": 56,
        "no_repeat_ngram_size": 3, "num_beams": 4, "pad_token_id": 1
    });
    let expected = GenerationSettings {
        num_beams: 4,
        max_length: 142,
        min_length: 56,
        length_penalty: 2.0,
        early_stopping: EarlyStopping::Full,
        forced_bos_token_id: Some(0),
        forced_eos_token_id: vec![2],
        no_repeat_ngram_size: 3,
        ..GenerationSettings::new(2, 2)
    };
    assert_eq!(
        read(Some(config()), Some(&fields.to_string())).unwrap(),
        expected
    );
}

#[test]
fn defaults() {
    let found = read(
        Some(config()),
        Some("{\"bos_token_id\": 7, \"eos_token_id\": null}"),
    )
    .unwrap();
    let expected = GenerationSettings {
        eos_token_id: Vec::new(),
        ..GenerationSettings::new(7, 0)
    };
    assert_eq!(found, expected);
    // Few positions bound the usual length, and no length that is asked for.
    let short = json!({ "max_position_embeddings": 12, "bos_token_id": 7 });
    assert_eq!(read(Some(short.clone()), None).unwrap().max_length, 12);
    let long = "{\"bos_token_id\": 7, \"max_length\": 40, \"early_stopping\": \"never\"}";
    let found = read(Some(short), Some(long)).unwrap();
    assert_eq!(
        (found.max_length, found.early_stopping),
        (40, EarlyStopping::Never)
    );
    // New tokens do not count the start token, and win.
    let new = json!({
        "bos_token_id": 7, "max_length": 40, "max_new_tokens": 8, "min_length": 1, "min_new_tokens": 3
    });
    let found = read(None, Some(&new.to_string())).unwrap();
    assert_eq!((found.max_length, found.min_length), (9, 4));
}

#[test]
fn nothing_to_read() {
    assert!(matches!(read(None, None), Err(Error::MissingConfig { .. })));
    for text in ["[]", "{", ""] {
        let error = read(Some(config()), Some(text)).unwrap_err();
        assert!(
            matches!(&error, Error::MalformedConfig { path, .. } if path.ends_with("generation_config.json"))
        );
    }
    let error = read(Some(config()), Some("{}")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "generation_config.json has neither \"decoder_start_token_id\" nor \"bos_token_id\""
    );
}

#[test]
fn impossible_values() {
    for (field, value) in [
        ("decoder_start_token_id", json!(100)),
        ("eos_token_id", json!([2, -1])),
        ("eos_token_id", json!("</s>")),
        ("forced_bos_token_id", json!(1e300)),
        ("bad_words_ids", json!([99])),
        ("bad_words_ids", json!([[99], []])),
        ("bad_words_ids", json!([[100]])),
        ("num_beams", json!(0)),
        ("num_beams", json!(257)),
        ("num_beams", json!(u64::MAX)),
        ("max_length", json!(1)),
        ("max_new_tokens", json!(0)),
        ("min_length", json!(-2)),
        ("length_penalty", json!("long")),
        ("early_stopping", json!("always")),
        ("no_repeat_ngram_size", json!(1.5)),
        ("renormalize_logits", json!(1)),
    ] {
        let error = refused(field, value);
        assert!(
            matches!(error, Error::InvalidGenerationField { .. }),
            "{error:?}"
        );
    }
}

/// What a file states sizes memory and time: neither is without bound.
#[test]
fn sizes_are_bounded() {
    let large = json!({ "vocab_size": 1000 });
    let with = |ids: Vec<u32>| {
        let fields = json!({ "bos_token_id": 0, "eos_token_id": ids });
        read(Some(large.clone()), Some(&fields.to_string()))
    };
    assert_eq!(with((0..256).collect()).unwrap().eos_token_id.len(), 256);
    assert!(with((0..257).collect()).is_err());
    assert_eq!(with(vec![7; 100_000]).unwrap().eos_token_id, [7]);
}

#[test]
fn settings_that_would_be_passed_over() {
    for (field, value) in [
        ("repetition_penalty", json!(1.2)),
        ("suppress_tokens", json!([1, 2])),
        ("sequence_bias", json!([[[5], 1.0]])),
        ("num_beam_groups", json!(2)),
        ("encoder_no_repeat_ngram_size", json!(3)),
        ("stop_strings", json!("\n")),
    ] {
        let error = refused(field, value);
        assert!(
            matches!(error, Error::UnsupportedGeneration { .. }),
            "{error:?}"
        );
    }
    let fields = json!({
        "bos_token_id": 0, "repetition_penalty": 1.0, "suppress_tokens": [], "num_beam_groups": 1,
        "sequence_bias": null, "do_sample": true, "temperature": 0.7, "top_k": 50
    });
    assert!(read(None, Some(&fields.to_string())).is_ok());
}

#[test]
fn the_start_token_alone() {
    let fields = json!({
        "decoder_start_token_id": 99, "bos_token_id": 7, "repetition_penalty": 1.2,
        "num_beams": 0, "eos_token_id": "</s>"
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("generation_config.json");
    fs::write(&path, fields.to_string()).unwrap();
    fs::write(
        directory.path().join("config.json"),
        json!({ "vocab_size": 100 }).to_string(),
    )
    .unwrap();
    let start = || GenerationSettings::read_start_token(directory.path());
    assert_eq!(start().unwrap(), 99);
    assert!(GenerationSettings::read(directory.path()).is_err());
    fs::write(&path, "{\"bos_token_id\": 7}").unwrap();
    assert_eq!(start().unwrap(), 7);
    fs::write(&path, "{\"decoder_start_token_id\": 100}").unwrap();
    assert!(matches!(start(), Err(Error::InvalidGenerationField { .. })));
    fs::write(&path, "{}").unwrap();
    assert!(matches!(start(), Err(Error::MissingStartToken { .. })));
}

#[test]
fn ids_are_those_of_the_decoder() {
    let fields = json!({
        "vocab_size": 100, "decoder_vocab_size": 120, "share_encoder_decoder_embeddings": false,
        "decoder_start_token_id": 119, "eos_token_id": 0
    });
    let found = read(Some(fields.clone()), None).unwrap();
    assert_eq!(found.decoder_start_token_id, 119);
    // Where the embeddings are shared, the decoder's size says nothing.
    let mut shared = fields;
    shared["share_encoder_decoder_embeddings"] = json!(true);
    let error = read(Some(shared), None).unwrap_err();
    assert!(
        matches!(error, Error::InvalidGenerationField { .. }),
        "{error:?}"
    );
}
