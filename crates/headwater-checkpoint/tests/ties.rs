//! Tables of word embeddings that go by one of several names, and heads that are not there.

mod common;

use common::{Tensors, golden, write};
use headwater_checkpoint::{Checkpoint, Error};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with a fixture in it, after a change.
fn changed(family: &str, change: impl FnOnce(&mut Value, &mut Tensors)) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (mut config, mut tensors) = golden(family);
    change(&mut config, &mut tensors);
    write(directory.path(), &config, &tensors);
    directory
}

/// Programs that keep one name of a matrix (`safetensors.torch.save_model`) keep any.
#[test]
fn the_one_table_has_any_of_its_names() {
    let names = [
        "lm_head.weight",
        "model.encoder.embed_tokens.weight",
        "model.decoder.embed_tokens.weight",
    ];
    let cases = [
        ("marian", "model.shared.weight", &names[..]),
        ("bart", "model.shared.weight", &names[..]),
        ("mbart", "model.shared.weight", &names[..]),
        ("gpt2", "transformer.wte.weight", &names[..1]),
        ("opt", "model.decoder.embed_tokens.weight", &names[..1]),
        (
            "bert",
            "bert.embeddings.word_embeddings.weight",
            &["cls.predictions.decoder.weight"],
        ),
        (
            "roberta",
            "embeddings.word_embeddings.weight",
            &["lm_head.decoder.weight"],
        ),
        (
            "distilbert",
            "distilbert.embeddings.word_embeddings.weight",
            &["vocab_projector.weight"],
        ),
        (
            "electra",
            "electra.embeddings.word_embeddings.weight",
            &["generator_lm_head.weight"],
        ),
    ];
    for (family, usual, others) in cases {
        for other in others {
            let directory = changed(family, |_, tensors| {
                let table = tensors.remove(usual).unwrap();
                tensors.insert((*other).into(), table);
            });
            let checkpoint = Checkpoint::open_directory(directory.path())
                .unwrap_or_else(|error| panic!("{family}: {error}"));
            let words = checkpoint
                .parameters()
                .iter()
                .filter(|parameter| parameter.name.ends_with("embeddings.word.weight"));
            for parameter in words {
                assert_eq!(&parameter.name_in_file, other, "{family}");
                checkpoint.read(&parameter.name).unwrap();
            }
            assert_eq!(checkpoint.warnings(), [""; 0], "{family}");
        }
    }
}

/// Where the configuration ties nothing a head is another matrix.
#[test]
fn a_head_of_its_own_does_not_stand_for_words() {
    for (family, usual) in [
        ("gpt2", "transformer.wte.weight"),
        ("opt", "model.decoder.embed_tokens.weight"),
    ] {
        let directory = changed(family, |config, tensors| {
            config["tie_word_embeddings"] = json!(false);
            let table = tensors.remove(usual).unwrap();
            tensors.insert("lm_head.weight".into(), table);
        });
        let error = Checkpoint::open_directory(directory.path()).unwrap_err();
        assert!(
            matches!(&error, Error::MissingTensor { name, .. } if name == usual),
            "{error}"
        );
    }
}

/// BART's classifiers have none, and hidden states need none.
#[test]
fn an_untied_model_without_a_head() {
    let directory = changed("bart_untied", |_, tensors| {
        tensors.remove("lm_head.weight").unwrap();
        tensors.remove("final_logits_bias");
    });
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    assert!(!checkpoint.has("lm_head.weight") && !checkpoint.ties_head());
    let directory = changed("bart", |_, tensors| {
        tensors.remove("final_logits_bias");
    });
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    assert!(!checkpoint.has("lm_head.weight") && checkpoint.ties_head());
}
