use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{COLORS, INK, picture, text, text_width};

/// One line of a picture: its name and a value for 1, 2, 3, …; where there is
/// none the line has a gap.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) values: Vec<Option<f64>>,
}

const CHART: (i32, i32) = (520, 300);
const LABEL: f64 = 12.0;
const LEGEND_STEP: i32 = 20;
const LEGEND_MARK: i32 = 18;

/// One SVG with lines over 1, 2, 3, …, from zero on, named at its right.
pub(crate) fn lines(
    caption: &str,
    x_axis: &str,
    y_axis: &str,
    lines: &[Line],
) -> anyhow::Result<String> {
    let names = lines.iter().map(|line| text_width(&line.name, LABEL));
    let legend = names.max().unwrap_or(0) + LEGEND_MARK + 16;
    let length = lines.iter().map(|line| line.values.len()).max();
    let values = || lines.iter().flat_map(|line| &line.values).flatten();
    let high = values().copied().fold(0.0, f64::max);
    let low = values().copied().fold(0.0, f64::min);
    // An axis of no length cannot be drawn.
    let room = ((high - low) * 0.06).max(1e-3);
    let bottom = if low < 0.0 { low - room } else { 0.0 };

    picture(caption, 1, (CHART.0 + legend, CHART.1), 1, |_, area| {
        let (left, right) = area.split_horizontally(CHART.0);
        let mut chart = ChartBuilder::on(&left)
            .margin(10)
            .x_label_area_size(38)
            .y_label_area_size(52)
            .build_cartesian_2d(0.5..length.unwrap_or(1) as f64 + 0.5, bottom..high + room)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(228, 228, 228))
            .axis_style(INK)
            .x_labels(length.unwrap_or(1).min(24))
            .y_labels(6)
            .x_desc(x_axis)
            .y_desc(y_axis)
            .x_label_formatter(&whole)
            .y_label_formatter(&|value| format!("{value:.2}"))
            .label_style(text(10.0, INK, HPos::Center, VPos::Center))
            .axis_desc_style(text(11.0, INK, HPos::Center, VPos::Center))
            .draw()?;
        for (index, line) in lines.iter().enumerate() {
            let color = COLORS[index % COLORS.len()];
            for run in line.runs() {
                chart.draw_series(LineSeries::new(run.iter().copied(), color.stroke_width(2)))?;
                chart.draw_series(run.into_iter().map(|at| Circle::new(at, 3, color.filled())))?;
            }
            let y = 24 + LEGEND_STEP * index as i32;
            let mark = PathElement::new([(0, y), (LEGEND_MARK, y)], color.stroke_width(3));
            right.draw(&mark)?;
            let style = text(LABEL, INK, HPos::Left, VPos::Center);
            right.draw_text(&line.name, &style, (LEGEND_MARK + 6, y))?;
        }
        Ok(())
    })
}

impl Line {
    /// The stretches between gaps.
    fn runs(&self) -> Vec<Vec<(f64, f64)>> {
        let places: Vec<_> = (1..).zip(&self.values).collect();
        places
            .split(|(_, value)| value.is_none())
            .filter(|run| !run.is_empty())
            .map(|run| {
                let run = run.iter();
                run.filter_map(|&(x, value)| Some((f64::from(x), (*value)?)))
                    .collect()
            })
            .collect()
    }
}

/// Only whole numbers are layers.
fn whole(value: &f64) -> String {
    if (value - value.round()).abs() < 1e-6 {
        format!("{value:.0}")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_missing_is_a_gap() {
        let values = vec![Some(0.5), Some(0.25), None, Some(1.0)];
        let line = Line {
            name: "FF <2>".into(),
            values,
        };
        assert_eq!(
            line.runs(),
            [vec![(1.0, 0.5), (2.0, 0.25)], vec![(4.0, 1.0)]]
        );
        let svg = lines("changes", "layer", "change", &[line]).unwrap();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("FF &lt;2&gt;"));
    }

    #[test]
    fn nothing_is_an_empty_picture() {
        assert!(
            lines("nothing", "layer", "change", &[])
                .unwrap()
                .contains("nothing")
        );
    }
}
