//! Translation models: an encoder, and a decoder that looks at it.

use burn::tensor::Tensor;
use headwater_checkpoint::wiring::Band;
use headwater_checkpoint::{Checkpoint, GenerationSettings};

use crate::reader::ParameterReader;
use crate::{
    Captures, DeviceName, EncoderOutput, Error, LayerRun, Model, Precision, TokenBatch,
    TokenSequence, generate,
};

/// An encoder and a decoder with cross-attention, and what turns the decoder's
/// hidden states into logits.
#[derive(Debug, Clone)]
pub struct EncoderDecoder {
    encoder: Model,
    decoder: Model,
    /// `[vocab, d_model]`: the decoder's word embeddings in most models. A classifier whose
    /// configuration ties nothing has none.
    head: Option<Tensor<2>>,
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
            device_name,
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
            Some(root.tensor("lm_head.weight")?)
        } else {
            checkpoint.ties_head().then(|| target_words.clone())
        };
        let logits_bias = root
            .has("lm_head.bias")
            .then(|| root.tensor("lm_head.bias"))
            .transpose()?;
        let encoder = checkpoint.architecture();
        Ok(Self {
            encoder: Model::stack(&reader("encoder."), encoder, source_words)?,
            decoder: Model::stack(&reader("decoder."), decoder, target_words)?,
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
            score_bias: source.tables.mask(Band::ALL),
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

    /// The model's own translation, from the decoder's start token to the end
    /// mark: what transformers' `generate` returns without sampling.
    ///
    /// Every step runs the decoder over the whole of what there is so far.
    ///
    /// # Errors
    /// A start token outside the vocabulary, and a model without a head.
    ///
    /// # Panics
    /// `source` is not one sequence.
    pub fn generate(
        &self,
        source: &TokenBatch,
        settings: &GenerationSettings,
    ) -> Result<Vec<u32>, Error> {
        assert_eq!(
            source.lengths().len(),
            1,
            "one text is translated at a time"
        );
        if self.head.is_none() {
            return Err(Error::NoHead);
        }
        let encoded = self.encode(source);
        let mut settings = settings.clone();
        if let Some(limit) = self.decoder.architecture().embeddings().limit() {
            settings.max_length = settings.max_length.min(limit);
        }
        generate(&settings, |prefixes| {
            let sequences: Vec<TokenSequence> = prefixes
                .iter()
                .map(|prefix| TokenSequence::new(prefix.clone()))
                .collect();
            let target = self.decoder.batch(&sequences)?;
            let beams = prefixes.len();
            let encoded = EncoderOutput {
                hidden_states: encoded.hidden_states.clone().repeat_dim(0, beams),
                // One sequence is not padded.
                score_bias: None,
            };
            let hidden = self
                .decode(&target, &encoded, Captures::none())
                .last_hidden_state();
            let last = target.longest() - 1;
            let logits = self.logits(hidden.slice_dim(1, last..last + 1));
            let vocab = logits.dims()[2];
            let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
            Ok(logits.chunks(vocab).map(<[f32]>::to_vec).collect())
        })
    }

    /// Scores of every token of the target vocabulary to come next.
    ///
    /// # Shapes
    /// `[batch, target, d_model]`, the decoder's last hidden states, to
    /// `[batch, target, vocab]`; 2·batch·target·d_model·vocab FLOPs.
    ///
    /// # Panics
    /// The model has no head.
    pub fn logits(&self, hidden_states: Tensor<3>) -> Tensor<3> {
        let [batch, target, d_model] = hidden_states.dims();
        let head = self.head.as_ref().expect("a model with a head");
        let vocab = head.dims()[0];
        let logits = hidden_states
            .reshape([batch * target, d_model])
            .matmul(head.clone().transpose());
        let logits = match &self.logits_bias {
            Some(bias) => logits + bias.clone(),
            None => logits,
        };
        logits.reshape([batch, target, vocab])
    }
}
