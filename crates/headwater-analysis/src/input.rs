use crate::{Error, Stack};

/// An input as the model sees it.
///
/// Made by an analyzer or by [`TokenizedInput::new`]; the lists are of one length.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenizedInput {
    /// Ids of the vocabulary, special tokens included.
    pub input_ids: Vec<u32>,
    /// One a token; zeros for models without token types.
    pub token_type_ids: Vec<u32>,
    /// The tokens as text; without a tokenizer the ids as text.
    pub tokens: Vec<String>,
}

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
        };
        input.check()?;
        Ok(input)
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
