//! Pictures: lines and scatter plots as SVG text; heat maps are those of
//! `headwater-report`.

mod lines;
mod scatter;

pub(crate) use lines::{Line, lines};
pub(crate) use scatter::{Axis, Ranges, Scatter, scatters};

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(34, 34, 34);
const CAPTION_HEIGHT: i32 = 34;

/// Colours that stay apart for colour-blind readers (after Okabe and Ito).
const COLORS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(90, 90, 90),
];

/// One picture: a caption, and below it panels of one size in rows of
/// `across`.
fn picture(
    caption: &str,
    across: usize,
    panel: (i32, i32),
    count: usize,
    mut draw: impl FnMut(usize, &Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let across = across.clamp(1, count.max(1));
    let down = count.div_ceil(across).max(1);
    let caption_width = text_width(caption, 17.0) + 24;
    let width = (panel.0 * across as i32).max(caption_width);
    let height = panel.1 * down as i32 + CAPTION_HEIGHT;
    let mut svg = String::new();
    {
        let root =
            SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
        root.fill(&WHITE)?;
        let style = text(17.0, INK, HPos::Left, VPos::Center);
        root.draw_text(caption, &style, (12, CAPTION_HEIGHT / 2 + 2))?;
        for index in 0..count {
            let left = panel.0 * (index % across) as i32;
            let top = CAPTION_HEIGHT + panel.1 * (index / across) as i32;
            let place = root.clone().shrink((left, top), (panel.0, panel.1));
            draw(index, &place)?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// Width in pixels of a label, rounded up.
fn text_width(label: &str, size: f64) -> i32 {
    headwater_report::plot::text_width(label, size).ceil() as i32
}

/// A text style; the size is in pixels as the viewer sees it.
fn text(size: f64, color: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    // The SVG backend divides sizes by 1.24.
    (FONT, size * 1.24)
        .into_font()
        .color(&color)
        .pos(Pos::new(horizontal, vertical))
}
