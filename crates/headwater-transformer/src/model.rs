use burn::tensor::{Device, Int, Tensor};
use headwater_checkpoint::{Architecture, Checkpoint};

use crate::capture::{Captures, LayerCapture};
use crate::parameters::ParameterReader;
use crate::{DeviceName, Error, Layer, LayerNorm, Linear, Precision, TokenBatch, TokenSequence};

/// Token, position and type embeddings, with their layer norm.
#[derive(Debug, Clone)]
pub struct Embeddings {
    word: Tensor<2>,
    position: Tensor<2>,
    token_type: Option<Tensor<2>>,
    norm: Option<LayerNorm>,
    projection: Option<Linear>,
}

impl Embeddings {
    fn load(reader: &ParameterReader<'_>, epsilon: f64) -> Result<Self, Error> {
        let checkpoint = reader.checkpoint;
        Ok(Self {
            word: reader.tensor("embeddings.word.weight")?,
            position: reader.tensor("embeddings.position.weight")?,
            token_type: checkpoint
                .has("embeddings.token_type.weight")
                .then(|| reader.tensor("embeddings.token_type.weight"))
                .transpose()?,
            norm: reader.optional_layer_norm("embeddings.norm", epsilon)?,
            projection: checkpoint
                .has("embeddings.projection.weight")
                .then(|| reader.linear("embeddings.projection"))
                .transpose()?,
        })
    }

    fn forward(&self, batch: &TokenBatch) -> Tensor<3> {
        let mut x = rows(&self.word, &batch.input_ids) + rows(&self.position, &batch.position_ids);
        if let Some(table) = &self.token_type {
            x = x + rows(table, &batch.token_type_ids);
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(x).0;
        }
        match &self.projection {
            Some(projection) => projection.forward(x),
            None => x,
        }
    }
}

/// Rows of a table: `[rows, width]` and `[batch, token]` to `[batch, token, width]`.
fn rows(table: &Tensor<2>, ids: &Tensor<2, Int>) -> Tensor<3> {
    let [batch, token] = ids.dims();
    let width = table.dims()[1];
    table
        .clone()
        .select(0, ids.clone().reshape([batch * token]))
        .reshape([batch, token, width])
}

/// A Transformer, encoder or decoder, whose sublayers are in the open.
#[derive(Debug, Clone)]
pub struct Model {
    architecture: Architecture,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    final_norm: Option<LayerNorm>,
    device_name: DeviceName,
    device: Device,
    precision: Precision,
}

/// What [`Model::forward`] returns.
#[derive(Debug, Clone)]
pub struct ModelOutput {
    /// The last layer's output, behind the final layer norm where the model
    /// has one, `[batch, token, d_model]`.
    pub last_hidden_state: Tensor<3>,
    /// One capture for each layer of which something was asked.
    pub layers: Vec<LayerCapture>,
}

impl Model {
    /// Reads a checkpoint's parameters onto a device.
    ///
    /// One copy of the weights is made; the file is read tensor by tensor.
    ///
    /// # Errors
    /// Whatever [`Checkpoint::read`] refuses, and a precision the device lacks.
    pub fn load(
        checkpoint: &Checkpoint,
        device_name: DeviceName,
        precision: Precision,
    ) -> Result<Self, Error> {
        if !device_name.supports(precision) {
            return Err(Error::UnsupportedPrecision {
                device: device_name.to_string(),
                precision: precision.to_string(),
            });
        }
        let architecture = checkpoint.architecture().clone();
        let device = device_name.device();
        let reader = ParameterReader {
            checkpoint,
            device: &device,
            precision,
        };
        let epsilon = architecture.layer_norm_eps;
        let embeddings = Embeddings::load(&reader, epsilon)?;
        let layers = (0..architecture.n_layers)
            .map(|index| Layer::load(&reader, index, &architecture))
            .collect::<Result<_, _>>()?;
        let final_norm = reader.optional_layer_norm("final_norm", epsilon)?;
        Ok(Self {
            architecture,
            embeddings,
            layers,
            final_norm,
            device_name,
            device,
            precision,
        })
    }

    /// The model's shape and constants.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The layers, input side first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
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
        LayerRun {
            hidden: self.embeddings.forward(batch),
            model: self,
            batch,
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
        let last_hidden_state = match &self.final_norm {
            Some(norm) => norm.forward(run.hidden).0,
            None => run.hidden,
        };
        ModelOutput {
            last_hidden_state,
            layers,
        }
    }
}

/// A forward pass in progress: an iterator over layers.
pub struct LayerRun<'a> {
    model: &'a Model,
    batch: &'a TokenBatch,
    captures: Captures,
    hidden: Tensor<3>,
    next: usize,
}

impl LayerRun<'_> {
    /// The hidden states reached so far: the embedding output before the
    /// first layer, then the output of the layer last yielded.
    ///
    /// # Shapes
    /// `[batch, token, d_model]`.
    pub fn hidden_states(&self) -> Tensor<3> {
        self.hidden.clone()
    }
}

impl Iterator for LayerRun<'_> {
    type Item = LayerCapture;

    fn next(&mut self) -> Option<LayerCapture> {
        let layer = self.model.layers.get(self.next)?;
        let mut capture = LayerCapture::new(self.next);
        self.hidden = layer.forward(
            self.hidden.clone(),
            self.batch.score_bias.as_ref(),
            &self.captures,
            &mut capture,
        );
        self.next += 1;
        Some(capture)
    }
}
