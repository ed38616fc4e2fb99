use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;

use crate::checkpoint::{Checkpoint, HubOptions};
use crate::decomposition::{
    BiasTreatment, DecompositionOptions, LayerDecomposition, ScopeDecomposition,
};
use crate::file::{self, AnalysisWriter, Store};
use crate::input::LazyTokenizer;
use crate::key::{ArrayKey, LayerArray, MixingMeasure};
use crate::metrics;
use crate::request::hidden_state_indices;
use crate::transformer::{Captures, DeviceName, Model, Precision};
use crate::{Analysis, Array, Error, Input, Request, Scope, TokenizedInput};

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The device to compute on; default the first one compiled in, which is `flex`.
    pub device: DeviceName,
    /// The element type; default float32.
    pub precision: Precision,
    /// How models are looked up that are not directories.
    pub hub: HubOptions,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: DeviceName::ENABLED[0],
            precision: Precision::F32,
            hub: HubOptions::default(),
        }
    }
}

/// A model ready to be taken apart: text in, analysis out.
pub struct Analyzer {
    checkpoint: Checkpoint,
    model: Model,
    tokenizer: LazyTokenizer,
    weights_sha256: OnceLock<String>,
    layers_run: Arc<AtomicU64>,
}

impl Analyzer {
    /// Loads a model from a directory in the Hugging Face layout, or by hub id
    /// with the feature `hub`, on the default device in float32.
    ///
    /// # Errors
    /// Whatever is wrong with the model's files, in one line.
    pub fn from_pretrained(model: &str) -> Result<Self, Error> {
        Self::load(model, &LoadOptions::default())
    }

    /// Loads a model with options.
    ///
    /// # Errors
    /// As [`Analyzer::from_pretrained`], and a precision the device lacks.
    pub fn load(model: &str, options: &LoadOptions) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(model, &options.hub)?;
        Self::from_checkpoint(checkpoint, options.device, options.precision)
    }

    /// Loads a model from a checkpoint that is open already.
    ///
    /// # Errors
    /// As [`Analyzer::load`].
    pub fn from_checkpoint(
        checkpoint: Checkpoint,
        device: DeviceName,
        precision: Precision,
    ) -> Result<Self, Error> {
        let model = Model::load(&checkpoint, device, precision)?;
        Ok(Self {
            checkpoint,
            model,
            tokenizer: LazyTokenizer::new(),
            weights_sha256: OnceLock::new(),
            layers_run: Arc::default(),
        })
    }

    /// The files the model came from.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The model itself.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How many layers have been run so far, all calls together; for another
    /// thread that shows how far an analysis has come.
    pub fn layers_run(&self) -> Arc<AtomicU64> {
        self.layers_run.clone()
    }

    /// SHA-256 of the weights; read once.
    ///
    /// # Errors
    /// The weights cannot be read any more.
    pub fn weights_sha256(&self) -> Result<&str, Error> {
        if let Some(known) = self.weights_sha256.get() {
            return Ok(known);
        }
        let computed = self.checkpoint.weights_sha256()?;
        Ok(self.weights_sha256.get_or_init(|| computed))
    }

    /// Tokenizes an input and checks it against the model. Nothing is padded
    /// or truncated.
    ///
    /// # Errors
    /// No tokenizer, an empty text, more tokens than positions, an id or a
    /// token outside the vocabulary.
    pub fn encode(&self, input: &Input) -> Result<TokenizedInput, Error> {
        self.tokenizer.encode(&self.checkpoint, input)
    }

    /// Analyses one input: every quantity at every scope of every layer.
    ///
    /// # Errors
    /// As [`Analyzer::encode`].
    pub fn analyze(&self, input: impl Into<Input>) -> Result<Analysis, Error> {
        let input = self.encode(&input.into())?;
        let mut analyses = self.analyze_tokenized(&[input], &Request::default())?;
        // One input, one analysis.
        Ok(analyses.remove(0))
    }

    /// Analyses inputs together as one padded batch; each result is that of
    /// the input alone.
    ///
    /// # Errors
    /// A layer that the model does not have.
    pub fn analyze_tokenized(
        &self,
        inputs: &[TokenizedInput],
        request: &Request,
    ) -> Result<Vec<Analysis>, Error> {
        let mut analyses = inputs
            .iter()
            .map(|input| Ok(Analysis::new(input.clone(), self.metadata(input, request)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        self.analyze_each(inputs, request, &mut |index, key, array| {
            analyses[index].insert(key, array);
            Ok(())
        })?;
        Ok(analyses)
    }

    /// Analyses inputs together and writes each to its file, layer by layer,
    /// so that no analysis is ever held in memory. A file appears under its
    /// name only when it is complete.
    ///
    /// # Errors
    /// Unlike numbers of inputs and paths, a file that cannot be written, a
    /// value that the storage type cannot hold.
    pub fn write_analysis(
        &self,
        inputs: &[TokenizedInput],
        request: &Request,
        store: Store,
        paths: &[PathBuf],
    ) -> Result<(), Error> {
        if inputs.len() != paths.len() {
            return Err(Error::PathCount {
                inputs: inputs.len(),
                paths: paths.len(),
            });
        }
        let mut writers = inputs
            .iter()
            .zip(paths)
            .map(|(input, path)| {
                AnalysisWriter::create(path, &self.layout(input, request, store)?, input)
            })
            .collect::<Result<Vec<_>, Error>>()?;
        self.analyze_each(inputs, request, &mut |index, key, array| {
            writers[index].write(&key, &array)
        })?;
        writers.into_iter().try_for_each(AnalysisWriter::finish)
    }

    /// Whether `path` already holds exactly the analysis that
    /// [`Analyzer::write_analysis`] would write: same input, model, settings and arrays, whole.
    pub fn is_written(
        &self,
        input: &TokenizedInput,
        request: &Request,
        store: Store,
        path: &std::path::Path,
    ) -> Result<bool, Error> {
        Ok(file::matches(
            path,
            &self.layout(input, request, store)?,
            input,
        ))
    }

    fn layout(
        &self,
        input: &TokenizedInput,
        request: &Request,
        store: Store,
    ) -> Result<file::Layout, Error> {
        Ok(file::Layout::new(
            self.metadata(input, request)?,
            &request.arrays(self.checkpoint.architecture(), input.len())?,
            input.len(),
            self.model.precision(),
            store,
        ))
    }

    /// The metadata of an analysis file. The bias treatment is named only where
    /// it is not the default.
    ///
    /// # Errors
    /// The weights cannot be read any more.
    pub fn metadata(
        &self,
        input: &TokenizedInput,
        request: &Request,
    ) -> Result<BTreeMap<String, String>, Error> {
        let entries = [
            ("format", file::FORMAT.to_owned()),
            ("headwater_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("model", self.checkpoint.name().to_owned()),
            ("weights_sha256", self.weights_sha256()?.to_owned()),
            (
                "architecture",
                self.checkpoint.architecture().model_type.clone(),
            ),
            (
                "tokens",
                serde_json::Value::from(input.tokens.clone()).to_string(),
            ),
            ("device", self.model.device_name().to_string()),
            ("dtype", self.model.precision().to_string()),
        ];
        let treatment = request.bias_treatment;
        let treatment = (treatment != BiasTreatment::default())
            .then(|| ("bias_treatment", treatment.to_string()));
        Ok(entries
            .into_iter()
            .chain(treatment)
            .map(|(key, value)| (key.to_owned(), value))
            .collect())
    }

    /// Analyses inputs together as one padded batch and hands over each array
    /// as soon as it is there, layer by layer: `sink(input, key, array)`.
    ///
    /// # Errors
    /// A layer or a scope that the model does not have, and whatever `sink` returns.
    pub fn analyze_each(
        &self,
        inputs: &[TokenizedInput],
        request: &Request,
        sink: &mut dyn FnMut(usize, ArrayKey, Array) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if inputs.is_empty() {
            return Ok(());
        }
        let layers = request.layers_of(self.model.architecture().n_layers)?;
        let arrangement = self.model.architecture().arrangement;
        let arrays = request.layer_arrays(arrangement)?;
        // What is measured on attention alone needs no scope, and so none of
        // the captures and slopes that a scope brings along.
        let mut scopes: Vec<Scope> = arrays.iter().filter_map(|array| array.scope()).collect();
        scopes.sort_unstable();
        scopes.dedup();
        let options = DecompositionOptions {
            bias_treatment: request.bias_treatment,
            ..DecompositionOptions::default()
        };
        let sequences: Vec<_> = inputs.iter().map(TokenizedInput::sequence).collect();
        let batch = self.model.batch(&sequences)?;
        let mut split = Split {
            lengths: batch.lengths().to_vec(),
            sink,
        };

        let hidden_states = match request.hidden_states {
            true => hidden_state_indices(&layers),
            false => Vec::new(),
        };
        let last = layers.last().map_or(0, |&layer| layer + 1);
        let captures = if arrays.is_empty() {
            Captures::none()
        } else {
            LayerDecomposition::captures(arrangement, &scopes)?.at_layers(&layers)
        };
        let mut run = self.model.run(&batch, captures);
        for index in 0..=last {
            if hidden_states.contains(&index) {
                let hidden = read(run.hidden_states());
                split.send(ArrayKey::HiddenStates(index), &hidden, &[0])?;
            }
            if index == last {
                break;
            }
            let Some(capture) = run.next() else { break };
            if layers.contains(&index) && !arrays.is_empty() {
                let layer = &self.model.layers()[index];
                let decomposition =
                    LayerDecomposition::with_options(layer, &capture, &scopes, options)?;
                send_layer(&decomposition, &arrays, index, &mut split)?;
            }
            self.layers_run.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Hands the members of a batch to a sink one by one, without their padding.
struct Split<'a> {
    lengths: Vec<usize>,
    sink: &'a mut dyn FnMut(usize, ArrayKey, Array) -> Result<(), Error>,
}

impl Split<'_> {
    /// `token_axes` of `array` are counted without the batch axis.
    fn send(&mut self, key: ArrayKey, array: &Array, token_axes: &[usize]) -> Result<(), Error> {
        for (index, &tokens) in self.lengths.iter().enumerate() {
            (self.sink)(index, key, array.member(index, token_axes, tokens))?;
        }
        Ok(())
    }
}

/// Brings a tensor to the host.
fn read<const D: usize>(tensor: Tensor<D>) -> Array {
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

/// Reads the arrays asked for off a decomposed layer.
fn send_layer(
    decomposition: &LayerDecomposition,
    arrays: &[LayerArray],
    layer: usize,
    split: &mut Split<'_>,
) -> Result<(), Error> {
    if arrays.contains(&LayerArray::AttentionWeights) {
        let weights = read(decomposition.attention_weights());
        split.send(LayerArray::AttentionWeights.at(layer), &weights, &[1, 2])?;
    }
    if arrays.contains(&LayerArray::TransformedNorms) {
        let norms = read(decomposition.transformed_norms());
        split.send(LayerArray::TransformedNorms.at(layer), &norms, &[1])?;
    }
    if arrays.contains(&LayerArray::WeightedNorms) {
        let norms = read(decomposition.weighted_norms());
        split.send(LayerArray::WeightedNorms.at(layer), &norms, &[1, 2])?;
    }
    let by_weights = LayerArray::MixingRatio(MixingMeasure::AttentionWeights);
    if arrays.contains(&by_weights) {
        let ratio = read(decomposition.mixing_weights());
        split.send(by_weights.at(layer), &ratio, &[0])?;
        let with_residual = LayerArray::MixingRatio(MixingMeasure::AttentionWeightsResidual);
        let halved = ratio.map(|ratio| ratio / 2.0);
        split.send(with_residual.at(layer), &halved, &[0])?;
    }
    for scope in decomposition.scopes() {
        send_scope(scope, arrays, layer, split)?;
    }
    Ok(())
}

fn send_scope(
    decomposition: &ScopeDecomposition,
    arrays: &[LayerArray],
    layer: usize,
    split: &mut Split<'_>,
) -> Result<(), Error> {
    let scope = decomposition.scope();
    if arrays.contains(&LayerArray::Norms(scope)) {
        let norms = read(decomposition.norms());
        split.send(LayerArray::Norms(scope).at(layer), &norms, &[0, 1])?;
    }
    if arrays.contains(&LayerArray::PreservingNorms(scope)) {
        let preserving = read(decomposition.preserving_norms());
        let mixing = read(decomposition.mixing_norms());
        let ratio = preserving.zip_map(&mixing, metrics::mixing_ratio);
        split.send(
            LayerArray::PreservingNorms(scope).at(layer),
            &preserving,
            &[0],
        )?;
        split.send(LayerArray::MixingNorms(scope).at(layer), &mixing, &[0])?;
        split.send(
            LayerArray::MixingRatio(scope.into()).at(layer),
            &ratio,
            &[0],
        )?;
    }
    if arrays.contains(&LayerArray::BiasNorms(scope)) {
        let norms = read(decomposition.bias_norms());
        split.send(LayerArray::BiasNorms(scope).at(layer), &norms, &[0])?;
    }
    let error = LayerArray::ReconstructionError(scope);
    if arrays.contains(&error) {
        let errors = read(decomposition.reconstruction_errors());
        for (index, &tokens) in split.lengths.iter().enumerate() {
            let of_targets = errors.member(index, &[0], tokens);
            (split.sink)(index, error.at(layer), of_targets.max())?;
        }
    }
    Ok(())
}
