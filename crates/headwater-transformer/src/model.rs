use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use headwater_checkpoint::{Architecture, Checkpoint};

use crate::capture::{Captures, LayerCapture};
use crate::reader::ParameterReader;
use crate::{
    DeviceName, Embeddings, EncoderOutput, Error, Head, Layer, Norm, Precision, Sources,
    TokenBatch, TokenSequence,
};

/// A Transformer, encoder or decoder, whose sublayers are in the open.
#[derive(Debug, Clone)]
pub struct Model {
    architecture: Architecture,
    embeddings: Embeddings,
    layers: Vec<Arc<Layer>>,
    final_norm: Option<Norm>,
    head: Option<Head>,
    device_name: DeviceName,
    device: Device,
    precision: Precision,
}

/// What [`Model::forward`] returns.
#[derive(Debug, Clone)]
pub struct ModelOutput {
    /// The last layer's output, behind the final norm where the model
    /// has one, `[batch, token, d_model]`.
    pub last_hidden_state: Tensor<3>,
    /// One capture for each layer of which something was asked.
    pub layers: Vec<LayerCapture>,
}

impl Model {
    /// Reads a checkpoint's parameters onto a device.
    ///
    /// One copy of the weights is made, tensor by tensor. On the CPU in float32
    /// it is the file itself, wherever the file's elements are that already.
    ///
    /// # Errors
    /// Whatever [`Checkpoint::read`] refuses, a precision the device lacks, and a
    /// translation model, which [`EncoderDecoder`](crate::EncoderDecoder) loads.
    pub fn load(
        checkpoint: &Checkpoint,
        device_name: DeviceName,
        precision: Precision,
    ) -> Result<Self, Error> {
        device_name.require(precision)?;
        let device = device_name.device();
        let reader = ParameterReader {
            checkpoint,
            stack: "",
            device_name,
            device: &device,
            precision,
        };
        if checkpoint.decoder().is_some() {
            return Err(Error::EncoderDecoder {
                model_type: checkpoint.architecture().model_type.clone(),
            });
        }
        let words = reader.tensor("embeddings.word.weight")?;
        Self::stack(&reader, checkpoint.architecture(), words)
    }

    /// Reads one stack of layers; `words` are its word embeddings.
    pub(crate) fn stack(
        reader: &ParameterReader<'_>,
        architecture: &Architecture,
        words: Tensor<2>,
    ) -> Result<Self, Error> {
        let architecture = architecture.clone();
        // The head of a translation model is apart from its stacks.
        let head = match &architecture.wiring.head {
            Some(spec) if reader.stack.is_empty() => Head::load(reader, spec, &words)?,
            _ => None,
        };
        let embeddings = Embeddings::load(reader, &architecture, words)?;
        let layers = (0..architecture.n_layers)
            .map(|index| Layer::load(reader, index, architecture.layer(index)).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let final_norm = reader.optional_norm("final_norm", architecture.final_norm())?;
        Ok(Self {
            architecture,
            embeddings,
            layers,
            final_norm,
            head,
            device_name: reader.device_name,
            device: reader.device.clone(),
            precision: reader.precision,
        })
    }

    /// The model's shape and constants.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The layers, input side first.
    pub fn layers(&self) -> &[Arc<Layer>] {
        &self.layers
    }

    /// What makes logits of the last hidden states, where the model has it.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The device the parameters are on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The device's name.
    pub fn device_name(&self) -> DeviceName {
        self.device_name
    }

    /// The element type of the parameters.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Validates and pads sequences for this model.
    ///
    /// # Errors
    /// As [`TokenBatch::new`].
    pub fn batch(&self, sequences: &[TokenSequence]) -> Result<TokenBatch, Error> {
        TokenBatch::new(sequences, &self.architecture, &self.device, self.precision)
    }

    /// Starts a run that yields one layer at a time, so that a caller can use
    /// and drop each capture before the next layer is computed.
    pub fn run<'a>(&'a self, batch: &'a TokenBatch, captures: Captures) -> LayerRun<'a> {
        self.run_behind(batch, None, captures)
    }

    /// A run whose layers may look at an encoder's outputs.
    pub(crate) fn run_behind<'a>(
        &'a self,
        batch: &'a TokenBatch,
        encoder: Option<&'a EncoderOutput>,
        captures: Captures,
    ) -> LayerRun<'a> {
        LayerRun {
            hidden: self.embeddings.forward(batch),
            model: self,
            batch,
            encoder,
            captures,
            next: 0,
        }
    }

    /// The whole forward pass.
    pub fn forward(&self, batch: &TokenBatch, captures: &Captures) -> ModelOutput {
        let mut run = self.run(batch, captures.clone());
        let layers = run
            .by_ref()
            .filter(|capture| captures.includes_layer(capture.layer()))
            .collect();
        ModelOutput {
            last_hidden_state: run.last_hidden_state(),
            layers,
        }
    }
}

/// A forward pass in progress: an iterator over layers.
pub struct LayerRun<'a> {
    model: &'a Model,
    batch: &'a TokenBatch,
    encoder: Option<&'a EncoderOutput>,
    captures: Captures,
    hidden: Tensor<3>,
    next: usize,
}

impl<'a> LayerRun<'a> {
    /// The model that is run.
    pub fn model(&self) -> &'a Model {
        self.model
    }

    /// The hidden states reached so far: the embedding output before the
    /// first layer, then the output of the layer last yielded.
    ///
    /// # Shapes
    /// `[batch, token, d_model]`.
    pub fn hidden_states(&self) -> Tensor<3> {
        self.hidden.clone()
    }

    /// Runs the layers that are left and returns the last one's output, behind
    /// the final norm where the model has one.
    ///
    /// # Shapes
    /// `[batch, token, d_model]`.
    pub fn last_hidden_state(mut self) -> Tensor<3> {
        self.by_ref().for_each(drop);
        match &self.model.final_norm {
            Some(norm) => norm.forward(self.hidden).0,
            None => self.hidden,
        }
    }
}

impl Iterator for LayerRun<'_> {
    type Item = LayerCapture;

    fn next(&mut self) -> Option<LayerCapture> {
        let layer = self.model.layers.get(self.next)?;
        let mut capture = LayerCapture::new(self.next);
        self.hidden = layer.forward(
            self.hidden.clone(),
            Sources {
                tables: Some(&self.batch.tables),
                encoder: self.encoder,
            },
            &self.captures,
            &mut capture,
        );
        self.next += 1;
        Some(capture)
    }
}
