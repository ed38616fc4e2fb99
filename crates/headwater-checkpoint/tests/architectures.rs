//! What the supported configurations mean.

mod common;

use common::{config, tensors, write};
use headwater_checkpoint::wiring::{Counting, Positions};
use headwater_checkpoint::{Activation, Architecture, Checkpoint, Dtype, Error};
use serde_json::{Value, json};

/// The architecture of the small BERT's weights under a changed configuration.
fn open(prefix: &str, change: impl FnOnce(&mut Value)) -> Result<Architecture, Error> {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config();
    change(&mut config);
    write(
        directory.path(),
        &config,
        &tensors(Dtype::F32, |name| format!("{prefix}{name}")),
    );
    let checkpoint = Checkpoint::open_directory(directory.path())?;
    Ok(checkpoint.architecture().clone())
}

#[test]
fn activations_by_name() {
    let names = [
        ("gelu", Activation::Gelu),
        ("gelu_python", Activation::Gelu),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("gelu_fast", Activation::GeluTanh),
        ("quick_gelu", Activation::QuickGelu),
        ("relu", Activation::Relu),
        ("silu", Activation::Silu),
        ("swish", Activation::Silu),
        ("tanh", Activation::Tanh),
    ];
    for (name, activation) in names {
        let architecture = open("", |config| config["hidden_act"] = json!(name)).unwrap();
        assert_eq!(architecture.activation, activation, "{name}");
    }
}

#[test]
fn fields_that_old_configurations_leave_out() {
    let architecture = open("bert.", |config| {
        for field in ["hidden_act", "layer_norm_eps", "pad_token_id"] {
            config.as_object_mut().unwrap().remove(field);
        }
    });
    let architecture = architecture.unwrap();
    assert_eq!(architecture.activation, Activation::Gelu);
    assert_eq!(architecture.embeddings().norm.unwrap().epsilon, 1e-12);
    assert_eq!(architecture.pad_token_id, 0);
}

#[test]
fn model_types_of_the_roberta_family() {
    for model_type in ["roberta", "xlm-roberta", "camembert"] {
        let architecture = open("roberta.", |config| {
            config["model_type"] = json!(model_type);
            config["pad_token_id"] = json!(3);
        });
        let architecture = architecture.unwrap();
        assert_eq!(architecture.model_type, model_type);
        assert_eq!(architecture.pad_token_id, 3);
        // Seven rows, of which the first four are never a real token's.
        let positions = Positions::Learned {
            rows: 7,
            first: 4,
            counting: Counting::Unpadded,
        };
        assert_eq!(architecture.embeddings().positions, positions);
        assert_eq!(architecture.max_positions, 3);
    }
}

#[test]
fn padding_token_of_roberta_when_none_is_given() {
    for pad_token_id in [None, Some(Value::Null)] {
        let architecture = open("roberta.", |config| {
            config["model_type"] = json!("roberta");
            match pad_token_id {
                Some(null) => config["pad_token_id"] = null,
                None => drop(config.as_object_mut().unwrap().remove("pad_token_id")),
            }
        });
        let architecture = architecture.unwrap();
        assert_eq!(
            (architecture.pad_token_id, architecture.max_positions),
            (1, 5)
        );
    }
}

#[test]
fn roberta_with_no_room_behind_the_padding() {
    for pad_token_id in [6_u32, 7, u32::MAX] {
        let error = open("roberta.", |config| {
            config["model_type"] = json!("roberta");
            config["pad_token_id"] = json!(pad_token_id);
        });
        let error = error.unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidField {
                    field: "max_position_embeddings",
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[test]
fn electra_as_wide_as_its_embeddings_has_no_projection() {
    let architecture = open("electra.", |config| {
        config["model_type"] = json!("electra");
        config["embedding_size"] = json!(6);
    });
    assert_eq!(architecture.unwrap().d_embedding, 6);
}
