//! What holds at every scope.

use burn::tensor::Tensor;
use headwater_decomposition::Scope;
use headwater_transformer::Arrangement;

use crate::random::*;

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

#[test]
fn zeros_are_made_of_zeros_without_an_error() {
    on_random_layers(|shape, layer, x, setting| {
        let mut layer = layer.clone();
        for linear in [&mut layer.attention.value, &mut layer.attention.output] {
            linear.weight = linear.weight.zeros_like();
            linear.bias = linear.bias.zeros_like();
        }
        let zero = |norms: Vec<f64>, what: &str, scope: Scope| {
            let all = norms.iter().all(|&norm| norm == 0.0);
            assert!(all, "{what} of {scope}: {norms:?}");
        };
        for scope in decompose(&layer, x, None).scopes() {
            let numbers = |rows: Tensor<2>| rows.into_data().iter::<f64>().collect::<Vec<_>>();
            let errors = scope.reconstruction_errors();
            setting.assert_close(errors.clone(), errors.zeros_like(), scope.scope().slug());
            // Attention passes nothing on: only a target's own stream is left.
            zero(numbers(scope.mixing_norms()), "mixing", scope.scope());
            let map: Vec<f64> = scope.norms().into_data().iter::<f64>().collect();
            let own: Vec<f64> = numbers(scope.preserving_norms());
            for (row, norms) in map.chunks_exact(shape.tokens).enumerate() {
                for (source, &norm) in norms.iter().enumerate() {
                    let expected = match source == row % shape.tokens {
                        true => own[row],
                        false => 0.0,
                    };
                    assert_eq!(norm, expected, "{} at {row}, {source}", scope.scope());
                }
            }
            if scope.scope() == Scope::Attn {
                zero(own, "preserving", scope.scope());
                zero(numbers(scope.bias_norms()), "bias", scope.scope());
            }
        }
    });
}
