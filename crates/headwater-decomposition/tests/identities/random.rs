//! Random layers, on every enabled device.

use burn::tensor::{Device, Tensor, TensorData};
use headwater_decomposition::{DecompositionOptions, LayerDecomposition, Segment};
use headwater_fixtures::Deviation;
use headwater_transformer::wiring::{
    self, AttentionSpec, Band, BlockSpec, FeedForwardSpec, GatedSpec, LayerSpec, NormSpec, Over,
    PlainSpec, PositionScores, Reads, Residual, RopeSpec, RouterSpec, RouterWeights,
};
use headwater_transformer::{
    Activation, Block, DeviceName, Experts, FeedForward, Gate, Layer, LayerCapture, Linear,
    MultiHeadAttention, Norm, Precision, ScoreTables, Sources, Sublayer,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

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

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (((self.next() + 1.0) / 2.0 * n as f64) as usize).min(n - 1)
    }

    /// True once in `n`.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
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
            // Float32 is a program of its own where the CPU's kernels compute; elsewhere
            // it is the same operations with fewer digits.
            let wanted = if name.name() == "flex" { 2 } else { 1 };
            precisions
                .filter(move |&precision| name.supports(precision))
                .take(wanted)
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
        let options = (&self.device, headwater_transformer::dtype(self.precision));
        match self.precision {
            Precision::F64 => Tensor::from_data(TensorData::new(values, shape), options),
            Precision::F32 => {
                let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
                Tensor::from_data(TensorData::new(values, shape), options)
            }
        }
    }

    /// What terms sum to: a sum is known to the digits of its largest term, which may be
    /// far larger than what is left of it.
    pub(crate) fn assert_sum(&self, terms: &[Tensor<4>], expected: Tensor<3>, what: &str) {
        let largest = terms
            .iter()
            .map(|term| term.clone().abs().max().into_scalar::<f64>());
        let scale = largest.fold(1.0, f64::max);
        let sums = terms
            .iter()
            .map(|term| term.clone().sum_dim(2).squeeze_dim::<3>(2));
        let sum = sums.reduce(|a, b| a + b).expect("there are terms");
        self.assert_close(sum / scale, expected / scale, what);
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

#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) tokens: usize,
    pub(crate) d_model: usize,
    /// The wiring, whether or not a family has it.
    pub(crate) spec: LayerSpec,
    pub(crate) seed: u64,
}

pub(crate) fn shapes() -> impl Strategy<Value = Shape> {
    // Few tokens, and more than the kernels take side by side: up to three
    // panels of targets, and more than one of sources.
    let tokens = prop_oneof![3 => 1usize..8, 1 => 8usize..71];
    // Widths of at least 4: a layer norm over one number is constant, and over two
    // it divides by their difference, which is next to nothing now and then: float32
    // has no digits left there, whatever computes it.
    let sizes = (1usize..4, tokens, 4usize..14);
    (sizes, any::<u64>()).prop_map(|((batch, tokens, d_model), seed)| Shape {
        batch,
        tokens,
        d_model,
        spec: random_wiring(&mut Random(seed ^ 7)),
        seed,
    })
}

fn random_norm(random: &mut Random) -> NormSpec {
    let norm = match random.once_in(2) {
        true => NormSpec::rms(1e-5),
        false => NormSpec::layer(1e-5),
    };
    norm.with_bias(norm.bias && !random.once_in(4))
}

pub(crate) fn random_attention(random: &mut Random) -> AttentionSpec {
    let (groups, each) = (1 + random.below(3), 1 + random.below(3));
    let d_head = 2 + random.below(4);
    let slopes = (0..groups * each).map(|head| 0.5_f64.powi(head as i32 + 1));
    let alibi = PositionScores::Alibi {
        slopes: slopes.collect(),
        scaled: random.once_in(2),
        bfloat16: random.once_in(2),
    };
    let buckets = PositionScores::Buckets {
        buckets: 8,
        farthest: 5,
        both_sides: random.once_in(2),
    };
    let norm = random_norm(random);
    AttentionSpec {
        groups,
        biases: [(); 4].map(|()| random.once_in(2)),
        scale: random.one_of(&[(d_head as f64).sqrt().recip(), 1.0, 0.3]),
        band: random.one_of(&[
            Band::ALL,
            Band::CAUSAL,
            Band::causal_window(2),
            Band::window(1),
            Band::window(100),
        ]),
        qk_norm: random.one_of(&[
            None,
            Some((Over::Head, norm)),
            Some((Over::Projection, norm)),
        ]),
        rope: random.once_in(2).then(|| RopeSpec {
            pairs: random.one_of(&[wiring::Pairs::Halves, wiring::Pairs::Neighbours]),
            ..RopeSpec::new(10_000.0, d_head / 2 * 2)
        }),
        soft_cap: random.once_in(3).then_some(1.5),
        position: random.one_of(&[PositionScores::None, PositionScores::None, alibi, buckets]),
        sinks: random.once_in(3),
        ..AttentionSpec::new(groups * each, d_head)
    }
}

fn random_feed_forward(random: &mut Random) -> FeedForwardSpec {
    let d_ff = 3 + random.below(9);
    let activation = random.one_of(&[
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::QuickGelu,
        Activation::Relu,
        Activation::Silu,
        Activation::Tanh,
    ]);
    let mut coin = || random.once_in(2);
    let biases = [coin(), coin(), coin()];
    if coin() && activation != Activation::Tanh {
        let limited = coin() && coin();
        let gated = GatedSpec {
            biases,
            limit: limited.then_some(0.7),
            shift: if limited { 1.0 } else { 0.0 },
            ..GatedSpec::new(d_ff, activation)
        };
        if !coin() {
            return FeedForwardSpec::Gated(gated);
        }
        let bias = coin();
        return FeedForwardSpec::Experts {
            experts: 4,
            used: 1 + random.below(3),
            router: RouterSpec {
                weights: random.one_of(&[
                    RouterWeights::SoftmaxThenTop,
                    RouterWeights::SoftmaxThenTopToOne,
                    RouterWeights::TopThenSoftmax,
                ]),
                bias,
            },
            expert: gated,
        };
    }
    let [up, down, _] = biases;
    FeedForwardSpec::Plain(PlainSpec {
        biases: [up, down],
        ..PlainSpec::new(d_ff, activation)
    })
}

/// Any layer without cross-attention that can be described.
pub(crate) fn random_wiring(random: &mut Random) -> LayerSpec {
    let attention = wiring::Sublayer::Attention(random_attention(random));
    let feed_forward = wiring::Sublayer::FeedForward(random_feed_forward(random));
    // Half of them are wired like a family.
    let named = random.once_in(2);
    let norms = match random.below(5) {
        0 => [false, false, true],
        1 => [true, true, false],
        2 => [false, true, false],
        _ => [true, false, false],
    };
    let block = |sublayer, random: &mut Random| {
        let norms = match named {
            true => norms,
            false => [(); 3].map(|()| random.once_in(2)),
        };
        let mut norm = |is_there: bool| is_there.then(|| random_norm(random));
        BlockSpec {
            before: norm(norms[0]),
            output: norm(norms[1]),
            behind: norm(norms[2]),
            residual: match random.once_in(4) {
                true => Residual::Normed,
                false => Residual::Input,
            },
            ..BlockSpec::new(sublayer)
        }
    };
    let attention = block(attention, random);
    let mut feed_forward = block(feed_forward, random);
    if random.once_in(4) {
        feed_forward.reads = Reads::LayerInput;
    }
    LayerSpec {
        blocks: vec![attention, feed_forward],
    }
}

/// Random parameters of a wiring.
pub(crate) fn random_layer(shape: &Shape, random: &mut Random, setting: &Setting) -> Layer {
    layer_of(&shape.spec, shape.d_model, random, setting)
}

pub(crate) fn layer_of(
    spec: &LayerSpec,
    d_model: usize,
    random: &mut Random,
    setting: &Setting,
) -> Layer {
    let blocks = spec.blocks.iter();
    Layer {
        blocks: blocks
            .map(|block| {
                let mut norm = |norm: &Option<NormSpec>| {
                    norm.map(|norm| norm_of(norm, d_model, random, setting))
                };
                let (before, output, behind) = (
                    norm(&block.before),
                    norm(&block.output),
                    norm(&block.behind),
                );
                let sublayer = match &block.sublayer {
                    wiring::Sublayer::Attention(spec) => {
                        Sublayer::Attention(attention_of(spec, d_model, random, setting))
                    }
                    wiring::Sublayer::CrossAttention(spec) => {
                        Sublayer::CrossAttention(attention_of(spec, d_model, random, setting))
                    }
                    wiring::Sublayer::FeedForward(FeedForwardSpec::Experts {
                        experts,
                        used,
                        router,
                        expert,
                    }) => {
                        let expert = FeedForwardSpec::Gated(*expert);
                        let mut one = || feed_forward_of(&expert, d_model, random, setting);
                        Sublayer::Experts(Experts {
                            experts: (0..*experts).map(|_| one()).collect(),
                            router: linear_of([d_model, *experts], router.bias, random, setting),
                            weights: router.weights,
                            used: *used,
                        })
                    }
                    wiring::Sublayer::FeedForward(spec) => {
                        Sublayer::FeedForward(feed_forward_of(spec, d_model, random, setting))
                    }
                };
                Block {
                    before,
                    sublayer,
                    output,
                    behind,
                }
            })
            .collect(),
        spec: spec.clone(),
    }
}

fn norm_of(spec: NormSpec, width: usize, random: &mut Random, setting: &Setting) -> Norm {
    Norm {
        kind: spec.kind,
        weight: random.tensor([width], setting) + 1.5,
        bias: spec.bias.then(|| random.tensor([width], setting)),
        epsilon: spec.epsilon,
    }
}

fn linear_of(
    [input, output]: [usize; 2],
    bias: bool,
    random: &mut Random,
    setting: &Setting,
) -> Linear {
    Linear {
        weight: random.tensor([output, input], setting),
        bias: bias.then(|| random.tensor([output], setting)),
    }
}

fn attention_of(
    spec: &AttentionSpec,
    d_model: usize,
    random: &mut Random,
    setting: &Setting,
) -> MultiHeadAttention {
    let (queries, keys) = (spec.query_width(), spec.key_width());
    let mut linear = |sizes, index: usize| linear_of(sizes, spec.biases[index], random, setting);
    MultiHeadAttention {
        query: linear([d_model, queries], 0),
        key: linear([d_model, keys], 1),
        value: linear([d_model, keys], 2),
        output: linear([queries, d_model], 3),
        qk_norms: spec.qk_norm.map(|(over, norm)| {
            let widths = match over {
                Over::Head => [spec.d_head; 2],
                Over::Projection => [queries, keys],
            };
            widths.map(|width| norm_of(norm, width, random, setting))
        }),
        sinks: spec.sinks.then(|| random.tensor([spec.heads], setting)),
        buckets: match spec.position {
            PositionScores::Buckets { buckets, .. } => {
                Some(random.tensor([buckets, spec.heads], setting))
            }
            _ => None,
        },
        spec: spec.clone(),
    }
}

fn feed_forward_of(
    spec: &FeedForwardSpec,
    d_model: usize,
    random: &mut Random,
    setting: &Setting,
) -> FeedForward {
    let mut linear = |sizes, bias| linear_of(sizes, bias, random, setting);
    match *spec {
        FeedForwardSpec::Plain(PlainSpec {
            d_ff,
            activation,
            biases: [up, down],
        }) => FeedForward {
            up: linear([d_model, d_ff], up),
            gate: None,
            down: linear([d_ff, d_model], down),
            activation,
        },
        FeedForwardSpec::Gated(GatedSpec {
            d_ff,
            activation,
            biases: [gate, up, down],
            limit,
            shift,
        }) => FeedForward {
            up: linear([d_model, d_ff], up),
            gate: Some(Gate {
                map: linear([d_model, d_ff], gate),
                limit,
                shift,
            }),
            down: linear([d_ff, d_model], down),
            activation,
        },
        FeedForwardSpec::Experts { .. } => unreachable!("experts are a sublayer of their own"),
    }
}

/// The wiring with a cross-attention block of the first block's norms.
pub(crate) fn with_cross_attention(shape: &Shape) -> LayerSpec {
    let mut spec = shape.spec.clone();
    let attention = AttentionSpec {
        band: Band::ALL,
        rope: None,
        position: PositionScores::None,
        ..spec.attention().clone()
    };
    let cross = BlockSpec {
        sublayer: wiring::Sublayer::CrossAttention(attention),
        ..spec.blocks[0].clone()
    };
    spec.blocks.insert(1, cross);
    // Nothing stands beside two other blocks.
    spec.blocks[2].reads = Reads::Previous;
    spec
}

pub(crate) fn random_input(shape: &Shape, random: &mut Random, setting: &Setting) -> Tensor<3> {
    random.tensor([shape.batch, shape.tokens, shape.d_model], setting) * 2.0
}

/// At every step.
pub(crate) fn decompose(layer: &Layer, x: &Tensor<3>) -> LayerDecomposition {
    decompose_with(layer, x, None, DecompositionOptions::default())
}

pub(crate) fn decompose_with(
    layer: &Layer,
    x: &Tensor<3>,
    tables: Option<&ScoreTables>,
    options: DecompositionOptions,
) -> LayerDecomposition {
    let sources = Sources {
        tables,
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
    let steps = segment.steps(&layer.spec).unwrap();
    let mut capture = LayerCapture::new(0);
    let captures = LayerDecomposition::captures_at(segment, &layer.spec, &steps).unwrap();
    layer.forward(x.clone(), sources, &captures, &mut capture);
    LayerDecomposition::at_steps(segment, layer, &capture, &steps, options).unwrap()
}

pub(crate) fn norms_of(vectors: Tensor<4>) -> Tensor<3> {
    vectors.square().sum_dim(3).sqrt().squeeze_dim(3)
}

/// Runs a property on a random layer and input, on every device.
pub(crate) fn on_random_layers(property: impl Fn(&Shape, &Layer, &Tensor<3>, &Setting)) {
    // A GPU compiles its kernels anew for many of the shapes.
    let slow = DeviceName::ENABLED
        .iter()
        .any(|device| !device.supports(Precision::F64));
    let cases = ProptestConfig {
        // The same layers every time: whether a float32 sum keeps its digits is no matter of luck.
        rng_seed: RngSeed::Fixed(2024),
        ..ProptestConfig::with_cases(if slow { 1 } else { 96 })
    };
    proptest!(cases, |(shape in shapes())| {
        for setting in Setting::all() {
            let mut random = Random(shape.seed);
            let layer = random_layer(&shape, &mut random, &setting);
            let x = random_input(&shape, &mut random, &setting);
            property(&shape, &layer, &x, &setting);
        }
    });
}

/// Whether a gate of the layer has a limit.
pub(crate) fn is_limited(layer: &Layer) -> bool {
    match layer.spec.feed_forward() {
        FeedForwardSpec::Plain(_) => false,
        FeedForwardSpec::Gated(gated) => gated.limit.is_some(),
        FeedForwardSpec::Experts { expert, .. } => expert.limit.is_some(),
    }
}
