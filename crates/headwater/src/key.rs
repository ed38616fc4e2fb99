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

/// The name of an array of an analysis; displayed as its key in an analysis file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ArrayKey {
    /// Index 0 is the embedding output, l + 1 the output of layer l. `[token, d_model]`.
    HiddenStates(usize),
    /// An array of a layer.
    Layer {
        /// The layer, from 0.
        layer: usize,
        /// Which array.
        array: LayerArray,
    },
}

/// The arrays of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LayerArray {
    /// α, `[head, target, source]`.
    AttentionWeights,
    /// ‖f^h(x_j)‖, `[head, source]`.
    TransformedNorms,
    /// ‖α f^h(x_j)‖, `[head, target, source]`.
    WeightedNorms,
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
    /// The key of this array in a layer.
    pub fn at(self, layer: usize) -> ArrayKey {
        ArrayKey::Layer { layer, array: self }
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
            | LayerArray::MixingRatio(_) => None,
        }
    }

    /// The quantity that asks for it.
    pub fn quantity(self) -> Quantity {
        match self {
            LayerArray::AttentionWeights => Quantity::AttentionWeights,
            LayerArray::TransformedNorms => Quantity::TransformedNorms,
            LayerArray::WeightedNorms => Quantity::WeightedNorms,
            LayerArray::Norms(_) => Quantity::Norms,
            LayerArray::PreservingNorms(_)
            | LayerArray::MixingNorms(_)
            | LayerArray::MixingRatio(_) => Quantity::MixingRatio,
            LayerArray::BiasNorms(_) => Quantity::BiasNorms,
            LayerArray::ReconstructionError(_) => Quantity::ReconstructionError,
        }
    }

    /// Its shape for a sequence of `tokens` and a model of `heads` heads.
    pub fn shape(self, heads: usize, tokens: usize) -> Vec<usize> {
        match self {
            LayerArray::AttentionWeights | LayerArray::WeightedNorms => {
                vec![heads, tokens, tokens]
            }
            LayerArray::TransformedNorms => vec![heads, tokens],
            LayerArray::Norms(_) => vec![tokens, tokens],
            LayerArray::PreservingNorms(_)
            | LayerArray::MixingNorms(_)
            | LayerArray::MixingRatio(_)
            | LayerArray::BiasNorms(_) => vec![tokens],
            LayerArray::ReconstructionError(_) => vec![1],
        }
    }
}

impl fmt::Display for ArrayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (layer, array) = match self {
            ArrayKey::HiddenStates(index) => return write!(f, "hidden_states.{index}"),
            ArrayKey::Layer { layer, array } => (layer, array),
        };
        write!(f, "layers.{layer}.")?;
        match array {
            LayerArray::AttentionWeights => f.write_str("attention_weights"),
            LayerArray::TransformedNorms => f.write_str("transformed_norms"),
            LayerArray::WeightedNorms => f.write_str("weighted_norms"),
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
