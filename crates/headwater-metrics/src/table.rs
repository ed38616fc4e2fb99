//! A table of one number per layer and column.

use std::fmt::{self, Display};

use crate::MetricsError;
use crate::attention::{check_index, check_length};
use crate::element::finite;

/// How the numbers of a table are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// As they are, with so many decimals.
    Decimal {
        /// Digits after the decimal point.
        decimals: usize,
    },
    /// Multiplied by 100, with so many decimals and no percent sign.
    Percent {
        /// Digits after the decimal point.
        decimals: usize,
    },
}

/// One number per layer and named column, and perhaps a row over all layers.
///
/// A cell may be empty (a category that no sequence had, a correlation with a
/// constant); it prints as "–". No cell is ever NaN. Layers are indexed from 0
/// and printed from 1, as the papers do.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTable {
    columns: Vec<String>,
    rows: Vec<Vec<Option<f64>>>,
    overall: Option<Vec<Option<f64>>>,
}

impl LayerTable {
    /// A table with these columns and no layer yet.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
            overall: None,
        }
    }

    /// A table of means, whose rows all have the columns' length and no NaN.
    pub(crate) fn from_finite(
        columns: impl IntoIterator<Item = String>,
        rows: impl IntoIterator<Item = impl IntoIterator<Item = Option<f64>>>,
        overall: impl IntoIterator<Item = Option<f64>>,
    ) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: rows
                .into_iter()
                .map(|row| row.into_iter().collect())
                .collect(),
            overall: Some(overall.into_iter().collect()),
        }
    }

    /// Adds the next layer, one cell for each column.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`]; [`MetricsError::NotFinite`] for a
    /// cell that is NaN or infinite: leave it empty instead.
    pub fn push_layer(&mut self, cells: Vec<Option<f64>>) -> Result<(), MetricsError> {
        self.check(&cells)?;
        self.rows.push(cells);
        Ok(())
    }

    /// Sets the row over all layers, printed last.
    ///
    /// Whoever builds the table says what it is: a mean of layers, or a mean
    /// over the tokens of all layers.
    ///
    /// # Errors
    ///
    /// Those of [`LayerTable::push_layer`].
    pub fn set_overall(&mut self, cells: Vec<Option<f64>>) -> Result<(), MetricsError> {
        self.check(&cells)?;
        self.overall = Some(cells);
        Ok(())
    }

    fn check(&self, cells: &[Option<f64>]) -> Result<(), MetricsError> {
        check_length("cells", self.columns.len(), cells.len())?;
        for (position, cell) in cells.iter().enumerate() {
            cell.map(|value| finite("cells", position, value))
                .transpose()?;
        }
        Ok(())
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.rows.len()
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The layers from the first to the last, each with a cell a column.
    pub fn rows(&self) -> &[Vec<Option<f64>>] {
        &self.rows
    }

    /// The row over all layers, where there is one.
    pub fn overall(&self) -> Option<&[Option<f64>]> {
        self.overall.as_deref()
    }

    /// The cells of one column, from the first layer to the last.
    ///
    /// # Errors
    ///
    /// [`MetricsError::OutOfRange`] for a column that is not there.
    pub fn column(
        &self,
        column: usize,
    ) -> Result<impl Iterator<Item = Option<f64>> + '_, MetricsError> {
        check_index("column", column, self.columns.len())?;
        Ok(self.rows.iter().map(move |row| row[column]))
    }

    /// The table in Markdown, to be printed with `{}`.
    ///
    /// A "|" in a column's name is escaped.
    pub fn markdown(&self, notation: Notation) -> impl Display + '_ {
        Markdown {
            table: self,
            notation,
        }
    }
}

struct Markdown<'a> {
    table: &'a LayerTable,
    notation: Notation,
}

impl Markdown<'_> {
    fn row(
        &self,
        f: &mut fmt::Formatter<'_>,
        label: &dyn Display,
        cells: &[Option<f64>],
    ) -> fmt::Result {
        write!(f, "| {label} |")?;
        for cell in cells {
            match (*cell, self.notation) {
                (None, _) => write!(f, " – |")?,
                (Some(value), Notation::Decimal { decimals }) => {
                    write!(f, " {value:.decimals$} |")?;
                }
                (Some(value), Notation::Percent { decimals }) => {
                    write!(f, " {:.decimals$} |", 100.0 * value)?;
                }
            }
        }
        writeln!(f)
    }
}

impl Display for Markdown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| layer |")?;
        for column in &self.table.columns {
            write!(f, " {} |", column.replace('|', "\\|"))?;
        }
        write!(f, "\n|---|")?;
        for _ in &self.table.columns {
            write!(f, "---:|")?;
        }
        writeln!(f)?;
        for (layer, cells) in self.table.rows.iter().enumerate() {
            self.row(f, &(layer + 1), cells)?;
        }
        if let Some(cells) = &self.table.overall {
            self.row(f, &"overall", cells)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> LayerTable {
        let mut table = LayerTable::new(["[CLS]", "‖x‖|y"]);
        table.push_layer(vec![Some(0.25), None]).unwrap();
        table.push_layer(vec![Some(0.5), Some(-1.0)]).unwrap();
        table.set_overall(vec![Some(0.375), Some(-1.0)]).unwrap();
        table
    }

    #[test]
    fn markdown_prints_empty_cells_as_a_dash() {
        let expected = "\
| layer | [CLS] | ‖x‖\\|y |
|---|---:|---:|
| 1 | 25.0 | – |
| 2 | 50.0 | -100.0 |
| overall | 37.5 | -100.0 |
";
        let notation = Notation::Percent { decimals: 1 };
        assert_eq!(table().markdown(notation).to_string(), expected);
        let decimal = table()
            .markdown(Notation::Decimal { decimals: 3 })
            .to_string();
        assert!(decimal.contains("| 1 | 0.250 | – |\n"), "{decimal}");
    }

    #[test]
    fn cells_can_be_read_back() {
        let table = table();
        assert_eq!(table.layers(), 2);
        assert_eq!(table.columns()[0], "[CLS]");
        assert_eq!(table.rows()[0], [Some(0.25), None]);
        assert_eq!(table.overall(), Some(&[Some(0.375), Some(-1.0)][..]));
        assert!(table.column(1).unwrap().eq([None, Some(-1.0)]));
        assert!(matches!(
            table.column(2).map(|_| ()),
            Err(MetricsError::OutOfRange {
                index: 2,
                length: 2,
                ..
            })
        ));
    }

    #[test]
    fn ragged_rows_and_nan_are_refused() {
        let mut table = table();
        assert!(matches!(
            table.push_layer(vec![None]),
            Err(MetricsError::LengthMismatch { .. })
        ));
        assert!(matches!(
            table.set_overall(vec![None, Some(f64::NAN)]),
            Err(MetricsError::NotFinite { position: 1, .. })
        ));
        assert_eq!(table.layers(), 2);
    }
}
