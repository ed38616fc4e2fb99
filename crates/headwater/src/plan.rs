//! What an analysis computes on a stack of layers, and in which order.

use std::sync::Arc;

use crate::analysis::Inputs;
use crate::checkpoint::Architecture;
use crate::checkpoint::wiring::LayerSpec;
use crate::decomposition::{DecompositionOptions, LayerDecomposition, Segment};
use crate::layer_arrays::{Split, send_segment};
use crate::progress::Listener;
use crate::read_back::{ReadBack, waiting_bytes};
use crate::transformer::{Captures, Layer, LayerRun};
use crate::{ArrayKey, Error, LayerArray, Place, Request, Scope, Stack};

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
    Segment::of(&architecture.layer(0))
}

impl<'a> Plan<'a> {
    /// `layers` are those that are kept of this stack, in order.
    pub(crate) fn new(
        request: &Request,
        stack: Stack,
        architecture: &'a Architecture,
        layers: Vec<usize>,
    ) -> Self {
        let layer = architecture.layer(0);
        let segments = segments(architecture)
            .iter()
            .map(|&segment| SegmentPlan {
                segment,
                arrays: request.segment_arrays(segment, &layer),
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
    pub(crate) fn arrays(&self, inputs: Inputs<'_>) -> Vec<(ArrayKey, Vec<usize>)> {
        let stack = self.stack;
        let tokens = inputs.tokens(stack);
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
                    true => inputs.tokens(Stack::Encoder),
                    false => tokens,
                };
                let heads = self.architecture.layer(layer).attention().heads;
                let shape = array.shape(heads, tokens, sources);
                (array.of(stack, layer), shape)
            })
        };
        hidden_states
            .chain(self.layers.iter().flat_map(|&layer| of_layer(layer)))
            .collect()
    }

    /// What a run has to keep for [`Plan::follow`].
    pub(crate) fn captures(&self) -> Result<Captures, Error> {
        // Layers of another kind may have other norms.
        let mut kinds: Vec<LayerSpec> = Vec::new();
        for &layer in &self.layers {
            let kind = self.architecture.layer(layer);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let mut captures = Captures::none();
        for (plan, kind) in (self.segments.iter()).flat_map(|s| kinds.iter().map(move |k| (s, k))) {
            captures = captures.and(LayerDecomposition::captures_of(
                plan.segment,
                kind,
                &plan.scopes(),
            )?);
        }
        Ok(captures.at_layers(&self.layers))
    }

    /// Runs the stack up to the last layer that is kept and hands over its
    /// arrays, layer by layer or, from a GPU, at the end; `listener` is told of
    /// every layer.
    pub(crate) fn follow(
        &self,
        run: &mut LayerRun<'_>,
        layers: &[Arc<Layer>],
        split: &mut Split<'_>,
        listener: &Listener,
    ) -> Result<(), Error> {
        let waiting = waiting_bytes(run.model().device_name());
        self.read(
            run,
            layers,
            ReadBack::new(split, waiting),
            &|place, layers| listener.hear(place, layers),
        )
    }

    fn read(
        &self,
        run: &mut LayerRun<'_>,
        layers: &[Arc<Layer>],
        mut read_back: ReadBack<'_, '_>,
        on_layer: &dyn Fn(Place, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let stack = self.stack;
        let last = self.layers.last().map_or(0, |&layer| layer + 1);
        for (index, layer) in layers.iter().enumerate().take(last) {
            self.send_hidden_states(index, run, &mut read_back)?;
            let Some(capture) = run.next() else { break };
            let place = Place {
                stack,
                layer: index,
            };
            if self.layers.contains(&index) {
                for plan in &self.segments {
                    let decomposition = LayerDecomposition::of_segment(
                        plan.segment,
                        layer,
                        &capture,
                        &plan.scopes(),
                        self.options,
                    )?;
                    let (segment, arrays) = (plan.segment, &plan.arrays);
                    send_segment(&decomposition, segment, arrays, place, &mut read_back)?;
                }
            }
            on_layer(place, last)?;
        }
        self.send_hidden_states(last, run, &mut read_back)?;
        read_back.finish()
    }

    /// Hands over the hidden states that a run is at, if they are kept.
    fn send_hidden_states(
        &self,
        index: usize,
        run: &LayerRun<'_>,
        read_back: &mut ReadBack<'_, '_>,
    ) -> Result<(), Error> {
        if !self.hidden_states.contains(&index) {
            return Ok(());
        }
        let stack = self.stack;
        let key = ArrayKey::HiddenStates { stack, index };
        read_back.send([run.hidden_states()], move |[hidden], split| {
            split.send_hidden_states(key, hidden)
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, HubOptions};
    use crate::transformer::{
        DeviceName, EncoderDecoder, Model, Precision, TokenBatch, TokenSequence,
    };
    use crate::{Array, Quantity};
    use headwater_fixtures::golden;

    /// What a sink was given, and after each layer how many arrays it had been given.
    type Delivered = (Vec<(usize, ArrayKey, Array)>, Vec<usize>);

    fn checkpoint(name: &str) -> Checkpoint {
        let path = golden(name);
        Checkpoint::open(path.to_str().unwrap(), &HubOptions::default()).unwrap()
    }

    fn batch(model: &Model, lengths: &[usize]) -> TokenBatch {
        let ids = |length: usize| (0..length as u32).map(|id| 5 + id).collect();
        let sequences: Vec<_> = lengths
            .iter()
            .map(|&n| TokenSequence::new(ids(n)))
            .collect();
        model.batch(&sequences).unwrap()
    }

    fn delivered(
        plan: &Plan<'_>,
        mut run: LayerRun<'_>,
        lengths: [&[usize]; 2],
        allowed: usize,
    ) -> Delivered {
        let layers = run.model().layers();
        let entries = std::cell::RefCell::new(Vec::new());
        let after_layers = std::cell::RefCell::new(Vec::new());
        let mut sink = |index, key, array| {
            entries.borrow_mut().push((index, key, array));
            Ok(())
        };
        let mut split = Split::new(lengths[0], lengths[1], &mut sink);
        let read_back = ReadBack::new(&mut split, allowed);
        let on_layer = |_, _| {
            after_layers.borrow_mut().push(entries.borrow().len());
            Ok(())
        };
        plan.read(&mut run, layers, read_back, &on_layer).unwrap();
        (entries.into_inner(), after_layers.into_inner())
    }

    /// Checks what comes of results that wait against results that do not;
    /// `run` starts the run anew.
    fn check<'a>(plan: &Plan<'_>, run: impl Fn() -> LayerRun<'a>, lengths: [&[usize]; 2]) {
        let (at_once, counts) = delivered(plan, run(), lengths, 0);
        assert!(
            counts[0] > 0 && counts.is_sorted_by(|a, b| a < b),
            "{counts:?}"
        );

        let (at_the_end, counts) = delivered(plan, run(), lengths, usize::MAX);
        assert!(counts.iter().all(|&count| count == 0), "{counts:?}");
        assert_same(&at_once, &at_the_end, run().model().device_name());

        // Without its padding all of it is more than the first layer with its
        // padding, and less than all layers with theirs.
        let bytes: usize = at_once.iter().map(|(.., array)| 4 * array.len()).sum();
        let (in_between, counts) = delivered(plan, run(), lengths, bytes);
        let last = counts[counts.len() - 1];
        assert!(counts[0] == 0, "{counts:?}");
        assert!(0 < last && last < in_between.len(), "{counts:?}");
        assert_same(&at_once, &in_between, run().model().device_name());
    }

    fn assert_same(
        expected: &[(usize, ArrayKey, Array)],
        found: &[(usize, ArrayKey, Array)],
        device: DeviceName,
    ) {
        assert_eq!(expected.len(), found.len());
        for ((index, key, expected), (found_index, found_key, found)) in expected.iter().zip(found)
        {
            assert_eq!((index, key), (found_index, found_key));
            assert_eq!(expected.shape(), found.shape(), "{key}");
            // A GPU chooses its kernels by trial.
            if device.is_cpu() {
                assert_eq!(expected, found, "{key}");
            }
        }
    }

    #[test]
    fn results_that_wait_are_those_that_do_not() {
        let request = Request {
            hidden_states: true,
            ..Request::default()
        };
        for &device in DeviceName::ENABLED {
            for name in ["bert", "gpt2"] {
                let checkpoint = checkpoint(name);
                let model = Model::load(&checkpoint, device, Precision::F32).unwrap();
                let architecture = checkpoint.architecture();
                let layers = (0..architecture.n_layers).collect();
                let plan = Plan::new(&request, Stack::Only, architecture, layers);
                let batch = batch(&model, &[3, 9, 1]);
                let run = || model.run(&batch, plan.captures().unwrap());
                check(&plan, run, [batch.lengths(), &[]]);
            }
        }
    }

    #[test]
    fn results_of_a_decoder_wait_too() {
        let request = Request {
            quantities: [Quantity::Norms, Quantity::MixingRatio]
                .into_iter()
                .collect(),
            ..Request::default()
        };
        for &device in DeviceName::ENABLED {
            let checkpoint = checkpoint("marian");
            let model = EncoderDecoder::load(&checkpoint, device, Precision::F32).unwrap();
            let architecture = model.decoder().architecture();
            let layers = (0..architecture.n_layers).collect();
            let plan = Plan::new(&request, Stack::Decoder, architecture, layers);
            let source = batch(model.encoder(), &[4, 6]);
            let target = batch(model.decoder(), &[7, 2]);
            let encoded = model.encode(&source);
            let run = || model.decode(&target, &encoded, plan.captures().unwrap());
            check(&plan, run, [target.lengths(), source.lengths()]);
        }
    }
}
