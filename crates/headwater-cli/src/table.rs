//! An analysis as a table in at most 100 columns.

use std::fmt::{self, Write};

use headwater::{Analysis, MixingMeasure, Quantity, QuantitySet, Request};
use serde::Serialize;

use crate::failure::printable;
use crate::output::HEADING;

/// With more tokens than these the sources of each fill more than a screen.
const MAX_TOKENS_LISTED: usize = 40;
/// Numbers of four decimals below 1000, and most headings.
const COLUMN_WIDTH: usize = 8;
/// Sources listed for a token.
const SOURCES: usize = 4;
/// Characters of a token that are shown.
const TOKEN_WIDTH: usize = 11;

/// What the table prints, in numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) tables: Vec<LayerTable>,
    pub(crate) strongest_sources: Option<StrongestSources>,
}

/// One number a layer and column.
#[derive(Debug, Serialize)]
pub(crate) struct LayerTable {
    quantity: &'static str,
    statistic: &'static str,
    columns: Vec<&'static str>,
    layers: Vec<usize>,
    /// `[layer][column]`
    values: Vec<Vec<f64>>,
}

/// The sources that a map is largest at, for every target.
#[derive(Debug, Serialize)]
pub(crate) struct StrongestSources {
    layer: usize,
    map: String,
    /// `[target]`, the strongest first.
    targets: Vec<Vec<Source>>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Source {
    source: usize,
    /// Of the sum of the target's row.
    share: f64,
}

/// The request without the maps that the table does not show.
pub(crate) fn shown(request: &Request, tokens: usize) -> Request {
    let map = map_shown(&request.quantities).filter(|_| tokens <= MAX_TOKENS_LISTED);
    let is_map = |quantity: Quantity| MAPS.contains(&quantity);
    let quantities = Quantity::ALL.into_iter().filter(|&quantity| {
        request.quantities.contains(quantity) && (!is_map(quantity) || map == Some(quantity))
    });
    Request {
        quantities: quantities.collect(),
        ..request.clone()
    }
}

/// The maps from targets to sources, the most telling first.
const MAPS: [Quantity; 3] = [
    Quantity::Norms,
    Quantity::WeightedNorms,
    Quantity::AttentionWeights,
];

fn map_shown(quantities: &QuantitySet) -> Option<Quantity> {
    MAPS.into_iter().find(|&map| quantities.contains(map))
}

impl Summary {
    pub(crate) fn new(analysis: &Analysis, request: &Request) -> Self {
        let layers = analysis.layers();
        let table = |quantity,
                     statistic,
                     columns: Vec<&'static str>,
                     value: &dyn Fn(usize, usize) -> Option<f64>| {
            let row = |&layer: &usize| {
                (0..columns.len())
                    .map(|column| value(layer, column))
                    .collect()
            };
            let values: Option<Vec<Vec<f64>>> = layers.iter().map(row).collect();
            let layers = layers.clone();
            values.map(|values| LayerTable {
                quantity,
                statistic,
                columns,
                layers,
                values,
            })
        };
        let scopes = analysis.scopes();
        let slugs = || scopes.iter().map(|scope| scope.slug()).collect::<Vec<_>>();
        let measures: Vec<MixingMeasure> = [
            MixingMeasure::AttentionWeights,
            MixingMeasure::AttentionWeightsResidual,
        ]
        .into_iter()
        .chain(scopes.iter().copied().map(MixingMeasure::from))
        .collect();
        let tables = [
            table(
                "mixing_ratio",
                "mean over tokens",
                measures.iter().map(|measure| measure.slug()).collect(),
                &|layer, column| analysis.mixing_ratio(layer, measures[column])?.mean(),
            ),
            table(
                "transformed_norms",
                "mean over heads and tokens",
                vec!["all heads"],
                &|layer, _| analysis.transformed_norms(layer)?.mean(),
            ),
            table(
                "bias_norms",
                "mean over tokens",
                slugs(),
                &|layer, column| analysis.bias_norms(layer, scopes[column])?.mean(),
            ),
            table(
                "reconstruction_error",
                "largest over tokens",
                slugs(),
                &|layer, column| analysis.reconstruction_error(layer, scopes[column]),
            ),
        ];
        Self {
            tables: tables.into_iter().flatten().collect(),
            strongest_sources: StrongestSources::new(analysis, request),
        }
    }

    /// The table as text.
    pub(crate) fn render(&self, analysis: &Analysis) -> String {
        let mut text = String::new();
        self.write(analysis, &mut text)
            .expect("writing to a string cannot fail");
        text
    }

    fn write(&self, analysis: &Analysis, out: &mut String) -> fmt::Result {
        let tokens = &analysis.input.tokens;
        let entry = |name: &str| analysis.metadata.get(name).map_or("?", String::as_str);
        writeln!(
            out,
            "{}: {} tokens, computed in {} on {}",
            printable(entry("model")),
            tokens.len(),
            entry("dtype"),
            entry("device")
        )?;
        for table in &self.tables {
            table.write(out)?;
        }
        if let Some(sources) = &self.strongest_sources {
            sources.write(tokens, out)?;
        }
        if tokens.len() > MAX_TOKENS_LISTED {
            writeln!(
                out,
                "\nThe sources of single tokens are listed for up to {MAX_TOKENS_LISTED} tokens; --json and --output keep them all."
            )?;
        }
        Ok(())
    }
}

impl LayerTable {
    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "\n{HEADING}{}{HEADING:#} ({})",
            self.quantity, self.statistic
        )?;
        write!(out, "  layer")?;
        for column in &self.columns {
            write!(out, "  {column:>COLUMN_WIDTH$}")?;
        }
        writeln!(out)?;
        for (layer, row) in self.layers.iter().zip(&self.values) {
            write!(out, "  {layer:>5}")?;
            for (column, value) in self.columns.iter().zip(row) {
                let width = column.len().max(COLUMN_WIDTH);
                if self.quantity == "reconstruction_error" {
                    write!(out, "  {value:>width$.1e}")?;
                } else {
                    write!(out, "  {value:>width$.4}")?;
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

impl StrongestSources {
    /// Of the last layer and the longest scope that were asked for.
    fn new(analysis: &Analysis, request: &Request) -> Option<Self> {
        let layer = *analysis.layers().last()?;
        let scope = analysis.scopes().last().copied();
        let head_mean = |map: ndarray::Array3<f64>| map.mean_axis(ndarray::Axis(0));
        let (name, map) = match map_shown(&request.quantities)? {
            Quantity::Norms => (format!("norms.{}", scope?), analysis.norms(layer, scope?)?),
            Quantity::WeightedNorms => (
                "weighted_norms, mean over heads".to_owned(),
                head_mean(analysis.weighted_norms(layer)?)?,
            ),
            _ => (
                "attention_weights, mean over heads".to_owned(),
                head_mean(analysis.attention_weights(layer)?)?,
            ),
        };
        let targets = map.rows().into_iter().map(|row| {
            let sum: f64 = row.sum();
            let mut sources: Vec<Source> = row
                .iter()
                .enumerate()
                .map(|(source, value)| Source {
                    source,
                    share: value / sum,
                })
                .collect();
            sources.sort_by(|a, b| b.share.total_cmp(&a.share));
            sources.truncate(SOURCES);
            sources
        });
        Some(Self {
            layer,
            map: name,
            targets: targets.collect(),
        })
    }

    fn write(&self, tokens: &[String], out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "\n{HEADING}Strongest sources of each token{HEADING:#} at layer {} by {}\n(position, token, share of the row's sum in %; --layers and --scopes choose another)",
            self.layer, self.map
        )?;
        let label = |position: usize| {
            let token = shortened(&tokens[position]);
            format!("{position:>3} {token:<TOKEN_WIDTH$}")
        };
        for (target, sources) in self.targets.iter().enumerate() {
            write!(out, "  {} |", label(target))?;
            for Source { source, share } in sources {
                write!(out, " {}{:>4.0}", label(*source), share * 100.0)?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

/// The token without control characters, cut to its column.
fn shortened(token: &str) -> String {
    let token = printable(token);
    if token.chars().count() <= TOKEN_WIDTH {
        return token;
    }
    let mut short: String = token.chars().take(TOKEN_WIDTH - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_to_their_column() {
        assert_eq!(shortened("[CLS]"), "[CLS]");
        assert_eq!(shortened("incomprehensibilities"), "incomprehe…");
        assert_eq!(shortened("a\u{1b}[31m\n"), "a\\u{1b}[31…");
        assert_eq!(shortened("ééééééééééé"), "ééééééééééé");
    }

    #[test]
    fn only_one_map_is_computed_for_the_table() {
        let request = Request::default();
        let short = shown(&request, 5).quantities;
        assert!(short.contains(Quantity::Norms) && short.contains(Quantity::MixingRatio));
        assert!(!short.contains(Quantity::AttentionWeights));
        let long = shown(&request, 500).quantities;
        assert!(!long.contains(Quantity::Norms) && long.contains(Quantity::MixingRatio));
    }
}
