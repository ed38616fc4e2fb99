//! Which tokens of a text are pieces of one word.

use headwater::metrics::{SpecialTokens, TokenKind, WordMarks};
use headwater::{Analyzer, TokenizedInput};

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
    ///
    /// Where the tokenizer has its say, a token is special that it counts as
    /// special and added to the text or spells like one; an unknown word is a word.
    pub(crate) fn indices(&self, input: &TokenizedInput) -> Vec<Option<usize>> {
        let is_word = |place: usize, token: &str| {
            let spelt = self.special.kind(token) != TokenKind::Normal;
            let offsets = input.offsets.as_ref();
            let added = offsets.is_some_and(|offsets| offsets[place].is_none());
            match &input.special {
                Some(special) => !(special[place] && (added || spelt)),
                None => !spelt,
            }
        };
        let tokens = input.tokens.iter().enumerate();
        self.marks.word_indices(
            tokens.map(|(place, token)| is_word(place, token).then_some(token.as_str())),
        )
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
        let tokens = ["[CLS]", "cat", "##s", "[MASK]", "run", "[UNK]"].map(String::from);
        let input = TokenizedInput::new(vec![2, 5, 6, 4, 7, 1], tokens.to_vec()).unwrap();
        let flags = vec![true, false, false, true, false, true];
        let flagged = input.clone().with_special_tokens(flags).unwrap();
        let found = words.indices(&input);
        assert_eq!(words.indices(&flagged), found);
        assert_eq!(found[1], found[2]);
        assert_eq!((found[0], found[3]), (None, None));
        assert!(found[4].is_some() && found[4] != found[1]);
    }
}
