//! Translation models: an encoder, and a decoder that looks at it.

use burn::tensor::Tensor;
use headwater_checkpoint::Checkpoint;

use crate::parameters::ParameterReader;
use crate::{Captures, DeviceName, EncoderOutput, Error, LayerRun, Model, Precision, TokenBatch};

/// An encoder and a decoder with cross-attention, and what turns the decoder's
/// hidden states into logits.
#[derive(Debug, Clone)]
pub struct EncoderDecoder {
    encoder: Model,
    decoder: Model,
    /// `[vocab, d_model]`: the decoder's word embeddings in most models.
    head: Tensor<2>,
    /// `[1, vocab]`.
    logits_bias: Option<Tensor<2>>,
}

impl EncoderDecoder {
    /// Reads a checkpoint's parameters onto a device. A table of word
    /// embeddings that encoder, decoder and output share is read once.
    ///
    /// # Errors
    /// Whatever [`Checkpoint::read`] refuses, a precision the device lacks, and a
    /// model without a decoder, which [`Model`] loads.
    pub fn load(
        checkpoint: &Checkpoint,
        device_name: DeviceName,
        precision: Precision,
    ) -> Result<Self, Error> {
        device_name.require(precision)?;
        let Some(decoder) = checkpoint.decoder() else {
            return Err(Error::NoDecoder {
                model_type: checkpoint.architecture().model_type.clone(),
            });
        };
        let device = device_name.device();
        let reader = |stack| ParameterReader {
            checkpoint,
            stack,
            device: &device,
            precision,
        };
        let file_name = |parameter: &str| {
            let parameter = checkpoint.parameter(parameter);
            parameter.map(|parameter| &parameter.name_in_file)
        };
        const ENCODER_WORDS: &str = "encoder.embeddings.word.weight";
        const DECODER_WORDS: &str = "decoder.embeddings.word.weight";
        let root = reader("");
        let source_words: Tensor<2> = root.tensor(ENCODER_WORDS)?;
        let target_words = if file_name(ENCODER_WORDS) == file_name(DECODER_WORDS) {
            source_words.clone()
        } else {
            root.tensor(DECODER_WORDS)?
        };
        let head = if root.has("lm_head.weight") {
            root.tensor("lm_head.weight")?
        } else {
            target_words.clone()
        };
        let logits_bias = root
            .has("lm_head.bias")
            .then(|| root.tensor("lm_head.bias"))
            .transpose()?;
        let encoder = checkpoint.architecture();
        Ok(Self {
            encoder: Model::stack(&reader("encoder."), encoder, source_words, device_name)?,
            decoder: Model::stack(&reader("decoder."), decoder, target_words, device_name)?,
            head,
            logits_bias,
        })
    }

    /// The encoder.
    pub fn encoder(&self) -> &Model {
        &self.encoder
    }

    /// The decoder.
    pub fn decoder(&self) -> &Model {
        &self.decoder
    }

    /// What the decoder attends to: the encoder's last hidden states.
    pub fn encode(&self, source: &TokenBatch) -> EncoderOutput {
        self.encoded(self.encoder.run(source, Captures::none()), source)
    }

    /// What the decoder attends to, from a run of the encoder that has been
    /// looked at layer by layer.
    pub fn encoded(&self, run: LayerRun<'_>, source: &TokenBatch) -> EncoderOutput {
        EncoderOutput {
            hidden_states: run.last_hidden_state(),
            score_bias: source.score_bias.clone(),
        }
    }

    /// Starts a run of the decoder that yields one layer at a time.
    pub fn decode<'a>(
        &'a self,
        target: &'a TokenBatch,
        encoder: &'a EncoderOutput,
        captures: Captures,
    ) -> LayerRun<'a> {
        self.decoder.run_behind(target, Some(encoder), captures)
    }

    /// Scores of every token of the target vocabulary to come next.
    ///
    /// # Shapes
    /// `[batch, target, d_model]`, the decoder's last hidden states, to
    /// `[batch, target, vocab]`; 2·batch·target·d_model·vocab FLOPs.
    pub fn logits(&self, hidden_states: Tensor<3>) -> Tensor<3> {
        let [batch, target, d_model] = hidden_states.dims();
        let vocab = self.head.dims()[0];
        let logits = hidden_states
            .reshape([batch * target, d_model])
            .matmul(self.head.clone().transpose());
        let logits = match &self.logits_bias {
            Some(bias) => logits + bias.clone(),
            None => logits,
        };
        logits.reshape([batch, target, vocab])
    }
}
