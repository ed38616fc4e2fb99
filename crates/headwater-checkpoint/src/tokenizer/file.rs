//! `tokenizer.json`.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use tokenizers::models::ModelWrapper;
use tokenizers::{AddedToken, Model, Tokenizer};

use super::guard::quietly;
use crate::Error;

/// The largest published ones have about 40 MB.
const MAX_BYTES: u64 = 500_000_000;

/// A tokenizer, and of its file what the library does not tell.
pub(super) struct File {
    pub(super) tokenizer: Tokenizer,
    pub(super) stated: Stated,
}

/// What the library renumbers where the file contradicts itself, and options of
/// the model.
#[derive(Deserialize)]
pub(super) struct Stated {
    #[serde(default)]
    pub(super) added_tokens: Vec<StatedToken>,
    pub(super) model: StatedModel,
}

#[derive(Deserialize)]
pub(super) struct StatedToken {
    pub(super) id: u32,
    #[serde(flatten)]
    pub(super) token: AddedToken,
}

#[derive(Deserialize)]
pub(super) struct StatedModel {
    pub(super) unk_token: Option<String>,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) end_of_word_suffix: Option<String>,
    pub(super) max_input_chars_per_word: Option<u64>,
    pub(super) ignore_merges: Option<bool>,
    pub(super) byte_fallback: Option<bool>,
}

/// Reads `tokenizer.json` of `directory`; padding, truncation and dropout are
/// switched off.
pub(super) fn read(directory: &Path) -> Result<File, Error> {
    let path = directory.join("tokenizer.json");
    if !path.is_file() {
        let directory = directory.to_owned();
        return Err(Error::MissingTokenizer { directory });
    }
    let size = fs::metadata(&path).map_err(Error::io(&path))?.len();
    if size > MAX_BYTES {
        let limit = MAX_BYTES;
        return Err(Error::FileTooLarge { path, limit });
    }
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    let malformed = |source| Error::MalformedTokenizer {
        path: path.clone(),
        source,
    };
    let mut tokenizer = quietly(|| Tokenizer::from_bytes(&bytes))
        .and_then(|read| read)
        .map_err(malformed)?;
    let stated: Stated = serde_json::from_slice(&bytes).map_err(|e| malformed(e.into()))?;
    for StatedToken { id, token } in &stated.added_tokens {
        check_id(&tokenizer, "tokenizer.json", &token.content, *id)?;
    }
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(malformed)?;
    if let ModelWrapper::BPE(model) = tokenizer.get_model()
        && model.dropout.is_some()
    {
        // Draws which merges are left out, each time anew: an aid of training.
        let mut model = model.clone();
        model.dropout = None;
        tokenizer.with_model(model);
    }
    Ok(File { tokenizer, stated })
}

/// Refuses a token that has another id than `file` states, and one whose id is
/// another token's in the trained vocabulary.
pub(super) fn check_id(
    tokenizer: &Tokenizer,
    file: &'static str,
    token: &str,
    stated: u32,
) -> Result<(), Error> {
    let id = tokenizer.token_to_id(token);
    let other = tokenizer.get_model().id_to_token(stated);
    if id == Some(stated) && other.as_deref().is_none_or(|other| other == token) {
        return Ok(());
    }
    Err(Error::RenumberedToken {
        file,
        token: token.to_owned(),
        stated,
        why: match other.filter(|other| other != token) {
            Some(other) => format!("the vocabulary of tokenizer.json gives to {other:?}"),
            None => match id {
                Some(id) => format!("but the vocabulary has it at {id}"),
                None => "which no vocabulary can hold".to_owned(),
            },
        },
    })
}
