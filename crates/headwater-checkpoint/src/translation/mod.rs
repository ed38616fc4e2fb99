//! The tokenizers of translation models: one for each side.

mod marian;
mod shared;
mod spans;
mod target_language;

use std::path::Path;

use crate::{Error, TokenizedText};
use marian::MarianTokenizer;
use shared::SharedTokenizer;

/// The tokenizer of an encoder-decoder model, for its source and its target.
///
/// A directory with `source.spm`, `target.spm` and `vocab.json` is Marian's:
/// each side is cut by its own SentencePiece model, and pieces have the ids of
/// `vocab.json`; one that is not there is `<unk>`. Where `tokenizer_config.json`
/// says `separate_vocabs`, pieces of the target have those of
/// `target_vocab.json`. Any other has a `tokenizer.json` (BART, mBART) for both
/// sides.
///
/// Token ids are those of transformers' tokenizers. That of Marian smooths
/// quotes, dashes and spaces with the Python package sacremoses where it is
/// installed, and warns where it is not; here it never happens.
#[derive(Clone, Debug)]
pub struct TranslationTokenizer(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Marian(Box<MarianTokenizer>),
    Shared(Box<SharedTokenizer>),
}

/// One side of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What the encoder reads.
    Source,
    /// What the decoder reads and predicts.
    Target,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

impl TranslationTokenizer {
    /// Reads the tokenizer of a checkpoint's directory.
    ///
    /// # Errors
    ///
    /// Where a file is missing or damaged.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = directory.as_ref();
        let has = |file| directory.join(file).is_file();
        if has("source.spm") || has("target.spm") {
            let marian = MarianTokenizer::open(directory)?;
            return Ok(Self(Kind::Marian(Box::new(marian))));
        }
        if has("tokenizer.json") {
            let shared = SharedTokenizer::open(directory)?;
            return Ok(Self(Kind::Shared(Box::new(shared))));
        }
        Err(Error::MissingTokenizerFile {
            directory: directory.to_owned(),
            file: "tokenizer.json or source.spm",
        })
    }

    /// Says which language source texts are in, for tokenizers that mark it:
    /// `en_XX` with mBART. Otherwise it is `src_lang` of `tokenizer_config.json`,
    /// or `en_XX`.
    ///
    /// # Errors
    ///
    /// Where the tokenizer does not mark the source's language, or not this one.
    pub fn with_source_language(self, code: &str) -> Result<Self, Error> {
        self.with_language(Side::Source, code)
    }

    /// Says which language target texts are in, for tokenizers that mark it:
    /// `de_DE` with mBART, which marks it in the target, and `deu` with a Marian
    /// model for several languages, whose source texts then begin with
    /// `>>deu<<`. Otherwise it is what a text for Marian begins with, or the one
    /// language that the files of an mBART name: `tgt_lang` in
    /// `tokenizer_config.json`, or the token of `forced_bos_token_id` or
    /// `decoder_start_token_id`.
    ///
    /// # Errors
    ///
    /// Where the tokenizer does not mark the target's language, or not this one.
    pub fn with_target_language(self, code: &str) -> Result<Self, Error> {
        self.with_language(Side::Target, code)
    }

    fn with_language(mut self, side: Side, code: &str) -> Result<Self, Error> {
        match &mut self.0 {
            Kind::Marian(marian) => marian.set_language(side, code)?,
            Kind::Shared(shared) => shared.set_language(side, code)?,
        }
        Ok(self)
    }

    /// The tokens of a source text.
    ///
    /// # Errors
    ///
    /// Where the tokenizer cannot encode it.
    pub fn encode_source(&self, text: &str) -> Result<TokenizedText, Error> {
        self.encode(Side::Source, text)
    }

    /// The tokens of a target text, as the model is to predict them: the token
    /// that the decoder starts with is not among them.
    ///
    /// # Errors
    ///
    /// Where the tokenizer cannot encode it, or marks the target's language and
    /// nothing names it.
    pub fn encode_target(&self, text: &str) -> Result<TokenizedText, Error> {
        self.encode(Side::Target, text)
    }

    fn encode(&self, side: Side, text: &str) -> Result<TokenizedText, Error> {
        match &self.0 {
            Kind::Marian(marian) => marian.encode(side, text),
            Kind::Shared(shared) => shared.encode(side, text),
        }
    }

    /// The token of the target's language, for tokenizers that mark it in targets.
    ///
    /// # Errors
    ///
    /// Where nothing names the language, or two files name two.
    pub fn target_language(&self) -> Result<Option<u32>, Error> {
        match &self.0 {
            Kind::Marian(_) => Ok(None),
            Kind::Shared(shared) => shared.target_language(),
        }
    }

    /// The text of a target's token ids, special tokens and ids without a token left out.
    ///
    /// # Errors
    ///
    /// Where the tokenizer cannot decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        match &self.0 {
            Kind::Marian(marian) => marian.decode(ids),
            Kind::Shared(shared) => shared.decode(ids),
        }
    }

    /// The token that has this id.
    pub fn token(&self, side: Side, id: u32) -> Option<String> {
        match &self.0 {
            Kind::Marian(marian) => marian.token(side, id).map(str::to_owned),
            Kind::Shared(shared) => shared.token(id),
        }
    }

    /// The id of a token.
    pub fn id(&self, side: Side, token: &str) -> Option<u32> {
        match &self.0 {
            Kind::Marian(marian) => marian.id(side, token),
            Kind::Shared(shared) => shared.id(token),
        }
    }

    /// Whether the vocabulary spells text by its bytes: [`TextTokenizer::is_byte_level`](crate::TextTokenizer::is_byte_level).
    pub fn is_byte_level(&self) -> bool {
        match &self.0 {
            Kind::Marian(_) => false,
            Kind::Shared(shared) => shared.is_byte_level(),
        }
    }

    /// Whether the tokenizer counts the token of this id among its special ones.
    pub fn is_special(&self, side: Side, id: u32) -> bool {
        match &self.0 {
            Kind::Marian(marian) => marian.is_special(side, id),
            Kind::Shared(shared) => shared.is_special(id),
        }
    }
}
