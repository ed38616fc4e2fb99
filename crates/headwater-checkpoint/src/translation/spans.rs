//! Where in a text the pieces of its normalized form come from.

use std::ops::Range;

use sentencepiece_rs::SentencePieceProcessor;

use super::marian::untokenizable;
use crate::Error;

/// The words of a text, which are what white space parts, and where each stands
/// in the normalized text.
pub(super) struct Words {
    words: Vec<Word>,
    normalized: String,
    length: usize,
}

struct Word {
    original: Range<usize>,
    normalized: Range<usize>,
    /// Whether normalization leaves the word as it is.
    same: bool,
}

fn is_space(c: char) -> bool {
    c == '▁' || c.is_whitespace()
}

impl Words {
    /// Normalizes the text word by word and finds each in the whole.
    pub(super) fn new(text: &str, model: &SentencePieceProcessor) -> Result<Self, Error> {
        let normalized = model.normalize(text).map_err(untokenizable)?;
        let mut words = Vec::new();
        let mut here = 0;
        for word in text.split_whitespace() {
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            let alone = model.normalize(word).map_err(untokenizable)?;
            let alone = alone.trim_matches(is_space);
            let rest = normalized[here..].trim_start_matches(is_space);
            if !rest.starts_with(alone) {
                let word = word.to_owned();
                return Err(Error::InseparableWord { word });
            }
            let from = normalized.len() - rest.len();
            here = from + alone.len();
            words.push(Word {
                original: start..start + word.len(),
                normalized: from..here,
                same: alone == word,
            });
        }
        Ok(Self {
            words,
            length: text.len(),
            normalized,
        })
    }

    /// The bytes of the text that a piece of the normalized text comes from,
    /// without the space in front of it.
    pub(super) fn original(&self, piece: Range<usize>) -> Range<usize> {
        // A piece that is one byte of a character is no text.
        let text = self.normalized.get(piece.clone());
        let spaces = text.map_or(0, |text| {
            text.len() - text.trim_start_matches(is_space).len()
        });
        let start = piece.start + spaces;
        let first = self
            .words
            .partition_point(|word| word.normalized.end <= start);
        let Some(word) = self.words.get(first) else {
            return self.length..self.length;
        };
        let from = match word.same {
            true => word.original.start + start.saturating_sub(word.normalized.start),
            false => word.original.start,
        };
        let last = self
            .words
            .partition_point(|word| word.normalized.start < piece.end);
        let to = match &self.words[first..last.max(first)] {
            [] => from,
            [.., word] if word.same => {
                let length = piece.end.min(word.normalized.end) - word.normalized.start;
                word.original.start + length
            }
            [.., word] => word.original.end,
        };
        from..to
    }
}
