use std::ops::Range;

use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::combinators::LogCoord;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Area, COLORS, INK, picture, text};

/// How an axis runs. Values that are not positive have no place on a
/// logarithmic one and are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    Linear,
    Logarithmic,
}

/// Whether the panels of a picture show the same stretch of their axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// One for all, so that panels can be compared.
    Shared,
    /// Each its own.
    Own,
}

/// One panel of points.
pub(crate) struct Scatter {
    pub(crate) title: String,
    pub(crate) x: (&'static str, Axis),
    pub(crate) y: (&'static str, Axis),
    pub(crate) points: Vec<(f64, f64)>,
}

const PANEL: (i32, i32) = (330, 290);

/// One SVG with the panels in rows of `across`.
pub(crate) fn scatters(
    caption: &str,
    across: usize,
    ranges: Ranges,
    panels: &[Scatter],
) -> anyhow::Result<String> {
    picture(caption, across, PANEL, panels.len(), |index, area| {
        let shown_with = match ranges {
            Ranges::Shared => panels,
            Ranges::Own => &panels[index..=index],
        };
        panels[index].draw(shown_with, COLORS[index % COLORS.len()], area)
    })
}

impl Scatter {
    fn draw(&self, peers: &[Self], color: RGBColor, area: &Area<'_>) -> anyhow::Result<()> {
        let title = text(13.0, INK, HPos::Left, VPos::Center);
        area.draw_text(&self.title, &title, (52, 12))?;
        let x = range(peers, |point| point.0, self.x.1);
        let y = range(peers, |point| point.1, self.y.1);
        let mut builder = ChartBuilder::on(area);
        builder
            .margin_top(26)
            .margin_right(16)
            .margin_bottom(6)
            .margin_left(4)
            .x_label_area_size(38)
            .y_label_area_size(52);
        match (self.x.1, self.y.1) {
            (Axis::Linear, Axis::Linear) => self.fill(color, builder.build_cartesian_2d(x, y)?),
            (Axis::Logarithmic, Axis::Linear) => {
                self.fill(color, builder.build_cartesian_2d(logarithmic(x), y)?)
            }
            (Axis::Linear, Axis::Logarithmic) => {
                self.fill(color, builder.build_cartesian_2d(x, logarithmic(y))?)
            }
            (Axis::Logarithmic, Axis::Logarithmic) => self.fill(
                color,
                builder.build_cartesian_2d(logarithmic(x), logarithmic(y))?,
            ),
        }
    }

    fn fill<X, Y>(
        &self,
        color: RGBColor,
        mut chart: ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, Y>>,
    ) -> anyhow::Result<()>
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(228, 228, 228))
            .axis_style(INK)
            .x_labels(5)
            .y_labels(6)
            .x_desc(self.x.0)
            .y_desc(self.y.0)
            .x_label_formatter(&|value| plain(*value))
            .y_label_formatter(&|value| plain(*value))
            .label_style(text(10.0, INK, HPos::Center, VPos::Center))
            .axis_desc_style(text(11.0, INK, HPos::Center, VPos::Center))
            .draw()?;
        let style = color.mix(0.45).filled();
        chart.draw_series(self.shown().map(|point| Circle::new(point, 2, style)))?;
        Ok(())
    }

    fn shown(&self) -> impl Iterator<Item = (f64, f64)> {
        let points = self.points.iter().copied();
        points.filter(|&(x, y)| fits(x, self.x.1) && fits(y, self.y.1))
    }
}

/// The span of the points that are shown, a little wider.
fn range(panels: &[Scatter], pick: impl Fn((f64, f64)) -> f64, axis: Axis) -> Range<f64> {
    let shown = || panels.iter().flat_map(Scatter::shown).map(&pick);
    let low = shown().fold(f64::INFINITY, f64::min);
    let high = shown().fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return match axis {
            Axis::Linear => 0.0..1.0,
            Axis::Logarithmic => 0.1..10.0,
        };
    }
    match axis {
        Axis::Linear => {
            let edge = ((high - low) * 0.04).max(1e-3);
            low - edge..high + edge
        }
        Axis::Logarithmic => {
            let factor = (high / low).powf(0.04).max(1.05);
            low / factor..high * factor
        }
    }
}

/// Ticks at the powers of 10, or of 2 where those of 10 would be too few.
fn logarithmic(range: Range<f64>) -> LogCoord<f64> {
    let base = if range.end < 100.0 * range.start {
        2.0
    } else {
        10.0
    };
    range.log_scale().base(base).into()
}

fn fits(value: f64, axis: Axis) -> bool {
    value.is_finite() && (axis == Axis::Linear || value > 0.0)
}

/// A tick's number, short whatever its size.
fn plain(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e5).contains(&magnitude) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_shows_the_points_that_its_axes_can_show() {
        let panel = Scatter {
            title: "[CLS] & <s>".into(),
            x: ("rank", Axis::Logarithmic),
            y: ("ratio", Axis::Linear),
            points: vec![(1.0, 0.5), (100.0, 0.25), (0.0, 0.1), (10.0, f64::NAN)],
        };
        let svg = scatters("figure 4", 1, Ranges::Own, &[panel]).unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("[CLS] &amp; &lt;s&gt;"));
    }

    #[test]
    fn a_panel_without_points_is_an_empty_panel() {
        let panel = Scatter {
            title: "none".into(),
            x: ("x", Axis::Linear),
            y: ("y", Axis::Logarithmic),
            points: Vec::new(),
        };
        assert!(
            scatters("empty", 3, Ranges::Shared, &[panel])
                .unwrap()
                .contains("none")
        );
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(plain(0.1 + 0.2), "0.3");
        assert_eq!(plain(1e-7), "1e-7");
        assert_eq!(plain(0.0), "0");
    }
}
