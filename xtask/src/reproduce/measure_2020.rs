//! The experiments of 2020 on BERT, added up text by text.

use headwater::Analysis;
use headwater::metrics::{
    CategoryMeans, CategoryQuantity, Dispersion, FrequencyRanks, LayerAttention,
    OccurrenceSelection, Region, SpecialTokens, TokenCategory, TokenMeans, TokenOccurrences,
    WeightNormRelation, vector_norms,
};

use super::published::Figures;
use super::sample::{Sample, scatter};
use super::table::{Row, Table};
use headwater_report::plot::{AxisScale, Chart, ChartAxis, Figure};

/// Pairs of α and ‖f(x)‖ that their rank correlation may hold in memory, at 16
/// bytes each.
const MOST_PAIRS: usize = 30_000_000;

/// The smallest α in the picture: a few are smaller by ten orders of magnitude,
/// and would leave the others no room.
const LEAST_SHOWN: f64 = 1e-5;

/// What 2020 measures, over the texts so far.
pub(crate) struct Measure2020 {
    /// Which pairs see each other.
    region: Region,
    dispersion: Dispersion,
    categories: CategoryMeans,
    relation: WeightNormRelation<f64>,
    /// Every how many texts one goes into `relation`.
    stride: usize,
    texts: usize,
    received: TokenOccurrences,
    transformed: TokenOccurrences,
    samples: [Sample; TokenCategory::ALL.len()],
}

impl Measure2020 {
    /// For a model of so many layers and heads and texts of these lengths.
    pub(crate) fn new(
        layers: usize,
        heads: usize,
        region: Region,
        lengths: impl IntoIterator<Item = usize>,
    ) -> Self {
        let pairs: usize = lengths
            .into_iter()
            .map(|length| layers * heads * length.pow(2))
            .sum();
        Self {
            region,
            dispersion: Dispersion::new(layers, heads),
            categories: CategoryMeans::new(layers, heads),
            relation: WeightNormRelation::new(),
            stride: pairs.div_ceil(MOST_PAIRS).max(1),
            texts: 0,
            received: TokenOccurrences::new(),
            transformed: TokenOccurrences::new(),
            samples: std::array::from_fn(|_| Sample::new()),
        }
    }

    /// Adds a text: its attention weights, transformed norms and hidden states.
    pub(crate) fn push(
        &mut self,
        analysis: &Analysis,
        special: &SpecialTokens,
    ) -> anyhow::Result<()> {
        let categories = special.categories(analysis.tokens());
        let kinds = special.kinds(analysis.tokens());
        let (mut received, mut transformed) = (TokenMeans::new(), TokenMeans::new());
        for layer in analysis.layers() {
            let weights = analysis.attention_weights(layer).expect("asked for");
            let norms = analysis.transformed_norms(layer).expect("asked for");
            let inputs = analysis.hidden_states(layer).expect("asked for");
            let attention = LayerAttention::new(weights.view(), norms.view())?;
            self.dispersion
                .push(layer, norms.view(), vector_norms(inputs.view()))?;
            self.categories.push(layer, &attention, &categories)?;
            received.push(attention.received())?;
            transformed.push(attention.mean_transformed_norm())?;
            if self.texts.is_multiple_of(self.stride) {
                self.relation.push(&attention, &categories)?;
            }
            for ((head, target, source), &weight) in weights.indexed_iter() {
                if !self.region.contains(target, source) {
                    continue;
                }
                let sample = &mut self.samples[categories[source] as usize];
                sample.push((norms[[head, source]], weight));
            }
        }
        let ids = &analysis.input.input_ids;
        self.received
            .push(ids, &kinds, received.means().iter().flatten())?;
        self.transformed
            .push(ids, &kinds, transformed.means().iter().flatten())?;
        self.texts += 1;
        Ok(())
    }

    /// The tables of all texts so far. Of pairs that do not see each other the
    /// relation of α and ‖f(x)‖ says nothing, so that causal models go without.
    pub(crate) fn tables(&mut self, ranks: &FrequencyRanks, figures: &Figures<'_>) -> Vec<Table> {
        let mut tables = vec![
            self.dispersion(figures),
            self.category(figures, CategoryQuantity::Attention),
            self.category(figures, CategoryQuantity::WeightedNorm),
            self.category(figures, CategoryQuantity::TransformedNorm),
        ];
        if self.region == Region::Full {
            tables.push(self.relation(figures));
        }
        tables.push(self.frequency(ranks, figures));
        tables
    }

    fn dispersion(&self, figures: &Figures<'_>) -> Table {
        let table = self.dispersion.table();
        Table {
            id: "dispersion".into(),
            title: "Coefficient of variation of ‖x‖ and ‖f(x)‖".into(),
            note:
                "Standard deviation over mean, over all tokens. ‖f(x)‖ is the mean of the heads, \
                   which follow one by one."
                    .into(),
            rows_are: "layer",
            columns: table.columns().to_vec(),
            decimals: 3,
            rows: Table::layers(&table, 1.0, "mean of layers"),
            absent: Some(figures.absent()),
        }
    }

    fn category(&self, figures: &Figures<'_>, quantity: CategoryQuantity) -> Table {
        let (id, what, note) = match quantity {
            CategoryQuantity::Attention => (
                "category_attention_weights",
                "α summed over the category's sources",
                "Mean over targets, texts, heads. What a category gets of all attention.",
            ),
            CategoryQuantity::WeightedNorm => (
                "category_weighted_norms",
                "‖αf(x)‖ summed over the category's sources",
                "Mean over targets, texts, heads. What a category contributes.",
            ),
            CategoryQuantity::TransformedNorm => (
                "category_transformed_norms",
                "‖f(x)‖, mean over the category's sources",
                "Mean over texts, heads.",
            ),
        };
        let table = self.categories.table(quantity);
        Table {
            id: id.into(),
            title: format!("{what}, by category"),
            note: format!("{note} A text without the category does not count for it."),
            rows_are: "layer",
            columns: table.columns().to_vec(),
            decimals: 3,
            rows: Table::layers(&table, 1.0, "mean of layers"),
            absent: Some(figures.absent()),
        }
    }

    fn relation(&mut self, figures: &Figures<'_>) -> Table {
        let rows = TokenCategory::ALL.map(|category| {
            let pairs = self.relation.count(category) as f64;
            let rho = self.relation.spearman(category);
            (category.to_string(), rho, pairs)
        });
        let texts = match self.stride {
            1 => "all texts".to_owned(),
            stride => format!("one text in {stride}, so that the ranks fit in memory"),
        };
        let pairs: Vec<_> = rows
            .iter()
            .map(|(name, _, n)| format!("{name} {n}"))
            .collect();
        Table {
            id: "relation".into(),
            title: "Spearman correlation of α and ‖f(x)‖, by category of the source".into(),
            note: format!(
                "Over the (head, target, source) pairs of all layers of {texts}; pairs: {}.",
                pairs.join(", ")
            ),
            rows_are: "category",
            columns: vec!["Spearman".into()],
            decimals: 2,
            rows: rows
                .into_iter()
                .map(|(name, rho, _)| Row::new(name, vec![rho]))
                .collect(),
            absent: Some(figures.absent()),
        }
    }

    fn frequency(&self, ranks: &FrequencyRanks, figures: &Figures<'_>) -> Table {
        let row = |name: &str, values: &TokenOccurrences| {
            let rho = |selection| values.spearman(ranks, selection);
            let both = [
                OccurrenceSelection::All,
                OccurrenceSelection::WithoutSpecial,
            ];
            Row::new(name, both.map(rho).to_vec())
        };
        Table {
            id: "frequency_2020".into(),
            title: "Spearman correlation with the frequency rank".into(),
            note: "Rank 1 is the most frequent token, so that a positive correlation means that \
                   rare tokens have high values. Special: [CLS], [SEP] and [MASK]."
                .into(),
            rows_are: "value of a token, mean over layers and heads",
            columns: vec!["all tokens".into(), "without special tokens".into()],
            decimals: 2,
            rows: vec![
                row("attention received (α, mean over targets)", &self.received),
                row("‖f(x)‖", &self.transformed),
            ],
            absent: Some(figures.absent()),
        }
    }

    /// α against ‖f(x)‖, a panel a category.
    pub(crate) fn figure(&self, model: &str) -> String {
        let mut panels = TokenCategory::ALL.map(|category| {
            let mut points = self.samples[category as usize].points();
            points.retain(|&(_, weight)| weight >= LEAST_SHOWN);
            let x = ChartAxis::new("‖f(x)‖", AxisScale::Logarithmic);
            let y = ChartAxis::new("α", AxisScale::Logarithmic);
            scatter(category.to_string(), x, y, points)
        });
        Chart::share_ranges(&mut panels);
        let caption = format!("{model}: α ≥ {LEAST_SHOWN:e} against the norm that it multiplies");
        Figure::new(caption, 2, panels).to_svg()
    }
}
