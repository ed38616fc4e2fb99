//! Which word each token is a piece of.

/// How a vocabulary marks where words begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WordMarks {
    /// `##` continues a word: BERT, DistilBERT, ELECTRA.
    WordPiece,
    /// `Ġ` begins a word: RoBERTa, GPT-2, OPT. Bytes stand as printable
    /// characters, a line feed as `Ċ`.
    ByteLevel,
    /// `▁` begins a word: ALBERT, XLM-RoBERTa, Marian.
    SentencePiece,
}

impl WordMarks {
    /// The number of the word that each token is a piece of; `None` for a
    /// special token.
    ///
    /// Words are counted from 0 through the whole input, two texts of a pair
    /// included. A special token takes up a number that no word gets, so that
    /// consecutive numbers mean words that stand side by side. The token after
    /// a special one begins a word, whatever its mark.
    ///
    /// With [`WordMarks::ByteLevel`] and [`WordMarks::SentencePiece`] a token
    /// of nothing but ASCII punctuation is a word of its own, although it has
    /// no mark: the period of `Ġwater` `.` is no piece of the word, as it is
    /// none in a WordPiece vocabulary. After it, and after a line break, the
    /// next token begins a word.
    ///
    /// # Shapes
    ///
    /// `tokens` `[token]`, `None` for a special one; the result `[token]`.
    pub fn word_indices<'t>(
        self,
        tokens: impl IntoIterator<Item = Option<&'t str>>,
    ) -> Vec<Option<usize>> {
        let mut numbers = 0..;
        let mut word = None;
        let index = |token: Option<&str>| {
            let Some(token) = token else {
                numbers.next();
                word = None;
                return None;
            };
            if word.is_none() || self.begins_word(token) {
                word = numbers.next();
            }
            let index = word;
            if self.ends_word(token) {
                word = None;
            }
            index
        };
        tokens.into_iter().map(index).collect()
    }

    fn begins_word(self, token: &str) -> bool {
        match self {
            Self::WordPiece => !token.starts_with("##"),
            Self::ByteLevel => token.starts_with(['Ġ', 'Ċ', 'č', 'ĉ']) || is_punctuation(token),
            Self::SentencePiece => token.starts_with('▁') || is_punctuation(token),
        }
    }

    /// Whether what follows begins a word even without a mark.
    fn ends_word(self, token: &str) -> bool {
        match self {
            Self::WordPiece => false,
            // `Ġ` alone ends no word: it is the first piece of one whose
            // letters have no merge with it.
            Self::ByteLevel => {
                token.ends_with(['Ċ', 'č', 'ĉ']) || is_punctuation(token.trim_start_matches('Ġ'))
            }
            Self::SentencePiece => is_punctuation(token.trim_start_matches('▁')),
        }
    }
}

fn is_punctuation(token: &str) -> bool {
    !token.is_empty() && token.chars().all(|c| c.is_ascii_punctuation())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of a text in which what is in angle or square brackets is special.
    fn words(marks: WordMarks, text: &str) -> Vec<Option<usize>> {
        let ordinary = |token: &str| !(token.len() > 2 && token.starts_with(['<', '[']));
        marks.word_indices(
            text.split(' ')
                .map(|token| ordinary(token).then_some(token)),
        )
    }

    #[test]
    fn wordpiece() {
        let found = words(
            WordMarks::WordPiece,
            "[CLS] head ##water ##s , rise [SEP] ##s up [SEP]",
        );
        let expected = [
            None,
            Some(1),
            Some(1),
            Some(1),
            Some(2),
            Some(3),
            None,
            Some(5),
            Some(6),
            None,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn byte_level() {
        let found = words(
            WordMarks::ByteLevel,
            "<s> Head water Ġrise 's . \" Up Ġ( a ) </s>",
        );
        let words = [1, 1, 2, 2, 3, 4, 5, 6, 7, 8].map(Some);
        assert_eq!(found[0], None);
        assert_eq!(found[1..11], words);
        assert_eq!(found[11], None);
    }

    #[test]
    fn byte_level_line_breaks_and_lone_spaces() {
        let found = words(WordMarks::ByteLevel, "a b Ċ c Ġ Å ģ ĊĊ d");
        // `Ġ` `Å` `ģ` is one word whose first letter has no merge with the space.
        assert_eq!(found, [0, 0, 1, 2, 3, 3, 3, 4, 5].map(Some));
    }

    #[test]
    fn sentencepiece() {
        let found = words(
            WordMarks::SentencePiece,
            "▁head water ▁ rise s , ▁\" up ▁don 't </s>",
        );
        let words = [0, 0, 1, 1, 1, 2, 3, 4, 5, 5].map(Some);
        assert_eq!(found[..10], words);
        assert_eq!(found[10], None);
    }

    #[test]
    fn no_tokens_have_no_words() {
        assert_eq!(WordMarks::WordPiece.word_indices([]), []);
        assert_eq!(WordMarks::ByteLevel.word_indices([Some("")]), [Some(0)]);
    }
}
