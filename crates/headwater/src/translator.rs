use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::analysis::Inputs;
use crate::checkpoint::{Architecture, Checkpoint, ModelSource, Side};
use crate::input::sequence;
use crate::layer_arrays::{Sink, Split};
use crate::plan::Plan;
use crate::progress::{Listener, Progress};
use crate::recording::{self, Recording};
use crate::transformer::{DeviceName, EncoderDecoder, Precision};
use crate::translation_texts::TranslationTexts;
use crate::{
    Aligner, Analysis, Error, Input, LoadOptions, ParallelText, Request, Stack, Store,
    TokenizedInput, TokenizedPair,
};

/// What a model made of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// Token ids from the decoder's start token to the end mark.
    pub ids: Vec<u32>,
    /// The text and the translation as the model reads them, to be analysed.
    pub pair: TokenizedPair,
}

/// A translation model ready to be taken apart: a text and its translation in,
/// analysis out.
pub struct Translator {
    checkpoint: Checkpoint,
    model: EncoderDecoder,
    texts: TranslationTexts,
    listener: Listener,
}

impl Translator {
    /// Loads a model from a directory in the Hugging Face layout, or by hub id
    /// with the feature `hub`, on the default device in float32.
    ///
    /// # Errors
    /// Whatever is wrong with the model's files, in one line; a model without a
    /// decoder that attends to an encoder.
    pub fn from_pretrained(model: impl Into<ModelSource>) -> Result<Self, Error> {
        Self::load(model, &LoadOptions::default())
    }

    /// Loads a model with options.
    ///
    /// # Errors
    /// As [`Translator::from_pretrained`], and a precision the device lacks.
    pub fn load(model: impl Into<ModelSource>, options: &LoadOptions) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(model, &options.hub)?;
        Self::from_checkpoint(checkpoint, options.device, options.precision)
    }

    /// Loads the model of a checkpoint that has been opened.
    ///
    /// # Errors
    /// As [`Translator::load`].
    pub fn from_checkpoint(
        checkpoint: Checkpoint,
        device: DeviceName,
        precision: Precision,
    ) -> Result<Self, Error> {
        let model = EncoderDecoder::load(&checkpoint, device, precision)?;
        Ok(Self {
            texts: TranslationTexts::new(&checkpoint),
            checkpoint,
            model,
            listener: Listener::default(),
        })
    }

    /// SHA-256 of the weights; read once.
    ///
    /// # Errors
    /// The weights cannot be read any more.
    pub fn weights_sha256(&self) -> Result<&str, Error> {
        Ok(self.checkpoint.weights_sha256()?)
    }

    /// Says which languages texts are in, for tokenizers that mark them
    /// (`en_XX` and `de_DE` with mBART); `None` leaves it to the model's files:
    /// the target's language is then `tgt_lang` of `tokenizer_config.json`, or that
    /// of `forced_bos_token_id` or `decoder_start_token_id`. Texts of targets are
    /// refused where none of them names a language, or two name two.
    /// [`Translator::translate`] translates into the target's language.
    ///
    /// # Errors
    /// No tokenizer, or a language that it does not mark or the model does not have.
    pub fn with_languages(
        mut self,
        source: Option<&str>,
        target: Option<&str>,
    ) -> Result<Self, Error> {
        self.texts.set_languages(source, target)?;
        for (side, stack, chosen) in [
            (Side::Source, self.model.encoder(), source),
            (Side::Target, self.model.decoder(), target),
        ] {
            if chosen.is_some() {
                let marks = self.texts.marks(side)?;
                sequence(&marks).validate(stack.architecture(), 0)?;
            }
        }
        Ok(self)
    }

    /// Tokenizes a text and its translation and checks them against the model.
    /// Nothing is padded or truncated. Ids are taken as they are: those of the
    /// target are what the decoder reads, its start token first.
    ///
    /// # Errors
    /// No tokenizer, an empty text, more tokens than positions, an id or a
    /// token outside the vocabulary.
    pub fn encode(&self, source: &Input, target: &Input) -> Result<TokenizedPair, Error> {
        let pair = TokenizedPair {
            source: self.texts.source(source)?,
            target: self.texts.target(target)?,
        };
        self.check(&pair)?;
        Ok(pair)
    }

    /// Tokenizes a text and its translation, and says which tokens make up each
    /// of their words; words are what white space parts.
    ///
    /// # Errors
    /// As [`Translator::encode`].
    pub fn encode_parallel(&self, source: &str, target: &str) -> Result<ParallelText, Error> {
        let texts = self.texts.parallel(source, target)?;
        self.check(&texts.tokens)?;
        Ok(texts)
    }

    fn check(&self, pair: &TokenizedPair) -> Result<(), Error> {
        for (stack, input) in [
            (self.model.encoder(), &pair.source),
            (self.model.decoder(), &pair.target),
        ] {
            sequence(input).validate(stack.architecture(), 0)?;
        }
        Ok(())
    }

    /// The model's own translation of a text, by beam search or greedily, as
    /// its makers set it up; `beams` overrides how many beams they use.
    ///
    /// # Errors
    /// As [`Translator::encode`]; settings in generation_config.json that are
    /// not supported.
    pub fn translate(&self, source: &Input, beams: Option<usize>) -> Result<Translation, Error> {
        let source = self.texts.source(source)?;
        sequence(&source).validate(self.model.encoder().architecture(), 0)?;
        let mut settings = self.texts.generation_settings()?;
        if let Some(beams) = beams {
            settings.num_beams = beams;
        }
        let batch = self.model.encoder().batch(&[sequence(&source)])?;
        let ids = self.model.generate(&batch, &settings)?;
        Ok(Translation {
            pair: TokenizedPair {
                source,
                target: self.texts.generated(&ids),
            },
            ids,
        })
    }

    /// A translation as text.
    ///
    /// # Errors
    /// No tokenizer.
    pub fn decode(&self, translation: &Translation) -> Result<String, Error> {
        self.texts.decode(&translation.ids)
    }

    /// Analyses a text and its translation: every quantity at every scope of
    /// every layer.
    ///
    /// # Errors
    /// As [`Translator::encode`].
    pub fn analyze(
        &self,
        source: impl Into<Input>,
        target: impl Into<Input>,
    ) -> Result<Analysis, Error> {
        let pair = self.encode(&source.into(), &target.into())?;
        let mut analyses = self.analyze_tokenized(&[pair], &Request::default())?;
        // One pair, one analysis.
        Ok(analyses.remove(0))
    }

    /// The files the model came from.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The model itself.
    pub fn model(&self) -> &EncoderDecoder {
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

    /// Analyses pairs together as one padded batch; each result is that of the
    /// pair alone.
    ///
    /// # Errors
    /// A layer or a scope that the model does not have.
    pub fn analyze_tokenized(
        &self,
        pairs: &[TokenizedPair],
        request: &Request,
    ) -> Result<Vec<Analysis>, Error> {
        let given: Vec<Inputs<'_>> = pairs.iter().map(Inputs::from).collect();
        self.recording(request, &self.plans(request)?)
            .collect(&given, |sink| self.analyze_each(pairs, request, sink))
    }

    /// What [`Aligner`]s of these layers look at, `None` for all of them: the
    /// arrays of [`Aligner::request`]. The analyses have no metadata, so that
    /// the weights are not read once more for their hash.
    ///
    /// # Errors
    /// As [`Translator::analyze_tokenized`].
    pub fn cross_attention(
        &self,
        pairs: &[TokenizedPair],
        layers: Option<Vec<usize>>,
    ) -> Result<Vec<Analysis>, Error> {
        let request = Aligner::request(layers);
        let given: Vec<Inputs<'_>> = pairs.iter().map(Inputs::from).collect();
        recording::arrays(&given, |sink| self.analyze_each(pairs, &request, sink))
    }

    /// Analyses pairs together and writes each to its file, layer by layer. A
    /// file appears under its name only when it is complete.
    ///
    /// # Errors
    /// Unlike numbers of pairs and paths, a file that cannot be written, a
    /// value that the storage type cannot hold.
    pub fn write_analysis(
        &self,
        pairs: &[TokenizedPair],
        request: &Request,
        store: Store,
        paths: &[PathBuf],
    ) -> Result<(), Error> {
        let given: Vec<Inputs<'_>> = pairs.iter().map(Inputs::from).collect();
        self.recording(request, &self.plans(request)?)
            .write(&given, store, paths, |sink| {
                self.analyze_each(pairs, request, sink)
            })
    }

    /// Whether `path` already holds exactly the analysis that
    /// [`Translator::write_analysis`] would write.
    ///
    /// # Errors
    /// A layer or a scope that the model does not have; weights that cannot be
    /// read any more.
    pub fn is_written(
        &self,
        pair: &TokenizedPair,
        request: &Request,
        store: Store,
        path: &Path,
    ) -> Result<bool, Error> {
        self.recording(request, &self.plans(request)?)
            .is_written(pair.into(), store, path)
    }

    /// Analyses pairs together as one padded batch and hands over each array as
    /// soon as it is there, the encoder's first: `sink(pair, key, array)`.
    ///
    /// # Errors
    /// A layer or a scope that the model does not have, and whatever `sink` returns.
    pub fn analyze_each(
        &self,
        pairs: &[TokenizedPair],
        request: &Request,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        if pairs.is_empty() {
            return Ok(());
        }
        let [encoder_plan, decoder_plan] = self.plans(request)?;
        let sequences = |of: fn(&TokenizedPair) -> &TokenizedInput| {
            let inputs = pairs.iter().map(of);
            inputs.map(sequence).collect::<Vec<_>>()
        };
        let (encoder, decoder) = (self.model.encoder(), self.model.decoder());
        let source = encoder.batch(&sequences(|pair| &pair.source))?;
        let target = decoder.batch(&sequences(|pair| &pair.target))?;

        let mut run = encoder.run(&source, encoder_plan.captures()?);
        let mut split = Split::new(source.lengths(), source.lengths(), sink);
        encoder_plan.follow(&mut run, encoder.layers(), &mut split, &self.listener)?;
        let encoded = self.model.encoded(run, &source);

        let mut run = self
            .model
            .decode(&target, &encoded, decoder_plan.captures()?);
        let mut split = Split::new(target.lengths(), source.lengths(), sink);
        decoder_plan.follow(&mut run, decoder.layers(), &mut split, &self.listener)
    }

    fn plans<'a>(&'a self, request: &Request) -> Result<[Plan<'a>; 2], Error> {
        let encoder = self.model.encoder().architecture();
        let decoder = self.model.decoder().architecture();
        request.check_scopes(&[encoder, decoder].map(|stack| stack.layer(0)))?;
        let layers = request.layers_of(encoder.n_layers.max(decoder.n_layers))?;
        let plan = |stack, architecture: &'a Architecture| {
            let of_stack = layers.iter().copied();
            let of_stack = of_stack.filter(|&layer| layer < architecture.n_layers);
            Plan::new(request, stack, architecture, of_stack.collect())
        };
        Ok([plan(Stack::Encoder, encoder), plan(Stack::Decoder, decoder)])
    }

    fn recording<'a>(&'a self, request: &'a Request, plans: &'a [Plan<'a>]) -> Recording<'a> {
        Recording {
            checkpoint: &self.checkpoint,
            model: self.model.decoder(),
            request,
            plans,
        }
    }
}
