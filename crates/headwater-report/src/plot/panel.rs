use super::chart::Chart;
use super::draw_chart::{ChartLayout, NATURAL_SIDE};
use super::heat_map::{GAP, HeatMap, Layout, Sizes};
use super::svg::Svg;
use super::text::{text_width, visible};

/// One picture of a [`Figure`](super::Figure).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Panel {
    /// A matrix as coloured cells.
    Map(HeatMap),
    /// Points or lines.
    Chart(Chart),
}

impl From<HeatMap> for Panel {
    fn from(map: HeatMap) -> Self {
        Panel::Map(map)
    }
}

impl From<Chart> for Panel {
    fn from(chart: Chart) -> Self {
        Panel::Chart(chart)
    }
}

/// Where everything of a panel lies.
pub(crate) enum PanelLayout {
    Map(Layout),
    Chart(ChartLayout),
}

impl PanelLayout {
    pub(crate) fn size(&self) -> (f64, f64) {
        match self {
            PanelLayout::Map(layout) => layout.size,
            PanelLayout::Chart(layout) => layout.size,
        }
    }

    fn corner(&self) -> (f64, f64) {
        match self {
            PanelLayout::Map(layout) => layout.corner,
            PanelLayout::Chart(layout) => layout.corner,
        }
    }
}

impl Panel {
    /// What stands above it; may be empty.
    pub fn title(&self) -> &str {
        match self {
            Panel::Map(map) => &map.title,
            Panel::Chart(chart) => &chart.title,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&HeatMap> {
        match self {
            Panel::Map(map) => Some(map),
            Panel::Chart(_) => None,
        }
    }

    /// The side of a cell if nobody asks for a width.
    pub(crate) fn natural_side(&self, font: f64) -> f64 {
        match self {
            Panel::Map(map) => map.natural_side(font),
            Panel::Chart(_) => NATURAL_SIDE,
        }
    }

    pub(crate) fn layout(&self, sizes: Sizes) -> PanelLayout {
        match self {
            Panel::Map(map) => PanelLayout::Map(map.layout(sizes)),
            Panel::Chart(chart) => PanelLayout::Chart(chart.layout(sizes)),
        }
    }

    /// Up to where the title goes, if it may go on beyond the panel.
    pub(crate) fn title_end(&self, layout: &PanelLayout, font: f64) -> f64 {
        layout.corner().0 + text_width(&visible(self.title()), font) + GAP
    }

    /// Draws the panel, laid out as it is, with its left upper corner at a
    /// place; `room` is the width that its title may take.
    pub(crate) fn draw(
        &self,
        layout: &PanelLayout,
        font: f64,
        room: f64,
        place: (f64, f64),
        svg: &mut Svg,
    ) {
        match (self, layout) {
            (Panel::Map(map), PanelLayout::Map(layout)) => {
                map.draw(layout, font, room, place, svg);
            }
            (Panel::Chart(chart), PanelLayout::Chart(layout)) => {
                chart.draw(layout, font, room, place, svg);
            }
            _ => unreachable!("a panel has a layout of its own kind"),
        }
    }
}
