//! What is measured of a whole model, through the facade and in this process.

use std::time::Instant;

use anyhow::Context;
use headwater::decomposition::{LayerDecomposition, Segment};
use headwater::transformer::{Captures, LayerCapture, TokenBatch, TokenSequence};
use headwater::{
    Analyzer, ArrayKey, Input, LayerArray, MixingMeasure, Quantity, Request, Scope, TokenizedInput,
};
use serde::Serialize;

use crate::random_model::Shape;

/// One way to use a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// The plain forward pass, to the last hidden states on the host.
    Forward,
    /// Every scope through `atb` of all layers: norm maps, per-head norms,
    /// transformed norms and mixing ratios.
    AttentionMaps,
    /// Mixing ratios of every scope of all layers, and no map.
    MixingRatios,
}

impl Work {
    pub(crate) const ALL: [Work; 3] = [Work::Forward, Work::AttentionMaps, Work::MixingRatios];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Forward => "forward pass",
            Work::AttentionMaps => "attention-block maps",
            Work::MixingRatios => "mixing ratios",
        }
    }
}

/// The scopes through `atb`.
pub(crate) fn attention_scopes(shape: Shape) -> &'static [Scope] {
    match shape.is_causal() {
        true => &[Scope::Attn, Scope::Atb],
        false => &[Scope::Attn, Scope::AttnRes, Scope::Atb],
    }
}

fn attention_maps(shape: Shape) -> Request {
    let quantities = [
        Quantity::Norms,
        Quantity::MixingRatio,
        Quantity::WeightedNorms,
        Quantity::TransformedNorms,
    ];
    Request::new()
        .scopes(attention_scopes(shape).to_vec())
        .quantities(quantities)
}

fn only(quantity: Quantity) -> Request {
    Request::new().quantities([quantity])
}

/// A loaded model.
pub(crate) struct Subject {
    pub(crate) shape: Shape,
    analyzer: Analyzer,
}

impl Subject {
    pub(crate) fn load(shape: Shape) -> anyhow::Result<Self> {
        let directory = shape.directory()?;
        let name = directory.to_str().context("a path in UTF-8")?;
        Ok(Self {
            shape,
            analyzer: Analyzer::from_pretrained(name)?,
        })
    }

    /// Texts of random tokens, all of one length.
    pub(crate) fn texts(&self, tokens: usize, batch: usize) -> anyhow::Result<Texts<'_>> {
        let mut random = fastrand::Rng::with_seed((tokens * batch) as u64);
        let ids: Vec<Vec<u32>> = (0..batch)
            .map(|_| self.shape.ids(tokens, &mut random))
            .collect();
        let sequences: Vec<_> = ids.iter().cloned().map(TokenSequence::new).collect();
        let inputs = ids.iter().cloned().map(Input::from);
        Ok(Texts {
            subject: self,
            inputs: inputs
                .map(|input| self.analyzer.encode(&input))
                .collect::<Result<_, _>>()?,
            batch: self.analyzer.model().batch(&sequences)?,
            ids,
        })
    }
}

/// Inputs of a model.
pub(crate) struct Texts<'a> {
    subject: &'a Subject,
    pub(crate) ids: Vec<Vec<u32>>,
    inputs: Vec<TokenizedInput>,
    batch: TokenBatch,
}

impl Texts<'_> {
    /// Does the work once.
    ///
    /// # Errors
    /// None that these requests can have.
    pub(crate) fn seconds(&self, work: Work) -> anyhow::Result<f64> {
        match work {
            Work::Forward => {
                let start = Instant::now();
                let _ = self.last_hidden_states();
                Ok(start.elapsed().as_secs_f64())
            }
            Work::AttentionMaps => self.analysis(&attention_maps(self.subject.shape)),
            Work::MixingRatios => self.analysis(&only(Quantity::MixingRatio)),
        }
    }

    /// Norm maps of every scope of all layers, those behind the feed-forward
    /// block included.
    ///
    /// # Errors
    /// None that this request can have.
    pub(crate) fn all_maps(&self) -> anyhow::Result<f64> {
        self.analysis(&only(Quantity::Norms))
    }

    fn analysis(&self, request: &Request) -> anyhow::Result<f64> {
        let start = Instant::now();
        let analyzer = &self.subject.analyzer;
        analyzer.analyze_each(&self.inputs, request, &mut |_, _, array| {
            drop(array);
            Ok(())
        })?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn last_hidden_states(&self) -> Vec<f32> {
        let model = self.subject.analyzer.model();
        let output = model.forward(&self.batch, &Captures::none());
        output.last_hidden_state.into_data().iter().collect()
    }

    /// The last hidden states of the first text, for comparison.
    pub(crate) fn first_hidden_states(&self) -> Vec<f32> {
        let mut states = self.last_hidden_states();
        states.truncate(states.len() / self.ids.len());
        states
    }

    /// Of each layer and scope of the first text, the last target's norms and
    /// all mixing ratios, for comparison.
    ///
    /// # Errors
    /// None that this request can have.
    pub(crate) fn first_attention_rows(&self) -> anyhow::Result<Vec<f32>> {
        let shape = self.subject.shape;
        let analyzer = &self.subject.analyzer;
        let analyses = analyzer.analyze_tokenized(&self.inputs[..1], &attention_maps(shape))?;
        let values = |array: LayerArray, layer: usize| {
            let key: ArrayKey = array.at(layer);
            let found = analyses[0].array(&key).and_then(|array| array.as_f32());
            found.with_context(|| format!("the analysis has no {key}"))
        };
        let mut rows = Vec::new();
        for layer in 0..shape.layers() {
            for &scope in attention_scopes(shape) {
                let norms = values(LayerArray::Norms(scope), layer)?;
                rows.extend(&norms[norms.len() - self.ids[0].len()..]);
                let measure = MixingMeasure::Scope(scope);
                rows.extend(values(LayerArray::MixingRatio(measure), layer)?);
            }
        }
        Ok(rows)
    }

    /// The first layer, run and kept for its feed-forward maps.
    pub(crate) fn first_layer(&self) -> anyhow::Result<LayerCapture> {
        let model = self.subject.analyzer.model();
        let layer = model.architecture().layer(0);
        let captures = LayerDecomposition::captures(&layer, &Segment::Layer.scopes(&layer))?;
        let mut run = model.run(&self.batch, captures);
        run.next().context("a model has layers")
    }

    /// The norm maps of the scopes behind the feed-forward block, from the
    /// captures of the first layer to the host.
    ///
    /// # Errors
    /// None that these captures can have.
    pub(crate) fn feed_forward_maps(&self, captured: &LayerCapture) -> anyhow::Result<f64> {
        let model = self.subject.analyzer.model();
        let scopes = Segment::Layer.scopes(&model.architecture().layer(0));
        let start = Instant::now();
        let layer = LayerDecomposition::new(&model.layers()[0], captured, &scopes)?;
        // The last three scopes come out of one pass; in pre-LN models it is two.
        let behind = if self.subject.shape.is_causal() { 2 } else { 3 };
        for &scope in &scopes[scopes.len() - behind..] {
            let _ = layer.scope(scope)?.norms().into_data();
        }
        Ok(start.elapsed().as_secs_f64())
    }
}
