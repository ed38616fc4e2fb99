//! The FLOP rate of the feed-forward maps beside that of one plain large
//! matrix product, on the same device in the same run, interleaved.
//!
//! BERT-base's layer, random weights, float32. The maps are counted as
//! 2·T²·d_ff·d_model, their last product alone: what else they do counts as
//! time lost.

// A benchmark prints.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use headwater_decomposition::{LayerDecomposition, Scope, Segment};
use headwater_transformer::wiring::{
    AttentionSpec, FeedForwardSpec, LayerSpec, NormKind, NormSpec, PlainSpec,
};
use headwater_transformer::{
    Activation, Block, DeviceName, FeedForward, Layer, LayerCapture, Linear, MultiHeadAttention,
    Norm, Sources, Sublayer, wiring,
};

const D_MODEL: usize = 768;
const D_FF: usize = 3072;
const HEADS: usize = 12;
const ROUNDS: usize = 3;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 0.05), device)
}

fn layer(device: &Device) -> Layer {
    let linear = |input, output| Linear {
        weight: random([output, input], device),
        bias: Some(random([output], device)),
    };
    let norm = || Norm {
        kind: NormKind::Layer,
        weight: random([D_MODEL], device) + 1.0,
        bias: Some(random([D_MODEL], device)),
        epsilon: 1e-12,
    };
    let norm_spec = NormSpec::layer(1e-12);
    let attention_spec = AttentionSpec::new(HEADS, D_MODEL / HEADS);
    let plain = PlainSpec::new(D_FF, Activation::Gelu);
    let sublayers = [
        wiring::Sublayer::Attention(attention_spec.clone()),
        wiring::Sublayer::FeedForward(FeedForwardSpec::Plain(plain)),
    ];
    let spec = LayerSpec::post_norm(norm_spec, sublayers);
    let attention = MultiHeadAttention {
        spec: attention_spec,
        query: linear(D_MODEL, D_MODEL),
        key: linear(D_MODEL, D_MODEL),
        value: linear(D_MODEL, D_MODEL),
        output: linear(D_MODEL, D_MODEL),
        qk_norms: None,
        sinks: None,
        buckets: None,
    };
    let feed_forward = FeedForward {
        up: linear(D_MODEL, D_FF),
        gate: None,
        down: linear(D_FF, D_MODEL),
        activation: Activation::Gelu,
    };
    let sublayers = [
        Sublayer::Attention(attention),
        Sublayer::FeedForward(feed_forward),
    ];
    let blocks = sublayers.map(|sublayer| Block {
        before: None,
        sublayer,
        output: None,
        behind: Some(norm()),
    });
    Layer {
        spec,
        blocks: blocks.into(),
    }
}

/// Seconds until the device has done `work` and its last result is on the host.
fn seconds<const D: usize>(work: impl FnOnce() -> Tensor<D>) -> f64 {
    let start = Instant::now();
    let _ = work().into_data();
    start.elapsed().as_secs_f64()
}

fn maps(layer: &Layer, x: &Tensor<3>) -> f64 {
    let scopes = &Segment::Layer.scopes(&layer.spec);
    let captures =
        LayerDecomposition::captures(&layer.spec, scopes).unwrap_or_else(|error| panic!("{error}"));
    let mut capture = LayerCapture::new(0);
    layer.forward(x.clone(), Sources::default(), &captures, &mut capture);
    let decomposition =
        LayerDecomposition::new(layer, &capture, scopes).unwrap_or_else(|error| panic!("{error}"));
    let scope = decomposition
        .scope(Scope::AtbFfResLn)
        .unwrap_or_else(|error| panic!("{error}"));
    seconds(|| scope.norms())
}

fn main() {
    let name = DeviceName::ENABLED[0];
    let device = name.device();
    let layer = layer(&device);
    println!(
        "device {name}, float32, d_model {D_MODEL}, d_ff {D_FF}, {HEADS} heads; GFLOP/s, {ROUNDS} rounds"
    );
    println!("| T | plain 2048³ product | feed-forward maps | ratio |");
    println!("|---:|---:|---:|---:|");
    let (a, b) = (random([2048, 2048], &device), random([2048, 2048], &device));
    for tokens in [64, 128, 512] {
        let x = random([1, tokens, D_MODEL], &device) * 20.0;
        maps(&layer, &x.clone().slice_dim(1, 0..16)); // warm up
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let plain = seconds(|| a.clone().matmul(b.clone()));
            let mapped = maps(&layer, &x);
            rates.push((
                2.0 * 2048f64.powi(3) / plain / 1e9,
                2.0 * (tokens * tokens * D_FF * D_MODEL) as f64 / mapped / 1e9,
            ));
        }
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let plain = median(rates.iter().map(|rate| rate.0).collect());
        let mapped = median(rates.iter().map(|rate| rate.1).collect());
        let ratio = median(rates.iter().map(|rate| rate.1 / rate.0).collect());
        println!("| {tokens} | {plain:.0} | {mapped:.0} | {ratio:.2} |");
    }
}
