//! What a handful of measurements says.

use serde::Serialize;

/// The median and the quartiles around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of at least one value; quartiles between two values are interpolated.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let place = share * (values.len() - 1) as f64;
            let (below, above) = (place.floor() as usize, place.ceil() as usize);
            values[below] + (values[above] - values[below]) * place.fract()
        };
        Self {
            low: quantile(0.25),
            median: quantile(0.5),
            high: quantile(0.75),
        }
    }

    /// Of the ratios of measurements taken in the same round: what slows the
    /// machine down for a while slows both.
    pub(crate) fn of_ratios(above: &[f64], below: &[f64]) -> Self {
        Self::of(above.iter().zip(below).map(|(above, below)| above / below))
    }

    /// Of the values, changed by a function that only rises or only falls.
    pub(crate) fn map(self, change: impl Fn(f64) -> f64) -> Self {
        let (one, other) = (change(self.low), change(self.high));
        Self {
            low: one.min(other),
            median: change(self.median),
            high: one.max(other),
        }
    }

    /// `median (low–high)`, or the one value if that is all.
    pub(crate) fn display(self, digits: usize) -> String {
        let Self { low, median, high } = self;
        if low == high {
            return format!("{median:.digits$}");
        }
        format!("{median:.digits$} ({low:.digits$}–{high:.digits$})")
    }
}

/// The exponent b of y ≈ a·x^b: the slope of a straight line through the
/// logarithms, by least squares. `None` for fewer than two different x.
pub(crate) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean_x = logs.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = logs.iter().map(|(_, y)| y).sum::<f64>() / count;
    let products = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y));
    let squares = logs.iter().map(|(x, _)| (x - mean_x).powi(2));
    let (products, squares): (f64, f64) = (products.sum(), squares.sum());
    (squares > 0.0).then(|| products / squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_values_in_whatever_order() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!((spread.low, spread.median, spread.high), (1.75, 2.5, 3.25));
        let single = Spread::of([7.0]);
        assert_eq!((single.low, single.median, single.high), (7.0, 7.0, 7.0));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine is slower by half in the second round; medians of each
        // side alone would give 2.5.
        let ratios = Spread::of_ratios(&[2.0, 3.0, 10.0], &[1.0, 1.5, 2.0]);
        assert_eq!(ratios.median, 2.0);
        // A side that was measured less often decides how many pairs there are.
        assert_eq!(Spread::of_ratios(&[2.0], &[1.0, 100.0]).high, 2.0);
    }

    #[test]
    fn a_spread_turned_over_keeps_its_order() {
        let spread = Spread::of([1.0, 2.0, 4.0]).map(f64::recip);
        assert!(spread.low < spread.median && spread.median < spread.high);
        assert_eq!(spread.median, 0.5);
    }

    #[test]
    fn the_exponent_of_a_power_is_found_whatever_its_factor() {
        let points = |power: f64| [32.0, 128.0, 512.0f64].map(|x| (x, 3e-7 * x.powf(power)));
        for power in [0.0, 1.0, 1.7, 2.0] {
            assert!((exponent(&points(power)).unwrap() - power).abs() < 1e-12);
        }
        // A line and a square, equal at x = 1: in between, nearer the square far out.
        let mixed = [64.0, 128.0, 256.0f64].map(|x| (x, x + x * x));
        let found = exponent(&mixed).unwrap();
        assert!(1.98 < found && found < 2.0, "{found}");
        assert_eq!(exponent(&[(2.0, 1.0)]), None);
        assert_eq!(exponent(&[(2.0, 1.0), (2.0, 3.0)]), None);
        assert_eq!(exponent(&[]), None);
    }
}
