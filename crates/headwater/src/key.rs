use std::fmt;

use crate::{Quantity, Scope};

/// What a mixing ratio is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MixingMeasure {
    /// `attn_w`: attention weights alone, 1 − A_ii with A the mean over heads (ATTN-W of 2021).
    AttentionWeights,
    /// `attn_res_w`: attention weights and an identity matrix for the
    /// residual, (1 − A_ii)/2 (Abnar and Zuidema 2020; ATTNRES-W of 2021).
    AttentionWeightsResidual,
    /// The decomposition at a scope.
    Scope(Scope),
}

impl MixingMeasure {
    /// The name in files: `attn_w`, `attn_res_w` or the scope's slug.
    pub fn slug(self) -> &'static str {
        match self {
            MixingMeasure::AttentionWeights => "attn_w",
            MixingMeasure::AttentionWeightsResidual => "attn_res_w",
            MixingMeasure::Scope(scope) => scope.slug(),
        }
    }
}

impl From<Scope> for MixingMeasure {
    fn from(scope: Scope) -> Self {
        MixingMeasure::Scope(scope)
    }
}

/// One of a model's stacks of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stack {
    /// The only one.
    Only,
    /// The encoder of a translation model.
    Encoder,
    /// The decoder of a translation model.
    Decoder,
}

impl Stack {
    /// What stands before the keys of its arrays: nothing, `encoder.` or `decoder.`.
    pub fn prefix(self) -> &'static str {
        match self {
            Stack::Only => "",
            Stack::Encoder => "encoder.",
            Stack::Decoder => "decoder.",
        }
    }
}

/// The name of an array of an analysis; displayed as its key in an analysis file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ArrayKey {
    /// Index 0 is the embedding output, l + 1 the output of layer l. `[token, d_model]`.
    HiddenStates {
        /// The stack of layers.
        stack: Stack,
        /// From 0 to the number of layers.
        index: usize,
    },
    /// An array of a layer.
    Layer {
        /// The stack of layers.
        stack: Stack,
        /// The layer, from 0.
        layer: usize,
        /// Which array.
        array: LayerArray,
    },
}

impl ArrayKey {
    /// The stack of layers it belongs to.
    pub fn stack(&self) -> Stack {
        match *self {
            ArrayKey::HiddenStates { stack, .. } | ArrayKey::Layer { stack, .. } => stack,
        }
    }

    /// The layer it belongs to; hidden states lie between layers.
    pub fn layer(&self) -> Option<usize> {
        match *self {
            ArrayKey::HiddenStates { .. } => None,
            ArrayKey::Layer { layer, .. } => Some(layer),
        }
    }

    /// Which array of its layer it is.
    pub fn array(&self) -> Option<LayerArray> {
        match *self {
            ArrayKey::HiddenStates { .. } => None,
            ArrayKey::Layer { array, .. } => Some(array),
        }
    }
}

/// What an axis of an array counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    Head,
    Target,
    Source,
}

/// The arrays of one layer. Sources are the tokens of the stack itself; of the
/// cross-attention arrays and scopes they are those of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LayerArray {
    /// α, `[head, target, source]`.
    AttentionWeights,
    /// ‖f^h(x_j)‖, `[head, source]`.
    TransformedNorms,
    /// ‖α f^h(x_j)‖, `[head, target, source]`.
    WeightedNorms,
    /// α of cross-attention, `[head, target, source]`.
    CrossAttentionWeights,
    /// ‖f^h(x_j)‖ of cross-attention, `[head, source]`.
    CrossTransformedNorms,
    /// ‖α f^h(x_j)‖ of cross-attention, `[head, target, source]`.
    CrossWeightedNorms,
    /// ‖y_ij‖, `[target, source]`.
    Norms(Scope),
    /// ‖y_ii‖, `[target]`.
    PreservingNorms(Scope),
    /// ‖Σ_{j≠i} y_ij‖, `[target]`.
    MixingNorms(Scope),
    /// mixing / (mixing + preserving), `[target]`.
    MixingRatio(MixingMeasure),
    /// ‖b_i‖, `[target]`.
    BiasNorms(Scope),
    /// max over targets of the relative reconstruction error, `[1]`.
    ReconstructionError(Scope),
}

impl LayerArray {
    /// The key of this array in a layer of a model with one stack of layers.
    pub fn at(self, layer: usize) -> ArrayKey {
        self.of(Stack::Only, layer)
    }

    /// The key of this array in a layer of a stack.
    pub fn of(self, stack: Stack, layer: usize) -> ArrayKey {
        ArrayKey::Layer {
            stack,
            layer,
            array: self,
        }
    }

    /// Whether its sources are the tokens of an encoder.
    pub fn is_cross(self) -> bool {
        matches!(
            self,
            LayerArray::CrossAttentionWeights
                | LayerArray::CrossTransformedNorms
                | LayerArray::CrossWeightedNorms
        ) || self.scope().is_some_and(Scope::is_cross)
    }

    /// The scope it belongs to; what is measured on attention weights has none.
    pub fn scope(self) -> Option<Scope> {
        match self {
            LayerArray::Norms(scope)
            | LayerArray::PreservingNorms(scope)
            | LayerArray::MixingNorms(scope)
            | LayerArray::MixingRatio(MixingMeasure::Scope(scope))
            | LayerArray::BiasNorms(scope)
            | LayerArray::ReconstructionError(scope) => Some(scope),
            LayerArray::AttentionWeights
            | LayerArray::TransformedNorms
            | LayerArray::WeightedNorms
            | LayerArray::CrossAttentionWeights
            | LayerArray::CrossTransformedNorms
            | LayerArray::CrossWeightedNorms
            | LayerArray::MixingRatio(_) => None,
        }
    }

    /// The quantity that asks for it.
    pub fn quantity(self) -> Quantity {
        match self {
            LayerArray::AttentionWeights | LayerArray::CrossAttentionWeights => {
                Quantity::AttentionWeights
            }
            LayerArray::TransformedNorms | LayerArray::CrossTransformedNorms => {
                Quantity::TransformedNorms
            }
            LayerArray::WeightedNorms | LayerArray::CrossWeightedNorms => Quantity::WeightedNorms,
            LayerArray::Norms(_) => Quantity::Norms,
            LayerArray::PreservingNorms(_)
            | LayerArray::MixingNorms(_)
            | LayerArray::MixingRatio(_) => Quantity::MixingRatio,
            LayerArray::BiasNorms(_) => Quantity::BiasNorms,
            LayerArray::ReconstructionError(_) => Quantity::ReconstructionError,
        }
    }

    /// What its axes count; none is a single number.
    pub(crate) fn axes(self) -> &'static [Axis] {
        match self {
            LayerArray::AttentionWeights
            | LayerArray::WeightedNorms
            | LayerArray::CrossAttentionWeights
            | LayerArray::CrossWeightedNorms => &[Axis::Head, Axis::Target, Axis::Source],
            LayerArray::TransformedNorms | LayerArray::CrossTransformedNorms => {
                &[Axis::Head, Axis::Source]
            }
            LayerArray::Norms(_) => &[Axis::Target, Axis::Source],
            LayerArray::PreservingNorms(_)
            | LayerArray::MixingNorms(_)
            | LayerArray::MixingRatio(_)
            | LayerArray::BiasNorms(_) => &[Axis::Target],
            LayerArray::ReconstructionError(_) => &[],
        }
    }

    /// Its shape for so many target and source tokens and a model of `heads` heads.
    pub fn shape(self, heads: usize, targets: usize, sources: usize) -> Vec<usize> {
        let shape: Vec<usize> = self
            .axes()
            .iter()
            .map(|axis| match axis {
                Axis::Head => heads,
                Axis::Target => targets,
                Axis::Source => sources,
            })
            .collect();
        if shape.is_empty() { vec![1] } else { shape }
    }
}

impl fmt::Display for ArrayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stack().prefix())?;
        let (layer, array) = match self {
            ArrayKey::HiddenStates { index, .. } => return write!(f, "hidden_states.{index}"),
            ArrayKey::Layer { layer, array, .. } => (layer, array),
        };
        write!(f, "layers.{layer}.")?;
        match array {
            LayerArray::AttentionWeights => f.write_str("attention_weights"),
            LayerArray::TransformedNorms => f.write_str("transformed_norms"),
            LayerArray::WeightedNorms => f.write_str("weighted_norms"),
            LayerArray::CrossAttentionWeights => f.write_str("cross_attention_weights"),
            LayerArray::CrossTransformedNorms => f.write_str("cross_transformed_norms"),
            LayerArray::CrossWeightedNorms => f.write_str("cross_weighted_norms"),
            LayerArray::Norms(scope) => write!(f, "norms.{scope}"),
            LayerArray::PreservingNorms(scope) => write!(f, "preserving_norms.{scope}"),
            LayerArray::MixingNorms(scope) => write!(f, "mixing_norms.{scope}"),
            LayerArray::MixingRatio(measure) => write!(f, "mixing_ratio.{}", measure.slug()),
            LayerArray::BiasNorms(scope) => write!(f, "bias_norms.{scope}"),
            LayerArray::ReconstructionError(scope) => {
                write!(f, "reconstruction_error.{scope}")
            }
        }
    }
}
