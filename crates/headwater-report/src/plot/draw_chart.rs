//! How a chart becomes vectors and text.

use std::fmt::Write;

use super::chart::{AxisScale, Chart, ChartAxis, Marks, Series};
use super::heat_map::{GAP, LEADING, Sizes, TICK};
use super::palette::series_color;
use super::svg::{Anchor, INK, Svg, Text, number};
use super::text::{shortened, text_width, visible};
use super::ticks::{powers, round_numbers, whole_numbers};

/// The plot's width and height in sides of a cell, so that charts and maps
/// beside each other grow together.
const PLOT: (f64, f64) = (26.0, 18.0);
/// A side if nobody asks for a width.
pub(crate) const NATURAL_SIDE: f64 = 9.0;
const MARK: f64 = 12.0;
const GRID: &str = "#e4e4e4";

/// Numbers at an axis, with their texts.
type Ticks = Vec<(f64, String)>;

/// Where everything of a chart lies.
pub(crate) struct ChartLayout {
    /// Left upper corner of the plot.
    pub(crate) corner: (f64, f64),
    plot: (f64, f64),
    pub(crate) size: (f64, f64),
    x_ticks: Ticks,
    y_ticks: Ticks,
}

impl Chart {
    pub(crate) fn layout(&self, sizes: Sizes) -> ChartLayout {
        let font = sizes.font;
        let plot = (PLOT.0 * sizes.side, PLOT.1 * sizes.side);
        let x_ticks = ticks(&self.x, self.x_range(), plot.0, 4.5 * font);
        let y_ticks = ticks(&self.y, self.y_range(), plot.1, 2.2 * font);
        let widest = y_ticks
            .iter()
            .map(|(_, text)| text_width(text, font))
            .fold(0.0, f64::max);
        let name = |axis: &ChartAxis| {
            if axis.name.is_empty() {
                0.0
            } else {
                1.5 * font
            }
        };
        let title = match self.title.is_empty() {
            true => 0.6 * LEADING * font,
            false => 1.6 * font,
        };
        let corner = (GAP + name(&self.y) + widest + TICK + 2.0, title);
        // Half of the last number below may stand out.
        let legend = self.legend_room(font).max(1.5 * font);
        ChartLayout {
            corner,
            plot,
            size: (
                corner.0 + plot.0 + legend + GAP,
                corner.1 + plot.1 + TICK + LEADING * font + name(&self.x) + GAP,
            ),
            x_ticks,
            y_ticks,
        }
    }

    /// The series that have a name, each with its place among all.
    fn named(&self) -> impl Iterator<Item = (usize, &Series)> {
        let series = self.series.iter().enumerate();
        series.filter(|(_, series)| !series.name.is_empty())
    }

    fn legend_room(&self, font: f64) -> f64 {
        let names = self.named().map(|(_, series)| {
            let name = text_width(&visible(&series.name), font);
            2.0 * GAP + MARK + GAP + name
        });
        names.fold(0.0, f64::max)
    }

    /// Draws the chart with its left upper corner at a place; `room` is the
    /// width that its title may take.
    pub(crate) fn draw(
        &self,
        layout: &ChartLayout,
        font: f64,
        room: f64,
        (x, y): (f64, f64),
        svg: &mut Svg,
    ) {
        let (left, top) = (x + layout.corner.0, y + layout.corner.1);
        let (width, height) = layout.plot;
        let bottom = top + height;
        let text = |content, anchor| Text {
            content,
            size: font,
            anchor,
            color: INK,
        };
        let title = shortened(&self.title, font, room - layout.corner.0);
        if !title.is_empty() {
            svg.text(&text(&title, Anchor::Start), left, top - 0.85 * font);
        }
        for (value, number) in &layout.x_ticks {
            let at = left + width * self.x.scale.place(*value, self.x_range());
            svg.colored_line((at, top), (at, bottom), GRID);
            svg.line((at, bottom), (at, bottom + TICK));
            let below = bottom + TICK + 0.7 * font;
            svg.text(&text(number, Anchor::Middle), at, below);
        }
        for (value, number) in &layout.y_ticks {
            let at = bottom - height * self.y.scale.place(*value, self.y_range());
            svg.colored_line((left, at), (left + width, at), GRID);
            svg.line((left - TICK, at), (left, at));
            svg.text(&text(number, Anchor::End), left - TICK - 2.0, at);
        }
        svg.frame((left, top), layout.plot, "none");
        for (index, series) in self.series.iter().enumerate() {
            self.draw_series(series, series_color(index), (left, top), layout.plot, svg);
        }
        let legend = left + width + 2.0 * GAP;
        for (row, (index, series)) in self.named().enumerate() {
            let middle = top + (row as f64 + 0.6) * 1.4 * font;
            svg.push(format_args!(
                "<path d=\"M{} {}h{MARK}\" stroke=\"{}\" stroke-width=\"2\"/>",
                number(legend),
                number(middle),
                series_color(index)
            ));
            let name = text(&series.name, Anchor::Start);
            svg.text(&name, legend + MARK + GAP, middle);
        }
        if !self.x.name.is_empty() {
            let below = bottom + TICK + LEADING * font + 0.9 * font;
            let name = text(&self.x.name, Anchor::Middle);
            svg.text(&name, left + width / 2.0, below);
        }
        if !self.y.name.is_empty() {
            let name = text(&self.y.name, Anchor::Middle);
            svg.turned_text(&name, x + GAP + 0.6 * font, top + height / 2.0);
        }
    }

    fn draw_series(
        &self,
        series: &Series,
        color: &str,
        (left, top): (f64, f64),
        (width, height): (f64, f64),
        svg: &mut Svg,
    ) {
        let (x_range, y_range) = (self.x_range(), self.y_range());
        let place = |&(x, y): &(f64, f64)| {
            let place = (
                self.x.scale.place(x, x_range),
                self.y.scale.place(y, y_range),
            );
            let inside = |place: f64| (-1e-9..=1.0 + 1e-9).contains(&place);
            let shown = self.x.scale.has(x) && self.y.scale.has(y);
            (shown && inside(place.0) && inside(place.1)).then(|| {
                let (x, y) = (left + width * place.0, top + height * (1.0 - place.1));
                (number(x), number(y))
            })
        };
        let mut lines = String::new();
        let mut points = String::new();
        for run in series.runs() {
            let mut joined = false;
            for point in run {
                let Some((x, y)) = place(point) else {
                    joined = false;
                    continue;
                };
                let command = if joined { 'L' } else { 'M' };
                write!(lines, "{command}{x} {y}").expect("writing to a string cannot fail");
                write!(
                    points,
                    "<circle cx=\"{x}\" cy=\"{y}\" r=\"{}\"/>",
                    self.marks.radius()
                )
                .expect("writing to a string cannot fail");
                joined = true;
            }
        }
        if points.is_empty() {
            return;
        }
        if self.marks == Marks::Lines {
            svg.push(format_args!(
                "<path fill=\"none\" stroke=\"{color}\" stroke-width=\"1.4\" d=\"{lines}\"/>"
            ));
        }
        let opacity = self.marks.opacity();
        svg.push(format_args!(
            "<g fill=\"{color}\" fill-opacity=\"{opacity}\">{points}</g>"
        ));
    }
}

impl Marks {
    fn radius(self) -> f64 {
        match self {
            Marks::Lines => 2.0,
            Marks::Points => 1.4,
        }
    }

    fn opacity(self) -> f64 {
        match self {
            Marks::Lines => 1.0,
            Marks::Points => 0.45,
        }
    }
}

/// Numbers at an axis of a length, at least `room` apart.
fn ticks(axis: &ChartAxis, (low, high): (f64, f64), length: f64, room: f64) -> Ticks {
    let most = ((length / room).floor() as usize).clamp(2, 8);
    match axis.scale {
        AxisScale::Whole => whole_numbers(low, high, length, room / 2.0),
        AxisScale::Logarithmic => powers(low, high, most),
        AxisScale::Linear | AxisScale::FromZero => round_numbers(low, high, most),
    }
}
