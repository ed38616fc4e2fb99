//! How much a layer's attention map stretches its inputs.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use crate::MetricsError;
use crate::attention::{check_axes, check_shape};
use crate::element::{Element, all_finite};

/// The affine map that a layer's attention applies to each source, all heads
/// together: `x ↦ x W_V W_O + b_V W_O + b_O`, for row vectors.
///
/// Summed over heads, f^h(x) = (x W_V^h + b_V^h) W_O^h is x W_V W_O + b_V W_O.
/// The output bias b_O belongs to the attention block as a whole: with it the
/// map is the one whose expansion rate the papers give, without it f itself.
///
/// # Shapes
///
/// `value_weight` [d_model, heads · d_head], `value_bias` `[heads · d_head]`,
/// `output_weight` [heads · d_head, d_model], `output_bias` `[d_model]`. Weights
/// are for row vectors: checkpoints that store [output, input] pass `.t()`.
#[derive(Clone, Copy, Debug)]
pub struct AttentionMap<'a, E> {
    /// W_V, the heads' columns side by side.
    pub value_weight: ArrayView2<'a, E>,
    /// b_V.
    pub value_bias: ArrayView1<'a, E>,
    /// W_O, the heads' rows one below the other.
    pub output_weight: ArrayView2<'a, E>,
    /// b_O, if it is to be part of the map.
    pub output_bias: Option<ArrayView1<'a, E>>,
}

/// The expansion rate of a layer's attention map.
///
/// ```text
/// rate = ‖M‖_F / sqrt(d + 1),   M = [ W_V W_O         0 ]
///                                   [ b_V W_O + b_O   1 ]   (d+1) × (d+1)
/// ```
///
/// M maps the row (x, 1) to (f(x), 1). The rate is the root mean square of M's
/// singular values: 1 for the identity, `1/sqrt(d + 1)` for a map to zero.
/// 2·d²·(heads · d_head) FLOPs, in f64.
///
/// # Errors
///
/// [`MetricsError::ShapeMismatch`], [`MetricsError::EmptyAxis`],
/// [`MetricsError::NotFinite`].
///
/// # Source
///
/// 2021, expansion rate of f. The authors' script lets b_O into the last
/// column of the second factor rather than its last row; this is the map as
/// the layer computes it.
pub fn expansion_rate<E: Element>(map: &AttentionMap<'_, E>) -> Result<f64, MetricsError> {
    let (d_model, width) = map.value_weight.dim();
    check_axes("value_weight", map.value_weight.shape())?;
    check_shape("value_bias", &[width], map.value_bias.shape())?;
    check_shape(
        "output_weight",
        &[width, d_model],
        map.output_weight.shape(),
    )?;

    let output_weight = matrix("output_weight", map.output_weight)?;
    let weight = matrix("value_weight", map.value_weight)?.dot(&output_weight);
    let mut bias = vector("value_bias", map.value_bias)?.dot(&output_weight);
    if let Some(output_bias) = map.output_bias {
        check_shape("output_bias", &[d_model], output_bias.shape())?;
        bias += &vector("output_bias", output_bias)?;
    }
    let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    let rows: f64 = weight.outer_iter().map(|row| row.dot(&row)).sum();
    let square_norm = rows + squares(&bias.to_vec()) + 1.0;
    Ok((square_norm / (d_model + 1) as f64).sqrt())
}

fn matrix<E: Element>(
    name: &'static str,
    values: ArrayView2<'_, E>,
) -> Result<Array2<f64>, MetricsError> {
    all_finite(name, &values)?;
    Ok(values.map(|value| value.to_f64()))
}

fn vector<E: Element>(
    name: &'static str,
    values: ArrayView1<'_, E>,
) -> Result<Array1<f64>, MetricsError> {
    Ok(Array1::from_vec(all_finite(name, &values)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    #[test]
    fn a_map_by_hand() {
        // W = [[2, 2], [4, 0]], b = (1, 1)·W_O + (0, −1) = (3, 1) + (0, −1) = (3, 0):
        // 4 + 4 + 16 + 9 + 1 = 34 over 3. Without b_O: 4 + 4 + 16 + 9 + 1 + 1 = 35.
        let (value, output) = (
            arr2(&[[0.0_f32, 2.0], [2.0, -2.0]]),
            arr2(&[[3.0, 1.0], [1.0, 1.0]]),
        );
        let (value_bias, output_bias) = (arr1(&[1.0, 0.0]), arr1(&[0.0, -1.0]));
        let mut map = AttentionMap {
            value_weight: value.view(),
            value_bias: value_bias.view(),
            output_weight: output.view(),
            output_bias: Some(output_bias.view()),
        };
        let rate = expansion_rate(&map).unwrap();
        assert!((rate - (34.0_f64 / 3.0).sqrt()).abs() < 1e-14, "{rate}");
        map.output_bias = None;
        let rate = expansion_rate(&map).unwrap();
        assert!((rate - (35.0_f64 / 3.0).sqrt()).abs() < 1e-14, "{rate}");
    }

    #[test]
    fn the_identity_expands_by_one() {
        let (identity, zero) = (Array2::<f64>::eye(5), Array1::zeros(5));
        let map = AttentionMap {
            value_weight: identity.view(),
            value_bias: zero.view(),
            output_weight: identity.view(),
            output_bias: None,
        };
        assert_eq!(expansion_rate(&map).unwrap(), 1.0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (wide, zero) = (Array2::<f64>::zeros((2, 3)), Array1::zeros(3));
        let map = AttentionMap {
            value_weight: wide.view(),
            value_bias: zero.view(),
            output_weight: wide.view(),
            output_bias: None,
        };
        assert!(matches!(
            expansion_rate(&map),
            Err(MetricsError::ShapeMismatch {
                name: "output_weight",
                ..
            })
        ));
        let long_bias = AttentionMap {
            output_weight: wide.t(),
            output_bias: Some(zero.view()),
            ..map
        };
        assert!(matches!(
            expansion_rate(&long_bias),
            Err(MetricsError::ShapeMismatch {
                name: "output_bias",
                ..
            })
        ));
    }
}
