//! Count, mean, spread and range of a stream of values.

use crate::MetricsError;
use crate::element::{Element, finite};

/// Count, mean, standard deviation, minimum and maximum of the values so far.
///
/// Values are added one at a time (Welford) and summaries of parts of the data
/// are merged (Chan, Golub and LeVeque), so a corpus needs no list of its
/// values and the order of the parts does not matter beyond rounding:
///
/// ```text
/// mean ← mean + (x − mean)/n        M₂ ← M₂ + (x − mean_before)(x − mean_after)
/// standard deviation = sqrt(M₂/n)   (of the population)
/// ```
///
/// An empty summary has no mean: the accessors return `None`, never NaN.
/// NaN and infinities are refused when they are added, because a number made
/// from them would say nothing; a value that is missing is simply not added.
/// Magnitudes above 1e150 overflow `M₂`.
///
/// # Source
///
/// Welford 1962; Chan, Golub and LeVeque 1979.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    count: u64,
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
}

impl Summary {
    /// The summary of no values.
    pub fn new() -> Self {
        Self::default()
    }

    /// The summary of all given values.
    ///
    /// # Errors
    ///
    /// [`MetricsError::NotFinite`] for the first NaN or infinity.
    pub fn of(values: impl IntoIterator<Item: Element>) -> Result<Self, MetricsError> {
        let mut summary = Self::new();
        summary.extend(values)?;
        Ok(summary)
    }

    /// Adds one value.
    ///
    /// # Errors
    ///
    /// [`MetricsError::NotFinite`] for a NaN or an infinity; the summary is
    /// then as it was.
    pub fn push(&mut self, value: impl Element) -> Result<(), MetricsError> {
        self.add(finite("values", 0, value)?);
        Ok(())
    }

    /// Adds all given values.
    ///
    /// # Errors
    ///
    /// [`MetricsError::NotFinite`] for the first NaN or infinity; the values
    /// before it have been added.
    pub fn extend(&mut self, values: impl IntoIterator<Item: Element>) -> Result<(), MetricsError> {
        for (position, value) in values.into_iter().enumerate() {
            self.add(finite("values", position, value)?);
        }
        Ok(())
    }

    /// Adds a value that is known to be finite.
    pub(crate) fn add(&mut self, value: f64) {
        if self.count == 0 {
            self.min = value;
            self.max = value;
        }
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Adds everything that another summary has seen.
    ///
    /// The result is the summary of both lists of values, one after the other.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        self.count += other.count;
        self.mean += delta * (m / (n + m));
        self.squares += other.squares + delta * delta * (n * m / (n + m));
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many values were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The arithmetic mean, `Σ x / n`; `None` if nothing was added.
    pub fn mean(&self) -> Option<f64> {
        self.of_some(self.mean)
    }

    /// The smallest value; `None` if nothing was added.
    pub fn min(&self) -> Option<f64> {
        self.of_some(self.min)
    }

    /// The largest value; `None` if nothing was added.
    pub fn max(&self) -> Option<f64> {
        self.of_some(self.max)
    }

    /// The standard deviation of the population, `sqrt(Σ (x − mean)² / n)`;
    /// `None` if nothing was added, 0 for a single value.
    pub fn standard_deviation(&self) -> Option<f64> {
        self.of_some((self.squares / self.count as f64).sqrt())
    }

    /// The standard deviation divided by the mean; `None` if nothing was added
    /// or the mean is 0.
    ///
    /// # Source
    ///
    /// 2020, experiments on BERT, dispersion of ‖f(x)‖.
    pub fn coefficient_of_variation(&self) -> Option<f64> {
        self.standard_deviation()
            .filter(|_| self.mean != 0.0)
            .map(|deviation| deviation / self.mean)
    }

    fn of_some(&self, value: f64) -> Option<f64> {
        (self.count > 0).then_some(value)
    }
}

/// The summary of everything that any of the summaries has seen.
pub(crate) fn merged<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> Summary {
    let mut all = Summary::new();
    for summary in summaries {
        all.merge(summary);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_values_by_hand() {
        // Mean 40/8 = 5, squared deviations 9+1+1+1+0+0+4+16 = 32, 32/8 = 4.
        let summary = Summary::of([2.0_f32, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!(summary.count(), 8);
        assert_eq!(summary.mean(), Some(5.0));
        assert_eq!(summary.min(), Some(2.0));
        assert_eq!(summary.max(), Some(9.0));
        assert!((summary.standard_deviation().unwrap() - 2.0).abs() < 1e-15);
        assert!((summary.coefficient_of_variation().unwrap() - 0.4).abs() < 1e-15);
    }

    #[test]
    fn nothing_has_no_mean_and_one_value_no_spread() {
        let empty = Summary::new();
        assert_eq!(empty.count(), 0);
        assert_eq!(empty.mean(), None);
        assert_eq!(empty.min(), None);
        assert_eq!(empty.max(), None);
        assert_eq!(empty.standard_deviation(), None);
        assert_eq!(empty.coefficient_of_variation(), None);

        let single = Summary::of([-3.0]).unwrap();
        assert_eq!(single.standard_deviation(), Some(0.0));
        assert_eq!(single.max(), Some(-3.0));
    }

    #[test]
    fn a_mean_of_zero_has_no_coefficient_of_variation() {
        let summary = Summary::of([-1.0, 1.0]).unwrap();
        assert_eq!(summary.standard_deviation(), Some(1.0));
        assert_eq!(summary.coefficient_of_variation(), None);
    }

    #[test]
    fn what_is_not_finite_is_refused_and_changes_nothing() {
        let mut summary = Summary::of([1.0]).unwrap();
        let before = summary;
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(
                summary.push(value),
                Err(MetricsError::NotFinite { .. })
            ));
        }
        assert_eq!(summary, before);
        assert!(matches!(
            Summary::of([1.0_f32, 2.0, f32::NAN]),
            Err(MetricsError::NotFinite { position: 2, .. })
        ));
    }

    #[test]
    fn merging_with_nothing_changes_nothing() {
        let full = Summary::of([1.0, 4.0]).unwrap();
        let mut left = full;
        left.merge(&Summary::new());
        let mut right = Summary::new();
        right.merge(&full);
        assert_eq!(left, full);
        assert_eq!(right, full);
    }
}
