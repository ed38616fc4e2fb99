//! Arrays read off decomposed layers, for each member of a batch.

use burn::tensor::Tensor;

use crate::decomposition::{LayerDecomposition, ScopeDecomposition, Segment};
use crate::key::{ArrayKey, Axis, LayerArray, MixingMeasure, Stack};
use crate::{Array, Error, metrics};

/// Takes the arrays of an analysis as they are computed: which input, which array.
pub type Sink<'a> = dyn FnMut(usize, ArrayKey, Array) -> Result<(), Error> + 'a;

/// Hands the members of a batch to a sink one by one, without their padding.
pub(crate) struct Split<'a> {
    /// Tokens of each member in the stack that is run.
    targets: Vec<usize>,
    /// Tokens of each member in the encoder, for cross-attention.
    encoder: Vec<usize>,
    stack: Stack,
    layer: usize,
    sink: &'a mut Sink<'a>,
}

impl<'a> Split<'a> {
    pub(crate) fn new(targets: &[usize], encoder: &[usize], sink: &'a mut Sink<'_>) -> Self {
        Self {
            targets: targets.to_vec(),
            encoder: encoder.to_vec(),
            stack: Stack::Only,
            layer: 0,
            sink,
        }
    }

    /// Says where the arrays come from that are sent next.
    pub(crate) fn at(&mut self, stack: Stack, layer: usize) {
        self.stack = stack;
        self.layer = layer;
    }

    pub(crate) fn send_hidden_states(&mut self, key: ArrayKey, array: &Array) -> Result<(), Error> {
        for (index, &tokens) in self.targets.iter().enumerate() {
            (self.sink)(index, key, array.member(index, &[(0, tokens)]))?;
        }
        Ok(())
    }

    fn send(&mut self, array: LayerArray, values: &Array) -> Result<(), Error> {
        self.send_members(array, values, |member| member)
    }

    /// `of_member` makes the array of the values of one member.
    fn send_members(
        &mut self,
        array: LayerArray,
        values: &Array,
        of_member: impl Fn(Array) -> Array,
    ) -> Result<(), Error> {
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
                })
                .collect();
            let key = array.of(self.stack, self.layer);
            (self.sink)(index, key, of_member(values.member(index, &cuts)))?;
        }
        Ok(())
    }
}

/// Brings a tensor to the host.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Array {
    let shape = tensor.dims().to_vec();
    let data = tensor.into_data();
    // The element type was set when the parameters were loaded, and every
    // operation keeps it.
    match data.dtype() {
        burn::tensor::DType::F64 => {
            Array::from_f64(shape, data.try_into_vec().expect("float64 data"))
        }
        _ => Array::from_f32(shape, data.try_into_vec().expect("float32 data")),
    }
}

/// Reads the arrays asked for off a segment of a decomposed layer.
pub(crate) fn send_segment(
    decomposition: &LayerDecomposition,
    segment: Segment,
    arrays: &[LayerArray],
    split: &mut Split<'_>,
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
        split.send(weights, &read(decomposition.attention_weights()))?;
    }
    if arrays.contains(&transformed) {
        split.send(transformed, &read(decomposition.transformed_norms()))?;
    }
    if arrays.contains(&weighted) {
        split.send(weighted, &read(decomposition.weighted_norms()))?;
    }
    let by_weights = LayerArray::MixingRatio(MixingMeasure::AttentionWeights);
    if arrays.contains(&by_weights) {
        let ratio = read(decomposition.mixing_weights());
        split.send(by_weights, &ratio)?;
        let with_residual = LayerArray::MixingRatio(MixingMeasure::AttentionWeightsResidual);
        split.send(with_residual, &ratio.map(|ratio| ratio / 2.0))?;
    }
    for scope in decomposition.scopes() {
        send_scope(scope, arrays, split)?;
    }
    Ok(())
}

fn send_scope(
    decomposition: &ScopeDecomposition,
    arrays: &[LayerArray],
    split: &mut Split<'_>,
) -> Result<(), Error> {
    let scope = decomposition.scope();
    if arrays.contains(&LayerArray::Norms(scope)) {
        split.send(LayerArray::Norms(scope), &read(decomposition.norms()))?;
    }
    if arrays.contains(&LayerArray::PreservingNorms(scope)) {
        let preserving = read(decomposition.preserving_norms());
        let mixing = read(decomposition.mixing_norms());
        let ratio = preserving.zip_map(&mixing, metrics::mixing_ratio);
        split.send(LayerArray::PreservingNorms(scope), &preserving)?;
        split.send(LayerArray::MixingNorms(scope), &mixing)?;
        split.send(LayerArray::MixingRatio(scope.into()), &ratio)?;
    }
    if arrays.contains(&LayerArray::BiasNorms(scope)) {
        let norms = read(decomposition.bias_norms());
        split.send(LayerArray::BiasNorms(scope), &norms)?;
    }
    let error = LayerArray::ReconstructionError(scope);
    if arrays.contains(&error) {
        let errors = read(decomposition.reconstruction_errors());
        split.send_members(error, &errors, |of_targets| of_targets.max())?;
    }
    Ok(())
}
