//! What holds behind cross-attention, where the sources are an encoder's
//! tokens and the target's own stream.

use burn::tensor::Tensor;
use headwater_decomposition::{
    BiasTreatment, DecompositionOptions, Error, LayerDecomposition, Segment,
};
use headwater_transformer::wiring::Part;
use headwater_transformer::{EncoderOutput, LayerCapture, Sources};

use crate::random::*;

/// The segments of a random layer behind a random encoder, the first token of
/// which is hidden in every member of the batch.
fn on_random_decoders(
    property: impl Fn(&LayerDecomposition, &LayerDecomposition, usize, &Setting),
) {
    for treatment in [BiasTreatment::Player, BiasTreatment::Fixed] {
        on_random_layers(|shape, _, x, setting| {
            let mut random = Random(shape.seed ^ 1);
            let spec = with_cross_attention(shape);
            let layer = layer_of(&spec, shape.d_model, &mut random, setting);
            if treatment == BiasTreatment::Fixed && is_limited(&layer) {
                return;
            }
            let n_sources = shape.tokens + 2;
            let hidden = [shape.batch, n_sources, shape.d_model];
            let hides = (0..shape.batch * n_sources)
                .map(|at| if at % n_sources == 0 { -1e30 } else { 0.0 })
                .collect();
            let encoder = EncoderOutput {
                hidden_states: random.tensor(hidden, setting) * 2.0,
                score_bias: Some(setting.tensor(hides, [shape.batch, 1, 1, n_sources])),
            };
            let options = DecompositionOptions {
                bias_treatment: treatment,
                ..DecompositionOptions::default()
            };
            let sources = Sources {
                tables: None,
                encoder: Some(&encoder),
            };
            let decompose = |segment| decompose_segment(segment, &layer, x, sources, options);
            property(
                &decompose(Segment::SelfAttention),
                &decompose(Segment::CrossAttention),
                shape.tokens,
                setting,
            );
        });
    }
}

#[test]
fn parts_own_stream_and_bias_sum_to_the_representation() {
    on_random_decoders(|own, cross, tokens, setting| {
        for scope in own.scopes() {
            let parts = scope.parts(0..tokens).unwrap();
            let terms = [parts, scope.bias().unsqueeze_dim(2)];
            setting.assert_sum(&terms, scope.output(), &scope.step().to_string());
        }
        for scope in cross.scopes() {
            let parts = scope.parts(0..tokens).unwrap();
            let [own, bias] = [scope.preserving(), scope.bias()].map(|v| v.unsqueeze_dim(2));
            let terms = [parts, own, bias];
            setting.assert_sum(&terms, scope.output(), &scope.step().to_string());
        }
    });
}

#[test]
fn norm_maps_are_the_norms_of_the_parts() {
    on_random_decoders(|_, cross, tokens, setting| {
        for scope in cross.scopes() {
            let parts = scope.parts(0..tokens).unwrap();
            let sum = parts.clone().sum_dim(2);
            setting.assert_close(scope.norms(), norms_of(parts), &scope.step().to_string());
            let mixing: Tensor<2> = norms_of(sum).squeeze_dim(2);
            setting.assert_close(scope.mixing_norms(), mixing, &scope.step().to_string());
        }
    });
}

#[test]
fn a_hidden_source_has_no_part_and_the_own_stream_enters_with_the_residual() {
    on_random_decoders(|_, cross, _, setting| {
        for scope in cross.scopes() {
            let hidden = scope.norms().slice_dim(2, 0..1);
            setting.assert_close(hidden.clone(), hidden.zeros_like(), "hidden source");
            let own: f64 = scope.preserving_norms().max().into_scalar::<f64>();
            assert_eq!(
                own == 0.0,
                scope.step().part < Part::Residual && scope.step().block == 1,
                "{}",
                scope.step()
            );
        }
    });
}

#[test]
fn a_layer_has_the_segments_of_its_kind() {
    let shape = Shape {
        batch: 1,
        tokens: 2,
        d_model: 4,
        spec: random_wiring(&mut Random(1)),
        seed: 1,
    };
    let setting = &Setting::all()[0];
    let mut random = Random(shape.seed);
    let plain = random_layer(&shape, &mut random, setting);
    let spec = with_cross_attention(&shape);
    let decoder = layer_of(&spec, shape.d_model, &mut random, setting);
    let segments = [
        Segment::Layer,
        Segment::SelfAttention,
        Segment::CrossAttention,
    ];
    for (layer, of_its_kind) in [(&plain, &segments[..1]), (&decoder, &segments[1..])] {
        for segment in segments {
            let capture = LayerCapture::new(0);
            let options = DecompositionOptions::default();
            let error = LayerDecomposition::of_segment(segment, layer, &capture, &[], options)
                .expect_err("nothing was captured");
            // What is its own segment lacks nothing but activations.
            match (of_its_kind.contains(&segment), &error) {
                (true, Error::Transformer(_)) => {}
                (false, Error::NoSuchSegment { segment: refused }) => assert_eq!(*refused, segment),
                _ => panic!("{segment:?}: {error}"),
            }
        }
    }
}
