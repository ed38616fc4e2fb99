//! Which tokens of a text are pieces of one word.

use headwater::Analyzer;
use headwater::metrics::{SpecialTokens, TokenKind, WordMarks};

/// How the tokenizer of a model marks words, and which tokens are none.
pub(crate) struct Words<'a> {
    marks: WordMarks,
    special: &'a SpecialTokens,
}

impl<'a> Words<'a> {
    pub(crate) fn of(analyzer: &Analyzer, special: &'a SpecialTokens) -> anyhow::Result<Self> {
        let vocabulary: Vec<String> = analyzer.checkpoint().tokenizer()?.vocabulary().collect();
        Ok(Self {
            marks: marks(vocabulary.iter().map(String::as_str)),
            special,
        })
    }

    /// The number of each token's word; `None` for a special token.
    pub(crate) fn indices(&self, tokens: &[String]) -> Vec<Option<usize>> {
        let word = |token: &'_ String| self.special.kind(token.as_str()) == TokenKind::Normal;
        let tokens = tokens.iter();
        self.marks
            .word_indices(tokens.map(|token| word(token).then_some(token.as_str())))
    }
}

/// The mark that most entries of a vocabulary carry: a family does not tell,
/// since a model may be trained with any tokenizer.
fn marks<'t>(vocabulary: impl Iterator<Item = &'t str>) -> WordMarks {
    let mut counts = [
        ("##", WordMarks::WordPiece, 0),
        ("Ġ", WordMarks::ByteLevel, 0),
        ("▁", WordMarks::SentencePiece, 0),
    ];
    for token in vocabulary {
        for (mark, _, count) in &mut counts {
            *count += usize::from(token.starts_with(*mark));
        }
    }
    let most = counts.into_iter().max_by_key(|&(_, _, count)| count);
    most.expect("there are three marks").1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_tells_its_marks() {
        let of = |tokens: &[&'static str]| marks(tokens.iter().copied());
        assert_eq!(of(&["[CLS]", "##s", "##ed", "Ġ"]), WordMarks::WordPiece);
        assert_eq!(of(&["<s>", "Ġa", "Ġthe", "##"]), WordMarks::ByteLevel);
        assert_eq!(of(&["<s>", "▁a", "b"]), WordMarks::SentencePiece);
    }

    #[test]
    fn special_tokens_belong_to_no_word() {
        let special = SpecialTokens::bert();
        let words = Words {
            marks: WordMarks::WordPiece,
            special: &special,
        };
        let tokens = ["[CLS]", "cat", "##s", "[MASK]", "run"].map(String::from);
        let found = words.indices(&tokens);
        assert_eq!(found[1], found[2]);
        assert_eq!((found[0], found[3]), (None, None));
        assert!(found[4].is_some() && found[4] != found[1]);
    }
}
