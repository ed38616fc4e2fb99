//! The colour bar beside a map.

use super::heat_map::{GAP, HeatMap, TICK};
use super::palette::{LEVELS, hex};
use super::svg::{Anchor, INK, Svg, Text, number};
use super::text::text_width;
use super::ticks::round_numbers;

const BAR_WIDTH: f64 = 8.0;
const BAR_LENGTH: f64 = 180.0;
/// Finer steps would only make the file longer.
const STEPS: usize = 64;

impl HeatMap {
    /// The width that the bar of a map of a height takes, numbers included.
    pub(crate) fn bar_room(&self, font: f64, height: f64) -> f64 {
        let ticks = self.ticks(font, height);
        let widest = ticks
            .iter()
            .map(|(_, text)| text_width(text, font))
            .fold(0.0, f64::max);
        2.0 * GAP + BAR_WIDTH + TICK + 2.0 + widest + GAP
    }

    fn ticks(&self, font: f64, height: f64) -> Vec<(f64, String)> {
        let range = self.range();
        let most = (height.min(BAR_LENGTH) / (2.2 * font)).floor() as usize;
        round_numbers(range.low, range.high, most.clamp(2, 6))
    }

    pub(crate) fn draw_bar(&self, (x, y): (f64, f64), height: f64, font: f64, svg: &mut Svg) {
        let range = self.range();
        let length = height.min(BAR_LENGTH);
        svg.push(format_args!(
            "<g transform=\"translate({} {}) scale({BAR_WIDTH} {:.5})\" shape-rendering=\"crispEdges\">",
            number(x),
            number(y),
            length / STEPS as f64
        ));
        for step in 0..STEPS {
            let level = (LEVELS - 1) * (STEPS - 1 - step) / (STEPS - 1);
            svg.push(format_args!(
                "<path fill=\"{}\" d=\"M0 {step}h1v1h-1z\"/>",
                hex(range.color(level))
            ));
        }
        svg.push(format_args!("</g>"));
        svg.frame((x, y), (BAR_WIDTH, length), "none");
        for (value, text) in self.ticks(font, height) {
            let place = y + length * (range.high - value) / (range.high - range.low);
            let right = x + BAR_WIDTH;
            svg.line((right, place), (right + TICK, place));
            let content = Text {
                content: &text,
                size: font,
                anchor: Anchor::Start,
                color: INK,
            };
            svg.text(&content, right + TICK + 2.0, place);
        }
    }
}
