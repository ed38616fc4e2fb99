use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, Array2, Array3, Dimension};

use crate::{
    AnalysisWriter, Array, ArrayKey, Error, Inputs, LayerArray, Layout, MixingMeasure, Place,
    Scope, Stack, Store, TokenizedInput,
};

/// The analysis of one input: named arrays of every layer that was kept.
///
/// The accessors return float64 copies as `ndarray` arrays, and `None` for
/// what was not asked for. They are those of a model with one stack of layers;
/// the arrays of a translation model are had by their keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// What was analysed; of a translation model what its encoder read.
    pub input: TokenizedInput,
    /// What the decoder of a translation model read.
    pub target: Option<TokenizedInput>,
    /// Model, weights, device and the like; what the file's metadata says.
    pub metadata: BTreeMap<String, String>,
    pub(crate) arrays: BTreeMap<ArrayKey, Array>,
}

impl Analysis {
    /// The tokens as text, special tokens included.
    pub fn tokens(&self) -> &[String] {
        &self.input.tokens
    }

    /// The lists of ids of an analysis file, by name.
    pub fn id_lists(&self) -> Vec<(&'static str, &[u32])> {
        self.inputs().id_lists()
    }

    /// What was analysed: a text, or a text and its translation.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs::new(&self.input, self.target.as_ref())
    }

    /// The layers that were kept, of each stack in order.
    pub fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = self.arrays.keys().filter_map(ArrayKey::place).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The layers that were kept, in order; of a translation model those that
    /// were kept of either stack.
    pub fn layers(&self) -> Vec<usize> {
        let mut layers: Vec<usize> = self.arrays.keys().filter_map(ArrayKey::layer).collect();
        layers.sort_unstable();
        layers.dedup();
        layers
    }

    /// The scopes of which something was kept, shortest first.
    pub fn scopes(&self) -> Vec<Scope> {
        let arrays = self.arrays.keys().filter_map(ArrayKey::array);
        let mut scopes: Vec<Scope> = arrays.filter_map(LayerArray::scope).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// An array by its key.
    pub fn array(&self, key: &ArrayKey) -> Option<&Array> {
        self.arrays.get(key)
    }

    /// All arrays, ordered by key.
    pub fn arrays(&self) -> impl Iterator<Item = (&ArrayKey, &Array)> {
        self.arrays.iter()
    }

    /// Writes the analysis as a file that any language reads.
    ///
    /// # Errors
    /// The file cannot be written, or `store` cannot hold a value.
    pub fn save(&self, path: impl AsRef<Path>, store: Store) -> Result<(), Error> {
        let shapes: Vec<(ArrayKey, Vec<usize>)> = self
            .arrays
            .iter()
            .map(|(key, array)| (*key, array.shape().to_vec()))
            .collect();
        let precision = self
            .arrays
            .values()
            .next()
            .map_or_else(Default::default, Array::precision);
        let layout = Layout::new(&self.metadata, &shapes, self.inputs(), precision, store);
        let mut writer = AnalysisWriter::create(path.as_ref(), &layout)?;
        for (key, array) in &self.arrays {
            writer.write(key, array)?;
        }
        writer.finish()
    }

    fn shaped<D: Dimension>(&self, key: ArrayKey) -> Option<ndarray::Array<f64, D>> {
        self.array(&key)?.to_f64().into_dimensionality().ok()
    }

    /// Hidden states, `[token, d_model]`: 0 is the embedding output, l + 1 the output of layer l.
    pub fn hidden_states(&self, index: usize) -> Option<Array2<f64>> {
        self.shaped(ArrayKey::HiddenStates {
            stack: Stack::Only,
            index,
        })
    }

    /// α, `[head, target, source]`.
    pub fn attention_weights(&self, layer: usize) -> Option<Array3<f64>> {
        self.shaped(LayerArray::AttentionWeights.at(layer))
    }

    /// ‖f^h(x_j)‖, `[head, source]`.
    pub fn transformed_norms(&self, layer: usize) -> Option<Array2<f64>> {
        self.shaped(LayerArray::TransformedNorms.at(layer))
    }

    /// ‖α f^h(x_j)‖, `[head, target, source]`.
    pub fn weighted_norms(&self, layer: usize) -> Option<Array3<f64>> {
        self.shaped(LayerArray::WeightedNorms.at(layer))
    }

    /// ‖y_ij‖, `[target, source]`.
    pub fn norms(&self, layer: usize, scope: Scope) -> Option<Array2<f64>> {
        self.shaped(LayerArray::Norms(scope).at(layer))
    }

    /// ‖y_ii‖, `[target]`.
    pub fn preserving_norms(&self, layer: usize, scope: Scope) -> Option<Array1<f64>> {
        self.shaped(LayerArray::PreservingNorms(scope).at(layer))
    }

    /// ‖Σ_{j≠i} y_ij‖, `[target]`.
    pub fn mixing_norms(&self, layer: usize, scope: Scope) -> Option<Array1<f64>> {
        self.shaped(LayerArray::MixingNorms(scope).at(layer))
    }

    /// mixing / (mixing + preserving), `[target]`, in [0, 1].
    pub fn mixing_ratio(
        &self,
        layer: usize,
        measure: impl Into<MixingMeasure>,
    ) -> Option<Array1<f64>> {
        self.shaped(LayerArray::MixingRatio(measure.into()).at(layer))
    }

    /// ‖b_i‖, `[target]`.
    pub fn bias_norms(&self, layer: usize, scope: Scope) -> Option<Array1<f64>> {
        self.shaped(LayerArray::BiasNorms(scope).at(layer))
    }

    /// max over targets of ‖Σ_j y_ij + b_i − y_i‖ / ‖y_i‖.
    pub fn reconstruction_error(&self, layer: usize, scope: Scope) -> Option<f64> {
        self.array(&LayerArray::ReconstructionError(scope).at(layer))?
            .iter()
            .next()
    }
}
