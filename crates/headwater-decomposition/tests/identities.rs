//! Identities that any decomposition of any layer obeys, on random layers.

use burn::tensor::{Device, Tensor, TensorData};
use headwater_decomposition::{BiasTreatment, DecompositionOptions, LayerDecomposition, Scope};
use headwater_fixtures::Deviation;
use headwater_transformer::{
    Activation, Arrangement, DeviceName, FeedForward, Layer, LayerCapture, LayerNorm, Linear,
    Precision, SelfAttention,
};
use proptest::prelude::*;

/// Random numbers that depend on nothing but the seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn tensor<const D: usize>(&mut self, shape: [usize; D], device: &Setting) -> Tensor<D> {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| self.next()).collect();
        device.tensor(values, shape)
    }
}

/// Where the identities are tested: every enabled device, in float64 where it has it.
struct Setting {
    device: Device,
    precision: Precision,
    tolerance: f64,
}

impl Setting {
    fn all() -> Vec<Self> {
        DeviceName::ENABLED
            .iter()
            .map(|name| {
                let (precision, tolerance) = match name.supports(Precision::F64) {
                    true => (Precision::F64, 1e-10),
                    false => (Precision::F32, 2e-3),
                };
                Self {
                    device: name.device(),
                    precision,
                    tolerance,
                }
            })
            .collect()
    }

    fn tensor<const D: usize>(&self, values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
        let options = (&self.device, self.precision.dtype());
        match self.precision {
            Precision::F64 => Tensor::from_data(TensorData::new(values, shape), options),
            Precision::F32 => {
                let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
                Tensor::from_data(TensorData::new(values, shape), options)
            }
        }
    }

    fn assert_close<const D: usize>(&self, found: Tensor<D>, expected: Tensor<D>, what: &str) {
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
struct Shape {
    batch: usize,
    tokens: usize,
    heads: usize,
    d_head: usize,
    arrangement: Arrangement,
    activation: Activation,
    seed: u64,
}

impl Shape {
    fn d_model(self) -> usize {
        self.heads * self.d_head
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let arrangement = prop_oneof![Just(Arrangement::PostLn), Just(Arrangement::PreLn)];
    let activation = prop_oneof![
        Just(Activation::Gelu),
        Just(Activation::GeluTanh),
        Just(Activation::QuickGelu),
        Just(Activation::Relu),
        Just(Activation::Silu),
        Just(Activation::Tanh),
    ];
    // Widths of at least 2: a layer norm over one dimension is constant.
    let sizes = (1usize..4, 1usize..8, 1usize..5, 2usize..6);
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

fn random_layer(shape: Shape, random: &mut Random, setting: &Setting) -> Layer {
    let d = shape.d_model();
    let mut linear = |input: usize, output: usize| Linear {
        weight: random.tensor([output, input], setting),
        bias: random.tensor([output], setting),
    };
    let attention = SelfAttention {
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
        feed_forward,
        feed_forward_norm: norm(),
    }
}

fn random_input(shape: Shape, random: &mut Random, setting: &Setting) -> Tensor<3> {
    random.tensor([shape.batch, shape.tokens, shape.d_model()], setting) * 2.0
}

fn decompose(layer: &Layer, x: &Tensor<3>, score_bias: Option<&Tensor<4>>) -> LayerDecomposition {
    decompose_with(layer, x, score_bias, DecompositionOptions::default())
}

fn decompose_with(
    layer: &Layer,
    x: &Tensor<3>,
    score_bias: Option<&Tensor<4>>,
    options: DecompositionOptions,
) -> LayerDecomposition {
    let scopes = Scope::of(layer.arrangement);
    let mut capture = LayerCapture::new(0);
    let captures = LayerDecomposition::captures(layer.arrangement, scopes).unwrap();
    layer.forward(x.clone(), score_bias, &captures, &mut capture);
    LayerDecomposition::with_options(layer, &capture, scopes, options).unwrap()
}

/// The causal mask over `tokens`, `[1, 1, target, source]`.
fn causal_bias(tokens: usize, setting: &Setting) -> Tensor<4> {
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

fn norms_of(vectors: Tensor<4>) -> Tensor<3> {
    vectors.square().sum_dim(3).sqrt().squeeze_dim(3)
}

/// Runs a property on a random layer and input, on every device.
fn on_random_layers(property: impl Fn(Shape, &Layer, &Tensor<3>, &Setting)) {
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

#[test]
fn parts_and_bias_sum_to_the_representation() {
    on_random_layers(|shape, layer, x, setting| {
        for scope in decompose(layer, x, None).scopes() {
            let parts = scope.parts(0..shape.tokens).unwrap();
            let sum: Tensor<3> = parts.sum_dim(2).squeeze_dim(2);
            setting.assert_close(sum + scope.bias(), scope.output(), scope.scope().slug());
        }
    });
}

#[test]
fn norm_maps_are_the_norms_of_the_parts() {
    on_random_layers(|shape, layer, x, setting| {
        for scope in decompose(layer, x, None).scopes() {
            let direct = norms_of(scope.parts(0..shape.tokens).unwrap());
            setting.assert_close(scope.norms(), direct, scope.scope().slug());
        }
    });
}

#[test]
fn a_range_of_targets_is_a_slice_of_all_targets() {
    on_random_layers(|shape, layer, x, setting| {
        for scope in decompose(layer, x, None).scopes() {
            let all = scope.parts(0..shape.tokens).unwrap();
            let half = shape.tokens / 2;
            let some = scope.parts(half..shape.tokens).unwrap();
            setting.assert_close(some, all.slice_dim(1, half..shape.tokens), "targets");
        }
    });
}

#[test]
fn preserving_and_mixing_norms_are_those_of_the_parts() {
    on_random_layers(|shape, layer, x, setting| {
        for scope in decompose(layer, x, None).scopes() {
            let parts = scope.parts(0..shape.tokens).unwrap();
            for i in 0..shape.tokens {
                let of_target = parts.clone().slice_dim(1, i..i + 1);
                let own = of_target.clone().slice_dim(2, i..i + 1);
                let others = of_target.sum_dim(2) - own.clone();
                let at_target = |norms: Tensor<2>| norms.slice_dim(1, i..i + 1);
                let norm = |v: Tensor<4>| norms_of(v).squeeze_dim(2);
                setting.assert_close(at_target(scope.preserving_norms()), norm(own), "preserving");
                setting.assert_close(at_target(scope.mixing_norms()), norm(others), "mixing");
            }
        }
    });
}

#[test]
fn weighted_norms_are_weights_times_transformed_norms() {
    on_random_layers(|shape, layer, x, setting| {
        let decomposition = decompose(layer, x, None);
        let attention = &layer.attention;
        let input = match layer.arrangement {
            Arrangement::PostLn => x.clone(),
            Arrangement::PreLn => layer.attention_norm.forward(x.clone()).0,
        };
        let values = attention.value.forward(input);
        for h in 0..shape.heads {
            let columns = h * shape.d_head..(h + 1) * shape.d_head;
            let weight = attention
                .output
                .weight
                .clone()
                .slice_dim(1, columns.clone());
            let transformed = values
                .clone()
                .slice_dim(2, columns)
                .matmul(weight.transpose().unsqueeze());
            let norms = transformed.square().sum_dim(2).sqrt();
            let found = decomposition.transformed_norms().slice_dim(1, h..h + 1);
            setting.assert_close(found.swap_dims(1, 2), norms.clone(), "transformed norms");

            let weights = decomposition.attention_weights().slice_dim(1, h..h + 1);
            let weighted = decomposition.weighted_norms().slice_dim(1, h..h + 1);
            setting.assert_close(
                weighted,
                weights * norms.swap_dims(1, 2).unsqueeze_dim(1),
                "weighted norms",
            );
        }
    });
}

#[test]
fn mixing_weights_are_one_minus_the_mean_diagonal() {
    on_random_layers(|shape, layer, x, setting| {
        let decomposition = decompose(layer, x, None);
        let mean: Tensor<3> = decomposition.attention_weights().mean_dim(1).squeeze_dim(1);
        for i in 0..shape.tokens {
            let own: Tensor<3> = mean.clone().slice_dim(1, i..i + 1).slice_dim(2, i..i + 1);
            let found = decomposition.mixing_weights().slice_dim(1, i..i + 1);
            setting.assert_close(found, own.squeeze_dim(2) * -1.0 + 1.0, "mixing weights");
        }
    });
}

#[test]
fn a_single_token_mixes_nothing() {
    on_random_layers(|shape, layer, x, setting| {
        let alone = x.clone().slice_dim(1, 0..1);
        let decomposition = decompose(layer, &alone, None);
        let zero = || setting.tensor(vec![0.0; shape.batch], [shape.batch, 1]);
        let exact = |found: Tensor<2>, what: &str| {
            assert_eq!(found.into_data(), zero().into_data(), "{what}");
        };
        exact(decomposition.mixing_weights(), "weights");
        for scope in decomposition.scopes() {
            exact(scope.mixing_norms(), scope.scope().slug());
        }
    });
}

#[test]
fn padding_changes_nothing() {
    on_random_layers(|shape, layer, x, setting| {
        let real = shape.tokens.div_ceil(2);
        let mut bias = vec![0.0; shape.batch * shape.tokens];
        for row in bias.chunks_mut(shape.tokens) {
            row[real..].fill(-1e30);
        }
        let bias = setting.tensor(bias, [shape.batch, 1, 1, shape.tokens]);
        let padded = decompose(layer, x, Some(&bias));
        let alone = decompose(layer, &x.clone().slice_dim(1, 0..real), None);
        for (padded, alone) in padded.scopes().zip(alone.scopes()) {
            let cut = |map: Tensor<3>| map.slice_dim(1, 0..real).slice_dim(2, 0..real);
            let cut_row = |row: Tensor<2>| row.slice_dim(1, 0..real);
            setting.assert_close(cut(padded.norms()), alone.norms(), "norms");
            setting.assert_close(
                cut_row(padded.mixing_norms()),
                alone.mixing_norms(),
                "mixing",
            );
            setting.assert_close(
                cut_row(padded.preserving_norms()),
                alone.preserving_norms(),
                "preserving",
            );
            setting.assert_close(cut_row(padded.bias_norms()), alone.bias_norms(), "bias");
        }
    });
}

#[test]
fn a_batch_is_its_members_one_by_one() {
    on_random_layers(|shape, layer, x, setting| {
        let together = decompose(layer, x, None);
        for member in 0..shape.batch {
            let alone = decompose(layer, &x.clone().slice_dim(0, member..member + 1), None);
            for (together, alone) in together.scopes().zip(alone.scopes()) {
                let norms = together.norms().slice_dim(0, member..member + 1);
                setting.assert_close(norms, alone.norms(), "norms");
                let mixing = together.mixing_norms().slice_dim(0, member..member + 1);
                setting.assert_close(mixing, alone.mixing_norms(), "mixing");
            }
        }
    });
}

#[test]
fn the_order_of_heads_changes_no_sum() {
    on_random_layers(|shape, layer, x, setting| {
        let mut permuted = layer.clone();
        let attention = &mut permuted.attention;
        let rotated = |v: Tensor<2>, dim: usize| v.roll(&[shape.d_head as i64], &[dim as i64]);
        for linear in [
            &mut attention.query,
            &mut attention.key,
            &mut attention.value,
        ] {
            linear.weight = rotated(linear.weight.clone(), 0);
            linear.bias = linear.bias.clone().roll(&[shape.d_head as i64], &[0i64]);
        }
        attention.output.weight = rotated(attention.output.weight.clone(), 1);
        let before = decompose(layer, x, None);
        let after = decompose(&permuted, x, None);
        for (before, after) in before.scopes().zip(after.scopes()) {
            setting.assert_close(after.norms(), before.norms(), "norms");
            setting.assert_close(after.mixing_norms(), before.mixing_norms(), "mixing");
        }
    });
}

#[test]
fn scaling_gamma_scales_the_scope_behind_it() {
    on_random_layers(|_, layer, x, setting| {
        let mut scaled = layer.clone();
        let (norm, scope) = match layer.arrangement {
            Arrangement::PostLn => (&mut scaled.attention_norm, Scope::Atb),
            Arrangement::PreLn => (&mut scaled.feed_forward_norm, Scope::AtbLn),
        };
        norm.weight = norm.weight.clone() * 3.0;
        let (before, after) = (decompose(layer, x, None), decompose(&scaled, x, None));
        let (before, after) = (before.scope(scope).unwrap(), after.scope(scope).unwrap());
        setting.assert_close(after.norms(), before.norms() * 3.0, "norms");
        setting.assert_close(
            after.preserving_norms(),
            before.preserving_norms() * 3.0,
            "preserving",
        );
        setting.assert_close(after.mixing_norms(), before.mixing_norms() * 3.0, "mixing");
    });
}

#[test]
fn a_fixed_bias_is_complete_too() {
    on_random_layers(|shape, layer, x, setting| {
        let options = DecompositionOptions {
            bias_treatment: BiasTreatment::Fixed,
            ..DecompositionOptions::default()
        };
        for scope in decompose_with(layer, x, None, options).scopes() {
            let parts = scope.parts(0..shape.tokens).unwrap();
            setting.assert_close(scope.norms(), norms_of(parts.clone()), "norms");
            let sum: Tensor<3> = parts.sum_dim(2).squeeze_dim(2);
            setting.assert_close(sum + scope.bias(), scope.output(), scope.scope().slug());
        }
    });
}

#[test]
fn the_size_of_tiles_changes_nothing() {
    on_random_layers(|shape, layer, x, setting| {
        let bias = causal_bias(shape.tokens, setting);
        let mut causal = layer.clone();
        causal.attention.causal = true;
        for (layer, bias) in [(layer, None), (&causal, Some(&bias))] {
            let whole = decompose(layer, x, bias);
            // From one pair at a time to a few.
            for tile_bytes in [1, 2_000, 20_000] {
                let options = DecompositionOptions {
                    tile_bytes,
                    ..DecompositionOptions::default()
                };
                let tiled = decompose_with(layer, x, bias, options);
                for (tiled, whole) in tiled.scopes().zip(whole.scopes()) {
                    setting.assert_close(tiled.norms(), whole.norms(), tiled.scope().slug());
                }
            }
        }
    });
}

#[test]
fn causal_maps_are_lower_triangular() {
    on_random_layers(|shape, layer, x, setting| {
        let mut causal = layer.clone();
        causal.attention.causal = true;
        let bias = causal_bias(shape.tokens, setting);
        for scope in decompose(&causal, x, Some(&bias)).scopes() {
            let map: Vec<f64> = scope.norms().into_data().iter::<f64>().collect();
            for (at, norm) in map.into_iter().enumerate() {
                let (target, source) = (at / shape.tokens % shape.tokens, at % shape.tokens);
                assert!(
                    source <= target || norm == 0.0,
                    "{target} from {source}: {norm}"
                );
            }
        }
    });
}

/// relu is linear where everything is positive: the feed-forward block then
/// maps every part by the same matrix, whatever the bias is taken for.
#[test]
fn a_linear_activation_makes_the_feed_forward_block_linear() {
    on_random_layers(|shape, layer, x, setting| {
        let mut linear = layer.clone();
        linear.feed_forward.activation = Activation::Relu;
        linear.feed_forward.up.bias = linear.feed_forward.up.bias.clone() + 1e3;
        let (before, after) = match layer.arrangement {
            Arrangement::PostLn => (Scope::Atb, Scope::AtbFf),
            Arrangement::PreLn => (Scope::AtbLn, Scope::AtbLnFf),
        };
        for bias_treatment in [BiasTreatment::Player, BiasTreatment::Fixed] {
            let options = DecompositionOptions {
                bias_treatment,
                ..DecompositionOptions::default()
            };
            let decomposition = decompose_with(&linear, x, None, options);
            let parts = |scope| {
                let parts = decomposition.scope(scope).unwrap().parts(0..shape.tokens);
                let rows = [
                    1,
                    shape.batch * shape.tokens * shape.tokens,
                    shape.d_model(),
                ];
                parts.unwrap().reshape(rows)
            };
            let block = &linear.feed_forward;
            let mapped = block.down.product(block.up.product(parts(before)));
            setting.assert_close(parts(after), mapped, bias_treatment.name());
        }
    });
}
