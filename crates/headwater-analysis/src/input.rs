use std::ops::Range;

use crate::{Error, Spelling, Stack};

/// An input as the model sees it.
///
/// Made by an analyzer or by [`TokenizedInput::new`]; the lists are of one length.
/// Inputs are equal that a model reads alike: what a file does not keep, where
/// tokens come from and which are special, is not compared.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenizedInput {
    /// Ids of the vocabulary, special tokens included.
    pub input_ids: Vec<u32>,
    /// One a token; zeros for models without token types.
    pub token_type_ids: Vec<u32>,
    /// The vocabulary's entries; without a tokenizer the ids as text.
    pub tokens: Vec<String>,
    /// How the entries spell the text.
    pub spelling: Spelling,
    /// The bytes of its text that each token was made from, `None` for a token
    /// that was added to it; `None` altogether where there was no text. The
    /// tokens of a pair have those of their own text.
    pub offsets: Option<Vec<Option<Range<usize>>>>,
    /// Whether each token is a special one to the tokenizer: `[CLS]`, a mask;
    /// `None` where nobody said so, as in a file.
    pub special: Option<Vec<bool>>,
}

impl PartialEq for TokenizedInput {
    fn eq(&self, other: &Self) -> bool {
        self.input_ids == other.input_ids
            && self.token_type_ids == other.token_type_ids
            && self.tokens == other.tokens
            && self.spelling == other.spelling
    }
}

impl Eq for TokenizedInput {}

impl TokenizedInput {
    /// An input of ids and tokens; the token types are zeros.
    ///
    /// # Errors
    /// [`Error::UnlikeLengths`]: other numbers of ids and tokens, or none.
    pub fn new(input_ids: Vec<u32>, tokens: Vec<String>) -> Result<Self, Error> {
        let token_type_ids = vec![0; input_ids.len()];
        Self::with_token_types(input_ids, token_type_ids, tokens)
    }

    /// An input of ids, token types and tokens.
    ///
    /// # Errors
    /// [`Error::UnlikeLengths`].
    pub fn with_token_types(
        input_ids: Vec<u32>,
        token_type_ids: Vec<u32>,
        tokens: Vec<String>,
    ) -> Result<Self, Error> {
        let input = Self {
            input_ids,
            token_type_ids,
            tokens,
            ..Self::nothing()
        };
        input.check()?;
        Ok(input)
    }

    /// What a reader has before it has read.
    pub(crate) fn nothing() -> Self {
        Self {
            input_ids: Vec::new(),
            token_type_ids: Vec::new(),
            tokens: Vec::new(),
            spelling: Spelling::default(),
            offsets: None,
            special: None,
        }
    }

    /// Says how the tokens spell the text.
    pub fn with_spelling(mut self, spelling: Spelling) -> Self {
        self.spelling = spelling;
        self
    }

    /// Says which bytes of the text each token was made from.
    ///
    /// # Errors
    /// [`Error::UnlikeList`]: another number of them than of tokens.
    pub fn with_offsets(mut self, offsets: Vec<Option<Range<usize>>>) -> Result<Self, Error> {
        self.check_list("offsets", offsets.len())?;
        self.offsets = Some(offsets);
        Ok(self)
    }

    /// Says which tokens are special ones.
    ///
    /// # Errors
    /// [`Error::UnlikeList`]: another number of them than of tokens.
    pub fn with_special_tokens(mut self, special: Vec<bool>) -> Result<Self, Error> {
        self.check_list("flags of special tokens", special.len())?;
        self.special = Some(special);
        Ok(self)
    }

    fn check_list(&self, list: &'static str, entries: usize) -> Result<(), Error> {
        match self.tokens.len() {
            tokens if tokens == entries => Ok(()),
            tokens => Err(Error::UnlikeList {
                list,
                entries,
                tokens,
            }),
        }
    }

    /// The tokens as people read them: [`Spelling::readable`] of each.
    pub fn readable_tokens(&self) -> Vec<String> {
        let tokens = self.tokens.iter();
        tokens.map(|token| self.spelling.readable(token)).collect()
    }

    /// Checks that all lists are of one length, which is not zero.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let [ids, token_types, tokens] = [
            self.input_ids.len(),
            self.token_type_ids.len(),
            self.tokens.len(),
        ];
        if ids != tokens || token_types != tokens || tokens == 0 {
            return Err(Error::UnlikeLengths {
                ids,
                token_types,
                tokens,
            });
        }
        Ok(())
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.input_ids.len()
    }

    /// Whether there are no tokens; an analyzer never makes one.
    pub fn is_empty(&self) -> bool {
        self.input_ids.is_empty()
    }
}

/// A text and its translation as a translation model sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedPair {
    /// What the encoder reads, end mark included.
    pub source: TokenizedInput,
    /// What the decoder reads: its start token and the translation, without the
    /// end mark. Row t predicts the token behind it.
    pub target: TokenizedInput,
}

/// The inputs of one analysis: a text, or a text and its translation.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    input: &'a TokenizedInput,
    target: Option<&'a TokenizedInput>,
}

impl<'a> From<&'a TokenizedInput> for Inputs<'a> {
    fn from(input: &'a TokenizedInput) -> Self {
        Self {
            input,
            target: None,
        }
    }
}

impl<'a> From<&'a TokenizedPair> for Inputs<'a> {
    fn from(pair: &'a TokenizedPair) -> Self {
        Self {
            input: &pair.source,
            target: Some(&pair.target),
        }
    }
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(input: &'a TokenizedInput, target: Option<&'a TokenizedInput>) -> Self {
        Self { input, target }
    }

    /// What was analysed; of a translation model what its encoder read.
    pub fn input(self) -> &'a TokenizedInput {
        self.input
    }

    /// What the decoder of a translation model read.
    pub fn target(self) -> Option<&'a TokenizedInput> {
        self.target
    }

    /// What a stack of layers read.
    pub fn of(self, stack: Stack) -> &'a TokenizedInput {
        match (stack, self.target) {
            (Stack::Decoder, Some(target)) => target,
            _ => self.input,
        }
    }

    /// The number of tokens that the layers of a stack have.
    pub fn tokens(self, stack: Stack) -> usize {
        self.of(stack).len()
    }

    /// The stacks that read them: the only one, or encoder and decoder.
    pub fn stacks(self) -> &'static [Stack] {
        match self.target {
            None => &[Stack::Only],
            Some(_) => &[Stack::Encoder, Stack::Decoder],
        }
    }

    /// The lists of ids of an analysis file, by name.
    pub fn id_lists(self) -> Vec<(&'static str, &'a [u32])> {
        match self.target {
            None => vec![
                ("input_ids", &self.input.input_ids),
                ("token_type_ids", &self.input.token_type_ids),
            ],
            Some(target) => vec![
                ("encoder.input_ids", &self.input.input_ids),
                ("decoder.input_ids", &target.input_ids),
            ],
        }
    }

    /// What the metadata of an analysis file say of how tokens are spelt; nothing
    /// where they are spelt as text.
    pub fn spelling_entry(self) -> Option<(&'static str, String)> {
        let spelling = self.input.spelling;
        (spelling != Spelling::default()).then(|| (Spelling::METADATA_KEY, spelling.to_string()))
    }

    /// The lists of tokens in the metadata of an analysis file, by name.
    pub fn token_lists(self) -> Vec<(&'static str, &'a [String])> {
        match self.target {
            None => vec![("tokens", &self.input.tokens)],
            Some(target) => vec![
                ("encoder.tokens", &self.input.tokens),
                ("decoder.tokens", &target.tokens),
            ],
        }
    }
}
