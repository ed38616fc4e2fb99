//! An analysis as a table in at most 100 columns.

use std::fmt::{self, Write};

use headwater::{Analysis, ArrayKey, LayerArray, Quantity, QuantitySet, Request, Stack};
use serde::Serialize;

use crate::failure::printable;
use crate::output::HEADING;

/// What the names of cross-attention begin with.
const CROSS: &str = "cross_";
/// With more tokens than these the sources of each fill more than a screen.
const MAX_TOKENS_LISTED: usize = 40;
/// Of a line.
const WIDTH: usize = 100;
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
    /// The quantity, behind the prefix of its stack of layers.
    quantity: String,
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
    let quantities = request
        .quantities
        .iter()
        .filter(|&quantity| !is_map(quantity) || map == Some(quantity));
    request.clone().quantities(quantities)
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

/// The tables of one stack of layers; one a quantity that was asked for.
fn tables(analysis: &Analysis, stack: Stack) -> Vec<LayerTable> {
    let keys = || {
        let keys = analysis.arrays().map(|(key, _)| key);
        keys.filter(|key| key.stack() == stack)
    };
    let mut layers: Vec<usize> = keys().filter_map(ArrayKey::layer).collect();
    layers.sort_unstable();
    layers.dedup();
    let mut arrays: Vec<LayerArray> = keys().filter_map(ArrayKey::array).collect();
    arrays.sort_unstable();
    arrays.dedup();

    type Column = fn(LayerArray) -> Option<&'static str>;
    let quantities: [(&str, &str, Column); 4] = [
        ("mixing_ratio", "mean over tokens", |array| match array {
            LayerArray::MixingRatio(measure) => Some(measure.slug()),
            _ => None,
        }),
        (
            "transformed_norms",
            "mean over heads and tokens",
            |array| match array {
                LayerArray::TransformedNorms => Some("all heads"),
                LayerArray::CrossTransformedNorms => Some("all heads"),
                _ => None,
            },
        ),
        ("bias_norms", "mean over tokens", |array| match array {
            LayerArray::BiasNorms(scope) => Some(scope.slug()),
            _ => None,
        }),
        (
            "reconstruction_error",
            "largest over tokens",
            |array| match array {
                LayerArray::ReconstructionError(scope) => Some(scope.slug()),
                _ => None,
            },
        ),
    ];
    let table = |(quantity, statistic, column): (&str, &'static str, Column), cross: bool| {
        let shown: Vec<(LayerArray, &'static str)> = arrays
            .iter()
            .filter(|array| array.is_cross() == cross)
            .filter_map(|&array| Some((array, column(array)?)))
            .collect();
        let row = |&layer: &usize| {
            let value = |(array, _): &(LayerArray, _)| {
                analysis.array(&array.of(stack, layer))?.to_f64().mean()
            };
            shown.iter().map(value).collect::<Option<Vec<f64>>>()
        };
        let values = layers.iter().map(row).collect::<Option<Vec<_>>>()?;
        (!shown.is_empty()).then(|| LayerTable {
            quantity: match cross {
                true => format!("{}{CROSS}{quantity}", stack.prefix()),
                false => format!("{}{quantity}", stack.prefix()),
            },
            statistic,
            columns: shown.iter().map(|(_, column)| *column).collect(),
            layers: layers.clone(),
            values,
        })
    };
    let kinds = quantities.into_iter().flat_map(|quantity| {
        // Cross-attention has long names: its columns need a table of their own.
        [false, true].map(|cross| table(quantity, cross))
    });
    kinds.flatten().collect()
}

impl Summary {
    pub(crate) fn new(analysis: &Analysis, request: &Request) -> Self {
        let mut stacks: Vec<Stack> = analysis.arrays().map(|(key, _)| key.stack()).collect();
        stacks.sort_unstable();
        stacks.dedup();
        Self {
            tables: stacks
                .into_iter()
                .flat_map(|stack| tables(analysis, stack))
                .collect(),
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
        let tokens = &analysis.input;
        let entry = |name: &str| analysis.metadata.get(name).map_or("?", String::as_str);
        let target = analysis.target.as_ref().map(|target| target.tokens.len());
        let longest = target.map_or(tokens.len(), |target| target.max(tokens.len()));
        let facts = format!(
            ": {}{} tokens, computed in {} on {}",
            tokens.len(),
            target.map_or(String::new(), |target| format!(" and {target}")),
            entry("dtype"),
            entry("device")
        );
        let room = WIDTH.saturating_sub(facts.chars().count());
        writeln!(out, "{}{facts}", end_of(&printable(entry("model")), room))?;
        for table in &self.tables {
            table.write(out)?;
        }
        if let Some(sources) = &self.strongest_sources {
            let targets = analysis.target.as_ref().unwrap_or(&analysis.input);
            let sources_read = analysis.input.readable_tokens();
            sources.write(&targets.readable_tokens(), &sources_read, out)?;
        }
        if longest > MAX_TOKENS_LISTED {
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
        // The heading says it.
        let names = self
            .columns
            .iter()
            .map(|column| match self.quantity.contains(CROSS) {
                true => column.trim_start_matches(CROSS),
                false => column,
            });
        for column in names.clone() {
            write!(out, "  {column:>COLUMN_WIDTH$}")?;
        }
        writeln!(out)?;
        for (layer, row) in self.layers.iter().zip(&self.values) {
            write!(out, "  {layer:>5}")?;
            for (column, value) in names.clone().zip(row) {
                let width = column.len().max(COLUMN_WIDTH);
                if self.quantity.ends_with("reconstruction_error") {
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
        let quantity = map_shown(&request.quantities)?;
        // What a translation model's decoder takes from its encoder, if anything was kept of it.
        let wanted = |key: &ArrayKey| {
            let array = key.array()?;
            let shown = match quantity {
                Quantity::Norms => matches!(array, LayerArray::Norms(_)),
                Quantity::WeightedNorms => matches!(
                    array,
                    LayerArray::WeightedNorms | LayerArray::CrossWeightedNorms
                ),
                _ => matches!(
                    array,
                    LayerArray::AttentionWeights | LayerArray::CrossAttentionWeights
                ),
            };
            let translates = analysis.target.is_some();
            (shown && array.is_cross() == translates).then_some((key.layer()?, array))
        };
        let keys = analysis.arrays().map(|(key, _)| key);
        let (key, (layer, _)) = keys
            .filter_map(|key| Some((key, wanted(key)?)))
            .max_by_key(|(_, place)| *place)?;
        let map = analysis.array(key)?.to_f64();
        let name = key.to_string();
        let name = name.split_once(&format!("layers.{layer}."))?.1;
        let (name, map) = match map.ndim() {
            3 => (
                format!("{name}, mean over heads"),
                map.mean_axis(ndarray::Axis(0))?,
            ),
            _ => (name.to_owned(), map),
        };
        let map: ndarray::Array2<f64> = map.into_dimensionality().ok()?;
        let targets = map.rows().into_iter().map(|row| {
            let sum: f64 = row.sum();
            let share = |value: f64| if sum == 0.0 { 0.0 } else { value / sum };
            let mut sources: Vec<Source> = row
                .iter()
                .enumerate()
                .map(|(source, &value)| Source {
                    source,
                    share: share(value),
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

    fn write(&self, targets: &[String], sources: &[String], out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "\n{HEADING}Strongest sources of each token{HEADING:#} at layer {} by {}\n(position, token, share of the row's sum in %; --layers and --scopes choose another)",
            self.layer, self.map
        )?;
        let label = |tokens: &[String], position: usize| {
            let token = shortened(&tokens[position]);
            format!("{position:>3} {token:<TOKEN_WIDTH$}")
        };
        for (target, strongest) in self.targets.iter().enumerate() {
            write!(out, "  {} |", label(targets, target))?;
            for Source { source, share } in strongest {
                write!(out, " {}{:>4.0}", label(sources, *source), share * 100.0)?;
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

/// The text, cut to a width: the last names of a path tell most.
fn end_of(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let kept = text.chars().skip(length + 1 - width.max(1));
    std::iter::once('…').chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_path_the_end_stays() {
        assert_eq!(end_of("fixtures/bert", 13), "fixtures/bert");
        assert_eq!(end_of("fixtures/bert", 12), "…xtures/bert");
        assert_eq!(end_of("üüüü", 3), "…üü");
        assert_eq!(end_of("abc", 1), "…");
    }

    #[test]
    fn tokens_keep_to_their_column() {
        assert_eq!(shortened("[CLS]"), "[CLS]");
        assert_eq!(shortened("incomprehensibilities"), "incomprehe…");
        assert_eq!(shortened("a\u{1b}[31m\n"), "a\\u{1b}[31…");
        assert_eq!(shortened("ééééééééééé"), "ééééééééééé");
    }

    #[test]
    fn only_one_map_is_computed_for_the_table() {
        let request = Request::new();
        let short = shown(&request, 5).quantities;
        assert!(short.contains(Quantity::Norms) && short.contains(Quantity::MixingRatio));
        assert!(!short.contains(Quantity::AttentionWeights));
        let long = shown(&request, 500).quantities;
        assert!(!long.contains(Quantity::Norms) && long.contains(Quantity::MixingRatio));
    }
}
