//! The norm maps of one text, like Figure 1 of 2021.

use anyhow::Context;
use headwater::checkpoint::Architecture;
use headwater::{Analysis, Analyzer, Quantity, Request, Scope, Segment};
use headwater_report::plot::{Axis, Cells, Figure, HeatMap, Scale};
use ndarray::Array2;

use super::corpus::Text;

/// Lengths of text whose map is worth looking at and fits on a page.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=18;

/// The scopes of the attention block, those of the paper in a post-LN model.
pub(crate) fn attention_block(architecture: &Architecture) -> Vec<Scope> {
    let scopes = Segment::Layer.scopes(&architecture.layer(0)).into_iter();
    scopes.filter(|&scope| scope <= Scope::Atb).collect()
}

/// The first text with a probe that fits on a page, else the first that fits,
/// else the shortest.
pub(crate) fn fits_on_a_page(texts: &[Text]) -> anyhow::Result<&Text> {
    let fits = |text: &&Text| LENGTHS.contains(&text.input.len());
    texts
        .iter()
        .filter(|text| text.probe.is_some())
        .find(fits)
        .or_else(|| texts.iter().find(fits))
        .or_else(|| texts.iter().min_by_key(|text| text.input.len()))
        .context("a corpus has a text")
}

/// All maps of one text.
pub(crate) struct NormMaps(Analysis);

impl NormMaps {
    /// Analyzes the text that [`fits_on_a_page`].
    pub(crate) fn of(analyzer: &Analyzer, texts: &[Text]) -> anyhow::Result<Self> {
        let text = fits_on_a_page(texts)?;
        let request = Request::new()
            .quantities([Quantity::AttentionWeights, Quantity::Norms])
            .scopes(attention_block(analyzer.model().architecture()));
        let inputs = std::slice::from_ref(&text.input);
        let mut analyses = analyzer.analyze_tokenized(inputs, &request)?;
        Ok(Self(analyses.remove(0)))
    }

    /// The attention weights and the norms of every scope of one layer.
    pub(crate) fn figure(&self, layer: usize, model: &str) -> anyhow::Result<String> {
        let weights = self.0.attention_weights(layer).expect("asked for");
        let mean = weights
            .mean_axis(ndarray::Axis(0))
            .expect("there is a head");
        let mut panels = vec![self.panel("α, mean of heads".into(), mean)];
        for scope in self.0.scopes() {
            let norms = self.0.norms(layer, scope).expect("asked for");
            panels.push(self.panel(format!("‖y‖, scope {scope}"), norms));
        }
        let title = format!("{model}: layer {}", layer + 1);
        Ok(Figure::new(title, 2, panels).to_svg())
    }

    fn panel(&self, title: String, values: Array2<f64>) -> HeatMap {
        HeatMap {
            title,
            rows: Axis::new("target", self.0.tokens().to_vec()),
            columns: Axis::new("source", self.0.tokens().to_vec()),
            values,
            cells: Cells::Square,
            scale: Scale::FromZero,
        }
    }
}
