//! Milliseconds of the kernels of a BERT-base layer, of its sublayers' parts and
//! of the whole layer, float32: medians, with quartiles, of rounds in which each
//! is run once, since the speed of a machine drifts.

// A benchmark prints.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor, activation};
use headwater_transformer::wiring::{
    AttentionSpec, FeedForwardSpec, LayerSpec, NormKind, NormSpec, PlainSpec,
};
use headwater_transformer::{
    Activation, Block, Captures, DeviceName, FeedForward, Layer, LayerCapture, Linear,
    MultiHeadAttention, Norm, Sources, Sublayer, apply_activation, wiring,
};

const D_MODEL: usize = 768;
const D_FF: usize = 3072;
const HEADS: usize = 12;
const D_HEAD: usize = D_MODEL / HEADS;
const ROUNDS: usize = 9;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 0.05), device)
}

fn linear(input: usize, output: usize, device: &Device) -> Linear {
    Linear {
        weight: random([output, input], device),
        bias: Some(random([output], device)),
    }
}

fn norm(device: &Device) -> Norm {
    Norm {
        kind: NormKind::Layer,
        weight: random([D_MODEL], device) + 1.0,
        bias: Some(random([D_MODEL], device)),
        epsilon: 1e-12,
    }
}

fn layer(device: &Device) -> Layer {
    let square = || linear(D_MODEL, D_MODEL, device);
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
        query: square(),
        key: square(),
        value: square(),
        output: square(),
        qk_norms: None,
        sinks: None,
        buckets: None,
    };
    let feed_forward = FeedForward {
        up: linear(D_MODEL, D_FF, device),
        gate: None,
        down: linear(D_FF, D_MODEL, device),
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
        behind: Some(norm(device)),
    });
    Layer {
        spec,
        blocks: blocks.into(),
    }
}

/// Something to run, and the FLOPs of its matrix products.
type Kernel<'a> = (&'static str, f64, Box<dyn Fn() + 'a>);

/// Runs until the result is on the host.
fn kernel<'a, const D: usize>(
    name: &'static str,
    flops: f64,
    run: impl Fn() -> Tensor<D> + 'a,
) -> Kernel<'a> {
    let run = Box::new(move || drop(run().into_data()));
    (name, flops, run)
}

fn main() {
    let name = DeviceName::ENABLED[0];
    let device = &name.device();
    let layer = &layer(device);
    println!(
        "device {name}, float32, d_model {D_MODEL}, d_ff {D_FF}, {HEADS} heads; {ROUNDS} rounds"
    );
    println!("| T | what | ms | GFLOP/s |\n|---:|---|---:|---:|");
    for tokens in [128, 512] {
        let x: &Tensor<3> = &random([1, tokens, D_MODEL], device);
        let wide: &Tensor<3> = &(random([1, tokens, D_FF], device) * 20.0);
        let heads: &Tensor<4> = &random([1, HEADS, tokens, D_HEAD], device);
        let scores: &Tensor<4> = &(random([1, HEADS, tokens, tokens], device) * 20.0);
        let product = |k: usize, n: usize| 2.0 * (tokens * k * n) as f64;
        let (sublayers, attention) = (
            4.0 * product(D_MODEL, D_MODEL) + 2.0 * product(D_MODEL, D_FF),
            product(tokens, D_MODEL),
        );
        let kernels: [Kernel<'_>; 9] = [
            kernel("gelu, d_ff wide", 0.0, || {
                apply_activation(Activation::Gelu, wide.clone())
            }),
            kernel("gelu by tanh, d_ff wide", 0.0, || {
                apply_activation(Activation::GeluTanh, wide.clone())
            }),
            kernel("softmax of all heads", 0.0, || {
                activation::softmax(scores.clone(), 3)
            }),
            kernel("layer norm", 0.0, || {
                layer.blocks[0]
                    .behind
                    .as_ref()
                    .unwrap()
                    .forward(x.clone())
                    .0
            }),
            kernel(
                "linear, d_model to d_model",
                product(D_MODEL, D_MODEL),
                || layer.attention().query.forward(x.clone()),
            ),
            kernel("linear, d_model to d_ff", product(D_MODEL, D_FF), || {
                layer.feed_forward().up.forward(x.clone())
            }),
            kernel("scores of all heads", attention, || {
                heads.clone().matmul(heads.clone().transpose())
            }),
            kernel("weighted values of all heads", attention, || {
                scores.clone().matmul(heads.clone())
            }),
            kernel("one layer", sublayers + 2.0 * attention, || {
                let mut capture = LayerCapture::new(0);
                let none = Captures::none();
                layer.forward(x.clone(), Sources::default(), &none, &mut capture)
            }),
        ];
        let mut milliseconds = vec![Vec::new(); kernels.len()];
        for round in 0..=ROUNDS {
            for ((_, _, run), milliseconds) in kernels.iter().zip(&mut milliseconds) {
                let start = Instant::now();
                run();
                // The first round warms up.
                if round > 0 {
                    milliseconds.push(1e3 * start.elapsed().as_secs_f64());
                }
            }
        }
        for ((name, flops, _), mut milliseconds) in kernels.into_iter().zip(milliseconds) {
            milliseconds.sort_by(f64::total_cmp);
            let [low, median, high] =
                [1, 2, 3].map(|quarter| milliseconds[quarter * (ROUNDS - 1) / 4]);
            let rate = match flops {
                0.0 => String::new(),
                flops => format!("{:.0}", flops / median / 1e6),
            };
            println!("| {tokens} | {name} | {median:.2} ({low:.2}–{high:.2}) | {rate} |");
        }
    }
}
