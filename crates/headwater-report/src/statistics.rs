//! What several texts have in common: statistics by layer, of headwater-metrics.

use headwater_analysis::LayerArray;
use headwater_metrics::{
    CategoryMeans, CategoryQuantity, LayerAttention, LayerTable, MetricsError, MixingByKind,
    SpecialTokens, Summary, TokenCategory,
};
use ndarray::{ArrayView2, ArrayView3};
use serde::Serialize;

use crate::measure::{Contents, Measure, array_name};
use crate::survey::LayerMaps;

/// Statistics of one part over the texts of a report, filled layer by layer.
pub(crate) struct Statistics {
    layers: usize,
    heads: usize,
    categories: CategoryMeans,
    by_head: Vec<HeadSummaries>,
    mixing: Vec<(LayerArray, MixingByKind)>,
}

/// One summary a layer and head.
struct HeadSummaries {
    id: String,
    cells: Vec<Summary>,
}

/// One layer of one text.
pub(crate) struct LayerOfText<'a> {
    pub(crate) layer: usize,
    pub(crate) targets: &'a [String],
    pub(crate) sources: &'a [String],
    pub(crate) maps: &'a [LayerMaps],
    /// ‖f(x)‖, `[head, source]`; empty if the analysis does not have it.
    pub(crate) transformed_norms: &'a [f64],
    pub(crate) ratios: &'a [Vec<f64>],
}

impl Statistics {
    pub(crate) fn new(contents: &Contents) -> Self {
        let (layers, heads) = (contents.layers.len(), contents.heads);
        let with_heads = contents
            .measures
            .iter()
            .filter(|measure| measure.has_heads());
        let mut ids: Vec<String> = with_heads
            .map(|&measure| array_name(contents.part.array(measure)))
            .collect();
        if contents.has_factors {
            ids.push(array_name(contents.part.transformed_norms()));
        }
        let cells = vec![Summary::new(); layers * heads];
        let summaries = |id| HeadSummaries {
            id,
            cells: cells.clone(),
        };
        let ratios = contents.ratios.iter();
        Self {
            layers,
            heads,
            categories: CategoryMeans::new(layers, heads),
            by_head: ids.into_iter().map(summaries).collect(),
            mixing: ratios
                .map(|&ratio| (ratio, MixingByKind::new(layers)))
                .collect(),
        }
    }

    pub(crate) fn push(&mut self, text: &LayerOfText<'_>) -> Result<(), MetricsError> {
        let maps = text.maps.iter().filter(|maps| maps.measure.has_heads());
        let values = maps
            .map(|maps| &maps.values[..])
            .chain(std::iter::once(text.transformed_norms));
        for (summaries, values) in self.by_head.iter_mut().zip(values) {
            let cells = &mut summaries.cells[text.layer * self.heads..];
            for (cell, values) in cells
                .iter_mut()
                .zip(values.chunks(values.len() / self.heads))
            {
                cell.extend(values.iter().copied())?;
            }
        }
        let weights = text
            .maps
            .iter()
            .find(|maps| maps.measure == Measure::AttentionWeights);
        if let Some(weights) = weights
            && !text.transformed_norms.is_empty()
        {
            let (targets, sources) = (text.targets.len(), text.sources.len());
            let shape = (self.heads, targets, sources);
            let attention = LayerAttention::new(
                ArrayView3::from_shape(shape, &weights.values).expect("checked when it was read"),
                ArrayView2::from_shape((self.heads, sources), text.transformed_norms)
                    .expect("checked when it was read"),
            )?;
            let categories = special_tokens(text.sources).categories(text.sources);
            self.categories.push(text.layer, &attention, &categories)?;
        }
        let kinds = special_tokens(text.targets).kinds(text.targets);
        for ((_, by_kind), ratios) in self.mixing.iter_mut().zip(text.ratios) {
            by_kind.push(text.layer, ratios.iter().copied(), &kinds)?;
        }
        Ok(())
    }

    pub(crate) fn tables(&self) -> Tables {
        let quantities = [
            ("attention_weights", CategoryQuantity::Attention),
            ("weighted_norms", CategoryQuantity::WeightedNorm),
            ("transformed_norms", CategoryQuantity::TransformedNorm),
        ];
        let any = TokenCategory::ALL.map(|category| self.categories.overall(category));
        let categories = match any.iter().any(Option::is_some) {
            true => quantities
                .map(|(id, q)| Table::new(id, &self.categories.table(q)))
                .to_vec(),
            false => Vec::new(),
        };
        let mixing = self.mixing.iter();
        Tables {
            categories,
            mixing: mixing
                .map(|(ratio, by_kind)| Table::new(&array_name(*ratio), &by_kind.table()))
                .collect(),
            heads: self
                .by_head
                .iter()
                .map(|summaries| self.head_table(summaries))
                .collect(),
        }
    }

    fn head_table(&self, summaries: &HeadSummaries) -> HeadTable {
        let statistic = |of: fn(&Summary) -> Option<f64>| {
            let rows = summaries.cells.chunks(self.heads.max(1)).take(self.layers);
            rows.map(|cells| cells.iter().map(of).collect()).collect()
        };
        HeadTable {
            id: summaries.id.clone(),
            max: statistic(Summary::max),
            mean: statistic(Summary::mean),
            min: statistic(Summary::min),
        }
    }
}

/// The vocabulary's own tokens, told by what is in the text.
fn special_tokens(tokens: &[String]) -> SpecialTokens {
    let bert = SpecialTokens::bert();
    if tokens
        .iter()
        .any(|token| *token == bert.cls || *token == bert.sep)
    {
        bert
    } else {
        SpecialTokens::roberta()
    }
}

/// The statistics as a page shows them.
#[derive(Debug, Serialize)]
pub(crate) struct Tables {
    /// What each category of sources receives and is worth; empty without attention weights.
    pub(crate) categories: Vec<Table>,
    /// Mixing ratios by kind of target.
    pub(crate) mixing: Vec<Table>,
    /// What each head's values are like.
    pub(crate) heads: Vec<HeadTable>,
}

/// One number a layer and column.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Table {
    id: String,
    columns: Vec<String>,
    rows: Vec<Vec<Option<f64>>>,
    overall: Option<Vec<Option<f64>>>,
}

impl Table {
    fn new(id: &str, table: &LayerTable) -> Self {
        Self {
            id: id.to_owned(),
            columns: table.columns().to_vec(),
            rows: table.rows().to_vec(),
            overall: table.overall().map(<[_]>::to_vec),
        }
    }
}

/// Statistics of all values of a head, `[layer][head]`.
#[derive(Debug, Serialize)]
pub(crate) struct HeadTable {
    id: String,
    max: Vec<Vec<Option<f64>>>,
    mean: Vec<Vec<Option<f64>>>,
    min: Vec<Vec<Option<f64>>>,
}
