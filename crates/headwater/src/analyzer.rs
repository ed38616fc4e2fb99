use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use ndarray::Array2;

use crate::analysis::Inputs;
use crate::checkpoint::{Checkpoint, HubOptions, ModelSource};
use crate::input::{LazyTokenizer, sequence};
use crate::layer_arrays::{Sink, Split};
use crate::plan::Plan;
use crate::progress::{Listener, Progress};
use crate::recording::Recording;
use crate::transformer::{Captures, DeviceName, Model, Precision};
use crate::{Analysis, Error, Input, Request, Stack, Store, TokenizedInput};

/// How a model is loaded.
#[derive(Debug, Clone)]
#[non_exhaustive]
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

impl LoadOptions {
    /// The first device compiled in, in float32.
    pub fn new() -> Self {
        Self::default()
    }

    /// Computes on a device.
    pub fn device(mut self, device: DeviceName) -> Self {
        self.device = device;
        self
    }

    /// Computes in a precision.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// How models are looked up that are not directories.
    pub fn hub(mut self, hub: HubOptions) -> Self {
        self.hub = hub;
        self
    }
}

/// A model ready to be taken apart: text in, analysis out.
pub struct Analyzer {
    checkpoint: Checkpoint,
    model: Model,
    tokenizer: LazyTokenizer,
    listener: Listener,
}

impl Analyzer {
    /// Loads a model from a directory in the Hugging Face layout, or by hub id
    /// with the feature `hub`, on the default device in float32.
    ///
    /// # Errors
    /// Whatever is wrong with the model's files, in one line.
    pub fn from_pretrained(model: impl Into<ModelSource>) -> Result<Self, Error> {
        Self::load(model, &LoadOptions::default())
    }

    /// Loads a model with options.
    ///
    /// # Errors
    /// As [`Analyzer::from_pretrained`], and a precision the device lacks.
    pub fn load(model: impl Into<ModelSource>, options: &LoadOptions) -> Result<Self, Error> {
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
            listener: Listener::default(),
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

    /// Calls `callback` after every layer of every analysis, on the thread that
    /// analyses; where it breaks, the analysis ends with [`Error::Cancelled`] and
    /// leaves no file.
    pub fn on_layer(
        mut self,
        callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        self.listener = Listener::new(callback);
        self
    }

    /// SHA-256 of the weights; read once.
    ///
    /// # Errors
    /// The weights cannot be read any more.
    pub fn weights_sha256(&self) -> Result<&str, Error> {
        Ok(self.checkpoint.weights_sha256()?)
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
        let inputs_given: Vec<Inputs<'_>> = inputs.iter().map(Inputs::from).collect();
        self.recording(request, &[self.plan(request)?])
            .collect(&inputs_given, |sink| {
                self.analyze_each(inputs, request, sink)
            })
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
        let inputs_given: Vec<Inputs<'_>> = inputs.iter().map(Inputs::from).collect();
        self.recording(request, &[self.plan(request)?])
            .write(&inputs_given, store, paths, |sink| {
                self.analyze_each(inputs, request, sink)
            })
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
        self.recording(request, &[self.plan(request)?])
            .is_written(input.into(), store, path)
    }

    fn recording<'a>(&'a self, request: &'a Request, plans: &'a [Plan<'a>]) -> Recording<'a> {
        Recording {
            checkpoint: &self.checkpoint,
            model: &self.model,
            request,
            plans,
        }
    }

    fn plan(&self, request: &Request) -> Result<Plan<'_>, Error> {
        let architecture = self.checkpoint.architecture();
        request.check_scopes(&[architecture.layer(0)])?;
        let layers = request.layers_of(architecture.n_layers)?;
        Ok(Plan::new(request, Stack::Only, architecture, layers))
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
        self.recording(request, &[]).metadata(input.into())
    }

    /// The logit of every word at every position of an input: in a causal model of
    /// the word to come next.
    ///
    /// # Shapes
    /// `[token, vocab]`.
    ///
    /// # Errors
    /// A model that is read without its head.
    pub fn logits(&self, input: &TokenizedInput) -> Result<Array2<f64>, Error> {
        let head = self.model.head().ok_or_else(|| Error::NoHead {
            model_type: self.checkpoint.architecture().model_type.clone(),
        })?;
        let batch = self.model.batch(&[sequence(input)])?;
        let output = self.model.forward(&batch, &Captures::none());
        let logits = head.logits(output.last_hidden_state);
        let [_, tokens, vocab] = logits.dims();
        let values: Vec<f64> = logits.into_data().iter::<f64>().collect();
        let logits = Array2::from_shape_vec((tokens, vocab), values);
        Ok(logits.expect("a row of the vocabulary for each token"))
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
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        if inputs.is_empty() {
            return Ok(());
        }
        let plan = self.plan(request)?;
        let sequences: Vec<_> = inputs.iter().map(sequence).collect();
        let batch = self.model.batch(&sequences)?;
        let mut split = Split::new(batch.lengths(), &[], sink);
        let mut run = self.model.run(&batch, plan.captures()?);
        plan.follow(&mut run, self.model.layers(), &mut split, &self.listener)
    }
}
