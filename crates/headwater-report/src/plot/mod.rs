//! Pictures without a browser: maps and charts as SVG, and the same as PNG.

mod bar;
mod chart;
mod draw_chart;
mod figure;
mod font;
mod heat_map;
mod labels;
mod palette;
mod panel;
mod plotter;
mod png;
mod svg;
mod text;
mod ticks;

pub use chart::{AxisScale, Chart, ChartAxis, Marks, Series};
pub use figure::{Figure, POINTS_AN_INCH};
pub use headwater_analysis::Place;
pub use heat_map::{Axis, Cells, HeatMap};
pub use palette::Scale;
pub use panel::Panel;
pub use plotter::{Diagonal, Heads, Plotter, Rows, View};
pub use png::png;
pub use text::text_width;
