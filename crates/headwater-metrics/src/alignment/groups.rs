//! Which tokens make up each word of a text.

use std::ops::Range;

use crate::MetricsError;

/// Which tokens make up each word of a text.
///
/// A token belongs to one word or to none: end marks and language codes are in
/// no word. A word may have no token, such as one behind the place where a text
/// was cut, or one of characters that the tokenizer drops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordGroups {
    words: Vec<Vec<usize>>,
    tokens: usize,
}

impl WordGroups {
    /// Groups tokens by the word that each belongs to.
    ///
    /// # Shapes
    ///
    /// `indices` `[token]`, each below `words` or `None`.
    ///
    /// # Errors
    ///
    /// [`MetricsError::OutOfRange`].
    pub fn from_indices(
        indices: impl IntoIterator<Item = Option<usize>>,
        words: usize,
    ) -> Result<Self, MetricsError> {
        let mut groups = Self {
            words: vec![Vec::new(); words],
            tokens: 0,
        };
        for index in indices {
            if let Some(index) = index {
                let group = groups.words.get_mut(index);
                group
                    .ok_or(MetricsError::OutOfRange {
                        name: "word",
                        index,
                        length: words,
                    })?
                    .push(groups.tokens);
            }
            groups.tokens += 1;
        }
        Ok(groups)
    }

    /// Groups tokens by the words of a text, which are what white space parts.
    ///
    /// A token belongs to the first word that ends behind the token's first
    /// byte: one that covers nothing or white space only, as a lone `▁` does,
    /// belongs to the word that follows.
    ///
    /// ```
    /// use headwater_metrics::WordGroups;
    ///
    /// // ▁He · ad · ▁rises · </s>
    /// let groups = WordGroups::from_offsets("Head rises", [Some(0..2), Some(2..4), Some(4..10), None]);
    /// assert_eq!(groups.words(), [vec![0, 1], vec![2]]);
    /// assert_eq!(groups.outside(), [3]);
    /// ```
    ///
    /// # Shapes
    ///
    /// `offsets` `[token]`, ranges of bytes in `text`; `None` for a token that
    /// the text does not have, such as the end mark.
    pub fn from_offsets(
        text: &str,
        offsets: impl IntoIterator<Item = Option<Range<usize>>>,
    ) -> Self {
        let spans: Vec<Range<usize>> = text
            .split_whitespace()
            .map(|word| {
                let start = word.as_ptr() as usize - text.as_ptr() as usize;
                start..start + word.len()
            })
            .collect();
        let word_of = |token: Range<usize>| {
            let first = spans.partition_point(|word| word.end <= token.start);
            (first < spans.len()).then_some(first)
        };
        let mut groups = Self {
            words: vec![Vec::new(); spans.len()],
            tokens: 0,
        };
        for token in offsets {
            if let Some(word) = token.and_then(word_of) {
                groups.words[word].push(groups.tokens);
            }
            groups.tokens += 1;
        }
        groups
    }

    /// Groups SentencePiece tokens, `None` for one that is in no word.
    ///
    /// A token that starts with `▁` begins a word; all that follow up to the
    /// next such token belong to it. Punctuation without a mark is a piece of
    /// the word before it. A lone `▁` belongs to the word that follows it, and
    /// to none at the end of the text.
    ///
    /// The words are those of the normalized text. Where normalization adds or
    /// removes a space they are not the words of the text itself:
    /// [`from_offsets`](Self::from_offsets) is right there too.
    ///
    /// ```
    /// use headwater_metrics::WordGroups;
    ///
    /// let tokens = ["▁Head", "water", "▁rise", "s", "."].map(Some);
    /// let groups = WordGroups::from_marks(tokens.into_iter().chain([None]));
    /// assert_eq!(groups.words(), [vec![0, 1], vec![2, 3, 4]]);
    /// ```
    pub fn from_marks<'t>(tokens: impl IntoIterator<Item = Option<&'t str>>) -> Self {
        let mut groups = Self::default();
        let mut word = Vec::new();
        let mut has_letters = false;
        for token in tokens {
            let begins = token.is_none_or(|token| token.starts_with('▁'));
            if begins && has_letters {
                groups.words.push(std::mem::take(&mut word));
                has_letters = false;
            }
            match token {
                Some(token) => {
                    word.push(groups.tokens);
                    has_letters |= token.chars().any(|c| c != '▁');
                }
                None => word.clear(),
            }
            groups.tokens += 1;
        }
        if has_letters {
            groups.words.push(word);
        }
        groups
    }

    /// The tokens of every word, in order.
    ///
    /// # Shapes
    ///
    /// `[word][piece]`, positions of tokens.
    pub fn words(&self) -> &[Vec<usize>] {
        &self.words
    }

    /// How many tokens there are, those in no word included.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The tokens that are in no word, in order.
    pub fn outside(&self) -> Vec<usize> {
        let mut inside = vec![false; self.tokens];
        for &token in self.words.iter().flatten() {
            inside[token] = true;
        }
        (0..self.tokens).filter(|&token| !inside[token]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices() {
        let groups = WordGroups::from_indices([Some(1), None, Some(0), Some(1)], 3).unwrap();
        assert_eq!(groups.words(), [vec![2], vec![0, 3], vec![]]);
        assert_eq!((groups.tokens(), groups.outside()), (4, vec![1]));
        assert_eq!(
            WordGroups::from_indices([Some(2)], 2),
            Err(MetricsError::OutOfRange {
                name: "word",
                index: 2,
                length: 2
            })
        );
    }

    #[test]
    fn offsets_with_spaces_in_front_and_between() {
        let text = "  äh,  ja\u{a0}nein ";
        // The space before a word may belong to its first piece or to a lone ▁.
        let offsets = [0..0, 0..5, 5..6, 6..8, 8..10, 10..12, 12..16, 16..17];
        let offsets = offsets.map(Some).into_iter().chain([None]);
        let groups = WordGroups::from_offsets(text, offsets);
        assert_eq!(groups.words(), [vec![0, 1, 2], vec![3, 4], vec![5, 6]]);
        assert_eq!(groups.outside(), [7, 8]);
    }

    #[test]
    fn a_token_across_words_belongs_to_the_first() {
        let groups = WordGroups::from_offsets("in the end", [0..6, 6..10].map(Some));
        assert_eq!(groups.words(), [vec![0], vec![], vec![1]]);
    }

    #[test]
    fn offsets_that_do_not_fit_the_text() {
        let groups = WordGroups::from_offsets("ab", [1..40, 7..9].map(Some));
        assert_eq!(groups.words(), [vec![0]]);
        assert_eq!(WordGroups::from_offsets("", [Some(0..1)]).outside(), [0]);
    }

    #[test]
    fn marks() {
        let groups = |tokens: &str| {
            let token = |token| (token != "</s>" && token != "de_DE").then_some(token);
            WordGroups::from_marks(tokens.split(' ').map(token))
        };
        let found = groups("▁ ä h , ▁ja ▁ </s> de_DE");
        assert_eq!(found.words(), [vec![0, 1, 2, 3], vec![4]]);
        assert_eq!(found.outside(), [5, 6, 7]);
        // A text may begin without a mark, behind a special token too.
        let found = groups("de_DE ab ▁ ▁c </s> d");
        assert_eq!(found.words(), [vec![1], vec![2, 3], vec![5]]);
        assert_eq!(WordGroups::from_marks([]), WordGroups::default());
    }
}
