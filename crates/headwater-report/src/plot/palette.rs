//! Colours for values.

use colorous::Color;

/// How values become colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// From zero, or from the least value if that is below, to the largest:
    /// a colour is proportional to its value. viridis, dark to light.
    FromZero,
    /// As `FromZero`, up to a given value, so that pictures can be compared.
    UpTo(f64),
    /// As far below zero as above it. Blue, nearly white at zero, red.
    Difference,
}

/// A scale and the values it spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) high: f64,
    diverging: bool,
}

/// Finer steps than these the eye does not tell apart.
pub(crate) const LEVELS: usize = 256;

impl Scale {
    /// The range of the finite values; never empty.
    pub(crate) fn range(self, values: impl Iterator<Item = f64>) -> Range {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((0f64, 0f64), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let (low, high) = match self {
            Scale::FromZero => (low, high),
            Scale::UpTo(high) => (low.min(high), high),
            Scale::Difference => (-high.max(-low), high.max(-low)),
        };
        // An empty range has no place for any value.
        let high = if high > low { high } else { low + 1.0 };
        Range {
            low,
            high,
            diverging: self == Scale::Difference,
        }
    }
}

impl Range {
    /// The step of a value, from 0 to [`LEVELS`] − 1; beyond the range the nearest.
    pub(crate) fn level(self, value: f64) -> usize {
        let place = (value - self.low) / (self.high - self.low);
        (place.clamp(0.0, 1.0) * (LEVELS - 1) as f64).round() as usize
    }

    /// The colour of a step.
    pub(crate) fn color(self, level: usize) -> Color {
        if self.diverging {
            colorous::RED_BLUE.eval_rational(LEVELS - 1 - level, LEVELS)
        } else {
            colorous::VIRIDIS.eval_rational(level, LEVELS)
        }
    }
}

/// Colours that stay apart for colour-blind readers (after Okabe and Ito).
const SERIES: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#5a5a5a"];

/// The colour of a chart's series by its place.
pub(crate) fn series_color(index: usize) -> &'static str {
    SERIES[index % SERIES.len()]
}

/// `#rrggbb`.
pub(crate) fn hex(color: Color) -> String {
    format!("#{color:x}")
}

/// Black or white, whichever stands out.
pub(crate) fn readable_on(color: Color) -> &'static str {
    if luminance(color) > 140.0 {
        "#000"
    } else {
        "#fff"
    }
}

fn luminance(Color { r, g, b }: Color) -> f64 {
    0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_values_are_lighter() {
        let range = Scale::FromZero.range([0.5, 2.0].into_iter());
        assert_eq!((range.low, range.high), (0.0, 2.0));
        let lights: Vec<f64> = (0..LEVELS)
            .map(|level| luminance(range.color(level)))
            .collect();
        assert!(lights.windows(2).all(|pair| pair[0] < pair[1] + 0.5));
        assert!(lights[0] < 40.0 && lights[LEVELS - 1] > 200.0);
        let levels: Vec<usize> = (0..=100)
            .map(|i| range.level(f64::from(i) / 50.0))
            .collect();
        assert!(levels.is_sorted() && levels[0] == 0 && levels[100] == LEVELS - 1);
    }

    #[test]
    fn differences_are_lightest_at_zero() {
        let range = Scale::Difference.range([-1.0, 3.0].into_iter());
        assert_eq!((range.low, range.high), (-3.0, 3.0));
        assert!(luminance(range.color(range.level(0.0))) > 235.0);
        let lights = (0..LEVELS).map(|level| luminance(range.color(level)));
        let lightest = lights.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        assert!(lightest.unwrap().0.abs_diff(LEVELS / 2) < 12);
        let (below, above) = (range.color(0), range.color(LEVELS - 1));
        assert!(below.b > below.r && above.r > above.b);
    }

    #[test]
    fn a_range_is_never_empty() {
        for scale in [Scale::FromZero, Scale::Difference, Scale::UpTo(0.0)] {
            let range = scale.range([0.0, f64::NAN, f64::INFINITY].into_iter());
            assert!(range.high > range.low, "{scale:?}");
        }
        let range = Scale::UpTo(0.5).range([0.75].into_iter());
        assert_eq!((range.high, range.level(0.75)), (0.5, LEVELS - 1));
    }

    #[test]
    fn colours_are_six_digits() {
        assert_eq!(hex(Color { r: 1, g: 2, b: 255 }), "#0102ff");
    }
}
