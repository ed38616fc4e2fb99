//! The dimensions in which FF writes most, and the maps without them (2023).

use std::ops::Range;

use anyhow::Context;
use headwater::decomposition::LayerDecomposition;
use headwater::metrics::{
    ContextualizationChanges, DimensionMagnitudes, OutlierDimension, Summary, block_change,
    dimension_weights, vector_norms_without,
};
use headwater::transformer::{Activations, Arrangement, Captures, Model, TokenSequence};
use ndarray::{Array2, ArrayView2, s};

use super::block::Block;
use super::corpus::Text;
use super::table::{Row, Table};

/// Dimensions of a layer that are listed and left out.
const DIMENSIONS: usize = 3;

/// Texts whose parts are made as vectors: so many of at most so many tokens,
/// since that takes d_model times the memory of their maps.
const TEXTS: usize = 20;
const TOKENS: usize = 64;

/// Bytes that the parts of one scope may take at a time.
const BYTES: usize = 32 << 20;

/// Which dimensions the norms of a map leave out.
const LEFT_OUT: [&str; 3] = ["none", "outliers", "as many of middling magnitude"];

/// How large FF's output is in each dimension of each layer, over the texts so
/// far.
pub(crate) struct Outliers(Vec<DimensionMagnitudes>);

impl Outliers {
    pub(crate) fn new(layers: usize, d_model: usize) -> Self {
        Self(vec![DimensionMagnitudes::new(d_model); layers])
    }

    /// Runs the model on texts and adds FF's outputs.
    pub(crate) fn push(
        &mut self,
        model: &Model,
        texts: &[Text],
        block: &Block,
    ) -> anyhow::Result<()> {
        let sequences: Vec<_> = texts.iter().map(sequence).collect();
        let batch = model.batch(&sequences)?;
        let output = Activations::State(block.step());
        for capture in model.run(&batch, Captures::of(&[output])) {
            let output = capture.state(block.step())?;
            let [members, tokens, d_model] = output.dims();
            let values: Vec<f64> = output.into_data().iter().collect();
            let output = ArrayView2::from_shape((members * tokens, d_model), &values)?;
            for (member, &length) in batch.lengths().iter().enumerate() {
                let first = member * tokens;
                self.0[capture.layer()].push(output.slice(s![first..first + length, ..]))?;
            }
        }
        Ok(())
    }

    fn outliers(&self, layer: usize) -> Vec<OutlierDimension> {
        self.0[layer].outliers(DIMENSIONS)
    }

    /// γ of LN2 at the outliers.
    pub(crate) fn weights(&self, model: &Model, block: &Block) -> anyhow::Result<Table> {
        let mut rows = Vec::new();
        for (index, layer) in model.layers().iter().enumerate() {
            let block = layer.blocks.last().context("a layer has blocks")?;
            let norm = block.before.as_ref().or(block.behind.as_ref());
            let norm = norm.context("its feed-forward block has a norm")?;
            let gamma = norm.weight.clone().into_data();
            let gamma: Vec<f64> = gamma.iter().collect();
            let outliers = self.outliers(index);
            let numbers: Vec<_> = outliers.iter().map(|outlier| outlier.dimension).collect();
            let mut mean = Summary::new();
            for outlier in self.0[index].outliers(usize::MAX) {
                mean.push(outlier.mean_magnitude)?;
            }
            for (outlier, weight) in outliers.iter().zip(dimension_weights(&gamma, &numbers)?) {
                let magnitude = outlier.mean_magnitude;
                let values = vec![
                    Some(magnitude),
                    mean.mean().map(|mean| magnitude / mean),
                    Some(weight.gamma),
                ];
                rows.push(Row::new((index + 1).to_string(), values).with_texts([
                    format!("{} of {}", weight.rank, gamma.len()),
                    outlier.dimension.to_string(),
                ]));
            }
        }
        let columns = [
            "mean of |FF output|",
            "times the mean of all dimensions",
            "γ in LN2",
            "rank of |γ|, 1 the smallest",
            "dimension, from 0",
        ];
        Ok(Table {
            id: "outlier_dimensions".into(),
            title: format!("The {DIMENSIONS} outlier dimensions of each layer's FF output"),
            note: match block.arrangement {
                Arrangement::PostLn => {
                    "The dimensions with the largest mean of |FF output| over all tokens. LN2 \
                     comes behind FF: a small γ takes back what FF put there."
                }
                Arrangement::PreLn => {
                    "The dimensions with the largest mean of |FF output| over all tokens. LN2 \
                     comes before FF, so that its γ weighs what FF reads in them."
                }
            }
            .into(),
            rows_are: "layer",
            columns: columns.map(String::from).to_vec(),
            decimals: 3,
            rows,
            absent: None,
        })
    }

    /// What is left out of a layer's norms, by variant.
    fn left_out(&self, layer: usize) -> [Vec<usize>; LEFT_OUT.len()] {
        let ordered = self.0[layer].outliers(usize::MAX);
        let count = DIMENSIONS.min(ordered.len());
        let middle = (ordered.len() - count) / 2;
        let numbers = |range: Range<usize>| {
            let range = ordered[range].iter();
            range.map(|outlier| outlier.dimension).collect()
        };
        [
            Vec::new(),
            numbers(0..count),
            numbers(middle..middle + count),
        ]
    }

    /// The changes in maps whose norms leave dimensions out.
    pub(crate) fn without(
        &self,
        model: &Model,
        texts: &[Text],
        block: &Block,
    ) -> anyhow::Result<Table> {
        let layers = self.0.len();
        let mut changes = LEFT_OUT.map(|_| ContextualizationChanges::new(layers, block.components));
        let left_out: Vec<_> = (0..layers).map(|layer| self.left_out(layer)).collect();
        let chosen = short(texts);
        for text in &chosen {
            let batch = model.batch(&[sequence(text)])?;
            let captures = LayerDecomposition::captures(&block.layer, &block.scopes)?;
            for capture in model.run(&batch, captures) {
                let layer = capture.layer();
                let decomposition =
                    LayerDecomposition::new(&model.layers()[layer], &capture, &block.scopes)?;
                let maps = norms_without(&decomposition, block, &left_out[layer])?;
                for (changes, maps) in changes.iter_mut().zip(&maps) {
                    let behind: Vec<_> = maps[1..].iter().map(|map| map.view()).collect();
                    let change = block_change(maps[0].view(), &behind, block.region)?;
                    changes.push(layer, &change)?;
                }
            }
        }
        let tables = changes.map(|changes| changes.table());
        let rows = (0..layers).flat_map(|layer| {
            let variants = tables.iter().zip(LEFT_OUT);
            variants.map(move |(table, name)| {
                Row::new((layer + 1).to_string(), table.rows()[layer].clone())
                    .with_texts([name.to_owned()])
            })
        });
        let columns = tables[0].columns().iter().cloned();
        Ok(Table {
            id: "change_without_outliers".into(),
            title: "Contextualization change without the outlier dimensions".into(),
            note: format!(
                "The norms of all maps leave the {DIMENSIONS} outlier dimensions out, or as many \
                 from the middle of the order of mean |FF output|. Mean over the {}.",
                match chosen.len() {
                    1 => "shortest text".to_owned(),
                    count => format!("first {count} texts of at most {TOKENS} tokens"),
                }
            ),
            rows_are: "layer",
            columns: columns.chain(["left out".to_owned()]).collect(),
            decimals: 3,
            rows: rows.collect(),
            absent: None,
        })
    }
}

fn sequence(text: &Text) -> TokenSequence {
    TokenSequence {
        input_ids: text.input.input_ids.clone(),
        token_type_ids: text.input.token_type_ids.clone(),
    }
}

/// The first texts that are short enough, else the shortest.
fn short(texts: &[Text]) -> Vec<&Text> {
    let fits = |text: &&Text| text.input.len() <= TOKENS;
    let chosen: Vec<_> = texts.iter().filter(fits).take(TEXTS).collect();
    match chosen.is_empty() {
        true => texts
            .iter()
            .min_by_key(|text| text.input.len())
            .into_iter()
            .collect(),
        false => chosen,
    }
}

/// The norm maps of one text at the block's scopes, for each set of dimensions
/// left out. The parts are made for a few targets at a time.
fn norms_without(
    decomposition: &LayerDecomposition,
    block: &Block,
    left_out: &[Vec<usize>],
) -> anyhow::Result<Vec<Vec<Array2<f64>>>> {
    let mut maps = vec![Vec::with_capacity(block.scopes.len()); left_out.len()];
    for scope in block.scopes {
        let scope = decomposition.scope(scope)?;
        let [_, tokens, d_model] = scope.output().dims();
        let step = (BYTES / (tokens * d_model * size_of::<f64>())).clamp(1, tokens);
        let mut norms = vec![Vec::with_capacity(tokens * tokens); left_out.len()];
        for first in (0..tokens).step_by(step) {
            let parts = scope.parts(first..(first + step).min(tokens))?;
            let values: Vec<f64> = parts.into_data().iter().collect();
            let rows = values.len() / d_model;
            let parts = ArrayView2::from_shape((rows, d_model), &values)?;
            for (norms, left_out) in norms.iter_mut().zip(left_out) {
                norms.extend(vector_norms_without(parts, left_out)?);
            }
        }
        for (maps, norms) in maps.iter_mut().zip(norms) {
            maps.push(Array2::from_shape_vec((tokens, tokens), norms)?);
        }
    }
    Ok(maps)
}
