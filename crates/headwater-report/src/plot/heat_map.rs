use std::collections::BTreeMap;
use std::fmt::Write;

use ndarray::Array2;

use super::labels::Labels;
use super::palette::{Range, Scale, hex, readable_on};
use super::svg::{Anchor, INK, Svg, Text, number};
use super::text::{shortened, text_width, visible};

/// How a cell is shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// A square, for maps of tokens to tokens.
    Square,
    /// As narrow as a square, but a line of text high, for tables of few rows.
    Line,
    /// Wide enough for its value, written into it with so many decimals.
    Numbers(usize),
}

/// One side of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// What the entries are.
    pub name: String,
    /// One an entry; none at all where a neighbour has them.
    pub labels: Vec<String>,
}

impl Axis {
    /// An axis with a label an entry.
    pub fn new(name: &str, labels: impl IntoIterator<Item = String>) -> Self {
        Self {
            name: name.to_owned(),
            labels: labels.into_iter().collect(),
        }
    }
}

/// A matrix as coloured cells with a colour bar. An entry that is not finite
/// stays white.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// Above the map; may be empty.
    pub title: String,
    /// The rows, from the top.
    pub rows: Axis,
    /// The columns, from the left.
    pub columns: Axis,
    /// `[row, column]`
    pub values: Array2<f64>,
    /// The shape of the cells.
    pub cells: Cells,
    /// How values become colours.
    pub scale: Scale,
}

/// The size of ordinary text, of the labels beside cells, and of the cells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) font: f64,
    pub(crate) side: f64,
    /// What is longer is cut.
    pub(crate) longest_label: f64,
}

/// Labels smaller than this nobody reads.
pub(crate) const SMALLEST_LABEL: f64 = 5.0;
/// Lines of text are so far apart, in sizes.
pub(crate) const LEADING: f64 = 1.15;
pub(crate) const GAP: f64 = 4.0;
pub(crate) const TICK: f64 = 2.5;

/// Where everything of a map lies.
pub(crate) struct Layout {
    cell: (f64, f64),
    rows: Labels,
    columns: Labels,
    /// Left upper corner of the cells.
    pub(crate) corner: (f64, f64),
    pub(crate) size: (f64, f64),
}

impl HeatMap {
    pub(crate) fn range(&self) -> Range {
        self.scale.range(self.values.iter().copied())
    }

    /// The side of a cell if nobody asks for a width.
    pub(crate) fn natural_side(&self, font: f64) -> f64 {
        let (rows, columns) = self.values.dim();
        let longest = match self.cells {
            Cells::Square => rows.max(columns),
            _ => columns,
        };
        // Every label up to 128 tokens, and no larger picture beyond.
        let smallest = (SMALLEST_LABEL * LEADING)
            .min(128.0 * SMALLEST_LABEL * LEADING / longest.max(1) as f64);
        (320.0 / longest.max(1) as f64).clamp(smallest, 2.0 * font.max(smallest))
    }

    pub(crate) fn layout(&self, sizes: Sizes) -> Layout {
        let (rows, columns) = self.values.dim();
        let font = sizes.font;
        let line = font * LEADING;
        let cell = match self.cells {
            Cells::Square => (sizes.side, sizes.side),
            Cells::Line => (sizes.side, sizes.side.clamp(1.3 * font, 2.0 * font)),
            Cells::Numbers(decimals) => {
                (self.widest_number(decimals, font) + 1.5 * font, 2.0 * font)
            }
        };
        let row_labels = Labels::of(&self.rows, cell.1, sizes, false);
        let column_labels = Labels::of(&self.columns, cell.0, sizes, true);
        let title = if self.title.is_empty() {
            0.0
        } else {
            1.6 * font
        };
        let left = GAP + axis_room(&self.rows, font) + row_labels.room;
        let (width, height) = (cell.0 * columns as f64, cell.1 * rows as f64);
        let right = left + width + self.bar_room(font, height);
        let bottom = title.max(0.6 * line)
            + height
            + column_labels.room
            + axis_room(&self.columns, font)
            + GAP;
        Layout {
            cell,
            corner: (left, title.max(0.6 * line)),
            rows: row_labels,
            columns: column_labels,
            size: (right, bottom),
        }
    }

    fn widest_number(&self, decimals: usize, font: f64) -> f64 {
        let values = self.values.iter().filter(|value| value.is_finite());
        let widths = values.map(|value| text_width(&format!("{value:.decimals$}"), font));
        let labels = self.columns.labels.iter();
        let labels = labels.map(|label| text_width(&visible(label), font) - font);
        // Columns keep their labels level up to twice the width of a value.
        let widest = widths.fold(2.0 * font, f64::max);
        labels.fold(widest, |widest, label| {
            if label < 2.0 * widest {
                widest.max(label)
            } else {
                widest
            }
        })
    }

    /// Draws the map with its left upper corner at a place; `room` is the
    /// width that its title may take.
    pub(crate) fn draw(
        &self,
        layout: &Layout,
        font: f64,
        room: f64,
        (x, y): (f64, f64),
        svg: &mut Svg,
    ) {
        let (left, top) = (x + layout.corner.0, y + layout.corner.1);
        let (rows, columns) = self.values.dim();
        let (width, height) = (layout.cell.0 * columns as f64, layout.cell.1 * rows as f64);
        let title = shortened(&self.title, font, room - layout.corner.0);
        let ordinary = |content, anchor| Text {
            content,
            size: font,
            anchor,
            color: INK,
        };

        if !title.is_empty() {
            svg.text(&ordinary(&title, Anchor::Start), left, top - 0.85 * font);
        }
        self.draw_cells(layout.cell, (left, top), svg);
        svg.frame((left, top), (width, height), "none");
        if let Cells::Numbers(decimals) = self.cells {
            self.draw_numbers(decimals, layout.cell, (left, top), font, svg);
        }

        for (index, label) in &layout.rows.shown {
            let middle = top + layout.cell.1 * (*index as f64 + 0.5);
            if layout.rows.thinned {
                svg.line((left - TICK, middle), (left, middle));
            }
            let text = Text {
                content: label,
                size: layout.rows.size,
                anchor: Anchor::End,
                color: INK,
            };
            svg.text(&text, left - GAP, middle);
        }
        for (index, label) in &layout.columns.shown {
            let middle = left + layout.cell.0 * (*index as f64 + 0.5);
            let bottom = top + height;
            if layout.columns.thinned {
                svg.line((middle, bottom), (middle, bottom + TICK));
            }
            let size = layout.columns.size;
            if layout.columns.level {
                let text = Text {
                    content: label,
                    size,
                    anchor: Anchor::Middle,
                    color: INK,
                };
                svg.text(&text, middle, bottom + GAP + 0.5 * size);
            } else {
                let text = Text {
                    content: label,
                    size,
                    anchor: Anchor::End,
                    color: INK,
                };
                svg.turned_text(&text, middle, bottom + GAP);
            }
        }
        if !self.columns.name.is_empty() {
            let below = top + height + layout.columns.room + 0.9 * font;
            svg.text(
                &ordinary(&self.columns.name, Anchor::Middle),
                left + width / 2.0,
                below,
            );
        }
        if !self.rows.name.is_empty() {
            let text = ordinary(&self.rows.name, Anchor::Middle);
            svg.turned_text(&text, x + GAP + 0.6 * font, top + height / 2.0);
        }
        self.draw_bar((left + width + 2.0 * GAP, top), height, font, svg);
    }

    /// Cells of one colour are one path; neighbours in a row are one rectangle.
    fn draw_cells(&self, cell: (f64, f64), (left, top): (f64, f64), svg: &mut Svg) {
        let range = self.range();
        let mut paths: BTreeMap<usize, String> = BTreeMap::new();
        for (row, values) in self.values.rows().into_iter().enumerate() {
            let level = |column: usize| {
                let value = values.get(column).filter(|value| value.is_finite());
                value.map(|&value| range.level(value))
            };
            let mut column = 0;
            while column < values.len() {
                let run = (column..values.len()).take_while(|&next| level(next) == level(column));
                let run = run.count();
                if let Some(level) = level(column) {
                    write!(
                        paths.entry(level).or_default(),
                        "M{column} {row}h{run}v1h-{run}z"
                    )
                    .expect("writing to a string cannot fail");
                }
                column += run;
            }
        }
        svg.push(format_args!(
            "<g transform=\"translate({} {}) scale({:.5} {:.5})\" shape-rendering=\"crispEdges\">",
            number(left),
            number(top),
            cell.0,
            cell.1
        ));
        for (level, path) in paths {
            svg.push(format_args!(
                "<path fill=\"{}\" d=\"{path}\"/>",
                hex(range.color(level))
            ));
        }
        svg.push(format_args!("</g>"));
    }

    fn draw_numbers(
        &self,
        decimals: usize,
        cell: (f64, f64),
        corner: (f64, f64),
        size: f64,
        svg: &mut Svg,
    ) {
        let range = self.range();
        for ((row, column), value) in self
            .values
            .indexed_iter()
            .filter(|(_, value)| value.is_finite())
        {
            let text = Text {
                content: &format!("{value:.decimals$}"),
                size,
                anchor: Anchor::Middle,
                color: readable_on(range.color(range.level(*value))),
            };
            let x = corner.0 + cell.0 * (column as f64 + 0.5);
            svg.text(&text, x, corner.1 + cell.1 * (row as f64 + 0.5));
        }
    }
}

/// Room for an axis' name.
fn axis_room(axis: &Axis, font: f64) -> f64 {
    if axis.name.is_empty() {
        0.0
    } else {
        1.5 * font
    }
}
