//! One `tokenizer.json` for both sides.

use std::path::Path;

use tokenizers::Tokenizer;

use super::{Side, TokenizedText};
use crate::nearest::nearest;
use crate::{Error, tokenizer_json};

/// One `tokenizer.json` for both sides, whose language codes may differ.
#[derive(Clone, Debug)]
pub(super) struct SharedTokenizer {
    tokenizer: Tokenizer,
    source_language: Option<(u32, String)>,
    target_language: Option<(u32, String)>,
}

impl SharedTokenizer {
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            tokenizer: tokenizer_json::read(directory)?,
            source_language: None,
            target_language: None,
        })
    }

    pub(super) fn set_language(&mut self, side: Side, code: &str) -> Result<(), Error> {
        let marks_language = self.encode(side, "")?.tokens.iter().any(|t| is_language(t));
        let known = self.tokenizer.get_added_tokens_decoder();
        let codes = known.values().map(|token| token.content.as_str());
        let codes = codes.filter(|token| marks_language && is_language(token));
        match self.tokenizer.token_to_id(code) {
            Some(id) if marks_language && is_language(code) => {
                let language = match side {
                    Side::Source => &mut self.source_language,
                    Side::Target => &mut self.target_language,
                };
                *language = Some((id, code.to_owned()));
                Ok(())
            }
            _ => Err(Error::UnknownLanguage {
                side: side.name(),
                code: code.to_owned(),
                nearest: nearest(code, codes),
            }),
        }
    }

    pub(super) fn encode(&self, side: Side, text: &str) -> Result<TokenizedText, Error> {
        let encoding = self
            .tokenizer
            .encode(text, true)
            .map_err(|source| Error::Untokenizable { source })?;
        let language = match side {
            Side::Source => &self.source_language,
            Side::Target => &self.target_language,
        };
        let mut tokenized = TokenizedText::default();
        let added = encoding.get_special_tokens_mask().iter();
        let places = encoding.get_offsets().iter().zip(added);
        for (&id, (&(start, end), &added)) in encoding.get_ids().iter().zip(places) {
            let token = self.token(id).unwrap_or_default();
            let added = added == 1;
            let offsets = (!added).then_some(start..end);
            match language {
                Some((id, code)) if added && is_language(&token) => {
                    tokenized.push(*id, code, offsets);
                }
                _ => tokenized.push(id, token, offsets),
            }
        }
        Ok(tokenized)
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        self.tokenizer
            .decode(ids, true)
            .map_err(|source| Error::Undecodable { source })
    }

    pub(super) fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }
}

/// Whether a token is a language code of mBART, such as `en_XX`.
fn is_language(token: &str) -> bool {
    token.split_once('_').is_some_and(|(language, region)| {
        matches!(language.len(), 2 | 3)
            && region.len() == 2
            && language.bytes().all(|byte| byte.is_ascii_lowercase())
            && region.bytes().all(|byte| byte.is_ascii_uppercase())
    })
}
