//! Texts and their translations as a translation model reads them.

use std::path::PathBuf;

use crate::checkpoint::{
    Checkpoint, GenerationSettings, Side, TokenizedText, TranslationTokenizer,
};
use crate::input::spelling;
use crate::lazy::Lazy;
use crate::metrics::WordGroups;
use crate::{Error, Input, ParallelText, TokenizedInput, TokenizedPair};

/// The tokenizer of a translation model, opened when the first text needs it:
/// token ids work without one.
pub(crate) struct TranslationTexts {
    directory: PathBuf,
    start: Start,
    tokenizer: Lazy<TranslationTokenizer>,
}

/// The token that a decoder starts with.
enum Start {
    /// The one that the model's configuration names.
    Configured,
    /// The last token of the target, which comes first (mBART).
    LastToken,
}

impl TranslationTexts {
    pub(crate) fn new(checkpoint: &Checkpoint) -> Self {
        Self {
            directory: checkpoint.directory().to_owned(),
            start: match checkpoint.decoder_begins_with_last_token() {
                true => Start::LastToken,
                false => Start::Configured,
            },
            tokenizer: Lazy::new(),
        }
    }

    /// How the model's makers want it to generate, in the language that targets are in.
    pub(crate) fn generation_settings(&self) -> Result<GenerationSettings, Error> {
        let mut settings = GenerationSettings::read(&self.directory)?;
        // Token ids are translated without a tokenizer, as the settings stand.
        let Ok(tokenizer) = self.tokenizer() else {
            return Ok(settings);
        };
        // Marian's source says what to translate into, and no target has a mark.
        let language = tokenizer.target_language()?;
        if language.is_none() {
            return Ok(settings);
        }
        match tokenizer.encode_target("")?.ids[..] {
            // In front of the text, as with mBART-50: the first that is generated.
            [first, ..] if Some(first) == language => settings.forced_bos_token_id = language,
            // Behind its end, as with mBART: what the decoder starts with.
            [.., last] if Some(last) == language => {
                settings.decoder_start_token_id = last;
                settings.forced_bos_token_id = None;
            }
            _ => {}
        }
        Ok(settings)
    }

    pub(crate) fn set_languages(
        &mut self,
        source: Option<&str>,
        target: Option<&str>,
    ) -> Result<(), Error> {
        let mut tokenizer = TranslationTokenizer::open(&self.directory)?;
        if let Some(code) = source {
            tokenizer = tokenizer.with_source_language(code)?;
        }
        if let Some(code) = target {
            tokenizer = tokenizer.with_target_language(code)?;
        }
        self.tokenizer = Lazy::from(tokenizer);
        Ok(())
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// There is none, or its files are damaged.
    pub(crate) fn tokenizer(&self) -> Result<&TranslationTokenizer, Error> {
        self.tokenizer
            .get_or_try_init(|| Ok(TranslationTokenizer::open(&self.directory)?))
    }

    /// What texts of a side have beside their words: end marks and language codes.
    pub(crate) fn marks(&self, side: Side) -> Result<TokenizedInput, Error> {
        let tokenizer = self.tokenizer()?;
        self.tokenized(match side {
            Side::Source => tokenizer.encode_source("")?,
            Side::Target => tokenizer.encode_target("")?,
        })
    }

    /// What the encoder reads.
    pub(crate) fn source(&self, input: &Input) -> Result<TokenizedInput, Error> {
        match input {
            Input::Text(text) => self.tokenized(self.encode_source(text)?),
            other => self.given(Side::Source, other),
        }
    }

    /// What the decoder reads: its start token, and the text without its end mark.
    pub(crate) fn target(&self, input: &Input) -> Result<TokenizedInput, Error> {
        match input {
            Input::Text(text) => self.shifted(&self.encode_target(text)?),
            other => self.given(Side::Target, other),
        }
    }

    pub(crate) fn parallel(&self, source: &str, target: &str) -> Result<ParallelText, Error> {
        let source_tokens = self.encode_source(source)?;
        let labels = self.encode_target(target)?;
        let read = self.shifted(&labels)?;
        // As many as there are rows: each predicts one.
        let predicted = labels.offsets.into_iter().take(read.len());
        Ok(ParallelText {
            source_words: WordGroups::from_offsets(source, source_tokens.offsets.clone()),
            target_words: WordGroups::from_offsets(target, predicted),
            tokens: TokenizedPair {
                source: self.tokenized(source_tokens)?,
                target: read,
            },
        })
    }

    fn encode_source(&self, text: &str) -> Result<TokenizedText, Error> {
        not_empty(text, self.tokenizer()?.encode_source(text)?)
    }

    fn encode_target(&self, text: &str) -> Result<TokenizedText, Error> {
        not_empty(text, self.tokenizer()?.encode_target(text)?)
    }

    /// What the decoder reads that is to predict these tokens: its start token,
    /// and the tokens without the marks behind the text.
    fn shifted(&self, labels: &TokenizedText) -> Result<TokenizedInput, Error> {
        let start = match &self.start {
            Start::LastToken => labels.ids.last().copied(),
            Start::Configured => None,
        };
        let start = match start {
            Some(start) => start,
            None => GenerationSettings::read_start_token(&self.directory)?,
        };
        let end = labels.offsets.iter().rposition(Option::is_some);
        let end = end.map_or(0, |last| last + 1);
        let ids = std::iter::once(start).chain(labels.ids[..end].iter().copied());
        let token = self.token(Side::Target, start);
        let tokens = std::iter::once(token).chain(labels.tokens[..end].iter().cloned());
        let offsets = std::iter::once(None).chain(labels.offsets[..end].iter().cloned());
        let input = TokenizedInput::new(ids.collect(), tokens.collect())?;
        Ok(self
            .known(Side::Target, input)?
            .with_offsets(offsets.collect())?)
    }

    /// An encoded text.
    fn tokenized(&self, text: TokenizedText) -> Result<TokenizedInput, Error> {
        let input = TokenizedInput::new(text.ids, text.tokens)?
            .with_offsets(text.offsets)?
            .with_special_tokens(text.special)?;
        Ok(input.with_spelling(spelling(self.tokenizer()?.is_byte_level())))
    }

    /// What the tokenizer, where there is one, knows of ids.
    fn known(&self, side: Side, input: TokenizedInput) -> Result<TokenizedInput, Error> {
        let Ok(tokenizer) = self.tokenizer() else {
            return Ok(input);
        };
        let special = input.input_ids.iter();
        let special = special.map(|&id| tokenizer.is_special(side, id)).collect();
        let input = input.with_spelling(spelling(tokenizer.is_byte_level()));
        Ok(input.with_special_tokens(special)?)
    }

    /// The text of ids that a model generated.
    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        Ok(self.tokenizer()?.decode(ids)?)
    }

    /// What a decoder reads that generated these ids: all but the end mark.
    pub(crate) fn generated(&self, ids: &[u32]) -> TokenizedInput {
        let ids = &ids[..ids.len() - 1];
        let tokens = ids.iter().map(|&id| self.token(Side::Target, id));
        TokenizedInput::new(ids.to_vec(), tokens.collect())
            .map_err(Error::from)
            .and_then(|input| self.known(Side::Target, input))
            .expect("a token for every id, and the start token at least")
    }

    /// The token of an id; the id itself where there is none or no tokenizer.
    fn token(&self, side: Side, id: u32) -> String {
        let tokenizer = self.tokenizer().ok();
        tokenizer
            .and_then(|tokenizer| tokenizer.token(side, id))
            .unwrap_or_else(|| id.to_string())
    }

    /// Ids and tokens that are taken as they are.
    fn given(&self, side: Side, input: &Input) -> Result<TokenizedInput, Error> {
        let (input_ids, tokens): (Vec<u32>, Vec<String>) = match input {
            Input::Ids {
                input_ids,
                token_type_ids,
            } => {
                let tokens = input_ids.iter().map(|&id| self.token(side, id)).collect();
                let token_types = match token_type_ids {
                    Some(token_type_ids) => token_type_ids.clone(),
                    None => vec![0; input_ids.len()],
                };
                if token_types.len() != input_ids.len() {
                    let (tokens, token_types) = (input_ids.len(), token_types.len());
                    let error = crate::transformer::Error::TokenTypesLength {
                        tokens,
                        token_types,
                    };
                    return Err(error.into());
                }
                let input_ids = input_ids.clone();
                let input = TokenizedInput::with_token_types(input_ids, token_types, tokens)?;
                return self.known(side, input);
            }
            Input::Tokens(tokens) => {
                let tokenizer = self.tokenizer()?;
                let id = |(position, token): (usize, &String)| {
                    tokenizer
                        .id(side, token)
                        .ok_or_else(|| Error::UnknownToken {
                            token: token.clone(),
                            position,
                        })
                };
                let ids: Result<_, Error> = tokens.iter().enumerate().map(id).collect();
                (ids?, tokens.clone())
            }
            Input::Text(_) => unreachable!("texts are tokenized"),
            Input::Pair(..) => return Err(Error::PairForTranslation),
        };
        self.known(side, TokenizedInput::new(input_ids, tokens)?)
    }
}

/// Refuses a text of nothing but white space and marks.
fn not_empty(text: &str, tokens: TokenizedText) -> Result<TokenizedText, Error> {
    if text.trim().is_empty() || tokens.offsets.iter().all(Option::is_none) {
        return Err(Error::EmptyText);
    }
    Ok(tokens)
}
