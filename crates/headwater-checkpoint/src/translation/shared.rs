//! One `tokenizer.json` for both sides.

use std::path::Path;

use super::Side;
use super::target_language::{TargetLanguage, is_language};
use crate::nearest::nearest;
use crate::{Error, TextTokenizer, TokenizedText};

/// One `tokenizer.json` for both sides, whose language codes may differ.
#[derive(Clone, Debug)]
pub(super) struct SharedTokenizer {
    tokenizer: TextTokenizer,
    source_language: Option<(u32, String)>,
    target_language: TargetLanguage,
}

impl SharedTokenizer {
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        let tokenizer = TextTokenizer::open(directory)?;
        let target_language = match marks_language(&tokenizer)? {
            true => TargetLanguage::of_files(directory, &tokenizer)?,
            false => TargetLanguage::Unmarked,
        };
        Ok(Self {
            tokenizer,
            source_language: None,
            target_language,
        })
    }

    pub(super) fn set_language(&mut self, side: Side, code: &str) -> Result<(), Error> {
        let marked = !matches!(self.target_language, TargetLanguage::Unmarked);
        match self.tokenizer.id(code) {
            Some(id) if marked && is_language(code) => {
                let language = (id, code.to_owned());
                match side {
                    Side::Source => self.source_language = Some(language),
                    Side::Target => self.target_language = TargetLanguage::Named(language),
                }
                Ok(())
            }
            _ => {
                let codes = self.tokenizer.added_tokens();
                let codes = codes.filter(|token| marked && is_language(token));
                Err(Error::UnknownLanguage {
                    side: side.name(),
                    code: code.to_owned(),
                    nearest: nearest(code, codes),
                })
            }
        }
    }

    pub(super) fn target_language(&self) -> Result<Option<u32>, Error> {
        Ok(self.target_language.named()?.map(|(id, _)| *id))
    }

    pub(super) fn encode(&self, side: Side, text: &str) -> Result<TokenizedText, Error> {
        let language = match side {
            Side::Source => self.source_language.as_ref(),
            Side::Target => self.target_language.named()?,
        };
        let mut tokenized = self.tokenizer.encode(text, None)?;
        let Some((id, code)) = language else {
            return Ok(tokenized);
        };
        for (place, offsets) in tokenized.offsets.iter().enumerate() {
            if offsets.is_none() && is_language(&tokenized.tokens[place]) {
                tokenized.ids[place] = *id;
                tokenized.tokens[place] = code.clone();
            }
        }
        Ok(tokenized)
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        self.tokenizer.decode(ids)
    }

    pub(super) fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.token(id)
    }

    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.id(token)
    }

    pub(super) fn is_byte_level(&self) -> bool {
        self.tokenizer.is_byte_level()
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.tokenizer.is_special(id)
    }
}

/// Whether texts carry the code of a language.
fn marks_language(tokenizer: &TextTokenizer) -> Result<bool, Error> {
    let marks = tokenizer.encode("", None)?.tokens;
    Ok(marks.iter().any(|token| is_language(token)))
}
