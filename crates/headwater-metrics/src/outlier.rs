//! The few dimensions whose values are far larger than those of the others.

use std::iter::zip;

use ndarray::{Array1, ArrayView2};

use crate::attention::{check_index, check_length};
use crate::element::{Element, all_finite};
use crate::{MetricsError, Summary, ranks};

/// A dimension and how large its values are on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlierDimension {
    /// Its number, from 0.
    pub dimension: usize,
    /// The mean of |value| over the tokens.
    pub mean_magnitude: f64,
}

/// How large the values of vectors are, dimension by dimension, over all
/// tokens of a corpus.
///
/// One [`Summary`] of |value| a dimension, so its size does not grow with the
/// corpus: 40 bytes times d_model. Keep one for each layer.
///
/// # Source
///
/// 2023, outlier dimensions of the feed-forward output.
#[derive(Clone, Debug, PartialEq)]
pub struct DimensionMagnitudes {
    dimensions: Vec<Summary>,
}

impl DimensionMagnitudes {
    /// No token yet, for vectors of so many dimensions.
    pub fn new(d_model: usize) -> Self {
        Self {
            dimensions: vec![Summary::new(); d_model],
        }
    }

    /// Adds the vectors of one text.
    ///
    /// # Shapes
    ///
    /// `vectors` [token, d_model], for instance the feed-forward outputs. Real
    /// tokens only: slice padding away first.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`] for another d_model;
    /// [`MetricsError::NotFinite`]. Nothing is added then.
    pub fn push<E: Element>(&mut self, vectors: ArrayView2<'_, E>) -> Result<(), MetricsError> {
        check_length("vectors", self.dimensions.len(), vectors.ncols())?;
        let magnitudes = all_finite("vectors", &vectors)?;
        // Vectors of no dimensions leave nothing to cut into rows, and a chunk
        // of length 0 would panic.
        for row in magnitudes.chunks_exact(self.dimensions.len().max(1)) {
            for (dimension, value) in zip(&mut self.dimensions, row) {
                dimension.add(value.abs());
            }
        }
        Ok(())
    }

    /// Adds everything that another collection over the same model has seen.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`] if the numbers of dimensions differ.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricsError> {
        check_length("dimensions", self.dimensions.len(), other.dimensions.len())?;
        for (dimension, other) in zip(&mut self.dimensions, &other.dimensions) {
            dimension.merge(other);
        }
        Ok(())
    }

    /// The magnitudes of one dimension, a value a token; `None` for one that
    /// is not there.
    pub fn dimension(&self, dimension: usize) -> Option<Summary> {
        self.dimensions.get(dimension).copied()
    }

    /// The dimensions with the largest mean |value|, the largest first; equal
    /// ones in the order of their numbers.
    ///
    /// All of them where there are fewer than `count`, none before a token was
    /// added.
    pub fn outliers(&self, count: usize) -> Vec<OutlierDimension> {
        let outlier = |(dimension, magnitudes): (usize, &Summary)| {
            Some(OutlierDimension {
                dimension,
                mean_magnitude: magnitudes.mean()?,
            })
        };
        let mut outliers: Vec<_> = self
            .dimensions
            .iter()
            .enumerate()
            .filter_map(outlier)
            .collect();
        // A stable sort leaves equal dimensions in the order of their numbers.
        outliers.sort_by(|a, b| b.mean_magnitude.total_cmp(&a.mean_magnitude));
        outliers.truncate(count);
        outliers
    }
}

/// The weight that a layer normalization gives to a dimension, and where it
/// stands among all of its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DimensionWeight {
    /// The number of the dimension, from 0.
    pub dimension: usize,
    /// γ of the dimension.
    pub gamma: f64,
    /// The rank of |γ| among all dimensions, 1 for the smallest and d_model for
    /// the largest; ties share their average.
    pub rank: f64,
}

/// The weights γ of a layer normalization at some dimensions, and the ranks of
/// their magnitudes.
///
/// A low rank at an outlier dimension means that the normalization takes back
/// what the feed-forward network put there. Magnitudes are ranked because the
/// sign of γ leaves norms as they are.
///
/// # Shapes
///
/// `gamma` `[d_model]`; the result in the order of `dimensions`.
///
/// # Errors
///
/// [`MetricsError::OutOfRange`] for a dimension that is not there;
/// [`MetricsError::NotFinite`].
///
/// # Source
///
/// 2023, γ of the second layer normalization at the outlier dimensions.
pub fn dimension_weights(
    gamma: impl IntoIterator<Item: Element>,
    dimensions: &[usize],
) -> Result<Vec<DimensionWeight>, MetricsError> {
    let gamma = all_finite("gamma", gamma)?;
    let ranks = ranks(gamma.iter().map(|gamma| gamma.abs()))?;
    let weight = |&dimension: &usize| {
        check_index("dimension", dimension, gamma.len())?;
        Ok(DimensionWeight {
            dimension,
            gamma: gamma[dimension],
            rank: ranks[dimension],
        })
    };
    dimensions.iter().map(weight).collect()
}

/// The Euclidean norm of every row over the dimensions that are not left out:
/// `sqrt(Σ_{k ∉ left_out} x_jk²)`.
///
/// At most [`crate::vector_norms`], and equal to it if nothing is left out; 0
/// if everything is. A dimension named twice is left out once.
///
/// # Shapes
///
/// `vectors` [token, d_model]; the result `[token]`. Parts y_ij of a scope can
/// be given as [target · source, d_model].
///
/// # Errors
///
/// [`MetricsError::OutOfRange`] for a dimension that is not there;
/// [`MetricsError::NotFinite`].
///
/// # Source
///
/// 2023, the feed-forward block without its outlier dimensions.
pub fn vector_norms_without<E: Element>(
    vectors: ArrayView2<'_, E>,
    left_out: &[usize],
) -> Result<Array1<f64>, MetricsError> {
    let mut kept = vec![true; vectors.ncols()];
    for &dimension in left_out {
        check_index("dimension", dimension, kept.len())?;
        kept[dimension] = false;
    }
    all_finite("vectors", &vectors)?;
    let norm = |row: ndarray::ArrayView1<'_, E>| {
        let squares = zip(row, &kept)
            .filter(|(_, kept)| **kept)
            .map(|(value, _)| value.to_f64().powi(2));
        squares.sum::<f64>().sqrt()
    };
    Ok(vectors.outer_iter().map(norm).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, arr1, arr2};

    fn example() -> DimensionMagnitudes {
        let mut magnitudes = DimensionMagnitudes::new(4);
        let vectors = arr2(&[[1.0_f32, -8.0, 0.0, 2.0], [-3.0, 4.0, 0.0, -2.0]]);
        magnitudes.push(vectors.view()).unwrap();
        magnitudes
    }

    fn outlier(dimension: usize, mean_magnitude: f64) -> OutlierDimension {
        OutlierDimension {
            dimension,
            mean_magnitude,
        }
    }

    #[test]
    fn outliers_by_hand() {
        let magnitudes = example();
        // Mean magnitudes 2, 6, 0, 2: dimensions 0 and 3 tie.
        let all = [
            outlier(1, 6.0),
            outlier(0, 2.0),
            outlier(3, 2.0),
            outlier(2, 0.0),
        ];
        assert_eq!(magnitudes.outliers(2), all[..2]);
        assert_eq!(magnitudes.outliers(9), all);
        assert_eq!(magnitudes.outliers(0), []);
        assert_eq!(magnitudes.dimension(1).unwrap().max(), Some(8.0));
        assert_eq!(magnitudes.dimension(1).unwrap().count(), 2);
        assert_eq!(magnitudes.dimension(4), None);
    }

    #[test]
    fn nothing_has_no_outliers() {
        let mut none = DimensionMagnitudes::new(3);
        none.push(Array2::<f32>::zeros((0, 3)).view()).unwrap();
        assert_eq!(none.outliers(3), []);
        let mut flat = DimensionMagnitudes::new(0);
        flat.push(Array2::<f32>::zeros((2, 0)).view()).unwrap();
        assert_eq!(flat.outliers(1), []);
    }

    #[test]
    fn parts_are_merged_and_misfits_add_nothing() {
        let mut all = example();
        all.merge(&example()).unwrap();
        assert_eq!(all.dimension(0).unwrap().count(), 4);
        assert_eq!(all.outliers(1), [outlier(1, 6.0)]);
        let before = all.clone();
        assert!(all.merge(&DimensionMagnitudes::new(3)).is_err());
        assert!(all.push(arr2(&[[1.0]]).view()).is_err());
        let broken = arr2(&[[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, f64::INFINITY, 1.0]]);
        assert!(matches!(
            all.push(broken.view()),
            Err(MetricsError::NotFinite { position: 6, .. })
        ));
        assert_eq!(all, before);
    }

    #[test]
    fn weights_by_hand() {
        let gamma = arr1(&[0.5_f32, -2.0, 1.0, 0.5]);
        // Magnitudes 0.5, 2, 1, 0.5 have the ranks 1.5, 4, 3, 1.5.
        let weight = |dimension, gamma, rank| DimensionWeight {
            dimension,
            gamma,
            rank,
        };
        assert_eq!(
            dimension_weights(&gamma, &[1, 3]).unwrap(),
            [weight(1, -2.0, 4.0), weight(3, 0.5, 1.5)]
        );
        assert_eq!(
            dimension_weights(&gamma, &[4]),
            Err(MetricsError::OutOfRange {
                name: "dimension",
                index: 4,
                length: 4,
            })
        );
        assert!(matches!(
            dimension_weights([1.0, f64::NAN], &[0]),
            Err(MetricsError::NotFinite { name: "gamma", .. })
        ));
    }

    #[test]
    fn norms_by_hand() {
        let vectors = arr2(&[[3.0_f32, 100.0, 4.0], [0.0, 7.0, 0.0]]);
        let norms = |left_out| vector_norms_without(vectors.view(), left_out);
        assert_eq!(norms(&[1]).unwrap(), arr1(&[5.0, 0.0]));
        assert_eq!(norms(&[1, 0, 1]).unwrap(), arr1(&[4.0, 0.0]));
        assert_eq!(norms(&[2, 1, 0]).unwrap(), arr1(&[0.0, 0.0]));
        assert!(matches!(
            norms(&[3]),
            Err(MetricsError::OutOfRange { index: 3, .. })
        ));
        let broken = arr2(&[[f32::NAN]]);
        assert!(vector_norms_without(broken.view(), &[]).is_err());
    }
}
