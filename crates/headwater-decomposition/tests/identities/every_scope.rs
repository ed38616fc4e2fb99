//! What holds at every scope.

use burn::tensor::Tensor;
use headwater_decomposition::{DecompositionOptions, Segment};
use headwater_transformer::wiring::{Component, Over, Part, PositionScores};
use headwater_transformer::{Layer, ScoreTables, Sublayer};

use crate::random::*;

#[test]
fn parts_and_bias_sum_to_the_representation() {
    on_random_layers(|shape, layer, x, setting| {
        for scope in decompose(layer, x).scopes() {
            let parts = scope.parts(0..shape.tokens).unwrap();
            let terms = [parts, scope.bias().unsqueeze_dim(2)];
            setting.assert_sum(&terms, scope.output(), &scope.step().to_string());
        }
    });
}

#[test]
fn norm_maps_are_the_norms_of_the_parts() {
    on_random_layers(|shape, layer, x, setting| {
        for scope in decompose(layer, x).scopes() {
            let direct = norms_of(scope.parts(0..shape.tokens).unwrap());
            setting.assert_close(scope.norms(), direct, &scope.step().to_string());
        }
    });
}

#[test]
fn a_range_of_targets_is_a_slice_of_all_targets() {
    on_random_layers(|shape, layer, x, setting| {
        for scope in decompose(layer, x).scopes() {
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
        for scope in decompose(layer, x).scopes() {
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
    on_random_layers(|_, layer, x, setting| {
        let decomposition = decompose(layer, x);
        let attention = layer.attention();
        let input = match &layer.blocks[0].before {
            None => x.clone(),
            Some(norm) => norm.forward(x.clone()).0,
        };
        let values = attention.value.forward(input);
        let (heads, groups, d_head) = (
            attention.spec.heads,
            attention.spec.groups,
            attention.spec.d_head,
        );
        for h in 0..heads {
            let columns = |head: usize| head * d_head..(head + 1) * d_head;
            let weight = attention.output.weight.clone().slice_dim(1, columns(h));
            let transformed = values
                .clone()
                .slice_dim(2, columns(h / (heads / groups)))
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
fn mixing_weights_are_what_the_mean_diagonal_leaves() {
    on_random_layers(|shape, layer, x, setting| {
        let decomposition = decompose(layer, x);
        let mean: Tensor<3> = decomposition.attention_weights().mean_dim(1).squeeze_dim(1);
        for i in 0..shape.tokens {
            let own: Tensor<3> = mean.clone().slice_dim(1, i..i + 1).slice_dim(2, i..i + 1);
            let found = decomposition.mixing_weights().slice_dim(1, i..i + 1);
            // Less than 1 where a sink takes some of it.
            let all: Tensor<3> = mean.clone().slice_dim(1, i..i + 1).sum_dim(2);
            let share = (all.clone() - own) / all;
            setting.assert_close(found, share.squeeze_dim(2), "mixing weights");
        }
    });
}

#[test]
fn a_single_token_mixes_nothing() {
    on_random_layers(|shape, layer, x, setting| {
        let alone = x.clone().slice_dim(1, 0..1);
        let decomposition = decompose(layer, &alone);
        let zero = || setting.tensor(vec![0.0; shape.batch], [shape.batch, 1]);
        let exact = |found: Tensor<2>, what: &str| {
            assert_eq!(found.into_data(), zero().into_data(), "{what}");
        };
        exact(decomposition.mixing_weights(), "weights");
        for scope in decomposition.scopes() {
            exact(scope.mixing_norms(), &scope.step().to_string());
        }
    });
}

#[test]
fn padding_changes_nothing() {
    on_random_layers(|shape, layer, x, setting| {
        let real = shape.tokens.div_ceil(2);
        let lengths = vec![real; shape.batch];
        let tables = ScoreTables::new(&lengths, shape.tokens, &setting.device, setting.precision);
        let padded = decompose_with(layer, x, Some(&tables), DecompositionOptions::default());
        let alone = decompose(layer, &x.clone().slice_dim(1, 0..real));
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
        let together = decompose(layer, x);
        for member in 0..shape.batch {
            let alone = decompose(layer, &x.clone().slice_dim(0, member..member + 1));
            for (together, alone) in together.scopes().zip(alone.scopes()) {
                let norms = together.norms().slice_dim(0, member..member + 1);
                setting.assert_close(norms, alone.norms(), "norms");
                let mixing = together.mixing_norms().slice_dim(0, member..member + 1);
                setting.assert_close(mixing, alone.mixing_norms(), "mixing");
            }
        }
    });
}

/// The self-attention of a layer, to be changed.
fn attention_mut(layer: &mut Layer) -> &mut headwater_transformer::MultiHeadAttention {
    match &mut layer.blocks[0].sublayer {
        Sublayer::Attention(attention) => attention,
        _ => unreachable!("a layer begins with self-attention"),
    }
}

#[test]
fn the_order_of_heads_changes_no_sum() {
    on_random_layers(|_, layer, x, setting| {
        let spec = &layer.attention().spec;
        let over_all = matches!(spec.qk_norm, Some((Over::Projection, _)));
        // These have numbers of each head by themselves.
        if spec.sinks || over_all || spec.position != PositionScores::None {
            return;
        }
        let (of_keys, of_queries) = (spec.d_head, spec.d_head * (spec.heads / spec.groups));
        let mut permuted = layer.clone();
        let attention = attention_mut(&mut permuted);
        let rotated = |v: Tensor<2>, by: usize, dim: usize| v.roll(&[by as i64], &[dim as i64]);
        for (linear, by) in [
            (&mut attention.query, of_queries),
            (&mut attention.key, of_keys),
            (&mut attention.value, of_keys),
        ] {
            linear.weight = rotated(linear.weight.clone(), by, 0);
            let bias = linear.bias.take();
            linear.bias = bias.map(|bias| bias.roll(&[by as i64], &[0i64]));
        }
        attention.output.weight = rotated(attention.output.weight.clone(), of_queries, 1);
        let (before, after) = (decompose(layer, x), decompose(&permuted, x));
        for (before, after) in before.scopes().zip(after.scopes()) {
            setting.assert_close(after.norms(), before.norms(), "norms");
            setting.assert_close(after.mixing_norms(), before.mixing_norms(), "mixing");
        }
    });
}

#[test]
fn scaling_gamma_scales_the_step_of_the_norm() {
    on_random_layers(|_, layer, x, setting| {
        let reached = Segment::Layer.steps(&layer.spec).unwrap();
        for (step, component) in layer.steps() {
            if component != Component::Norm || !reached.contains(&step) {
                continue;
            }
            let mut scaled = layer.clone();
            let block = &mut scaled.blocks[usize::from(step.block)];
            let norms = [&mut block.before, &mut block.output, &mut block.behind];
            let place = match step.part {
                Part::Before => 0,
                Part::Output => 1,
                _ => 2,
            };
            let norm = norms.into_iter().nth(place).unwrap().as_mut().unwrap();
            norm.weight = norm.weight.clone() * 3.0;
            let (before, after) = (decompose(layer, x), decompose(&scaled, x));
            let (before, after) = (before.step(step).unwrap(), after.step(step).unwrap());
            setting.assert_close(after.norms(), before.norms() * 3.0, "norms");
            setting.assert_close(
                after.preserving_norms(),
                before.preserving_norms() * 3.0,
                "preserving",
            );
            setting.assert_close(after.mixing_norms(), before.mixing_norms() * 3.0, "mixing");
        }
    });
}

#[test]
fn what_the_band_hides_has_no_part() {
    on_random_layers(|shape, layer, x, _| {
        let band = layer.attention().spec.band;
        for scope in decompose(layer, x).scopes() {
            let map: Vec<f64> = scope.norms().into_data().iter::<f64>().collect();
            for (at, norm) in map.into_iter().enumerate() {
                let (target, source) = (at / shape.tokens % shape.tokens, at % shape.tokens);
                assert!(
                    band.sources(target, shape.tokens).contains(&source) || norm == 0.0,
                    "{target} from {source}: {norm}"
                );
            }
        }
    });
}

#[test]
fn zeros_are_made_of_zeros_without_an_error() {
    on_random_layers(|shape, layer, x, setting| {
        let mut layer = layer.clone();
        let attention = attention_mut(&mut layer);
        for linear in [&mut attention.value, &mut attention.output] {
            linear.weight = linear.weight.zeros_like();
            linear.bias = linear.bias.take().map(|bias| bias.zeros_like());
        }
        let zero = |norms: Vec<f64>, what: &str| {
            let all = norms.iter().all(|&norm| norm == 0.0);
            assert!(all, "{what}: {norms:?}");
        };
        for scope in decompose(&layer, x).scopes() {
            let numbers = |rows: Tensor<2>| rows.into_data().iter::<f64>().collect::<Vec<_>>();
            let what = scope.step().to_string();
            // Finite where all is zero, and elsewhere as small as the largest term allows.
            let errors = numbers(scope.reconstruction_errors());
            assert!(
                errors.iter().all(|error| error.is_finite()),
                "{what}: {errors:?}"
            );
            let parts = scope.parts(0..shape.tokens).unwrap();
            let terms = [parts, scope.bias().unsqueeze_dim(2)];
            setting.assert_sum(&terms, scope.output(), &what);
            // Attention passes nothing on: only a target's own stream is left.
            zero(numbers(scope.mixing_norms()), &format!("mixing at {what}"));
            let map: Vec<f64> = scope.norms().into_data().iter::<f64>().collect();
            let own: Vec<f64> = numbers(scope.preserving_norms());
            for (row, norms) in map.chunks_exact(shape.tokens).enumerate() {
                for (source, &norm) in norms.iter().enumerate() {
                    let expected = match source == row % shape.tokens {
                        true => own[row],
                        false => 0.0,
                    };
                    assert_eq!(norm, expected, "{what} at {row}, {source}");
                }
            }
            if scope.step().part == Part::Sublayer && scope.step().block == 0 {
                zero(own, "preserving");
                zero(numbers(scope.bias_norms()), "bias");
            }
        }
    });
}
