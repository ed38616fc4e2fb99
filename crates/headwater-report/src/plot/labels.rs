use super::heat_map::{Axis, GAP, LEADING, SMALLEST_LABEL, Sizes};
use super::text::{shortened, text_width, visible};
use super::ticks::every;

/// The labels of one axis.
pub(crate) struct Labels {
    pub(crate) size: f64,
    /// Index and text of those that are drawn.
    pub(crate) shown: Vec<(usize, String)>,
    /// Room across the axis; along the text.
    pub(crate) room: f64,
    /// Whether they stand level below their columns.
    pub(crate) level: bool,
    pub(crate) thinned: bool,
}

impl Labels {
    /// The labels of an axis whose cells are `cell` wide across the text.
    pub(crate) fn of(axis: &Axis, cell: f64, sizes: Sizes, below: bool) -> Self {
        let Sizes {
            font,
            longest_label: longest,
            ..
        } = sizes;
        let level = below
            && axis
                .labels
                .iter()
                .all(|label| text_width(&visible(label), font) + 2.0 <= cell);
        let size = match level {
            true => font,
            false => (cell / LEADING).min(font),
        };
        let thinned = size < SMALLEST_LABEL * 0.999;
        let size = if thinned { font.min(7.0) } else { size };
        let step = match thinned {
            true => every(cell, LEADING * size),
            false => 1,
        };
        let shown: Vec<(usize, String)> = axis
            .labels
            .iter()
            .enumerate()
            .step_by(step)
            .map(|(index, label)| {
                // Where labels are missing their numbers tell where one is.
                let label = if thinned {
                    format!("{index} {label}")
                } else {
                    label.clone()
                };
                (index, shortened(&label, size, longest))
            })
            .collect();
        let widest = shown
            .iter()
            .map(|(_, label)| text_width(label, size))
            .fold(0.0, f64::max);
        let room = match (shown.is_empty(), level) {
            (true, _) => 0.0,
            (false, true) => GAP + LEADING * size,
            (false, false) => GAP + widest + 2.0,
        };
        Self {
            size,
            shown,
            room,
            level,
            thinned,
        }
    }
}
