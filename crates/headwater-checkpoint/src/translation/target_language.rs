//! Which language the targets of a model are in that has many.

use std::path::Path;

use crate::{Error, GenerationSettings, TextTokenizer};

/// The language of targets, by what the files say or the user said.
#[derive(Clone, Debug)]
pub(super) enum TargetLanguage {
    /// The tokenizer does not mark languages.
    Unmarked,
    /// Its token.
    Named((u32, String)),
    /// No file names one.
    Unnamed,
    /// Two files name two.
    Contradicted(Named, Named),
}

/// What says so, and the token.
type Named = (&'static str, (u32, String));

impl TargetLanguage {
    /// The language that the settings of the tokenizer or of generation name.
    pub(super) fn of_files(directory: &Path, tokenizer: &TextTokenizer) -> Result<Self, Error> {
        let mut named: Vec<Named> = Vec::new();
        if let Some(code) = tokenizer.target_language() {
            let Some(id) = tokenizer.id(code) else {
                return Err(Error::UnknownLanguage {
                    side: "target",
                    code: code.to_owned(),
                    nearest: None,
                });
            };
            named.push((
                "\"tgt_lang\" in tokenizer_config.json",
                (id, code.to_owned()),
            ));
        }
        for (field, id) in GenerationSettings::read_first_tokens(directory)? {
            let token = id.and_then(|id| Some((id, tokenizer.token(id)?)));
            named.extend(
                token
                    .filter(|(_, token)| is_language(token))
                    .map(|token| (field, token)),
            );
        }
        let mut named = named.into_iter();
        let Some(first) = named.next() else {
            return Ok(Self::Unnamed);
        };
        Ok(match named.find(|other| other.1 != first.1) {
            Some(other) => Self::Contradicted(first, other),
            None => Self::Named(first.1),
        })
    }

    /// The token, for tokenizers that mark languages.
    pub(super) fn named(&self) -> Result<Option<&(u32, String)>, Error> {
        match self {
            Self::Unmarked => Ok(None),
            Self::Named(token) => Ok(Some(token)),
            Self::Unnamed => Err(Error::NoTargetLanguage),
            Self::Contradicted((first, (_, one)), (second, (_, other))) => {
                Err(Error::TwoTargetLanguages {
                    first,
                    one: one.clone(),
                    second,
                    other: other.clone(),
                })
            }
        }
    }
}

/// Whether a token is a language code of mBART, such as `en_XX`.
pub(super) fn is_language(token: &str) -> bool {
    token.split_once('_').is_some_and(|(language, region)| {
        matches!(language.len(), 2 | 3)
            && region.len() == 2
            && language.bytes().all(|byte| byte.is_ascii_lowercase())
            && region.bytes().all(|byte| byte.is_ascii_uppercase())
    })
}
