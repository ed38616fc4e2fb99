//! One layer's attention over one sequence, checked once.

use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis};

use crate::MetricsError;
use crate::element::{Element, all_finite};

/// One attention layer's weights α and norms ‖f(x)‖ over one sequence.
///
/// The weighted norms need no array of their own, since
/// `‖α_ij f^h(x_j)‖ = α_ij ‖f^h(x_j)‖` for α ≥ 0.
///
/// # Shapes
///
/// `attention_weights` [head, target, source], `transformed_norms`
/// [head, source]. Real tokens only: slice padding away first. Target and
/// source may differ in length (cross-attention).
///
/// # Source
///
/// 2020, norm-based analysis.
#[derive(Clone, Copy, Debug)]
pub struct LayerAttention<'a, E> {
    attention_weights: ArrayView3<'a, E>,
    transformed_norms: ArrayView2<'a, E>,
}

impl<'a, E: Element> LayerAttention<'a, E> {
    /// Takes α and ‖f(x)‖ after checking that they belong together.
    ///
    /// # Errors
    ///
    /// [`MetricsError::ShapeMismatch`]; [`MetricsError::EmptyAxis`];
    /// [`MetricsError::NotFinite`] for a NaN or an infinity anywhere.
    pub fn new(
        attention_weights: ArrayView3<'a, E>,
        transformed_norms: ArrayView2<'a, E>,
    ) -> Result<Self, MetricsError> {
        check_axes("attention_weights", attention_weights.shape())?;
        let (heads, _, sources) = attention_weights.dim();
        check_shape(
            "transformed_norms",
            &[heads, sources],
            transformed_norms.shape(),
        )?;
        all_finite("attention_weights", &attention_weights)?;
        all_finite("transformed_norms", &transformed_norms)?;
        Ok(Self {
            attention_weights,
            transformed_norms,
        })
    }

    /// How many heads there are.
    pub fn heads(&self) -> usize {
        self.attention_weights.len_of(Axis(0))
    }

    /// How many targets there are.
    pub fn targets(&self) -> usize {
        self.attention_weights.len_of(Axis(1))
    }

    /// How many sources there are.
    pub fn sources(&self) -> usize {
        self.attention_weights.len_of(Axis(2))
    }

    /// The attention weights α, [head, target, source].
    pub fn attention_weights(&self) -> ArrayView3<'a, E> {
        self.attention_weights
    }

    /// The norms ‖f^h(x_j)‖, [head, source].
    pub fn transformed_norms(&self) -> ArrayView2<'a, E> {
        self.transformed_norms
    }

    /// The attention that each source receives from a head, on average over
    /// the targets: `ᾱ^h_j = Σ_i α^h_ij / targets`.
    ///
    /// # Shapes
    ///
    /// [head, source].
    pub fn received_by_head(&self) -> Array2<f64> {
        let mut received = Array2::zeros((self.heads(), self.sources()));
        for (weights, mut sums) in self
            .attention_weights
            .outer_iter()
            .zip(received.outer_iter_mut())
        {
            for row in weights.outer_iter() {
                sums.zip_mut_with(&row, |sum, weight| *sum += weight.to_f64());
            }
        }
        received / self.targets() as f64
    }

    /// The attention that each source receives, on average over heads and
    /// targets (its own row included).
    ///
    /// # Shapes
    ///
    /// `[source]`; over all sources it sums to 1.
    ///
    /// # Source
    ///
    /// 2020, relation with word frequency. Average it over layers with
    /// [`crate::TokenMeans`].
    pub fn received(&self) -> Array1<f64> {
        self.received_by_head().sum_axis(Axis(0)) / self.heads() as f64
    }

    /// ‖f^h(x_j)‖ of each source, on average over heads.
    ///
    /// # Shapes
    ///
    /// `[source]`.
    ///
    /// # Source
    ///
    /// 2020, relation with word frequency. Average it over layers with
    /// [`crate::TokenMeans`].
    pub fn mean_transformed_norm(&self) -> Array1<f64> {
        let norms = self.transformed_norms.map(|norm| norm.to_f64());
        norms.sum_axis(Axis(0)) / self.heads() as f64
    }
}

/// Refuses an array with an axis of no entries.
pub(crate) fn check_axes(name: &'static str, found: &[usize]) -> Result<(), MetricsError> {
    if found.contains(&0) {
        return Err(MetricsError::EmptyAxis {
            name,
            found: found.to_vec(),
        });
    }
    Ok(())
}

/// Refuses an array of another shape than the one expected.
pub(crate) fn check_shape(
    name: &'static str,
    expected: &[usize],
    found: &[usize],
) -> Result<(), MetricsError> {
    if expected == found {
        return Ok(());
    }
    Err(MetricsError::ShapeMismatch {
        name,
        expected: expected.to_vec(),
        found: found.to_vec(),
    })
}

/// Refuses a list of another length than the one expected.
pub(crate) fn check_length(
    name: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), MetricsError> {
    if expected == found {
        return Ok(());
    }
    Err(MetricsError::LengthMismatch {
        name,
        expected,
        found,
    })
}

/// Refuses a number that counts past the end.
pub(crate) fn check_index(
    name: &'static str,
    index: usize,
    length: usize,
) -> Result<(), MetricsError> {
    if index < length {
        return Ok(());
    }
    Err(MetricsError::OutOfRange {
        name,
        index,
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, arr1, arr2, arr3};

    #[test]
    fn attention_received_by_hand() {
        let weights = arr3(&[[[0.5_f32, 0.5], [0.25, 0.75]], [[1.0, 0.0], [0.75, 0.25]]]);
        let norms = arr2(&[[2.0_f32, 4.0], [6.0, 1.0]]);
        let attention = LayerAttention::new(weights.view(), norms.view()).unwrap();
        // Head 0: (0.5 + 0.25)/2 and (0.5 + 0.75)/2; head 1: 1.75/2 and 0.25/2.
        let by_head = arr2(&[[0.375, 0.625], [0.875, 0.125]]);
        assert_eq!(attention.received_by_head(), by_head);
        assert_eq!(attention.received(), arr1(&[0.625, 0.375]));
        assert_eq!(attention.mean_transformed_norm(), arr1(&[4.0, 2.5]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let weights = Array3::<f32>::zeros((2, 3, 4));
        let norms = Array2::zeros((2, 3));
        assert_eq!(
            LayerAttention::new(weights.view(), norms.view()).unwrap_err(),
            MetricsError::ShapeMismatch {
                name: "transformed_norms",
                expected: vec![2, 4],
                found: vec![2, 3],
            }
        );
        let none = Array3::<f32>::zeros((2, 0, 3));
        assert!(matches!(
            LayerAttention::new(none.view(), norms.view()),
            Err(MetricsError::EmptyAxis { .. })
        ));
        let mut broken = Array3::<f32>::zeros((2, 3, 3));
        broken[[0, 1, 2]] = f32::NAN;
        assert!(matches!(
            LayerAttention::new(broken.view(), norms.view()),
            Err(MetricsError::NotFinite { position: 5, .. })
        ));
    }
}
