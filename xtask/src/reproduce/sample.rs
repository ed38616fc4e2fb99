//! A fair sample of a stream of points, for pictures.

use headwater_report::plot::{Chart, ChartAxis, Marks, Series};

/// How many points a panel shows: enough for its shape, few enough for a file.
const POINTS: usize = 300;

/// Up to 300 points, each of those seen as likely as any other; the same
/// stream gives the same sample.
pub(crate) struct Sample {
    seen: usize,
    points: Vec<(f64, f64)>,
    random: fastrand::Rng,
}

impl Sample {
    pub(crate) fn new() -> Self {
        Self {
            seen: 0,
            points: Vec::new(),
            random: fastrand::Rng::with_seed(POINTS as u64),
        }
    }

    /// Adds a point (Vitter's algorithm R).
    pub(crate) fn push(&mut self, point: (f64, f64)) {
        self.seen += 1;
        if self.points.len() < POINTS {
            self.points.push(point);
            return;
        }
        let place = self.random.usize(..self.seen);
        if let Some(replaced) = self.points.get_mut(place) {
            *replaced = point;
        }
    }

    pub(crate) fn points(&self) -> Vec<(f64, f64)> {
        self.points.clone()
    }
}

/// A chart of points of one kind.
pub(crate) fn scatter(
    title: impl Into<String>,
    x: ChartAxis,
    y: ChartAxis,
    points: Vec<(f64, f64)>,
) -> Chart {
    let name = String::new();
    Chart {
        title: title.into(),
        x,
        y,
        marks: Marks::Points,
        series: vec![Series { name, points }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_stream_is_kept_and_a_long_one_thinned_evenly() {
        let sample = |count: usize| {
            let mut sample = Sample::new();
            (0..count).for_each(|i| sample.push((i as f64, 0.0)));
            sample.points()
        };
        assert_eq!(sample(3), [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)]);
        let long = sample(100_000);
        assert_eq!(long, sample(100_000));
        assert_eq!(long.len(), POINTS);
        let mean = long.iter().map(|point| point.0).sum::<f64>() / POINTS as f64;
        // The mean of 300 uniform draws lies within 5 standard errors of the middle.
        assert!((mean - 50_000.0).abs() < 5.0 * 100_000.0 / (12.0 * POINTS as f64).sqrt());
    }
}
