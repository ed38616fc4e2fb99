use ndarray::Array2;
use plotters::prelude::*;
use plotters::style::colors::colormaps::{ColorMap, ViridisRGB};
use plotters::style::text_anchor::{HPos, VPos};

use super::{Area, INK, picture, text, text_width};

/// Whether the values are written into the cells, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CellText {
    /// Colour alone.
    None,
    /// So many decimals.
    Decimals(usize),
}

/// A matrix as coloured cells. An entry that is not finite stays white.
pub(crate) struct HeatMap {
    pub(crate) title: String,
    pub(crate) row_axis: &'static str,
    pub(crate) column_axis: &'static str,
    pub(crate) rows: Vec<String>,
    pub(crate) columns: Vec<String>,
    pub(crate) values: Array2<f64>,
    pub(crate) cell_text: CellText,
}

const LABEL: f64 = 11.0;
const MARGIN: i32 = 14;
const TITLE: i32 = 24;
const LEVEL_LABELS: i32 = 22;
const AXIS: i32 = 18;
const BAR: i32 = 12;
const BAR_STEP: i32 = 4;
const BAR_SPACE: i32 = 64;

struct Layout {
    cell: (i32, i32),
    row_labels: i32,
    column_labels: i32,
    size: (i32, i32),
}

/// One SVG with the panels in rows of `across`, each with its own colour bar:
/// norms of different scopes do not share a unit.
pub(crate) fn heat_maps(
    caption: &str,
    across: usize,
    panels: &[HeatMap],
) -> anyhow::Result<String> {
    let layouts: Vec<_> = panels.iter().map(HeatMap::layout).collect();
    let width = layouts.iter().map(|l| l.size.0).max().unwrap_or(0);
    let height = layouts.iter().map(|l| l.size.1).max().unwrap_or(0);
    picture(
        caption,
        across,
        (width, height),
        panels.len(),
        |index, area| panels[index].draw(&layouts[index], area),
    )
}

impl HeatMap {
    fn layout(&self) -> Layout {
        let widest = |labels: &[String]| {
            labels
                .iter()
                .map(|label| text_width(label, LABEL))
                .max()
                .unwrap_or(0)
        };
        let (rows, columns) = self.values.dim();
        let cell = match self.cell_text {
            CellText::Decimals(_) => (58, 22),
            CellText::None => {
                let side = (420 / rows.max(columns).max(1) as i32).clamp(13, 26);
                (side, side)
            }
        };
        let row_labels = widest(&self.rows) + 6;
        // Labels that fit stand level, the others are turned.
        let column_labels = match widest(&self.columns) {
            width if width + 4 <= cell.0 => LEVEL_LABELS,
            width => width + 8,
        };
        let size = (
            2 * MARGIN + AXIS + row_labels + cell.0 * columns as i32 + BAR_SPACE,
            MARGIN + TITLE + column_labels + AXIS + cell.1 * rows as i32,
        );
        Layout {
            cell,
            row_labels,
            column_labels,
            size,
        }
    }

    fn draw(&self, layout: &Layout, area: &Area<'_>) -> anyhow::Result<()> {
        let (rows, columns) = self.values.dim();
        let (cell_width, cell_height) = layout.cell;
        let left = MARGIN + AXIS + layout.row_labels;
        let top = TITLE;
        let (width, height) = (cell_width * columns as i32, cell_height * rows as i32);
        let (low, high) = self.range();

        area.draw_text(
            &self.title,
            &text(13.0, INK, HPos::Left, VPos::Center),
            (left, TITLE / 2),
        )?;
        for ((row, column), &value) in self.values.indexed_iter() {
            if !value.is_finite() {
                continue;
            }
            let color = shade(value, low, high);
            let x = left + cell_width * column as i32;
            let y = top + cell_height * row as i32;
            let corners = [(x, y), (x + cell_width, y + cell_height)];
            area.draw(&Rectangle::new(corners, color.filled()))?;
            if let CellText::Decimals(decimals) = self.cell_text {
                let style = text(LABEL, readable_on(color), HPos::Center, VPos::Center);
                let middle = (x + cell_width / 2, y + cell_height / 2);
                area.draw_text(&format!("{value:.decimals$}"), &style, middle)?;
            }
        }
        for (row, label) in self.rows.iter().enumerate() {
            let y = top + cell_height * row as i32 + cell_height / 2;
            let style = text(LABEL, INK, HPos::Right, VPos::Center);
            area.draw_text(label, &style, (left - 5, y))?;
        }
        let level = layout.column_labels == LEVEL_LABELS;
        for (column, label) in self.columns.iter().enumerate() {
            let x = left + cell_width * column as i32 + cell_width / 2;
            let y = top + height + 5;
            let style = if level {
                text(LABEL, INK, HPos::Center, VPos::Top)
            } else {
                text(LABEL, INK, HPos::Right, VPos::Center).transform(FontTransform::Rotate270)
            };
            area.draw_text(label, &style, (x, y))?;
        }
        let axis = text(12.0, INK, HPos::Center, VPos::Top);
        area.draw_text(
            self.column_axis,
            &axis,
            (left + width / 2, top + height + layout.column_labels),
        )?;
        let turned =
            text(12.0, INK, HPos::Center, VPos::Center).transform(FontTransform::Rotate270);
        area.draw_text(self.row_axis, &turned, (MARGIN, top + height / 2))?;
        draw_bar(area, (left + width + 12, top), height.min(220), low, high)
    }

    /// From zero, so that a colour is proportional to its value, unless
    /// something lies below zero.
    fn range(&self) -> (f64, f64) {
        let finite = || self.values.iter().copied().filter(|v| v.is_finite());
        let low = finite().fold(0.0, f64::min);
        let high = finite().fold(low, f64::max);
        (low, if high > low { high } else { low + 1.0 })
    }
}

fn draw_bar(
    area: &Area<'_>,
    (x, y): (i32, i32),
    height: i32,
    low: f64,
    high: f64,
) -> anyhow::Result<()> {
    // Steps finer than the eye tells apart would only make the file longer.
    let steps = height / BAR_STEP;
    for step in 0..steps {
        let value = high - (high - low) * f64::from(step) / f64::from((steps - 1).max(1));
        let bottom = if step + 1 == steps {
            height
        } else {
            (step + 1) * BAR_STEP
        };
        let corners = [(x, y + step * BAR_STEP), (x + BAR, y + bottom)];
        area.draw(&Rectangle::new(corners, shade(value, low, high).filled()))?;
    }
    let ticks = if height < 60 { 1 } else { 4 };
    for tick in 0..=ticks {
        let value = high - (high - low) * f64::from(tick) / f64::from(ticks);
        let style = text(10.0, INK, HPos::Left, VPos::Center);
        let place = (x + BAR + 4, y + height * tick / ticks);
        area.draw_text(&short(value, high), &style, place)?;
    }
    Ok(())
}

/// A number of the bar: two to three significant digits of the largest one.
fn short(value: f64, high: f64) -> String {
    let decimals = match high.abs() {
        h if h >= 100.0 => 0,
        h if h >= 10.0 => 1,
        h if h >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn shade(value: f64, low: f64, high: f64) -> RGBColor {
    ViridisRGB.get_color_normalized(value, low, high)
}

/// Black or white, whichever stands out.
fn readable_on(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    let luminance = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
    if luminance > 140.0 { BLACK } else { WHITE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_entries_that_are_not_numbers_left_out() {
        let map = HeatMap {
            title: "attn".into(),
            row_axis: "target",
            column_axis: "source",
            rows: vec!["<s>".into(), "&".into()],
            columns: vec!["<s>".into(), "&".into()],
            values: ndarray::array![[0.5, f64::NAN], [0.25, 1.0]],
            cell_text: CellText::Decimals(1),
        };
        let svg = heat_maps("norms", 1, &[map]).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert_eq!(svg.matches("&lt;s&gt;").count(), 2);
        assert_eq!(svg.matches("&amp;").count(), 2);
        assert!(!svg.contains("<s>") && !svg.contains("NaN"));
    }

    #[test]
    fn the_same_map_is_the_same_picture() {
        let draw = || {
            let map = HeatMap {
                title: "t".into(),
                row_axis: "layer",
                column_axis: "head",
                rows: vec!["1".into()],
                columns: vec!["1".into()],
                values: ndarray::array![[0.0]],
                cell_text: CellText::None,
            };
            heat_maps("c", 2, &[map]).unwrap()
        };
        assert_eq!(draw(), draw());
    }
}
