//! Pictures without a browser: maps as SVG, and the same as PNG.

mod bar;
mod figure;
mod heat_map;
mod labels;
mod palette;
mod plotter;
mod png;
mod svg;
mod text;
mod ticks;

pub use figure::{Figure, POINTS_AN_INCH};
pub use heat_map::{Axis, Cells, HeatMap};
pub use palette::Scale;
pub use plotter::{Diagonal, Heads, Place, Plotter, Rows, View};
pub use png::png;
pub use text::text_width;
