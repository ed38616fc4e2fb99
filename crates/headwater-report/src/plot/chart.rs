//! Lines and scatter plots: what is shown, and over which stretch of the axes.

/// How an axis runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AxisScale {
    /// From a little below the least value to a little above the largest.
    Linear,
    /// As `Linear`, with zero in it: lengths can be compared.
    FromZero,
    /// Ticks at whole numbers alone, such as layers.
    Whole,
    /// Equal factors are equally long. What is not positive has no place on
    /// such an axis and is left out.
    Logarithmic,
}

/// One side of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct ChartAxis {
    /// What its numbers are.
    pub name: String,
    /// How it runs.
    pub scale: AxisScale,
    /// The stretch that is shown, instead of what the values need.
    pub range: Option<(f64, f64)>,
}

impl ChartAxis {
    /// An axis over what its values need.
    pub fn new(name: impl Into<String>, scale: AxisScale) -> Self {
        Self {
            name: name.into(),
            scale,
            range: None,
        }
    }
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Beside the chart; empty where there is nothing to tell apart.
    pub name: String,
    /// x and y, in the order of a line; one that is not finite is a gap in it.
    pub points: Vec<(f64, f64)>,
}

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// Joined by lines.
    Lines,
    /// Each by itself, and those behind it shine through.
    Points,
}

/// A chart of points or lines, a panel of a [`Figure`](super::Figure).
///
/// ```
/// use headwater_report::plot::{AxisScale, Chart, ChartAxis, Figure, Marks, Series};
///
/// let chart = Chart {
///     title: "mixing ratio".to_owned(),
///     x: ChartAxis::new("layer", AxisScale::Whole),
///     y: ChartAxis::new("%", AxisScale::FromZero),
///     marks: Marks::Lines,
///     series: vec![Series {
///         name: "overall".to_owned(),
///         points: vec![(1.0, 22.5), (2.0, 19.0), (3.0, 24.5)],
///     }],
/// };
/// let svg = Figure::new("", 1, [chart]).to_svg();
/// assert!(svg.contains(">overall</text>"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Above the chart; may be empty.
    pub title: String,
    /// The axis below.
    pub x: ChartAxis,
    /// The axis at the left.
    pub y: ChartAxis,
    /// Whether points are joined.
    pub marks: Marks,
    /// What is shown, each in a colour of its own.
    pub series: Vec<Series>,
}

impl Chart {
    /// Gives all charts one stretch of each axis, so that they can be compared.
    /// Their scales should be the same.
    pub fn share_ranges(charts: &mut [Chart]) {
        let hull = |ranges: Vec<(f64, f64)>| {
            let first = ranges.first().copied();
            first.map(|first| {
                ranges.iter().fold(first, |(low, high), range| {
                    (range.0.min(low), range.1.max(high))
                })
            })
        };
        // An empty chart would bring in a stretch that no value asked for.
        let full = charts.iter().filter(|chart| chart.shown().next().is_some());
        let (x, y): (Vec<_>, Vec<_>) = full.map(|chart| (chart.x_range(), chart.y_range())).unzip();
        let (x, y) = (hull(x), hull(y));
        for chart in charts {
            chart.x.range = x;
            chart.y.range = y;
        }
    }

    /// The points of all series that the scales of the axes have a place for.
    fn shown(&self) -> impl Iterator<Item = (f64, f64)> {
        let points = self.series.iter().flat_map(|series| &series.points);
        points
            .copied()
            .filter(|&(x, y)| self.x.scale.has(x) && self.y.scale.has(y))
    }

    pub(crate) fn x_range(&self) -> (f64, f64) {
        self.x.over(self.shown().map(|(x, _)| x))
    }

    pub(crate) fn y_range(&self) -> (f64, f64) {
        self.y.over(self.shown().map(|(_, y)| y))
    }
}

impl AxisScale {
    /// Whether a value has a place.
    pub(crate) fn has(self, value: f64) -> bool {
        value.is_finite() && (self != AxisScale::Logarithmic || value > 0.0)
    }

    /// Where a value lies in a range: 0 at its low end, 1 at its high one.
    pub(crate) fn place(self, value: f64, (low, high): (f64, f64)) -> f64 {
        match self {
            AxisScale::Logarithmic => (value / low).ln() / (high / low).ln(),
            _ => (value - low) / (high - low),
        }
    }
}

impl ChartAxis {
    /// The stretch that is shown of these values, which have a place on it. Never empty.
    fn over(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (low, high) = match self.range {
            Some(range) => range,
            None => self.needed(values),
        };
        match high > low {
            true => (low, high),
            false if self.scale == AxisScale::Logarithmic => (low / 2.0, low * 2.0),
            false => (low, low + 1.0),
        }
    }

    fn needed(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return match self.scale {
                AxisScale::Logarithmic => (0.1, 10.0),
                AxisScale::Whole => (0.5, 1.5),
                AxisScale::Linear | AxisScale::FromZero => (0.0, 1.0),
            };
        }
        let edge = |low: f64, high: f64| match high > low {
            true => 0.04 * (high - low),
            false => (0.04 * high.abs()).max(1e-3),
        };
        match self.scale {
            AxisScale::Linear => (low - edge(low, high), high + edge(low, high)),
            AxisScale::FromZero => {
                let (low, high) = (low.min(0.0), high.max(0.0));
                let edge = edge(low, high);
                let end = |value: f64| if value == 0.0 { 0.0 } else { edge };
                (low - end(low), high + end(high))
            }
            AxisScale::Whole => (low - 0.5, high + 0.5),
            AxisScale::Logarithmic => {
                let factor = (high / low).powf(0.04).max(1.05);
                (low / factor, high * factor)
            }
        }
    }
}

impl Series {
    /// The stretches between gaps.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &[(f64, f64)]> {
        let runs = self.points.split(|(x, y)| !x.is_finite() || !y.is_finite());
        runs.filter(|run| !run.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(x: AxisScale, y: AxisScale, points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: String::new(),
            x: ChartAxis::new("x", x),
            y: ChartAxis::new("y", y),
            marks: Marks::Points,
            series: vec![Series {
                name: String::new(),
                points,
            }],
        }
    }

    #[test]
    fn axes_reach_over_the_values_that_have_a_place() {
        let points = vec![(1.0, 0.5), (100.0, 0.25), (0.0, 0.1), (10.0, f64::NAN)];
        let chart = chart(AxisScale::Logarithmic, AxisScale::FromZero, points);
        let (low, high) = chart.x_range();
        assert!((0.8..1.0).contains(&low) && (100.0..125.0).contains(&high));
        let (low, high) = chart.y_range();
        assert_eq!(low, 0.0);
        assert!((0.5..0.55).contains(&high), "{high}");
    }

    #[test]
    fn a_range_is_never_empty() {
        for scale in [
            AxisScale::Linear,
            AxisScale::FromZero,
            AxisScale::Whole,
            AxisScale::Logarithmic,
        ] {
            for points in [vec![], vec![(3.0, 3.0)], vec![(1e-9, 1e-9); 2]] {
                let (low, high) = chart(scale, scale, points).x_range();
                assert!(
                    high > low && low.is_finite() && high.is_finite(),
                    "{scale:?}"
                );
            }
        }
    }

    #[test]
    fn charts_side_by_side_share_what_all_of_them_need() {
        let (low, high) = (vec![(0.0, 1.0), (1.0, 2.0)], vec![(4.0, 8.0), (5.0, 9.0)]);
        let mut charts =
            [low, vec![], high].map(|p| chart(AxisScale::Linear, AxisScale::Linear, p));
        Chart::share_ranges(&mut charts);
        assert_eq!(charts[0].x_range(), charts[2].x_range());
        assert_eq!(charts[1].y_range(), charts[2].y_range());
        let (low, high) = charts[1].y_range();
        assert!((0.9..1.0).contains(&low) && (9.0..9.1).contains(&high));
    }

    #[test]
    fn equal_factors_are_equally_long() {
        let place = |value| AxisScale::Logarithmic.place(value, (1.0, 100.0));
        assert!((place(10.0) - 0.5).abs() < 1e-12 && place(1.0) == 0.0);
    }

    #[test]
    fn a_value_that_is_missing_is_a_gap() {
        let points = vec![(1.0, 0.5), (2.0, 0.25), (3.0, f64::NAN), (4.0, 1.0)];
        let series = Series {
            name: String::new(),
            points,
        };
        let runs: Vec<_> = series.runs().map(<[_]>::len).collect();
        assert_eq!(runs, [2, 1]);
    }
}
