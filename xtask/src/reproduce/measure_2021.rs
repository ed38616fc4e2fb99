//! The experiments of 2021, added up text by text.

use anyhow::Context;
use headwater::checkpoint::Checkpoint;
use headwater::metrics::{
    AttentionMap, FrequencyRanks, MixingByKind, OccurrenceSelection, SpecialTokens, Summary,
    TokenMeans, TokenOccurrences, expansion_rate,
};
use headwater::transformer::Arrangement;
use headwater::{Analysis, MixingMeasure, Scope};
use ndarray::{Array1, Array2};

use super::published::Figures;
use super::sample::{Sample, scatter};
use super::table::{Row, Table};
use headwater_report::plot::{self, AxisScale, Cells, ChartAxis, Figure, HeatMap, Scale};

/// What a mixing ratio is measured on, and its name.
type Named = (MixingMeasure, &'static str);

/// The paper's five measures, with its names for them.
const POST_LN: &[Named] = &[
    (MixingMeasure::AttentionWeights, "ATTN-W"),
    (MixingMeasure::Scope(Scope::Attn), "ATTN-N"),
    (MixingMeasure::AttentionWeightsResidual, "ATTNRES-W"),
    (MixingMeasure::Scope(Scope::AttnRes), "ATTNRES-N"),
    (MixingMeasure::Scope(Scope::Atb), "ATTNRESLN-N"),
];

/// What a pre-LN layer has of them: its layer norm comes first.
const PRE_LN: &[Named] = &[
    (MixingMeasure::AttentionWeights, "ATTN-W"),
    (MixingMeasure::Scope(Scope::Attn), "LN+ATTN-N"),
    (MixingMeasure::AttentionWeightsResidual, "ATTNRES-W"),
    (MixingMeasure::Scope(Scope::Atb), "LN+ATTN+RES-N"),
];

/// What 2021 measures, over the texts so far.
pub(crate) struct Measure2021 {
    /// The last is that of the whole attention block.
    measures: Vec<Measure>,
}

struct Measure {
    of: MixingMeasure,
    name: &'static str,
    mixing: MixingByKind,
    occurrences: TokenOccurrences,
    sample: Sample,
}

impl Measure2021 {
    pub(crate) fn new(layers: usize, arrangement: Arrangement) -> Self {
        let measures = match arrangement {
            Arrangement::PostLn => POST_LN,
            Arrangement::PreLn => PRE_LN,
        };
        let measure = |&(of, name): &Named| Measure {
            of,
            name,
            mixing: MixingByKind::new(layers),
            occurrences: TokenOccurrences::new(),
            sample: Sample::new(),
        };
        Self {
            measures: measures.iter().map(measure).collect(),
        }
    }

    fn whole_block(&self) -> &Measure {
        self.measures.last().expect("both arrangements have one")
    }

    /// Adds a text: its mixing ratios.
    pub(crate) fn push(
        &mut self,
        analysis: &Analysis,
        special: &SpecialTokens,
        ranks: &FrequencyRanks,
    ) -> anyhow::Result<()> {
        let kinds = special.kinds(analysis.tokens());
        let ids = &analysis.input.input_ids;
        for measure in &mut self.measures {
            let mut means = TokenMeans::new();
            for layer in analysis.layers() {
                let ratios = analysis.mixing_ratio(layer, measure.of).expect("asked for");
                measure.mixing.push(layer, &ratios, &kinds)?;
                means.push(&ratios)?;
            }
            let means = means.means().unwrap_or_default();
            measure.occurrences.push(ids, &kinds, &means)?;
            for (&id, &mean) in ids.iter().zip(&means) {
                measure.sample.push((ranks.rank(id) as f64, mean));
            }
        }
        Ok(())
    }

    /// The tables of all texts so far.
    pub(crate) fn tables(
        &self,
        checkpoint: &Checkpoint,
        ranks: &FrequencyRanks,
        figures: &Figures<'_>,
    ) -> anyhow::Result<Vec<Table>> {
        Ok(vec![
            self.mixing(figures),
            self.by_layer(figures),
            self.depth(figures),
            self.frequency(ranks, figures),
            expansion(checkpoint, figures)?,
        ])
    }

    fn rows<'a>(
        &'a self,
        row: impl Fn(&'a Measure, &'static str) -> Row + 'a,
    ) -> impl Iterator<Item = Row> + 'a {
        self.measures.iter().map(move |measure| {
            let slug = measure.of.slug();
            let mut row = row(measure, slug);
            row.label = format!("{} (`{slug}`)", measure.name);
            row
        })
    }

    fn mixing(&self, figures: &Figures<'_>) -> Table {
        let row = |measure: &Measure, slug: &str| {
            let overall = measure.mixing.overall();
            let values = [overall.mean(), overall.max(), overall.min()];
            let keys = ["mean", "max", "min"].map(|what| format!("mixing_ratio.{slug}.{what}"));
            let percent = values.map(|value| value.map(|value| 100.0 * value));
            Row::new("", percent.to_vec()).beside(figures, None, keys)
        };
        Table {
            id: "mixing_ratio".into(),
            title: "Mixing ratio in %, over all tokens of all layers".into(),
            note: "0: a token keeps to itself; 100: it is made of other tokens only.".into(),
            rows_are: "measure",
            columns: ["mean", "max", "min"].map(String::from).to_vec(),
            decimals: 1,
            rows: self.rows(row).collect(),
            absent: Some(figures.absent()),
        }
    }

    fn by_layer(&self, figures: &Figures<'_>) -> Table {
        let table = self.whole_block().mixing.table();
        let keys =
            ["normal", "mask", "cls", "sep", "overall"].map(|kind| format!("by_layer.{kind}"));
        let layers = table.layers();
        let rows = Table::layers(&table, 100.0, "all layers")
            .into_iter()
            .enumerate();
        let rows =
            rows.map(|(layer, row)| row.beside(figures, (layer < layers).then_some(layer), &keys));
        Table {
            id: "mixing_ratio_by_layer".into(),
            title: format!(
                "Figure 3: mixing ratio of {} (`atb`) in %, by layer and kind of token",
                self.whole_block().name
            ),
            note: "Mean over token occurrences.".into(),
            rows_are: "layer",
            columns: table.columns().to_vec(),
            decimals: 1,
            rows: rows.collect(),
            absent: Some(figures.absent()),
        }
    }

    fn depth(&self, figures: &Figures<'_>) -> Table {
        let row = |measure: &Measure, slug: &str| {
            // The paper gives it for the whole block only.
            let key = if slug == Scope::Atb.slug() {
                "depth.spearman"
            } else {
                ""
            };
            Row::new("", vec![measure.mixing.depth_correlation()]).beside(figures, None, [key])
        };
        Table {
            id: "depth".into(),
            title: "Spearman correlation of depth and the layer's mean mixing ratio".into(),
            note: "Negative: later layers mix less.".into(),
            rows_are: "measure",
            columns: vec!["Spearman".into()],
            decimals: 2,
            rows: self.rows(row).collect(),
            absent: Some(figures.absent()),
        }
    }

    fn frequency(&self, ranks: &FrequencyRanks, figures: &Figures<'_>) -> Table {
        let row = |measure: &Measure, slug: &str| {
            let both = [
                OccurrenceSelection::All,
                OccurrenceSelection::WithoutSpecial,
            ];
            let rho = both.map(|selection| measure.occurrences.spearman(ranks, selection));
            let keys = ["all", "without_special"].map(|which| format!("frequency.{slug}.{which}"));
            Row::new("", rho.to_vec()).beside(figures, None, keys)
        };
        Table {
            id: "frequency_2021".into(),
            title: "Spearman correlation of frequency rank and layer-mean mixing ratio".into(),
            note: "Rank 1 is the most frequent token, so that a negative correlation means that \
                   frequent tokens mix more. Special: [CLS], [SEP] and [MASK]."
                .into(),
            rows_are: "measure",
            columns: vec!["all tokens".into(), "without special tokens".into()],
            decimals: 2,
            rows: self.rows(row).collect(),
            absent: Some(figures.absent()),
        }
    }

    /// Figure 3 as a heat map.
    pub(crate) fn by_layer_figure(&self, model: &str) -> anyhow::Result<String> {
        let table = self.whole_block().mixing.table();
        let columns = table.columns().to_vec();
        let values = Array2::from_shape_fn((table.layers(), columns.len()), |(layer, column)| {
            table.rows()[layer][column].map_or(f64::NAN, |ratio| 100.0 * ratio)
        });
        let map = HeatMap {
            title: "atb, % by layer and kind of token".into(),
            rows: plot::Axis::new("layer", (1..=table.layers()).map(|layer| layer.to_string())),
            columns: plot::Axis::new("kind of token", columns),
            values,
            cells: Cells::Numbers(1),
            scale: Scale::FromZero,
        };
        Ok(Figure::new(format!("{model}: mixing ratio"), 1, vec![map]).to_svg())
    }

    /// Figure 4: frequency rank against mixing ratio, a panel a measure.
    pub(crate) fn frequency_figure(&self, model: &str) -> String {
        let panels = self.measures.iter().map(|measure| {
            let x = ChartAxis::new("frequency rank", AxisScale::Logarithmic);
            let y = ChartAxis::new("mixing ratio, mean of layers", AxisScale::Linear);
            scatter(measure.name, x, y, measure.sample.points())
        });
        let caption = format!("{model}: mixing ratio of frequent and rare tokens");
        Figure::new(caption, 3, panels).to_svg()
    }
}

/// The expansion rate of each layer's f, from the weights alone.
fn expansion(checkpoint: &Checkpoint, figures: &Figures<'_>) -> anyhow::Result<Table> {
    let mut rates = Summary::new();
    let mut rows = Vec::new();
    for layer in 0..checkpoint.architecture().n_layers {
        let matrix = |name: &str| -> anyhow::Result<Array2<f64>> {
            let tensor = checkpoint.read(&format!("layers.{layer}.attention.{name}.weight"))?;
            let shape = [tensor.shape[0], tensor.shape[1]];
            Array2::from_shape_vec(shape, tensor.to_f64()).context("a weight of another shape")
        };
        let vector = |name: &str| -> anyhow::Result<Array1<f64>> {
            let tensor = checkpoint.read(&format!("layers.{layer}.attention.{name}.bias"))?;
            Ok(tensor.to_f64().into())
        };
        let (value_weight, value_bias) = (matrix("value")?, vector("value")?);
        let (output_weight, output_bias) = (matrix("output")?, vector("output")?);
        // Files store [output, input], and the map is for row vectors.
        let rate = expansion_rate(&AttentionMap {
            value_weight: value_weight.t(),
            value_bias: value_bias.view(),
            output_weight: output_weight.t(),
            output_bias: Some(output_bias.view()),
        })?;
        rates.push(rate)?;
        rows.push(Row::new((layer + 1).to_string(), vec![Some(rate)]).beside(figures, None, [""]));
    }
    let mean = Row::new("mean of layers", vec![rates.mean()]);
    rows.push(mean.beside(figures, None, ["expansion.mean"]));
    Ok(Table {
        id: "expansion".into(),
        title: "Expansion rate of the attention map f, all heads together".into(),
        note: "Root mean square of the singular values of x ↦ f(x) + b_O as an affine map. A \
               property of the weights, whatever the texts."
            .into(),
        rows_are: "layer",
        columns: vec!["rate".into()],
        decimals: 2,
        rows,
        absent: Some(figures.absent()),
    })
}
