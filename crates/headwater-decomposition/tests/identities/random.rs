//! Random layers, on every enabled device.

use burn::tensor::{Device, Tensor, TensorData};
use headwater_decomposition::{DecompositionOptions, LayerDecomposition, Segment};
use headwater_fixtures::Deviation;
use headwater_transformer::{
    Activation, Arrangement, CrossAttention, DeviceName, FeedForward, Layer, LayerCapture,
    LayerNorm, Linear, MultiHeadAttention, Precision, Sources,
};
use proptest::prelude::*;

/// Random numbers that depend on nothing but the seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub(crate) fn tensor<const D: usize>(
        &mut self,
        shape: [usize; D],
        device: &Setting,
    ) -> Tensor<D> {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| self.next()).collect();
        device.tensor(values, shape)
    }
}

/// Where the identities are tested: every enabled device, in each precision
/// that it has. On the CPU the kernels compute float32, and Burn float64.
pub(crate) struct Setting {
    pub(crate) device: Device,
    pub(crate) precision: Precision,
    pub(crate) tolerance: f64,
}

impl Setting {
    pub(crate) fn all() -> Vec<Self> {
        let of_device = |name: &DeviceName| {
            let name = *name;
            let precisions = [Precision::F64, Precision::F32].into_iter();
            precisions
                .filter(move |&precision| name.supports(precision))
                .map(move |precision| Self {
                    device: name.device(),
                    precision,
                    tolerance: match precision {
                        Precision::F64 => 1e-10,
                        Precision::F32 if name.is_cpu() => 1e-4,
                        Precision::F32 => 2e-3,
                    },
                })
        };
        DeviceName::ENABLED.iter().flat_map(of_device).collect()
    }

    pub(crate) fn tensor<const D: usize>(&self, values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
        let options = (&self.device, self.precision.dtype());
        match self.precision {
            Precision::F64 => Tensor::from_data(TensorData::new(values, shape), options),
            Precision::F32 => {
                let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
                Tensor::from_data(TensorData::new(values, shape), options)
            }
        }
    }

    pub(crate) fn assert_close<const D: usize>(
        &self,
        found: Tensor<D>,
        expected: Tensor<D>,
        what: &str,
    ) {
        let expected: Vec<f64> = expected.into_data().iter::<f64>().collect();
        let deviation = Deviation::between(found.into_data().iter::<f64>(), &expected);
        let scale = expected.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
        assert!(
            deviation.absolute <= self.tolerance * scale,
            "{what}: {deviation:?}"
        );
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) tokens: usize,
    pub(crate) heads: usize,
    pub(crate) d_head: usize,
    pub(crate) arrangement: Arrangement,
    pub(crate) activation: Activation,
    pub(crate) seed: u64,
}

impl Shape {
    pub(crate) fn d_model(self) -> usize {
        self.heads * self.d_head
    }
}

pub(crate) fn shapes() -> impl Strategy<Value = Shape> {
    let arrangement = prop_oneof![Just(Arrangement::PostLn), Just(Arrangement::PreLn)];
    let activation = prop_oneof![
        Just(Activation::Gelu),
        Just(Activation::GeluTanh),
        Just(Activation::QuickGelu),
        Just(Activation::Relu),
        Just(Activation::Silu),
        Just(Activation::Tanh),
    ];
    // Few tokens, and more than the kernels take side by side: up to three
    // panels of targets, and more than one of sources.
    let tokens = prop_oneof![3 => 1usize..8, 1 => 8usize..71];
    // Widths of at least 2: a layer norm over one dimension is constant.
    let sizes = (1usize..4, tokens, 1usize..5, 2usize..6);
    (sizes, arrangement, activation, any::<u64>()).prop_map(
        |((batch, tokens, heads, d_head), arrangement, activation, seed)| Shape {
            batch,
            tokens,
            heads,
            d_head,
            arrangement,
            activation,
            seed,
        },
    )
}

pub(crate) fn random_layer(shape: Shape, random: &mut Random, setting: &Setting) -> Layer {
    let d = shape.d_model();
    let mut linear = |input: usize, output: usize| Linear {
        weight: random.tensor([output, input], setting),
        bias: random.tensor([output], setting),
    };
    let attention = MultiHeadAttention {
        query: linear(d, d),
        key: linear(d, d),
        value: linear(d, d),
        output: linear(d, d),
        n_heads: shape.heads,
        causal: false,
    };
    let feed_forward = FeedForward {
        up: linear(d, 2 * d),
        down: linear(2 * d, d),
        activation: shape.activation,
    };
    let mut norm = || LayerNorm {
        weight: random.tensor([d], setting) + 1.5,
        bias: random.tensor([d], setting),
        epsilon: 1e-5,
    };
    Layer {
        arrangement: shape.arrangement,
        attention,
        attention_norm: norm(),
        cross_attention: None,
        feed_forward,
        feed_forward_norm: norm(),
    }
}

/// The same layer with a cross-attention block.
pub(crate) fn with_cross_attention(
    layer: &Layer,
    shape: Shape,
    random: &mut Random,
    setting: &Setting,
) -> Layer {
    let other = random_layer(shape, random, setting);
    Layer {
        cross_attention: Some(CrossAttention {
            attention: other.attention,
            norm: other.attention_norm,
        }),
        ..layer.clone()
    }
}

pub(crate) fn random_input(shape: Shape, random: &mut Random, setting: &Setting) -> Tensor<3> {
    random.tensor([shape.batch, shape.tokens, shape.d_model()], setting) * 2.0
}

pub(crate) fn decompose(
    layer: &Layer,
    x: &Tensor<3>,
    score_bias: Option<&Tensor<4>>,
) -> LayerDecomposition {
    decompose_with(layer, x, score_bias, DecompositionOptions::default())
}

pub(crate) fn decompose_with(
    layer: &Layer,
    x: &Tensor<3>,
    score_bias: Option<&Tensor<4>>,
    options: DecompositionOptions,
) -> LayerDecomposition {
    let sources = Sources {
        score_bias,
        encoder: None,
    };
    decompose_segment(Segment::Layer, layer, x, sources, options)
}

pub(crate) fn decompose_segment(
    segment: Segment,
    layer: &Layer,
    x: &Tensor<3>,
    sources: Sources<'_>,
    options: DecompositionOptions,
) -> LayerDecomposition {
    let scopes = segment.scopes(layer.arrangement);
    let mut capture = LayerCapture::new(0);
    let captures = LayerDecomposition::captures_of(segment, layer.arrangement, scopes).unwrap();
    layer.forward(x.clone(), sources, &captures, &mut capture);
    LayerDecomposition::of_segment(segment, layer, &capture, scopes, options).unwrap()
}

/// The causal mask over `tokens`, `[1, 1, target, source]`.
pub(crate) fn causal_bias(tokens: usize, setting: &Setting) -> Tensor<4> {
    let values = (0..tokens * tokens)
        .map(|at| {
            if at % tokens > at / tokens {
                -1e30
            } else {
                0.0
            }
        })
        .collect();
    setting.tensor(values, [1, 1, tokens, tokens])
}

pub(crate) fn norms_of(vectors: Tensor<4>) -> Tensor<3> {
    vectors.square().sum_dim(3).sqrt().squeeze_dim(3)
}

/// Runs a property on a random layer and input, on every device in each precision.
pub(crate) fn on_random_layers(property: impl Fn(Shape, &Layer, &Tensor<3>, &Setting)) {
    // A GPU compiles its kernels anew for many of the shapes.
    let slow = DeviceName::ENABLED
        .iter()
        .any(|device| !device.supports(Precision::F64));
    let cases = ProptestConfig::with_cases(if slow { 4 } else { 48 });
    proptest!(cases, |(shape in shapes())| {
        for setting in Setting::all() {
            let mut random = Random(shape.seed);
            let layer = random_layer(shape, &mut random, &setting);
            let x = random_input(shape, &mut random, &setting);
            property(shape, &layer, &x, &setting);
        }
    });
}
