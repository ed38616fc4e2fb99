//! What holds of the feed-forward block and its tiles.

use burn::tensor::Tensor;
use headwater_decomposition::{BiasTreatment, DecompositionOptions, Scope};
use headwater_transformer::{Activation, Arrangement};

use crate::random::*;

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
