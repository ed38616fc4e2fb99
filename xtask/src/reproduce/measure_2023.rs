//! The experiments of 2023: what the feed-forward block does to the maps.

use anyhow::Context;
use headwater::checkpoint::Architecture;
use headwater::metrics::{
    ContextualizationChanges, Region, SpecialTokens, amplification_map, block_change,
};
use headwater::{Analyzer, Quantity, Request};
use headwater_report::plot::{
    Axis, AxisScale, Cells, Chart, ChartAxis, Figure, HeatMap, Marks, Scale, Series,
};
use ndarray::Array2;

use super::amplified::Amplified;
use super::block::Block;
use super::corpus::Text;
use super::norm_maps::fits_on_a_page;
use super::outliers::Outliers;
use super::table::{Row, Table};
use super::words::Words;

/// What 2023 measures, over the texts so far.
pub(crate) struct Measure2023 {
    block: Block,
    changes: ContextualizationChanges,
    amplified: Amplified,
    outliers: Outliers,
}

impl Measure2023 {
    pub(crate) fn new(architecture: &Architecture) -> Self {
        let block = Block::of(architecture);
        let layers = architecture.n_layers;
        Self {
            changes: ContextualizationChanges::new(layers, block.components),
            amplified: Amplified::new(layers),
            outliers: Outliers::new(layers, architecture.d_model),
            block,
        }
    }

    /// Analyzes texts together and adds them.
    pub(crate) fn push(
        &mut self,
        analyzer: &Analyzer,
        texts: &[Text],
        special: &SpecialTokens,
    ) -> anyhow::Result<()> {
        let words = Words::of(analyzer, special)?;
        let inputs: Vec<_> = texts.iter().map(|text| text.input.clone()).collect();
        let analyses = analyzer.analyze_tokenized(&inputs, &request(&self.block))?;
        for (text, analysis) in texts.iter().zip(&analyses) {
            for layer in analysis.layers() {
                let maps = self.block.scopes.map(|scope| analysis.norms(layer, scope));
                let [before, behind @ ..] = maps.map(|map| map.expect("asked for"));
                let behind = behind.each_ref().map(|map| map.view());
                let change = block_change(before.view(), &behind, self.block.region);
                self.changes
                    .push(layer, &change.with_context(|| text.id.clone())?)?;
            }
            let words = words.indices(&analysis.input);
            let amplified = &mut self.amplified;
            amplified
                .push(&text.id, analysis, &words, &self.block)
                .with_context(|| text.id.clone())?;
        }
        self.outliers.push(analyzer.model(), texts, &self.block)
    }

    /// The tables of all texts so far; `texts` are those, for the parts of a
    /// few of them.
    pub(crate) fn tables(&self, analyzer: &Analyzer, texts: &[Text]) -> anyhow::Result<Vec<Table>> {
        let model = analyzer.model();
        let mut tables = vec![self.change()];
        tables.extend(self.amplified.tables());
        tables.push(self.outliers.weights(model, &self.block)?);
        tables.push(self.outliers.without(model, texts, &self.block)?);
        Ok(tables)
    }

    /// The macro view.
    fn change(&self) -> Table {
        let table = self.changes.table();
        let whole = self.block.components.len();
        let undone = |row: Row| {
            let larger = match (row.values[whole], row.values[self.block.feed_forward]) {
                (Some(whole), Some(feed_forward)) => match whole < feed_forward {
                    true => "yes",
                    false => "no",
                },
                _ => "–",
            };
            row.with_texts([larger.to_owned()])
        };
        let rows = Table::layers(&table, 1.0, "all layers").into_iter();
        let less = table.rows().iter().filter(|cells| {
            let both = cells[whole].zip(cells[self.block.feed_forward]);
            both.is_some_and(|(whole, feed_forward)| whole < feed_forward)
        });
        let (less, layers) = (less.count(), table.layers());
        let entries = match self.block.region {
            Region::Full => "all targets and sources",
            Region::LowerTriangle => "each target and the sources up to it",
        };
        Table {
            id: "contextualization_change".into(),
            title: "Contextualization change by component".into(),
            note: format!(
                "1 − Spearman correlation of the norm maps before and behind a component, over \
                 {entries}; mean over texts. 0: all pairs keep their order. Scopes: {}; whole: from \
                 the first to the last. The last column says whether the other components undo a \
                 part of what FF changes, as they do in {less} of {layers} layers.",
                self.block.path()
            ),
            rows_are: "layer",
            columns: table
                .columns()
                .iter()
                .cloned()
                .chain(["whole < FF".to_owned()])
                .collect(),
            decimals: 3,
            rows: rows.map(undone).collect(),
            absent: None,
        }
    }

    /// The macro view as lines.
    pub(crate) fn change_figure(&self, model: &str) -> String {
        let table = self.changes.table();
        let line = |(column, name): (usize, &String)| {
            let values = table.rows().iter().map(|row| row[column]);
            let points = values.enumerate().map(|(layer, value)| {
                // A layer without a value is a gap.
                ((layer + 1) as f64, value.unwrap_or(f64::NAN))
            });
            Series {
                name: name.clone(),
                points: points.collect(),
            }
        };
        let chart = Chart {
            title: String::new(),
            x: ChartAxis::new("layer", AxisScale::Whole),
            y: ChartAxis::new("contextualization change", AxisScale::FromZero),
            marks: Marks::Lines,
            series: table.columns().iter().enumerate().map(line).collect(),
        };
        let caption = format!("{model}: change by component");
        Figure::new(caption, 1, [chart]).to_svg()
    }

    /// The maps before and behind FF and their difference, for one text, a
    /// picture a layer.
    pub(crate) fn map_figures(
        &self,
        analyzer: &Analyzer,
        texts: &[Text],
        model: &str,
    ) -> anyhow::Result<Vec<String>> {
        let text = fits_on_a_page(texts)?;
        let input = std::slice::from_ref(&text.input);
        let analysis = analyzer
            .analyze_tokenized(input, &request(&self.block))?
            .remove(0);
        let tokens = analysis.tokens();
        let figure = |layer: usize| {
            let scopes = self.block.around_feed_forward();
            let [before, behind] =
                scopes.map(|scope| analysis.norms(layer, scope).expect("asked for"));
            let difference = amplification_map(before.view(), behind.view())?;
            let panel = |title: String, scale: Scale, mut values: Array2<f64>| {
                for ((target, source), value) in values.indexed_iter_mut() {
                    if !self.block.region.contains(target, source) {
                        *value = f64::NAN;
                    }
                }
                HeatMap {
                    title,
                    rows: Axis::new("target", tokens.to_vec()),
                    columns: Axis::new("source", tokens.to_vec()),
                    values,
                    cells: Cells::Square,
                    scale,
                }
            };
            let panels = [
                panel(
                    format!("before FF, ‖y‖ {}", scopes[0]),
                    Scale::FromZero,
                    before,
                ),
                panel(
                    format!("behind FF, ‖y‖ {}", scopes[1]),
                    Scale::FromZero,
                    behind,
                ),
                panel(
                    "FF-amp, the difference".into(),
                    Scale::Difference,
                    difference,
                ),
            ];
            let caption = format!("{model}: FF of layer {}", layer + 1);
            Ok(Figure::new(caption, 3, panels).to_svg())
        };
        analysis.layers().into_iter().map(figure).collect()
    }
}

fn request(block: &Block) -> Request {
    Request::new()
        .quantities([Quantity::Norms])
        .scopes(block.scopes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::super::run::reproduce;
    use super::super::{Options, Paper};
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        options: Options,
    }

    fn run(model: &str, batch_size: &str) -> Report {
        let words = [
            "", "--model", model, "--paper", "2023", "--limit", "3", "--dtype", "f64",
        ];
        let words = words.into_iter().chain(["--batch-size", batch_size]);
        let options = Words::try_parse_from(words).unwrap().options;
        assert!(options.paper == Paper::P2023);
        reproduce(&options).unwrap()
    }

    fn table<'a>(report: &'a Report, id: &str) -> &'a Table {
        let mut tables = report.sections.iter().flat_map(|section| &section.tables);
        tables.find(|table| table.id == id).unwrap()
    }

    #[test]
    fn parts_as_vectors_change_as_their_maps_do() {
        for model in ["bundled-bert", "bundled-gpt2"] {
            let report = run(model, "8");
            let maps = &table(&report, "contextualization_change").rows;
            let parts = &table(&report, "change_without_outliers").rows;
            let of_all: Vec<_> = parts.iter().filter(|row| row.texts == ["none"]).collect();
            assert_eq!(of_all.len() + 1, maps.len());
            for (maps, parts) in maps.iter().zip(&of_all) {
                for (map, part) in maps.values.iter().zip(&parts.values) {
                    let (map, part) = (map.unwrap(), part.unwrap());
                    assert!((map - part).abs() < 1e-6, "{model}: {map} {part}");
                    assert!(map > 0.0 && map < 2.0, "{model}: {map}");
                }
            }
            let differs = parts.iter().any(|row| row.texts == ["outliers"])
                && parts.iter().any(|row| row.values != of_all[0].values);
            assert!(differs, "{model}");
        }
    }

    #[test]
    fn texts_together_are_texts_one_by_one() {
        let (together, alone) = (run("bundled-gpt2", "3"), run("bundled-gpt2", "1"));
        for id in [
            "contextualization_change",
            "amplified_pairs",
            "outlier_dimensions",
        ] {
            let (together, alone) = (table(&together, id), table(&alone, id));
            assert_eq!(together.rows.len(), alone.rows.len());
            for (a, b) in together.rows.iter().zip(&alone.rows) {
                assert_eq!(a.texts, b.texts, "{id}");
                for (a, b) in a.values.iter().zip(&b.values) {
                    assert!((a.unwrap() - b.unwrap()).abs() < 1e-6, "{id}: {a:?} {b:?}");
                }
            }
        }
    }
}
