use crate::checkpoint::{Architecture, Checkpoint, TextTokenizer};
use crate::lazy::Lazy;
use crate::transformer::TokenSequence;
use crate::{Error, Spelling, TokenizedInput};

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

/// An input as a batch takes it.
pub(crate) fn sequence(input: &TokenizedInput) -> TokenSequence {
    TokenSequence {
        input_ids: input.input_ids.clone(),
        token_type_ids: input.token_type_ids.clone(),
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
                let tokens = input_ids.iter().map(token).collect();
                let token_types = match token_type_ids {
                    Some(token_type_ids) => token_type_ids.clone(),
                    None => vec![0; input_ids.len()],
                };
                // Of a wrong number of them the model says what it takes.
                let ids = TokenSequence {
                    input_ids: input_ids.clone(),
                    token_type_ids: token_types.clone(),
                };
                ids.validate(architecture, 0)?;
                let input =
                    TokenizedInput::with_token_types(input_ids.clone(), token_types, tokens)?;
                match tokenizer {
                    Some(tokenizer) => known(input, tokenizer)?,
                    None => input,
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
                TokenSequence::new(input_ids.clone()).validate(architecture, 0)?;
                known(TokenizedInput::new(input_ids, tokens.clone())?, tokenizer)?
            }
        };
        sequence(&tokenized).validate(architecture, 0)?;
        Ok(tokenized)
    }

    fn encode_text(
        &self,
        checkpoint: &Checkpoint,
        text: &str,
        pair: Option<&str>,
    ) -> Result<TokenizedInput, Error> {
        let tokenizer = self.get(checkpoint)?;
        let text = tokenizer.encode(text, pair)?;
        if text.offsets.iter().all(Option::is_none) {
            return Err(Error::EmptyText);
        }
        let input = TokenizedInput::with_token_types(
            text.ids,
            token_types(checkpoint.architecture(), text.token_type_ids),
            text.tokens,
        )?;
        Ok(input
            .with_offsets(text.offsets)?
            .with_special_tokens(text.special)?
            .with_spelling(spelling(tokenizer.is_byte_level())))
    }
}

/// What a tokenizer knows of ids that were given.
fn known(input: TokenizedInput, tokenizer: &TextTokenizer) -> Result<TokenizedInput, Error> {
    let special = input.input_ids.iter().map(|&id| tokenizer.is_special(id));
    let special = special.collect();
    let input = input.with_spelling(spelling(tokenizer.is_byte_level()));
    Ok(input.with_special_tokens(special)?)
}

/// How a tokenizer's vocabulary spells text.
pub(crate) fn spelling(is_byte_level: bool) -> Spelling {
    match is_byte_level {
        true => Spelling::ByteLevel,
        false => Spelling::Text,
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
