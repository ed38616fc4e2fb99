//! What switches of a configuration make of the layers.

mod common;

use common::{golden, write};
use headwater_checkpoint::wiring::{Band, LayerSpec};
use headwater_checkpoint::{Architecture, Checkpoint};
use serde_json::{Value, json};

fn changed(family: &str, change: impl FnOnce(&mut Value)) -> Architecture {
    let directory = tempfile::tempdir().unwrap();
    let (mut config, tensors) = golden(family);
    change(&mut config);
    write(directory.path(), &config, &tensors);
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    checkpoint.architecture().clone()
}

fn scales(architecture: &Architecture) -> Vec<f64> {
    let layers = (0..architecture.n_layers).map(|l| architecture.layer(l));
    layers.map(|layer| layer.attention().scale).collect()
}

#[test]
fn scales_of_gpt2() {
    let root = 8_f64.sqrt().recip();
    assert_eq!(scales(&changed("gpt2", |_| ())), [root; 3]);
    let by_number = changed("gpt2", |config| {
        config["scale_attn_by_inverse_layer_idx"] = json!(true);
        config["reorder_and_upcast_attn"] = json!(true);
    });
    assert_eq!(scales(&by_number), [root, root / 2.0, root / 3.0]);
    for value in [json!(false), Value::Null] {
        let unscaled = changed("gpt2", |config| config["scale_attn_weights"] = value);
        assert_eq!(scales(&unscaled), [1.0; 3]);
    }
}

#[test]
fn norms_of_opt() {
    let labels = |architecture: &Architecture| {
        let label = LayerSpec::label(&architecture.layer(0));
        (label, architecture.final_norm().is_some())
    };
    assert_eq!(labels(&changed("opt", |_| ())), ("pre-LN", true));
    let removed = changed("opt", |config| {
        config["_remove_final_layer_norm"] = json!(true)
    });
    assert_eq!(labels(&removed), ("pre-LN", false));
    let behind = changed("opt", |config| {
        config["do_layer_norm_before"] = json!(false)
    });
    assert_eq!(labels(&behind), ("post-LN", false));
}

#[test]
fn bert_as_a_decoder() {
    let band = |config: fn(&mut Value)| changed("bert", config).layer(0).attention().band;
    assert_eq!(
        band(|config| config["is_decoder"] = json!(true)),
        Band::CAUSAL
    );
    assert_eq!(
        band(|config| config["is_decoder"] = json!(false)),
        Band::ALL
    );
    let both_ways = band(|config| {
        config["is_decoder"] = json!(true);
        config["is_causal"] = json!(false);
    });
    assert_eq!(both_ways, Band::ALL);
}
