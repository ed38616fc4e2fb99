use crate::checkpoint::wiring::LayerSpec;
use crate::decomposition::{BiasTreatment, Segment};
use crate::{Error, LayerArray, Quantity, QuantitySet, Scope};

/// What an analysis is to contain.
///
/// ```
/// use headwater::{Quantity, Request, Scope};
///
/// let request = Request::new()
///     .scopes([Scope::Atb])
///     .layers([0, 11])
///     .quantities([Quantity::Norms, Quantity::MixingRatio]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
    /// Every quantity at every scope of every layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these scopes.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.scopes = Some(scopes.into_iter().collect());
        self
    }

    /// Only these layers, counted from 0.
    pub fn layers(mut self, layers: impl IntoIterator<Item = usize>) -> Self {
        self.layers = Some(layers.into_iter().collect());
        self
    }

    /// Only these quantities.
    pub fn quantities(mut self, quantities: impl IntoIterator<Item = Quantity>) -> Self {
        self.quantities = quantities.into_iter().collect();
        self
    }

    /// Whether the hidden states entering and leaving the layers are kept.
    pub fn hidden_states(mut self, kept: bool) -> Self {
        self.hidden_states = kept;
        self
    }

    /// What the bias is in the feed-forward block's attribution.
    pub fn bias_treatment(mut self, treatment: BiasTreatment) -> Self {
        self.bias_treatment = treatment;
        self
    }

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
        // What belongs to no scope belongs to the segment by its sources: of
        // cross-attention no weight says what a target keeps of itself.
        let is_cross = segment == Segment::CrossAttention;
        let mut arrays = LayerArray::all(&scopes);
        arrays.retain(|array| array.scope().is_some() || array.is_cross() == is_cross);
        arrays.retain(|array| self.quantities.contains(array.quantity()));
        arrays
    }
}
