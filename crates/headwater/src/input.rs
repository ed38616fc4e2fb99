use crate::checkpoint::{Architecture, Checkpoint, TextTokenizer};
use crate::lazy::Lazy;
use crate::transformer::TokenSequence;
use crate::{Error, Stack};

/// What is to be analysed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// A text; special tokens are added by the model's tokenizer.
    Text(String),
    /// Two texts, joined as the model's tokenizer joins pairs.
    Pair(String, String),
    /// Token ids taken as they are, special tokens included. Needs no tokenizer.
    Ids {
        /// Ids of the vocabulary.
        input_ids: Vec<u32>,
        /// One a token; `None` is all zeros.
        token_type_ids: Option<Vec<u32>>,
    },
    /// Tokens of the vocabulary taken as they are, special tokens included.
    Tokens(Vec<String>),
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Input::Text(text.to_owned())
    }
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Input::Text(text)
    }
}

impl From<(&str, &str)> for Input {
    fn from((text, pair): (&str, &str)) -> Self {
        Input::Pair(text.to_owned(), pair.to_owned())
    }
}

impl From<Vec<u32>> for Input {
    fn from(input_ids: Vec<u32>) -> Self {
        Input::Ids {
            input_ids,
            token_type_ids: None,
        }
    }
}

/// An input as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedInput {
    /// Ids of the vocabulary, special tokens included.
    pub input_ids: Vec<u32>,
    /// One a token; zeros for models without token types.
    pub token_type_ids: Vec<u32>,
    /// The tokens as text; without a tokenizer the ids as text.
    pub tokens: Vec<String>,
}

impl TokenizedInput {
    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.input_ids.len()
    }

    /// Whether there are no tokens; an analyzer never makes one.
    pub fn is_empty(&self) -> bool {
        self.input_ids.is_empty()
    }

    pub(crate) fn sequence(&self) -> TokenSequence {
        TokenSequence {
            input_ids: self.input_ids.clone(),
            token_type_ids: self.token_type_ids.clone(),
        }
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
pub(crate) struct Given<'a> {
    pub(crate) input: &'a TokenizedInput,
    /// What a decoder was given.
    pub(crate) target: Option<&'a TokenizedInput>,
}

impl<'a> Given<'a> {
    /// One text.
    pub(crate) fn text(input: &'a TokenizedInput) -> Self {
        Self {
            input,
            target: None,
        }
    }

    /// A text and its translation.
    pub(crate) fn pair(pair: &'a TokenizedPair) -> Self {
        Self {
            input: &pair.source,
            target: Some(&pair.target),
        }
    }

    /// The lists of ids of an analysis file, by name.
    pub(crate) fn id_lists(self) -> Vec<(&'static str, &'a [u32])> {
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
    pub(crate) fn token_lists(self) -> Vec<(&'static str, &'a [String])> {
        match self.target {
            None => vec![("tokens", &self.input.tokens)],
            Some(target) => vec![
                ("encoder.tokens", &self.input.tokens),
                ("decoder.tokens", &target.tokens),
            ],
        }
    }

    /// The tokens that the layers of a stack have.
    pub(crate) fn tokens(self, stack: Stack) -> usize {
        match (stack, self.target) {
            (Stack::Decoder, Some(target)) => target.len(),
            _ => self.input.len(),
        }
    }
}

/// The tokenizer of a checkpoint, opened when the first text needs it: token
/// ids work without one.
pub(crate) struct LazyTokenizer {
    tokenizer: Lazy<TextTokenizer>,
}

impl LazyTokenizer {
    pub(crate) fn new() -> Self {
        Self {
            tokenizer: Lazy::new(),
        }
    }

    fn get(&self, checkpoint: &Checkpoint) -> Result<&TextTokenizer, Error> {
        self.tokenizer
            .get_or_try_init(|| Ok(checkpoint.tokenizer()?))
    }

    pub(crate) fn encode(
        &self,
        checkpoint: &Checkpoint,
        input: &Input,
    ) -> Result<TokenizedInput, Error> {
        let architecture = checkpoint.architecture();
        let tokenized = match input {
            Input::Text(text) => self.encode_text(checkpoint, text, None)?,
            Input::Pair(text, pair) => self.encode_text(checkpoint, text, Some(pair))?,
            Input::Ids {
                input_ids,
                token_type_ids,
            } => {
                let tokenizer = self.get(checkpoint).ok();
                let token = |&id: &u32| {
                    tokenizer
                        .and_then(|tokenizer| tokenizer.token(id))
                        .unwrap_or_else(|| id.to_string())
                };
                TokenizedInput {
                    tokens: input_ids.iter().map(token).collect(),
                    token_type_ids: token_type_ids
                        .clone()
                        .unwrap_or_else(|| vec![0; input_ids.len()]),
                    input_ids: input_ids.clone(),
                }
            }
            Input::Tokens(tokens) => {
                let tokenizer = self.get(checkpoint)?;
                let id = |(position, token): (usize, &String)| {
                    tokenizer.id(token).ok_or_else(|| Error::UnknownToken {
                        token: token.clone(),
                        position,
                    })
                };
                let input_ids: Vec<u32> = tokens
                    .iter()
                    .enumerate()
                    .map(id)
                    .collect::<Result<_, _>>()?;
                TokenizedInput {
                    token_type_ids: vec![0; input_ids.len()],
                    input_ids,
                    tokens: tokens.clone(),
                }
            }
        };
        tokenized.sequence().validate(architecture, 0)?;
        Ok(tokenized)
    }

    fn encode_text(
        &self,
        checkpoint: &Checkpoint,
        text: &str,
        pair: Option<&str>,
    ) -> Result<TokenizedInput, Error> {
        let text = self.get(checkpoint)?.encode(text, pair)?;
        if text.offsets.iter().all(Option::is_none) {
            return Err(Error::EmptyText);
        }
        Ok(TokenizedInput {
            token_type_ids: token_types(checkpoint.architecture(), text.token_type_ids),
            input_ids: text.ids,
            tokens: text.tokens,
        })
    }
}

/// Tokenizer files number the two texts of a pair even for models that have no
/// second token type (DistilBERT); such models take zeros.
fn token_types(architecture: &Architecture, type_ids: Vec<u32>) -> Vec<u32> {
    if architecture.token_types > 1 {
        type_ids
    } else {
        vec![0; type_ids.len()]
    }
}
