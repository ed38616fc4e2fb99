//! GPT-2 and OPT as other programs write them, and the parameters as they come out.

mod common;

use std::path::Path;

use common::{Tensor, Tensors, golden, write};
use headwater_checkpoint::{Activation, Checkpoint, Dtype, Layout};
use serde_json::{Value, json};

/// Writes and opens a fixture after a change.
fn open(family: &str, change: impl FnOnce(&mut Value, &mut Tensors)) -> Checkpoint {
    let directory = tempfile::tempdir().unwrap();
    let (mut config, mut tensors) = golden(family);
    change(&mut config, &mut tensors);
    write(directory.path(), &config, &tensors);
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    // Everything is compared before the directory goes.
    let fixture = open_fixture(family);
    assert_eq!(checkpoint.parameters().len(), fixture.parameters().len());
    for parameter in fixture.parameters() {
        let name = &parameter.name;
        assert_eq!(
            checkpoint.read(name).unwrap(),
            fixture.read(name).unwrap(),
            "{name}"
        );
    }
    checkpoint
}

fn open_fixture(family: &str) -> Checkpoint {
    Checkpoint::open_directory(common::fixture(family)).unwrap()
}

/// Replaces a prefix of every name.
fn rename(tensors: &mut Tensors, from: &str, to: &str) {
    *tensors = std::mem::take(tensors)
        .into_iter()
        .map(|(name, tensor)| (format!("{to}{}", name.strip_prefix(from).unwrap()), tensor))
        .collect();
}

fn unused(checkpoint: &Checkpoint) -> Vec<&str> {
    let unused = checkpoint.unused().iter();
    unused.map(|tensor| tensor.name.as_str()).collect()
}

/// The single-precision values of a tensor of the file, as they lie in it.
fn values(tensors: &Tensors, name: &str) -> Vec<f32> {
    let (elements, _) = tensors[name].bytes.as_chunks();
    elements.iter().copied().map(f32::from_le_bytes).collect()
}

#[test]
fn gpt2_matrices_are_transposed() {
    let (_, file) = golden("gpt2");
    let checkpoint = open_fixture("gpt2");
    for (canonical, name, [out, input]) in [
        ("attention.output", "attn.c_proj", [32, 32]),
        ("feed_forward.up", "mlp.c_fc", [64, 32]),
        ("feed_forward.down", "mlp.c_proj", [32, 64]),
    ] {
        for layer in 0..3 {
            let name = format!("transformer.h.{layer}.{name}");
            let canonical = format!("layers.{layer}.{canonical}");
            let weight = checkpoint.read(&format!("{canonical}.weight")).unwrap();
            assert_eq!(weight.shape, [out, input]);
            let (weight, stored) = (weight.to_f32(), values(&file, &format!("{name}.weight")));
            for row in 0..out {
                for column in 0..input {
                    assert_eq!(weight[row * input + column], stored[column * out + row]);
                }
            }
            let bias = checkpoint.read(&format!("{canonical}.bias")).unwrap();
            assert_eq!(bias.to_f32(), values(&file, &format!("{name}.bias")));
        }
    }
}

#[test]
fn gpt2_attention_is_split() {
    let (_, file) = golden("gpt2");
    let checkpoint = open_fixture("gpt2");
    for layer in 0..3 {
        let stored = |end| values(&file, &format!("transformer.h.{layer}.attn.c_attn.{end}"));
        let (stored_weight, stored_bias) = (stored("weight"), stored("bias"));
        for (part, canonical) in ["query", "key", "value"].iter().enumerate() {
            let canonical = format!("layers.{layer}.attention.{canonical}");
            let weight = checkpoint.read(&format!("{canonical}.weight")).unwrap();
            assert_eq!(weight.shape, [32, 32]);
            let weight = weight.to_f32();
            for row in 0..32 {
                for column in 0..32 {
                    let at = column * 96 + part * 32 + row;
                    assert_eq!(weight[row * 32 + column], stored_weight[at]);
                }
            }
            let bias = checkpoint.read(&format!("{canonical}.bias")).unwrap();
            assert_eq!(bias.shape, [32]);
            assert_eq!(bias.to_f32(), stored_bias[part * 32..(part + 1) * 32]);
        }
    }
    let layout = |name| {
        let parameter = checkpoint.parameters().iter().find(|p| p.name == name);
        parameter.unwrap().layout
    };
    let key = Layout::from(32).turned();
    assert_eq!(layout("layers.1.attention.key.bias"), key);
    assert_eq!(layout("layers.1.attention.output.weight"), Layout::TURNED);
    assert_eq!(layout("embeddings.word.weight"), Layout::WHOLE);
}

#[test]
fn parts_of_every_float_type() {
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F64] {
        let directory = tempfile::tempdir().unwrap();
        let (config, mut tensors) = golden("gpt2");
        let name = "transformer.h.0.attn.c_attn.weight";
        // Small whole numbers, which every type holds exactly.
        let value = |row: usize, column: usize| ((row * 5 + column) % 61) as f64;
        let stored = (0..32 * 96).map(|index| value(index / 96, index % 96));
        let tensor = Tensor::new(dtype, &[32, 96], stored);
        tensors.insert(name.into(), tensor);
        write(directory.path(), &config, &tensors);
        let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
        let key = checkpoint.read("layers.0.attention.key.weight").unwrap();
        assert_eq!(key.dtype(), dtype);
        let expected = (0..32 * 32).map(|index| value(index % 32, 32 + index / 32));
        assert_eq!(key.to_f64(), expected.collect::<Vec<_>>(), "{dtype}");
    }
}

#[test]
fn gpt2_without_a_prefix_and_with_old_buffers() {
    let checkpoint = open("gpt2", |_, tensors| {
        rename(tensors, "transformer.", "");
        let mask = Tensor::new(Dtype::F32, &[1, 1, 2, 2], [1.0, 0.0, 1.0, 1.0].into_iter());
        let fill = Tensor::new(Dtype::F32, &[], [-1e4].into_iter());
        for layer in 0..3 {
            tensors.insert(format!("h.{layer}.attn.bias"), mask.clone());
            tensors.insert(format!("h.{layer}.attn.masked_bias"), fill.clone());
        }
    });
    let buffers = [
        "h.0.attn.bias",
        "h.0.attn.masked_bias",
        "h.1.attn.bias",
        "h.1.attn.masked_bias",
        "h.2.attn.bias",
        "h.2.attn.masked_bias",
    ];
    assert_eq!(unused(&checkpoint), buffers);
}

#[test]
fn a_head_of_its_own_is_unused() {
    for (family, words) in [
        ("gpt2", "transformer.wte.weight"),
        ("opt", "model.decoder.embed_tokens.weight"),
    ] {
        let checkpoint = open(family, |_, tensors| {
            let head = tensors[words].clone();
            tensors.insert("lm_head.weight".into(), head);
        });
        assert_eq!(unused(&checkpoint), ["lm_head.weight"]);
    }
}

#[test]
fn opt_behind_every_prefix() {
    for prefix in ["decoder.", ""] {
        let checkpoint = open("opt", |_, tensors| {
            rename(tensors, "model.decoder.", prefix);
        });
        let words = &checkpoint.parameters()[0].name_in_file;
        assert_eq!(words, &format!("{prefix}embed_tokens.weight"));
        assert_eq!(unused(&checkpoint), [""; 0]);
    }
}

#[test]
fn fields_that_configurations_leave_out() {
    let checkpoint = open("gpt2", |config, _| {
        let fields = config.as_object_mut().unwrap();
        for field in [
            "activation_function",
            "add_cross_attention",
            "layer_norm_epsilon",
            "reorder_and_upcast_attn",
            "scale_attn_by_inverse_layer_idx",
            "scale_attn_weights",
        ] {
            fields.remove(field).unwrap();
        }
    });
    assert_eq!(
        checkpoint.architecture(),
        open_fixture("gpt2").architecture()
    );

    let checkpoint = open("opt", |config, _| {
        let fields = config.as_object_mut().unwrap();
        for field in [
            "_remove_final_layer_norm",
            "activation_function",
            "do_layer_norm_before",
            "enable_bias",
            "layer_norm_elementwise_affine",
            "pad_token_id",
            "word_embed_proj_dim",
        ] {
            fields.remove(field).unwrap();
        }
    });
    assert_eq!(
        checkpoint.architecture(),
        open_fixture("opt").architecture()
    );
}

#[test]
fn fields_that_change_no_number() {
    let checkpoint = open("gpt2", |config, _| {
        config["reorder_and_upcast_attn"] = json!(true);
        config["is_decoder"] = json!(true);
        // Added for a tokenizer, with no row in the table.
        config["pad_token_id"] = json!(120);
    });
    assert_eq!(
        checkpoint.architecture(),
        open_fixture("gpt2").architecture()
    );
}

#[test]
fn fields_that_change_the_architecture() {
    let checkpoint = open("gpt2", |config, _| {
        config["activation_function"] = json!("relu");
        config["layer_norm_epsilon"] = json!(1e-6);
    });
    let architecture = checkpoint.architecture();
    assert_eq!(architecture.activation, Activation::Relu);
    assert_eq!(architecture.final_norm().unwrap().epsilon, 1e-6);
    let checkpoint = open("opt", |config, _| {
        config["activation_function"] = json!("gelu");
    });
    assert_eq!(checkpoint.architecture().activation, Activation::Gelu);
}

#[test]
fn gpt2_is_four_times_as_wide_inside_unless_it_says_otherwise() {
    let (mut config, mut tensors) = golden("gpt2");
    config["n_inner"] = Value::Null;
    for (name, tensor) in &mut tensors {
        let shape: &[usize] = match name.rsplit_once("mlp.").map(|(_, end)| end) {
            Some("c_fc.weight") => &[32, 128],
            Some("c_fc.bias") => &[128],
            Some("c_proj.weight") => &[128, 32],
            _ => continue,
        };
        let zeros = std::iter::repeat_n(0.0, shape.iter().product());
        *tensor = Tensor::new(Dtype::F32, shape, zeros);
    }
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &config, &tensors);
    let checkpoint = Checkpoint::open_directory(directory.path() as &Path).unwrap();
    assert_eq!(checkpoint.architecture().d_ff, 128);
}
