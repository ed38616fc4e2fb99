//! A table of the report: our figures, the published ones beside them.

use std::fmt::Write;

use headwater::metrics::LayerTable;
use serde_json::{Value, json};

use super::published::{Figures, Reference};

/// One table, in the unit that its title names.
pub(crate) struct Table {
    /// The key in report.json.
    pub(crate) id: String,
    pub(crate) title: String,
    /// What a reader has to know to read it.
    pub(crate) note: String,
    /// What the rows are.
    pub(crate) rows_are: &'static str,
    /// One for each value of a row, then one for each of its texts.
    pub(crate) columns: Vec<String>,
    pub(crate) decimals: usize,
    pub(crate) rows: Vec<Row>,
    /// What stands where a figure is not published; `None` for a table that
    /// no paper has.
    pub(crate) absent: Option<&'static str>,
}

/// A row: an empty cell is a number that there is not, never a zero.
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) values: Vec<Option<f64>>,
    /// As many as values, or none at all.
    pub(crate) published: Vec<Option<Reference>>,
    /// What is no number, behind the values.
    pub(crate) texts: Vec<String>,
}

impl Row {
    /// A row without published figures.
    pub(crate) fn new(label: impl Into<String>, values: Vec<Option<f64>>) -> Self {
        Self {
            label: label.into(),
            values,
            published: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// The row with texts behind its values.
    pub(crate) fn with_texts(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.texts.extend(texts);
        self
    }

    /// A row with the figures of so many keys.
    pub(crate) fn beside<K: AsRef<str>>(
        mut self,
        figures: &Figures<'_>,
        layer: Option<usize>,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        let keys = keys.into_iter();
        self.published = keys.map(|key| figures.get(key.as_ref(), layer)).collect();
        self
    }

    fn published_text(&self, absent: &str, decimals: usize) -> String {
        if self.published.iter().all(Option::is_none) {
            return absent.to_owned();
        }
        // Files of numbers drop final zeros; a row was printed with one number
        // of decimals.
        let printed = self
            .published
            .iter()
            .flatten()
            .map(|p| decimals_of(p.value));
        let decimals = printed.max().unwrap_or(0).min(decimals);
        let cell = |reference: &Option<Reference>| match reference {
            None => "–".to_owned(),
            Some(Reference {
                value,
                notebook: None,
            }) => format!("{value:.decimals$}"),
            Some(Reference {
                value,
                notebook: Some(other),
            }) => {
                format!("{value:.decimals$} (notebook {other:.decimals$})")
            }
        };
        self.published
            .iter()
            .map(cell)
            .collect::<Vec<_>>()
            .join(" / ")
    }
}

fn decimals_of(value: f64) -> usize {
    let text = value.to_string();
    text.split_once('.').map_or(0, |(_, digits)| digits.len())
}

impl Table {
    /// The rows of a table of layers, scaled, the overall row last.
    pub(crate) fn layers(table: &LayerTable, scale: f64, overall: &str) -> Vec<Row> {
        let scaled = |cells: &[Option<f64>]| -> Vec<Option<f64>> {
            cells
                .iter()
                .map(|cell| cell.map(|value| value * scale))
                .collect()
        };
        let layers = table.rows().iter().enumerate();
        let mut rows: Vec<Row> = layers
            .map(|(layer, cells)| Row::new((layer + 1).to_string(), scaled(cells)))
            .collect();
        rows.extend(
            table
                .overall()
                .map(|cells| Row::new(overall, scaled(cells))),
        );
        rows
    }

    /// Whether a published figure stands anywhere in it.
    pub(crate) fn has_published(&self) -> bool {
        self.rows
            .iter()
            .any(|row| row.published.iter().any(Option::is_some))
    }

    /// The table in Markdown, without its title.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("| {} |", self.rows_are);
        for column in &self.columns {
            let _ = write!(text, " {} |", cell_text(column));
        }
        if self.absent.is_some() {
            let _ = match &self.columns[..] {
                [_] => write!(text, " published |"),
                [_, _, _, _, _, _, ..] => write!(text, " published, in this order |"),
                columns => write!(text, " published: {} |", cell_text(&columns.join(" / "))),
            };
        }
        let texts = self.rows.first().map_or(0, |row| row.texts.len());
        text += "\n|---|";
        text += &"---:|".repeat(self.columns.len() - texts);
        text += &"---|".repeat(texts);
        if self.absent.is_some() {
            text += "---|";
        }
        text += "\n";
        for row in &self.rows {
            let _ = write!(text, "| {} |", cell_text(&row.label));
            for value in &row.values {
                let _ = match value {
                    Some(value) => write!(text, " {value:.*} |", self.decimals),
                    None => write!(text, " – |"),
                };
            }
            for cell in &row.texts {
                let _ = write!(text, " {} |", cell_text(cell));
            }
            if let Some(absent) = self.absent {
                let _ = write!(text, " {} |", row.published_text(absent, self.decimals));
            }
            text += "\n";
        }
        text
    }

    /// All numbers with all their digits.
    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let mut entry = json!({"label": row.label, "values": row.values});
            if !row.texts.is_empty() {
                entry["texts"] = json!(row.texts);
            }
            if let Some(absent) = self.absent {
                let values: Vec<_> = row.published.iter().map(|p| p.map(|p| p.value)).collect();
                entry["published"] = match values.iter().all(Option::is_none) {
                    true => json!(absent),
                    false => json!(values),
                };
            }
            entry
        });
        json!({
            "id": self.id,
            "title": self.title,
            "note": self.note,
            "rows_are": self.rows_are,
            "columns": self.columns,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

/// A "|" would end the cell.
fn cell_text(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(published: Vec<Option<Reference>>, absent: Option<&'static str>) -> Table {
        let values = vec![Some(18.04), None];
        Table {
            id: "t".into(),
            title: "T".into(),
            note: String::new(),
            rows_are: "measure",
            columns: vec!["mean".into(), "max|x".into()],
            decimals: 1,
            rows: vec![Row {
                label: "ATTN-W".into(),
                values,
                published,
                texts: Vec::new(),
            }],
            absent,
        }
    }

    #[test]
    fn a_figure_that_is_not_published_says_so() {
        let table = table(vec![None, None], Some("not published"));
        let expected = "\
| measure | mean | max\\|x | published: mean / max\\|x |
|---|---:|---:|---|
| ATTN-W | 18.0 | – | not published |
";
        assert_eq!(table.markdown(), expected);
        assert_eq!(table.json()["rows"][0]["published"], json!("not published"));
        assert_eq!(table.json()["rows"][0]["values"], json!([18.04, null]));
    }

    #[test]
    fn published_figures_stand_beside_ours_as_they_were_printed() {
        let printed = Reference {
            value: 97.1,
            notebook: Some(96.4),
        };
        let table = table(vec![Some(printed), None], Some("not published"));
        assert!(
            table
                .markdown()
                .ends_with("| 18.0 | – | 97.1 (notebook 96.4) / – |\n")
        );
        assert_eq!(table.json()["rows"][0]["published"], json!([97.1, null]));
        let row = |values: &[f64]| Row {
            published: values
                .iter()
                .map(|&value| {
                    Some(Reference {
                        value,
                        notebook: None,
                    })
                })
                .collect(),
            ..Row::new("", Vec::new())
        };
        assert_eq!(row(&[97.1, 100.0]).published_text("", 1), "97.1 / 100.0");
        assert_eq!(row(&[25.0, 15.0]).published_text("", 1), "25 / 15");
    }

    #[test]
    fn a_table_of_no_paper_has_no_published_column() {
        let table = table(Vec::new(), None);
        assert!(!table.markdown().contains("publish"));
        assert!(table.json()["rows"][0].get("published").is_none());
        assert!(table.json()["rows"][0].get("texts").is_none());
    }

    #[test]
    fn texts_stand_behind_the_values() {
        let mut table = table(Vec::new(), None);
        table.columns.push("larger".into());
        table.rows = vec![Row::new("1", vec![Some(1.0), None]).with_texts(["a|b".into()])];
        let markdown = table.markdown();
        assert!(markdown.contains("\n|---|---:|---:|---|\n"), "{markdown}");
        assert!(
            markdown.ends_with("| 1 | 1.0 | – | a\\|b |\n"),
            "{markdown}"
        );
        assert_eq!(table.json()["rows"][0]["texts"], json!(["a|b"]));
    }
}
