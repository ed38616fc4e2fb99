//! Arrays read off decomposed layers, for each member of a batch.

use burn::tensor::Tensor;

use crate::analysis::Axis;
use crate::decomposition::{LayerDecomposition, ScopeDecomposition, Segment};
use crate::members::{max, member, only_member};
use crate::read_back::ReadBack;
use crate::{Array, ArrayKey, Error, LayerArray, MixingMeasure, Place, metrics};

/// Takes the arrays of an analysis as they are computed: which input, which array.
pub type Sink<'a> = dyn FnMut(usize, ArrayKey, Array) -> Result<(), Error> + 'a;

/// Hands the members of a batch to a sink one by one, without their padding.
pub(crate) struct Split<'a> {
    /// Tokens of each member in the stack that is run.
    targets: Vec<usize>,
    /// Tokens of each member in the encoder, for cross-attention.
    encoder: Vec<usize>,
    sink: &'a mut Sink<'a>,
}

impl<'a> Split<'a> {
    pub(crate) fn new(targets: &[usize], encoder: &[usize], sink: &'a mut Sink<'_>) -> Self {
        Self {
            targets: targets.to_vec(),
            encoder: encoder.to_vec(),
            sink,
        }
    }

    pub(crate) fn send_hidden_states(&mut self, key: ArrayKey, array: Array) -> Result<(), Error> {
        if self.targets.len() == 1 {
            return (self.sink)(0, key, only_member(array));
        }
        for (index, &tokens) in self.targets.iter().enumerate() {
            (self.sink)(index, key, member(&array, index, &[(0, tokens)]))?;
        }
        Ok(())
    }

    fn send(&mut self, place: Place, array: LayerArray, values: Array) -> Result<(), Error> {
        self.send_members(place, array, values, |member| member)
    }

    /// `of_member` makes the array of the values of one member.
    fn send_members(
        &mut self,
        place: Place,
        array: LayerArray,
        values: Array,
        of_member: impl Fn(Array) -> Array,
    ) -> Result<(), Error> {
        let key = array.in_layer(place);
        if self.targets.len() == 1 {
            return (self.sink)(0, key, of_member(only_member(values)));
        }
        let axes = match array {
            // Read off as one value a target.
            LayerArray::ReconstructionError(_) => &[Axis::Target],
            _ => array.axes(),
        };
        for (index, &targets) in self.targets.iter().enumerate() {
            let sources = match array.is_cross() {
                true => self.encoder[index],
                false => targets,
            };
            let cuts: Vec<(usize, usize)> = axes
                .iter()
                .enumerate()
                .filter_map(|(at, axis)| match axis {
                    Axis::Head => None,
                    Axis::Target => Some((at, targets)),
                    Axis::Source => Some((at, sources)),
                    _ => None,
                })
                .collect();
            (self.sink)(index, key, of_member(member(&values, index, &cuts)))?;
        }
        Ok(())
    }
}

/// Sends a tensor that is an array of the analysis as it stands.
fn send<const D: usize>(
    tensor: Tensor<D>,
    array: LayerArray,
    place: Place,
    read_back: &mut ReadBack<'_, '_>,
) -> Result<(), Error> {
    read_back.send([tensor], move |[values], split| {
        split.send(place, array, values)
    })
}

/// Sends the arrays asked for of a segment of a decomposed layer.
pub(crate) fn send_segment(
    decomposition: &LayerDecomposition,
    segment: Segment,
    arrays: &[LayerArray],
    place: Place,
    read_back: &mut ReadBack<'_, '_>,
) -> Result<(), Error> {
    let [weights, transformed, weighted] = match segment {
        Segment::CrossAttention => [
            LayerArray::CrossAttentionWeights,
            LayerArray::CrossTransformedNorms,
            LayerArray::CrossWeightedNorms,
        ],
        _ => [
            LayerArray::AttentionWeights,
            LayerArray::TransformedNorms,
            LayerArray::WeightedNorms,
        ],
    };
    if arrays.contains(&weights) {
        send(decomposition.attention_weights(), weights, place, read_back)?;
    }
    if arrays.contains(&transformed) {
        send(
            decomposition.transformed_norms(),
            transformed,
            place,
            read_back,
        )?;
    }
    if arrays.contains(&weighted) {
        send(decomposition.weighted_norms(), weighted, place, read_back)?;
    }
    let by_weights = LayerArray::MixingRatio(MixingMeasure::AttentionWeights);
    if arrays.contains(&by_weights) {
        let ratios = [
            decomposition.mixing_weights(),
            decomposition.residual_mixing_weights(),
        ];
        read_back.send(ratios, move |[ratio, with_residual], split| {
            split.send(place, by_weights, ratio)?;
            let measure = MixingMeasure::AttentionWeightsResidual;
            split.send(place, LayerArray::MixingRatio(measure), with_residual)
        })?;
    }
    for scope in decomposition.scopes() {
        send_scope(scope, arrays, place, read_back)?;
    }
    Ok(())
}

fn send_scope(
    decomposition: &ScopeDecomposition,
    arrays: &[LayerArray],
    place: Place,
    read_back: &mut ReadBack<'_, '_>,
) -> Result<(), Error> {
    let scope = decomposition.scope();
    let norms = LayerArray::Norms(scope);
    if arrays.contains(&norms) {
        send(decomposition.norms(), norms, place, read_back)?;
    }
    if arrays.contains(&LayerArray::PreservingNorms(scope)) {
        let both = [
            decomposition.preserving_norms(),
            decomposition.mixing_norms(),
        ];
        read_back.send(both, move |[preserving, mixing], split| {
            let ratio = preserving.zip_map(&mixing, metrics::mixing_ratio);
            split.send(place, LayerArray::PreservingNorms(scope), preserving)?;
            split.send(place, LayerArray::MixingNorms(scope), mixing)?;
            split.send(place, LayerArray::MixingRatio(scope.into()), ratio)
        })?;
    }
    let bias = LayerArray::BiasNorms(scope);
    if arrays.contains(&bias) {
        send(decomposition.bias_norms(), bias, place, read_back)?;
    }
    let error = LayerArray::ReconstructionError(scope);
    if arrays.contains(&error) {
        read_back.send(
            [decomposition.reconstruction_errors()],
            move |[errors], split| {
                split.send_members(place, error, errors, |of_targets| max(&of_targets))
            },
        )?;
    }
    Ok(())
}
