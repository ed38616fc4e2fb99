//! Decoder checkpoints that would give wrong numbers: GPT-2, OPT, and the decoder of Marian.

use headwater_checkpoint::{Checkpoint, Dtype, Error};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Tensor, Tensors, golden, write};
use crate::{refusal, single_line};

const FUSED: &str = "transformer.h.1.attn.c_attn.weight";

/// A directory with a fixture in it, after a change.
fn changed(family: &str, change: impl FnOnce(&mut Value, &mut Tensors)) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (mut config, mut tensors) = golden(family);
    change(&mut config, &mut tensors);
    write(directory.path(), &config, &tensors);
    directory
}

/// The error after a field has been set.
fn refused_field(family: &str, field: &str, value: Value) -> Error {
    refusal(&changed(family, |config, _| config[field] = value))
}

#[test]
fn switches_that_would_give_wrong_numbers() {
    for (family, name, value, message) in [
        (
            "gpt2",
            "add_cross_attention",
            json!(true),
            "cross-attention",
        ),
        (
            "gpt2",
            "position_embedding_type",
            json!("relative_key"),
            "absolute",
        ),
        ("gpt2", "pruned_heads", json!({"1": [0]}), "pruned"),
        ("opt", "enable_bias", json!(false), "biases"),
        (
            "opt",
            "layer_norm_elementwise_affine",
            json!(false),
            "weights",
        ),
    ] {
        let error = refused_field(family, name, value);
        assert_refused!(error, Error::UnsupportedVariant { field, .. } if *field == name, message);
    }
}

/// A switch that is none is not taken for one.
#[test]
fn switches_of_another_type() {
    for (family, field) in [
        ("gpt2", "scale_attn_weights"),
        ("gpt2", "scale_attn_by_inverse_layer_idx"),
        ("opt", "do_layer_norm_before"),
        ("opt", "_remove_final_layer_norm"),
    ] {
        let error = refused_field(family, field, json!("yes"));
        assert_refused!(error, Error::InvalidField { .. }, field);
    }
}

#[test]
fn impossible_sizes() {
    for (family, field) in [
        ("gpt2", "n_embd"),
        ("gpt2", "n_layer"),
        ("gpt2", "n_head"),
        ("gpt2", "n_inner"),
        ("gpt2", "n_positions"),
        ("gpt2", "layer_norm_epsilon"),
        ("opt", "ffn_dim"),
        ("opt", "word_embed_proj_dim"),
        ("opt", "max_position_embeddings"),
    ] {
        for value in [json!(0), json!(-1), json!("6")] {
            assert_refused!(
                refused_field(family, field, value),
                Error::InvalidField { .. },
                field
            );
        }
    }
}

#[test]
fn sizes_beyond_all_arithmetic() {
    let giant = json!(u64::MAX);
    for (family, field, name) in [
        (
            "opt",
            "max_position_embeddings",
            "model.decoder.embed_positions.weight",
        ),
        ("opt", "ffn_dim", "model.decoder.layers.0.fc1.weight"),
        ("gpt2", "n_inner", "transformer.h.0.mlp.c_fc.weight"),
        ("gpt2", "n_positions", "transformer.wpe.weight"),
    ] {
        let error = refused_field(family, field, giant.clone());
        assert_refused!(error, Error::ShapeMismatch { name: found, .. } if found == name, "config.json says");
    }
    // A width that four inner widths and three parts of attention overflow.
    let error = refusal(&changed("gpt2", |config, _| {
        config["n_embd"] = giant.clone();
        config["n_head"] = json!(1);
        config["n_inner"] = Value::Null;
    }));
    assert_refused!(error, Error::ShapeMismatch { .. }, "wte.weight");
    let error = refused_field("gpt2", "n_layer", giant);
    assert_refused!(error, Error::MissingTensor { name, .. } if name == "transformer.h.3.ln_1.weight", "h.3");
}

#[test]
fn fused_tensor_of_another_shape() {
    for shape in [[96, 32], [32, 97], [64, 48]] {
        let error = refusal(&changed("gpt2", |_, tensors| {
            let zeros = std::iter::repeat_n(0.0, shape[0] * shape[1]);
            tensors.insert(FUSED.into(), Tensor::new(Dtype::F32, &shape, zeros));
        }));
        assert_refused!(
            error,
            Error::ShapeMismatch { name, expected, found, .. }
                if name == FUSED && expected == &[32, 96] && found == &shape,
            "config.json says [32, 96]"
        );
    }
    let error = refusal(&changed("gpt2", |_, tensors| {
        let zeros = std::iter::repeat_n(0.0, 32);
        let name = "transformer.h.0.attn.c_attn.bias";
        tensors.insert(name.into(), Tensor::new(Dtype::F32, &[32], zeros));
    }));
    assert_refused!(
        error,
        Error::ShapeMismatch { .. },
        "has shape [32], config.json says [96]"
    );
}

#[test]
fn a_linear_layer_where_gpt2_has_its_transpose() {
    let name = "transformer.h.2.mlp.c_proj.weight";
    let error = refusal(&changed("gpt2", |_, tensors| {
        tensors.get_mut(name).unwrap().shape = vec![32, 64];
    }));
    assert_refused!(
        error,
        Error::ShapeMismatch { expected, .. } if expected == &[64, 32],
        "has shape [32, 64], config.json says [64, 32]"
    );
}

#[test]
fn position_table_without_the_two_rows_in_front() {
    let error = refusal(&changed("opt", |_, tensors| {
        let zeros = std::iter::repeat_n(0.0, 40 * 32);
        let name = "model.decoder.embed_positions.weight";
        tensors.insert(name.into(), Tensor::new(Dtype::F32, &[40, 32], zeros));
    }));
    assert_refused!(
        error,
        Error::ShapeMismatch { .. },
        "has shape [40, 32], config.json says [42, 32]"
    );
}

#[test]
fn a_layer_norm_is_not_taken_for_the_final_one() {
    let error = refusal(&changed("opt", |_, tensors| {
        drop(tensors.remove("model.decoder.final_layer_norm.weight"));
    }));
    let name = "model.decoder.final_layer_norm.weight";
    assert_refused!(error, Error::MissingTensor { name: found, .. } if found == name, name);
}

#[test]
fn fused_weights_that_are_not_finite() {
    let directory = changed("gpt2", |_, tensors| {
        // In row 2, among the columns of the value.
        let bytes = &mut tensors.get_mut(FUSED).unwrap().bytes;
        let at = 4 * (2 * 96 + 70);
        bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    let error = single_line(
        checkpoint
            .read("layers.1.attention.value.weight")
            .unwrap_err(),
    );
    assert_refused!(error, Error::NotFinite { name, index: 262, .. } if name == FUSED, "at element 262");
}

#[test]
fn more_layers_than_the_configuration_says() {
    for (family, last, further) in [
        (
            "gpt2",
            "transformer.h.2.ln_1.bias",
            "transformer.h.3.ln_1.bias",
        ),
        (
            "marian",
            "model.decoder.layers.2.fc2.bias",
            "model.decoder.layers.3.fc2.bias",
        ),
    ] {
        let error = refusal(&changed(family, |_, tensors| {
            let tensor = tensors[last].clone();
            tensors.insert(further.into(), tensor);
        }));
        assert_refused!(
            error,
            Error::FurtherLayers { name } if name == further,
            "a layer more than config.json says"
        );
    }
}

/// Tables that the configuration ties, of which one is changed in the last byte.
#[test]
fn tied_tables_that_differ() {
    let shared = "model.shared.weight";
    for other in [
        "model.encoder.embed_tokens.weight",
        "model.decoder.embed_tokens.weight",
        "lm_head.weight",
    ] {
        for differs in [false, true] {
            let directory = changed("marian", |_, tensors| {
                let mut table = tensors[shared].clone();
                *table.bytes.last_mut().unwrap() ^= u8::from(differs);
                tensors.insert(other.into(), table);
            });
            let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
            let words = "decoder.embeddings.word.weight";
            let (read, mapped) = (checkpoint.read(words), checkpoint.map(words));
            if differs {
                for error in [read.unwrap_err(), mapped.unwrap_err()] {
                    assert_refused!(
                        single_line(error),
                        Error::UnequalTies { name, other: found } if name == shared && found == other,
                        "tie_word_embeddings"
                    );
                }
            } else {
                assert!(read.is_ok() && mapped.is_ok());
            }
        }
    }
}

/// `AutoModel` would lose what turns hidden states into words.
#[test]
fn pickled_weights_of_a_translation_model() {
    let directory = changed("marian", |_, _| {});
    let file = |name| directory.path().join(name);
    std::fs::rename(file("model.safetensors"), file("pytorch_model.bin")).unwrap();
    assert_refused!(
        refusal(&directory),
        Error::PickledWeights { .. },
        "transformers.AutoModelForSeq2SeqLM."
    );
}
