//! What an analysis computes on a stack of layers, and in which order.

use crate::checkpoint::Architecture;
use crate::decomposition::{DecompositionOptions, LayerDecomposition, Scope, Segment};
use crate::input::Given;
use crate::key::{ArrayKey, LayerArray, Stack};
use crate::layer_arrays::{Split, read, send_segment};
use crate::transformer::{Captures, Layer, LayerRun};
use crate::{Error, Request};

/// A request, spelled out for one stack of layers.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    stack: Stack,
    architecture: &'a Architecture,
    /// The layers kept, in order.
    layers: Vec<usize>,
    segments: Vec<SegmentPlan>,
    /// The hidden states kept, in order.
    hidden_states: Vec<usize>,
    options: DecompositionOptions,
}

/// The arrays of a segment of every layer that is kept, in the order of a file.
#[derive(Debug)]
struct SegmentPlan {
    segment: Segment,
    arrays: Vec<LayerArray>,
}

impl SegmentPlan {
    /// The scopes that some array needs. What is measured on attention alone
    /// needs none, and so none of the captures that a scope brings along.
    fn scopes(&self) -> Vec<Scope> {
        let scopes = self.arrays.iter().filter_map(|array| array.scope());
        let mut scopes: Vec<Scope> = scopes.collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }
}

/// The segments of a layer.
pub(crate) fn segments(architecture: &Architecture) -> &'static [Segment] {
    match architecture.cross_attention {
        true => &[Segment::SelfAttention, Segment::CrossAttention],
        false => &[Segment::Layer],
    }
}

impl<'a> Plan<'a> {
    /// `layers` are those that are kept of this stack, in order.
    pub(crate) fn new(
        request: &Request,
        stack: Stack,
        architecture: &'a Architecture,
        layers: Vec<usize>,
    ) -> Self {
        let segments = segments(architecture)
            .iter()
            .map(|&segment| SegmentPlan {
                segment,
                arrays: request.segment_arrays(segment, architecture.arrangement),
            })
            .filter(|segment| !segment.arrays.is_empty());
        Self {
            stack,
            architecture,
            segments: segments.collect(),
            hidden_states: match request.hidden_states {
                true => hidden_state_indices(&layers),
                false => Vec::new(),
            },
            layers,
            options: DecompositionOptions {
                bias_treatment: request.bias_treatment,
                ..DecompositionOptions::default()
            },
        }
    }

    /// Every array of an analysis, with its shape.
    pub(crate) fn arrays(&self, given: Given<'_>) -> Vec<(ArrayKey, Vec<usize>)> {
        let stack = self.stack;
        let tokens = given.tokens(stack);
        let hidden_states = self.hidden_states.iter().map(|&index| {
            (
                ArrayKey::HiddenStates { stack, index },
                vec![tokens, self.architecture.d_model],
            )
        });
        let of_layer = |layer: usize| {
            let arrays = self.segments.iter().flat_map(|segment| &segment.arrays);
            arrays.map(move |array| {
                let sources = match array.is_cross() {
                    true => given.tokens(Stack::Encoder),
                    false => tokens,
                };
                let shape = array.shape(self.architecture.n_heads, tokens, sources);
                (array.of(stack, layer), shape)
            })
        };
        hidden_states
            .chain(self.layers.iter().flat_map(|&layer| of_layer(layer)))
            .collect()
    }

    /// What a run has to keep for [`Plan::follow`].
    pub(crate) fn captures(&self) -> Result<Captures, Error> {
        let mut captures = Captures::none();
        for plan in &self.segments {
            captures = captures.and(LayerDecomposition::captures_of(
                plan.segment,
                self.architecture.arrangement,
                &plan.scopes(),
            )?);
        }
        Ok(captures.at_layers(&self.layers))
    }

    /// Runs the stack up to the last layer that is kept and hands over its
    /// arrays layer by layer; `on_layer` is told of every layer.
    pub(crate) fn follow(
        &self,
        run: &mut LayerRun<'_>,
        layers: &[Layer],
        split: &mut Split<'_>,
        on_layer: &dyn Fn(),
    ) -> Result<(), Error> {
        let last = self.layers.last().map_or(0, |&layer| layer + 1);
        for (index, layer) in layers.iter().enumerate().take(last) {
            self.send_hidden_states(index, run, split)?;
            let Some(capture) = run.next() else { break };
            if self.layers.contains(&index) {
                for plan in &self.segments {
                    let decomposition = LayerDecomposition::of_segment(
                        plan.segment,
                        layer,
                        &capture,
                        &plan.scopes(),
                        self.options,
                    )?;
                    split.at(self.stack, index);
                    send_segment(&decomposition, plan.segment, &plan.arrays, split)?;
                }
            }
            on_layer();
        }
        self.send_hidden_states(last, run, split)
    }

    /// Hands over the hidden states that a run is at, if they are kept.
    fn send_hidden_states(
        &self,
        index: usize,
        run: &LayerRun<'_>,
        split: &mut Split<'_>,
    ) -> Result<(), Error> {
        if !self.hidden_states.contains(&index) {
            return Ok(());
        }
        let stack = self.stack;
        let hidden = read(run.hidden_states());
        split.send_hidden_states(ArrayKey::HiddenStates { stack, index }, &hidden)
    }
}

/// The hidden states that enter and leave `layers`.
fn hidden_state_indices(layers: &[usize]) -> Vec<usize> {
    let mut indices: Vec<usize> = layers
        .iter()
        .flat_map(|&layer| [layer, layer + 1])
        .collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}
