//! Pearson and Spearman correlation, and the ranks beneath the latter.

use crate::MetricsError;
use crate::element::{Element, all_finite, finite};

/// Pearson's correlation coefficient of two equally long lists of values.
///
/// ```text
/// r = Σ (x − x̄)(y − ȳ) / sqrt(Σ (x − x̄)² · Σ (y − ȳ)²)      in [−1, 1]
/// ```
///
/// One pass, no copy of the values. `None` where r is undefined: fewer than
/// two pairs, or a list whose values are all the same (or whose spread is
/// beyond f64: magnitudes above 1e150).
///
/// # Errors
///
/// [`MetricsError::LengthMismatch`]; [`MetricsError::NotFinite`] for a NaN or
/// an infinity.
pub fn pearson(
    x: impl IntoIterator<Item: Element>,
    y: impl IntoIterator<Item: Element>,
) -> Result<Option<f64>, MetricsError> {
    let mut moments = Comoments::default();
    let (mut x, mut y) = (x.into_iter(), y.into_iter());
    let mut length = 0;
    loop {
        match (x.next(), y.next()) {
            (Some(a), Some(b)) => {
                moments.add(finite("x", length, a)?, finite("y", length, b)?);
                length += 1;
            }
            (None, None) => return Ok(moments.correlation()),
            (a, b) => {
                return Err(MetricsError::LengthMismatch {
                    name: "y",
                    expected: length + a.iter().count() + x.count(),
                    found: length + b.iter().count() + y.count(),
                });
            }
        }
    }
}

/// The rank of every value, 1 for the smallest; ties share the average of the
/// ranks that they take up.
///
/// The ranks of n values sum to n(n + 1)/2. An empty list has no ranks.
/// O(n log n) time, 24 bytes a value.
///
/// # Errors
///
/// [`MetricsError::NotFinite`] for a NaN or an infinity.
pub fn ranks(values: impl IntoIterator<Item: Element>) -> Result<Vec<f64>, MetricsError> {
    named_ranks("values", values)
}

fn named_ranks(
    name: &'static str,
    values: impl IntoIterator<Item: Element>,
) -> Result<Vec<f64>, MetricsError> {
    let values = all_finite(name, values)?;
    let mut order: Vec<(f64, usize)> = values.into_iter().zip(0..).collect();
    // Sorting the values together with their positions keeps the comparisons
    // in cache, which sorting positions alone does not.
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0.0; order.len()];
    let mut below = 0;
    for ties in order.chunk_by(|a, b| a.0 == b.0) {
        let rank = tied_rank(below as f64, ties.len() as f64);
        for &(_, position) in ties {
            ranks[position] = rank;
        }
        below += ties.len();
    }
    Ok(ranks)
}

/// The average of the ranks `below + 1 ..= below + ties`.
pub(crate) fn tied_rank(below: f64, ties: f64) -> f64 {
    below + (ties + 1.0) / 2.0
}

/// Spearman's rank correlation: Pearson's r of the [`ranks`], ties averaged.
///
/// In [−1, 1]; unchanged by any strictly increasing map of either list.
/// `None` where it is undefined, as for [`pearson`]. O(n log n) time.
///
/// # Errors
///
/// Those of [`pearson`].
///
/// # Source
///
/// 2020 and 2021, every "Spearman rank correlation".
pub fn spearman(
    x: impl IntoIterator<Item: Element>,
    y: impl IntoIterator<Item: Element>,
) -> Result<Option<f64>, MetricsError> {
    pearson(named_ranks("x", x)?, named_ranks("y", y)?)
}

/// Spearman's rank correlation of depth and a number that each layer has,
/// such as its overall mixing ratio.
///
/// Layers are given from the first to the last. `None` for fewer than two
/// layers or a number that is the same in all of them.
///
/// # Errors
///
/// [`MetricsError::NotFinite`] for a NaN or an infinity.
///
/// # Source
///
/// 2021, mixing ratio by layer: −0.67 for BERT-base.
pub fn depth_correlation(
    by_layer: impl IntoIterator<Item: Element>,
) -> Result<Option<f64>, MetricsError> {
    let by_layer = all_finite("by_layer", by_layer)?;
    spearman((1..=by_layer.len()).map(|depth| depth as f64), &by_layer)
}

/// Second moments of pairs, updated as [`crate::Summary`] updates its own.
#[derive(Default)]
pub(crate) struct Comoments {
    count: f64,
    mean_x: f64,
    mean_y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Comoments {
    pub(crate) fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        let (dx, dy) = (x - self.mean_x, y - self.mean_y);
        self.mean_x += dx / self.count;
        self.mean_y += dy / self.count;
        let dy_after = y - self.mean_y;
        self.xx += dx * (x - self.mean_x);
        self.yy += dy * dy_after;
        self.xy += dx * dy_after;
    }

    pub(crate) fn correlation(&self) -> Option<f64> {
        // The root of the product gives exactly 1 for a list against itself;
        // two roots still serve where the product leaves the range of f64.
        let product = self.xx * self.yy;
        let spread = if product.is_normal() {
            product.sqrt()
        } else {
            self.xx.sqrt() * self.yy.sqrt()
        };
        (spread > 0.0 && spread.is_finite()).then(|| (self.xy / spread).clamp(-1.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn pearson_by_hand() {
        // Deviations (−2, −1, 0, 1, 2) and (−2, 0, −1, 1, 2): 9 / sqrt(10 · 10).
        let r = pearson([1.0, 2.0, 3.0, 4.0, 5.0], [1.0_f32, 3.0, 2.0, 4.0, 5.0]);
        assert!((r.unwrap().unwrap() - 0.9).abs() < 1e-15);
        let r = pearson([1.0, 2.0, 3.0], [-2.0, -4.0, -6.0]);
        assert!((r.unwrap().unwrap() + 1.0).abs() < 1e-15);
    }

    #[test]
    fn ties_share_their_average_rank() {
        let ranks = ranks([10.0_f32, 20.0, 10.0, 5.0, 20.0, 20.0]).unwrap();
        assert_eq!(ranks, [2.5, 5.0, 2.5, 1.0, 5.0, 5.0]);
    }

    #[test]
    fn both_zeros_are_one_value() {
        assert_eq!(ranks([0.0, -0.0, -1.0]).unwrap(), [2.5, 2.5, 1.0]);
    }

    #[test]
    fn spearman_with_ties_by_hand() {
        // Ranks (1, 2.5, 2.5, 4) and (1, 3, 2, 4), both of mean 2.5.
        // Σxy = 2.25 + 0 + 0 + 2.25 = 4.5, Σxx = 4.5, Σyy = 5: 4.5/sqrt(22.5).
        let rho = spearman([1.0, 2.0, 2.0, 3.0], [1.0, 30.0, 20.0, 400.0]);
        let expected = 4.5 / 22.5_f64.sqrt();
        assert!((rho.unwrap().unwrap() - expected).abs() < 1e-15);
    }

    #[test]
    fn arrays_are_read_in_logical_order() {
        let map = arr2(&[[1.0, 2.0], [3.0, 4.0]]);
        let rho = spearman(&map.t(), [1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(rho, Some(1.0));
    }

    #[test]
    fn undefined_correlations_are_none() {
        let nothing: [f64; 0] = [];
        assert_eq!(spearman(nothing, nothing).unwrap(), None);
        assert_eq!(pearson([1.0], [2.0]).unwrap(), None);
        assert_eq!(pearson([1.0, 2.0], [0.1, 0.1]).unwrap(), None);
        assert_eq!(spearman([7.0, 7.0, 7.0], [1.0, 2.0, 3.0]).unwrap(), None);
    }

    #[test]
    fn lengths_must_agree() {
        let expected = MetricsError::LengthMismatch {
            name: "y",
            expected: 2,
            found: 5,
        };
        let y = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(pearson([1.0, 2.0], y), Err(expected.clone()));
        assert_eq!(spearman([1.0, 2.0], y), Err(expected));
        assert!(matches!(
            pearson(y, [1.0]),
            Err(MetricsError::LengthMismatch {
                expected: 5,
                found: 1,
                ..
            })
        ));
    }

    #[test]
    fn nan_is_refused_with_its_place() {
        let found = spearman([1.0, 2.0, 3.0], [1.0, f64::NAN, 3.0]);
        assert!(matches!(
            found,
            Err(MetricsError::NotFinite {
                name: "y",
                position: 1,
                ..
            })
        ));
    }

    #[test]
    fn depth_of_a_falling_ratio() {
        assert_eq!(depth_correlation([0.3, 0.2, 0.1]).unwrap(), Some(-1.0));
        assert_eq!(depth_correlation([0.3]).unwrap(), None);
        // Ranks 4 3 1 2 against 1 2 3 4: Σd² = 9+1+4+4 = 18, 1 − 6·18/60 = −0.8.
        let rho = depth_correlation([0.24, 0.20, 0.11, 0.15])
            .unwrap()
            .unwrap();
        assert!((rho + 0.8).abs() < 1e-15);
    }
}
