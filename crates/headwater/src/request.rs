use std::fmt;
use std::str::FromStr;

use crate::checkpoint::wiring::LayerSpec;
use crate::decomposition::{BiasTreatment, Segment};
use crate::key::{LayerArray, MixingMeasure};
use crate::{Error, Scope};

/// A quantity of an analysis; what is not asked for costs neither time nor memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Quantity {
    /// α.
    AttentionWeights,
    /// ‖f^h(x_j)‖.
    TransformedNorms,
    /// ‖α f^h(x_j)‖.
    WeightedNorms,
    /// ‖y_ij‖ at each scope.
    Norms,
    /// Mixing ratios at each scope and on the attention weights, with the two norms they are made of.
    MixingRatio,
    /// ‖b_i‖ at each scope.
    BiasNorms,
    /// How well parts and bias sum to the representation, at each scope.
    ReconstructionError,
}

impl Quantity {
    /// Every quantity.
    pub const ALL: [Quantity; 7] = [
        Quantity::AttentionWeights,
        Quantity::TransformedNorms,
        Quantity::WeightedNorms,
        Quantity::Norms,
        Quantity::MixingRatio,
        Quantity::BiasNorms,
        Quantity::ReconstructionError,
    ];

    /// The name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::AttentionWeights => "attention_weights",
            Quantity::TransformedNorms => "transformed_norms",
            Quantity::WeightedNorms => "weighted_norms",
            Quantity::Norms => "norms",
            Quantity::MixingRatio => "mixing_ratio",
            Quantity::BiasNorms => "bias_norms",
            Quantity::ReconstructionError => "reconstruction_error",
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Quantity {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Quantity::ALL
            .into_iter()
            .find(|quantity| quantity.name() == name)
            .ok_or_else(|| Error::UnknownQuantity {
                name: name.to_owned(),
                known: Quantity::ALL.map(Quantity::name).join(", "),
            })
    }
}

/// A set of quantities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantitySet(Vec<Quantity>);

impl QuantitySet {
    /// Every quantity.
    pub fn all() -> Self {
        Self(Quantity::ALL.to_vec())
    }

    /// Whether the set has the quantity.
    pub fn contains(&self, quantity: Quantity) -> bool {
        self.0.contains(&quantity)
    }
}

impl FromIterator<Quantity> for QuantitySet {
    fn from_iter<I: IntoIterator<Item = Quantity>>(quantities: I) -> Self {
        let mut quantities: Vec<_> = quantities.into_iter().collect();
        quantities.sort_unstable();
        quantities.dedup();
        Self(quantities)
    }
}

/// What an analysis is to contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The scopes to decompose; `None` is all that the model's layers have.
    pub scopes: Option<Vec<Scope>>,
    /// The layers to keep, from 0; `None` is all of them.
    pub layers: Option<Vec<usize>>,
    /// The quantities to compute; default all.
    pub quantities: QuantitySet,
    /// Whether to keep the hidden states entering and leaving the layers kept.
    pub hidden_states: bool,
    /// What the bias is in the feed-forward block's attribution.
    pub bias_treatment: BiasTreatment,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            scopes: None,
            layers: None,
            quantities: QuantitySet::all(),
            hidden_states: false,
            bias_treatment: BiasTreatment::default(),
        }
    }
}

impl Request {
    /// The layers kept of a model with `n_layers`, in order, each once.
    ///
    /// # Errors
    /// A layer that the model does not have.
    pub fn layers_of(&self, n_layers: usize) -> Result<Vec<usize>, Error> {
        let Some(layers) = &self.layers else {
            return Ok((0..n_layers).collect());
        };
        if let Some(&layer) = layers.iter().find(|&&layer| layer >= n_layers) {
            return Err(crate::transformer::Error::NoSuchLayer { layer, n_layers }.into());
        }
        let mut layers = layers.clone();
        layers.sort_unstable();
        layers.dedup();
        Ok(layers)
    }

    /// Checks the scopes asked for against the layers of a model's stacks.
    ///
    /// # Errors
    /// A scope that none of them has.
    pub(crate) fn check_scopes(&self, layers: &[LayerSpec]) -> Result<(), Error> {
        let mut known: Vec<Scope> = Vec::new();
        for layer in layers {
            for scope in Segment::of(layer).iter().flat_map(|s| s.scopes(layer)) {
                if !known.contains(&scope) {
                    known.push(scope);
                }
            }
        }
        let unknown = self.scopes.iter().flatten().find(|s| !known.contains(s));
        match unknown {
            None => Ok(()),
            Some(&scope) => {
                let known: Vec<&str> = known.iter().map(|scope| scope.slug()).collect();
                Err(crate::decomposition::Error::ScopeNotInArrangement {
                    scope,
                    known: known.join(", "),
                }
                .into())
            }
        }
    }

    /// The arrays of a segment of every layer that is kept, in the order of a file.
    pub(crate) fn segment_arrays(&self, segment: Segment, layer: &LayerSpec) -> Vec<LayerArray> {
        let asked = |scope: &Scope| match &self.scopes {
            None => true,
            Some(scopes) => scopes.contains(scope),
        };
        let scopes: Vec<Scope> = segment.scopes(layer).into_iter().filter(asked).collect();
        let at_scopes = |array: fn(Scope) -> LayerArray| scopes.iter().copied().map(array);
        let is_cross = segment == Segment::CrossAttention;
        let mut arrays = match is_cross {
            true => vec![
                LayerArray::CrossAttentionWeights,
                LayerArray::CrossTransformedNorms,
                LayerArray::CrossWeightedNorms,
            ],
            false => vec![
                LayerArray::AttentionWeights,
                LayerArray::TransformedNorms,
                LayerArray::WeightedNorms,
            ],
        };
        arrays.extend(at_scopes(LayerArray::Norms));
        arrays.extend(at_scopes(LayerArray::PreservingNorms));
        arrays.extend(at_scopes(LayerArray::MixingNorms));
        if !is_cross {
            // No weight of cross-attention says what a target keeps of itself.
            arrays.push(LayerArray::MixingRatio(MixingMeasure::AttentionWeights));
            arrays.push(LayerArray::MixingRatio(
                MixingMeasure::AttentionWeightsResidual,
            ));
        }
        arrays.extend(at_scopes(|scope| LayerArray::MixingRatio(scope.into())));
        arrays.extend(at_scopes(LayerArray::BiasNorms));
        arrays.extend(at_scopes(LayerArray::ReconstructionError));
        arrays.retain(|array| self.quantities.contains(array.quantity()));
        arrays
    }
}
