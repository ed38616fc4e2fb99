//! What the two tokens of a pair are to each other.

use std::fmt::{self, Display};

use crate::attention::{check_index, check_length};
use crate::summary::merged;
use crate::{AmplifiedPair, LayerTable, MetricsError, Summary};

/// What the source of a pair is to its target.
///
/// A pair is of the first kind that fits, in this order:
///
/// 1. [`PairKind::SpecialToken`], so that a `[CLS]` beside the first word, or
///    two `[SEP]`, are never taken for words;
/// 2. [`PairKind::WordPieces`], so that pieces of a word are not counted as
///    neighbours, nor as the same token where a word repeats a piece;
/// 3. [`PairKind::SameToken`], so that a repeated word is one even where the
///    two stand side by side;
/// 4. [`PairKind::Adjacent`];
/// 5. [`PairKind::Other`].
///
/// # Source
///
/// 2023, pairs amplified by the feed-forward network, micro view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PairKind {
    /// Two different positions in one word.
    WordPieces,
    /// The same entry of the vocabulary, and a position with itself.
    SameToken,
    /// Tokens of words that stand side by side, in either order.
    Adjacent,
    /// At least one of the two is a special token.
    SpecialToken,
    /// Every other pair.
    Other,
}

impl PairKind {
    /// All five, in the order of the columns of a table.
    pub const ALL: [Self; 5] = [
        Self::WordPieces,
        Self::SameToken,
        Self::Adjacent,
        Self::SpecialToken,
        Self::Other,
    ];

    /// The kind of the pair of a target and a source.
    ///
    /// It is the same with target and source exchanged.
    ///
    /// # Shapes
    ///
    /// `tokens` `[token]`, as ids or strings; `words` `[token]`, the number of
    /// each token's word, `None` for a special token. Numbers must not start
    /// again in the second text of a pair, and consecutive ones are taken for
    /// words side by side, as [`crate::WordMarks::word_indices`] gives them.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`]; [`MetricsError::OutOfRange`] for a
    /// target or a source past the last token.
    pub fn of<T: PartialEq>(
        target: usize,
        source: usize,
        tokens: &[T],
        words: &[Option<usize>],
    ) -> Result<Self, MetricsError> {
        check_length("words", tokens.len(), words.len())?;
        check_index("target", target, tokens.len())?;
        check_index("source", source, tokens.len())?;
        let (Some(word), Some(source_word)) = (words[target], words[source]) else {
            return Ok(Self::SpecialToken);
        };
        Ok(if word == source_word && target != source {
            Self::WordPieces
        } else if tokens[target] == tokens[source] {
            Self::SameToken
        } else if word.abs_diff(source_word) == 1 {
            Self::Adjacent
        } else {
            Self::Other
        })
    }
}

impl Display for PairKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WordPieces => "pieces of a word",
            Self::SameToken => "same token",
            Self::Adjacent => "adjacent words",
            Self::SpecialToken => "special token",
            Self::Other => "other",
        })
    }
}

/// The share of each kind among some pairs of one text.
///
/// Each is in [0, 1] and together they are 1. `None` for no pairs, which have
/// no shares.
///
/// # Shapes
///
/// `tokens` and `words` `[token]`, as for [`PairKind::of`]; the result in the
/// order of [`PairKind::ALL`].
///
/// # Errors
///
/// Those of [`PairKind::of`].
pub fn pair_kind_shares<T: PartialEq>(
    pairs: &[AmplifiedPair],
    tokens: &[T],
    words: &[Option<usize>],
) -> Result<Option<[f64; PairKind::ALL.len()]>, MetricsError> {
    check_length("words", tokens.len(), words.len())?;
    let mut counts = [0_usize; PairKind::ALL.len()];
    for pair in pairs {
        counts[PairKind::of(pair.target, pair.source, tokens, words)? as usize] += 1;
    }
    Ok((!pairs.is_empty()).then(|| counts.map(|count| count as f64 / pairs.len() as f64)))
}

/// The shares of the kinds of pairs over a corpus, by layer.
///
/// Means are over texts, each counting once however many pairs it has. What is
/// amplified says little by itself, because most pairs of a long text are of
/// kind [`PairKind::Other`]: collect the shares among all pairs
/// (`count: usize::MAX`) as well and compare.
///
/// # Source
///
/// 2023, pairs amplified by the feed-forward network, micro view.
#[derive(Clone, Debug)]
pub struct PairKindShares {
    layers: Vec<[Summary; PairKind::ALL.len()]>,
}

impl PairKindShares {
    /// No text yet, for a model of so many layers.
    pub fn new(layers: usize) -> Self {
        Self {
            layers: vec![[Summary::new(); PairKind::ALL.len()]; layers],
        }
    }

    /// Adds the pairs of one layer of one text; a text without pairs
    /// contributes nothing.
    ///
    /// # Shapes
    ///
    /// `tokens` and `words` `[token]`, as for [`PairKind::of`].
    ///
    /// # Errors
    ///
    /// [`MetricsError::OutOfRange`] for a layer that is not there; those of
    /// [`PairKind::of`]. Nothing is added then.
    pub fn push<T: PartialEq>(
        &mut self,
        layer: usize,
        pairs: &[AmplifiedPair],
        tokens: &[T],
        words: &[Option<usize>],
    ) -> Result<(), MetricsError> {
        check_index("layer", layer, self.layers.len())?;
        let shares = pair_kind_shares(pairs, tokens, words)?;
        for (cell, share) in self.layers[layer].iter_mut().zip(shares.iter().flatten()) {
            cell.add(*share);
        }
        Ok(())
    }

    /// Adds everything that another collection over the same model has seen.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`] if the numbers of layers differ.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricsError> {
        check_length("layers", self.layers.len(), other.layers.len())?;
        for (cells, others) in self.layers.iter_mut().zip(&other.layers) {
            for (cell, other) in cells.iter_mut().zip(others) {
                cell.merge(other);
            }
        }
        Ok(())
    }

    /// The shares of one kind in one layer, a value a text; `None` for a layer
    /// that is not there.
    pub fn kind(&self, layer: usize, kind: PairKind) -> Option<Summary> {
        Some(self.layers.get(layer)?[kind as usize])
    }

    /// The mean shares as a table of layers and kinds; every row that is not
    /// empty sums to 1. The overall row is the mean over the texts of all
    /// layers.
    pub fn table(&self) -> LayerTable {
        LayerTable::from_finite(
            PairKind::ALL.map(|kind| kind.to_string()),
            self.layers
                .iter()
                .map(|cells| cells.iter().map(Summary::mean)),
            PairKind::ALL
                .map(|kind| merged(self.layers.iter().map(|cells| &cells[kind as usize])).mean()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PairKind::{Adjacent, Other, SameToken, SpecialToken, WordPieces};

    const TOKENS: [&str; 8] = ["[CLS]", "ha", "##ha", "##ha", "we", "we", "say", "[SEP]"];
    const WORDS: [Option<usize>; 8] = [
        None,
        Some(1),
        Some(1),
        Some(1),
        Some(2),
        Some(3),
        Some(4),
        None,
    ];

    fn pair((target, source): (usize, usize)) -> AmplifiedPair {
        AmplifiedPair {
            target,
            source,
            amount: 1.0,
            before: 0.0,
            after: 1.0,
        }
    }

    #[test]
    fn kinds_by_hand() {
        let cases = [
            ((1, 2), WordPieces),
            // The same piece twice in one word.
            ((2, 3), WordPieces),
            ((2, 2), SameToken),
            // The same word twice in a row.
            ((5, 4), SameToken),
            ((6, 5), Adjacent),
            // The first piece of a word that the next word follows.
            ((1, 4), Adjacent),
            ((4, 6), Other),
            ((0, 1), SpecialToken),
            ((0, 0), SpecialToken),
            ((6, 7), SpecialToken),
        ];
        for ((target, source), expected) in cases {
            for (target, source) in [(target, source), (source, target)] {
                let kind = PairKind::of(target, source, &TOKENS, &WORDS);
                assert_eq!(kind, Ok(expected), "{target} {source}");
            }
        }
    }

    #[test]
    fn shares_by_hand() {
        let pairs = [(1, 2), (2, 1), (6, 5), (0, 1)].map(pair);
        let shares = pair_kind_shares(&pairs, &TOKENS, &WORDS).unwrap();
        assert_eq!(shares, Some([0.5, 0.0, 0.25, 0.25, 0.0]));
        assert_eq!(pair_kind_shares(&[], &TOKENS, &WORDS), Ok(None));
    }

    #[test]
    fn texts_count_alike_and_parts_are_merged() {
        let mut shares = PairKindShares::new(2);
        let one = [(1, 2)].map(pair);
        let two = [(6, 5), (4, 6)].map(pair);
        shares.push(0, &one, &TOKENS, &WORDS).unwrap();
        shares.push(0, &[], &TOKENS, &WORDS).unwrap();
        let mut part = PairKindShares::new(2);
        part.push(0, &two, &TOKENS, &WORDS).unwrap();
        shares.merge(&part).unwrap();
        let first = [0.5, 0.0, 0.25, 0.0, 0.25].map(Some);
        let table = shares.table();
        assert_eq!(table.columns()[0], "pieces of a word");
        assert_eq!(table.rows()[0], first);
        assert_eq!(table.rows()[1], [None; 5]);
        assert_eq!(table.overall(), Some(&first[..]));
        assert_eq!(shares.kind(0, WordPieces).unwrap().count(), 2);
        assert_eq!(shares.kind(2, WordPieces), None);
        assert!(shares.merge(&PairKindShares::new(1)).is_err());
    }

    #[test]
    fn a_refused_text_adds_nothing() {
        let mut shares = PairKindShares::new(1);
        let pairs = [(1, 2), (1, 8)].map(pair);
        assert_eq!(
            shares.push(0, &pairs, &TOKENS, &WORDS),
            Err(MetricsError::OutOfRange {
                name: "source",
                index: 8,
                length: 8,
            })
        );
        assert!(shares.push(0, &pairs[..1], &TOKENS, &WORDS[1..]).is_err());
        assert!(shares.push(1, &pairs[..1], &TOKENS, &WORDS).is_err());
        assert_eq!(shares.kind(0, WordPieces), Some(Summary::new()));
    }
}
