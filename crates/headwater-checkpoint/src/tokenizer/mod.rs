//! Tokenizers of texts: `tokenizer.json`, and the settings that lie over it.
//!
//! What is right is what `AutoTokenizer.from_pretrained` of transformers makes
//! of the directory; `docs/TOKENIZERS.md` says what is applied, what is refused,
//! and which of its versions is followed where they differ.

mod added;
mod class;
mod file;
mod guard;
mod laid_over;
mod settings;

use std::ops::Range;
use std::path::Path;

use tokenizers::decoders::DecoderWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{EncodeInput, Encoding, Tokenizer};

use crate::Error;
use settings::Settings;

/// A text, or a pair of texts, as a model reads it: special tokens included.
///
/// All lists have one entry a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenizedText {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The vocabulary's entries of the ids.
    pub tokens: Vec<String>,
    /// The second text of a pair is 1 where the tokenizer tells the two apart;
    /// otherwise all are 0.
    pub token_type_ids: Vec<u32>,
    /// The bytes of its text that the token was made from; `None` for a token
    /// that was added to the text. In a pair, each token's are those of its own
    /// text.
    ///
    /// A token that stands for nothing but the space before a word has an empty
    /// range at the word's start. In Marian texts, the pieces of a word that
    /// normalization changes (`ﬁnd` to `find`) all have the range of the word.
    pub offsets: Vec<Option<Range<usize>>>,
    /// Whether the tokenizer counts the token among its special ones, wherever
    /// it stands: a mask that the text spells out is one.
    pub special: Vec<bool>,
}

impl TokenizedText {
    pub(crate) fn push(
        &mut self,
        id: u32,
        token: impl Into<String>,
        offsets: Option<Range<usize>>,
        special: bool,
    ) {
        self.ids.push(id);
        self.tokens.push(token.into());
        self.token_type_ids.push(0);
        self.offsets.push(offsets);
        self.special.push(special);
    }
}

/// `tokenizer.json` with what `tokenizer_config.json`, `special_tokens_map.json`
/// and `added_tokens.json` say laid over it, as transformers does.
///
/// Padding, truncation and BPE dropout are switched off.
#[derive(Clone, Debug)]
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    /// Whether the model is told which text of a pair a token is of.
    token_types: bool,
    /// `tgt_lang` of `tokenizer_config.json`.
    target_language: Option<String>,
}

impl TextTokenizer {
    /// Reads the tokenizer of a checkpoint's directory.
    ///
    /// # Errors
    ///
    /// Where there is no `tokenizer.json`, a file is damaged, or the files
    /// contradict each other where transformers has no one answer.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = directory.as_ref();
        let file = file::read(directory)?;
        let settings = Settings::read(directory)?;
        let class = class::of(directory, &settings)?;
        // It runs the tokenizer on nothing, to see what surrounds texts.
        let laid_over = guard::quietly(|| laid_over::lay_over(file, class, &settings));
        let tokenizer = laid_over.map_err(|source| Error::MalformedTokenizer {
            path: directory.join("tokenizer.json"),
            source,
        })?;
        Ok(Self {
            tokenizer: tokenizer?,
            token_types: settings.token_types()?.unwrap_or(class.token_types),
            target_language: settings.text("tgt_lang")?.map(str::to_owned),
        })
    }

    /// The tokens of a text, or of a pair joined as the tokenizer joins pairs.
    ///
    /// # Errors
    ///
    /// Where the tokenizer cannot encode it.
    pub fn encode(&self, text: &str, pair: Option<&str>) -> Result<TokenizedText, Error> {
        let input: EncodeInput<'_> = match pair {
            None => text.into(),
            Some(pair) => (text, pair).into(),
        };
        let encoding = guard::quietly(|| self.tokenizer.encode(input, true));
        let encoding = encoding
            .and_then(|encoded| encoded)
            .map_err(|source| Error::Untokenizable { source })?;
        Ok(self.tokenized(&encoding))
    }

    fn tokenized(&self, encoding: &Encoding) -> TokenizedText {
        let mut text = TokenizedText::default();
        let added = encoding.get_special_tokens_mask().iter();
        let places = encoding.get_offsets().iter().zip(added);
        for (&id, (&(start, end), &added)) in encoding.get_ids().iter().zip(places) {
            let offsets = (added == 0).then_some(start..end);
            let special = added == 1 || self.is_special(id);
            text.push(id, self.token(id).unwrap_or_default(), offsets, special);
        }
        if self.token_types {
            text.token_type_ids = encoding.get_type_ids().to_vec();
        }
        text
    }

    /// The text of token ids, special tokens and ids without a token left out.
    ///
    /// # Errors
    ///
    /// Where the tokenizer cannot decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        guard::quietly(|| self.tokenizer.decode(ids, true))
            .and_then(|decoded| decoded)
            .map_err(|source| Error::Undecodable { source })
    }

    /// The vocabulary's entry of an id, as the tokenizer's files spell it.
    pub fn token(&self, id: u32) -> Option<String> {
        let added = self.tokenizer.get_added_vocabulary();
        match added.get_added_tokens_decoder().get(&id) {
            Some(token) => Some(token.content.clone()),
            None => self.tokenizer.id_to_token(id),
        }
    }

    /// The id of an entry of the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// Whether the tokenizer counts the token of this id among its special ones.
    pub fn is_special(&self, id: u32) -> bool {
        let added = self.tokenizer.get_added_vocabulary();
        let token = added.get_added_tokens_decoder().get(&id);
        token.is_some_and(|token| token.special)
    }

    /// Whether the vocabulary spells text by its bytes, one printable character
    /// for each: `Ġ` for a space, `Ã¤` for ä.
    pub fn is_byte_level(&self) -> bool {
        fn is_level(pre_tokenizer: &PreTokenizerWrapper) -> bool {
            match pre_tokenizer {
                PreTokenizerWrapper::ByteLevel(_) => true,
                PreTokenizerWrapper::Sequence(parts) => parts.as_ref().iter().any(is_level),
                _ => false,
            }
        }
        let normalizer = self.tokenizer.get_normalizer();
        self.tokenizer.get_pre_tokenizer().is_some_and(is_level)
            || matches!(normalizer, Some(NormalizerWrapper::ByteLevel(_)))
            || matches!(
                self.tokenizer.get_decoder(),
                Some(DecoderWrapper::ByteLevel(_))
            )
    }

    /// All entries of the vocabulary, in no order.
    pub fn vocabulary(&self) -> impl Iterator<Item = String> {
        self.tokenizer.get_vocab(true).into_keys()
    }

    /// Entries that are no part of the trained vocabulary: special tokens, language codes.
    pub(crate) fn added_tokens(&self) -> impl Iterator<Item = &str> {
        let added = self.tokenizer.get_added_vocabulary();
        added.get_vocab().keys().map(String::as_str)
    }

    /// The language of targets by `tokenizer_config.json`.
    pub(crate) fn target_language(&self) -> Option<&str> {
        self.target_language.as_deref()
    }
}
