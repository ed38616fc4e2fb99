//! What holds of the feed-forward block and its tiles.

use headwater_decomposition::{
    BiasTreatment, DecompositionOptions, Error, LayerDecomposition, Segment,
};
use headwater_transformer::wiring::{Component, Reads};
use headwater_transformer::{Activation, Layer, LayerCapture, Sublayer};

use crate::random::*;

const FIXED: DecompositionOptions = DecompositionOptions {
    bias_treatment: BiasTreatment::Fixed,
    tile_bytes: 128 << 20,
};

/// The step of FF and the one before it, if it reads what parts are in.
fn around(layer: &Layer) -> Option<[headwater_transformer::wiring::Step; 2]> {
    let block = layer.spec.blocks.last().unwrap();
    if block.reads == Reads::LayerInput {
        return None;
    }
    let steps = layer.steps();
    let at = steps.iter().position(|(_, c)| *c == Component::FeedForward);
    let at = at.unwrap();
    Some([steps[at - 1].0, steps[at].0])
}

#[test]
fn a_fixed_bias_is_complete_too() {
    on_random_layers(|shape, layer, x, setting| {
        if around(layer).is_none() || is_limited(layer) {
            return;
        }
        for scope in decompose_with(layer, x, None, FIXED).scopes() {
            let parts = scope.parts(0..shape.tokens).unwrap();
            setting.assert_close(scope.norms(), norms_of(parts.clone()), "norms");
            let terms = [parts, scope.bias().unsqueeze_dim(2)];
            setting.assert_sum(&terms, scope.output(), &scope.step().to_string());
        }
    });
}

#[test]
fn a_bias_is_not_treated_where_nothing_flows_through_the_block() {
    on_random_layers(|_, layer, x, _| {
        if around(layer).is_some() {
            return;
        }
        let steps = Segment::Layer.steps(&layer.spec).unwrap();
        let captures = LayerDecomposition::captures_at(Segment::Layer, &layer.spec, &steps);
        let mut capture = LayerCapture::new(0);
        layer.forward(
            x.clone(),
            Default::default(),
            &captures.unwrap(),
            &mut capture,
        );
        let refused = LayerDecomposition::at_steps(Segment::Layer, layer, &capture, &steps, FIXED);
        assert!(matches!(refused, Err(Error::NoBiasToTreat)));
    });
}

#[test]
fn the_size_of_tiles_changes_nothing() {
    on_random_layers(|_, layer, x, setting| {
        let whole = decompose(layer, x);
        // From one pair at a time to a few.
        for tile_bytes in [1, 2_000, 20_000] {
            let options = DecompositionOptions {
                tile_bytes,
                ..DecompositionOptions::default()
            };
            let tiled = decompose_with(layer, x, None, options);
            for (tiled, whole) in tiled.scopes().zip(whole.scopes()) {
                let what = tiled.step().to_string();
                setting.assert_close(tiled.norms(), whole.norms(), &what);
            }
        }
    });
}

/// relu is linear where everything is positive: the feed-forward block then
/// maps every part by the same matrix, whatever the bias is taken for.
#[test]
fn a_linear_activation_makes_the_feed_forward_block_linear() {
    on_random_layers(|shape, layer, x, setting| {
        let Some([before, after]) = around(layer) else {
            return;
        };
        let mut linear = layer.clone();
        let Sublayer::FeedForward(block) = &mut linear.blocks[1].sublayer else {
            return;
        };
        let d_ff = block.d_ff();
        block.gate = None;
        block.activation = Activation::Relu;
        block.up.bias = Some(setting.tensor(vec![1e3; d_ff], [d_ff]));
        for bias_treatment in [BiasTreatment::Player, BiasTreatment::Fixed] {
            let options = DecompositionOptions {
                bias_treatment,
                ..DecompositionOptions::default()
            };
            let decomposition = decompose_with(&linear, x, None, options);
            let parts = |step| {
                let parts = decomposition.step(step).unwrap().parts(0..shape.tokens);
                let rows = [1, shape.batch * shape.tokens * shape.tokens, shape.d_model];
                parts.unwrap().reshape(rows)
            };
            let block = linear.feed_forward();
            let mapped = block.down.product(block.up.product(parts(before)));
            setting.assert_close(parts(after), mapped, bias_treatment.name());
        }
    });
}
