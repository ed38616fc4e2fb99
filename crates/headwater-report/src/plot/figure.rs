use super::heat_map::Sizes;
use super::panel::{Panel, PanelLayout};
use super::svg::{Anchor, INK, Svg, Text};
use super::text::{shortened, text_width, visible};

/// Maps and charts side by side in one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Above everything; may be empty.
    pub title: String,
    /// Panels in a row.
    pub across: usize,
    /// Row by row.
    pub panels: Vec<Panel>,
    /// The width in points; by default what the labels need, up to 128 of them.
    pub width: Option<f64>,
    /// The size of text in points.
    pub font_size: f64,
}

/// Points an inch.
pub const POINTS_AN_INCH: f64 = 72.0;
/// A cell narrower than this is no cell.
const SMALLEST_SIDE: f64 = 0.05;
const MARGIN: f64 = 4.0;

impl Figure {
    /// Panels in rows of `across`, with text of 8 points.
    pub fn new<P: Into<Panel>>(
        title: impl Into<String>,
        across: usize,
        panels: impl IntoIterator<Item = P>,
    ) -> Self {
        Self {
            title: title.into(),
            across: across.max(1),
            panels: panels.into_iter().map(Into::into).collect(),
            width: None,
            font_size: 8.0,
        }
    }

    /// The picture as an SVG document: vectors and text, no pixels.
    ///
    /// Text is left to the viewer's fonts; its room is measured in Noto Sans.
    pub fn to_svg(&self) -> String {
        let side = self.side();
        let layouts = self.layouts(side);
        let title_size = 1.15 * self.font_size;
        let title = if self.title.is_empty() {
            0.0
        } else {
            2.0 * title_size
        };
        let mut svg = Svg::default();
        let mut width = self
            .width
            .unwrap_or_else(|| text_width(&visible(&self.title), title_size) + 4.0 * MARGIN);
        let mut top = title + MARGIN;
        let rooms = self.rooms(&layouts);
        for (panels, layouts) in self
            .panels
            .chunks(self.across)
            .zip(layouts.chunks(self.across))
        {
            let mut left = MARGIN;
            for ((panel, layout), &room) in panels.iter().zip(layouts).zip(&rooms) {
                panel.draw(layout, self.font_size, room, (left, top), &mut svg);
                left += room;
            }
            width = width.max(left + MARGIN);
            top += layouts
                .iter()
                .map(|layout| layout.size().1)
                .fold(0.0, f64::max);
        }
        if !self.title.is_empty() {
            let text = Text {
                content: &shortened(&self.title, title_size, width - 4.0 * MARGIN),
                size: title_size,
                anchor: Anchor::Start,
                color: INK,
            };
            svg.text(&text, 2.0 * MARGIN, 0.5 * title + 1.0);
        }
        let panel = self.panels.first().map_or("", Panel::title);
        let name = if self.title.is_empty() {
            panel
        } else {
            &self.title
        };
        svg.finish(name, width, top + MARGIN)
    }

    /// The width of each column of panels.
    fn rooms(&self, layouts: &[PanelLayout]) -> Vec<f64> {
        let mut rooms = vec![0.0; self.across.min(layouts.len())];
        for (index, (panel, layout)) in self.panels.iter().zip(layouts).enumerate() {
            // A title may be longer than its map is wide; a width that was asked for stays.
            let room = match self.width {
                Some(_) => layout.size().0,
                None => panel.title_end(layout, self.font_size).max(layout.size().0),
            };
            let column = &mut rooms[index % self.across];
            *column = room.max(*column);
        }
        rooms
    }

    fn layouts(&self, side: f64) -> Vec<PanelLayout> {
        let longest_label = 11.0 * self.font_size;
        let sizes = Sizes {
            font: self.font_size,
            side,
            // In a narrow picture labels leave room for what they label.
            longest_label: match self.width {
                Some(width) => longest_label.min(0.25 * width),
                None => longest_label,
            },
        };
        self.panels
            .iter()
            .map(|panel| panel.layout(sizes))
            .collect()
    }

    /// The side of a cell in all panels.
    fn side(&self) -> f64 {
        let natural = self
            .panels
            .iter()
            .map(|panel| panel.natural_side(self.font_size));
        let natural = natural.fold(f64::INFINITY, f64::min);
        let Some(width) = self.width else {
            return if natural.is_finite() { natural } else { 1.0 };
        };
        // Labels shrink with the cells, so the room left for cells does not
        // follow from the width at once; a wider cell never makes a narrower
        // figure, so halving finds it.
        let (mut low, mut high) = (SMALLEST_SIDE, width);
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if self.width_at(middle) <= width {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    fn width_at(&self, side: f64) -> f64 {
        let layouts = self.layouts(side);
        self.rooms(&layouts).iter().sum::<f64>() + 2.0 * MARGIN
    }
}
