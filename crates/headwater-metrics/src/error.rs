//! What can be wrong with the values that a number is asked of.

use std::num::ParseIntError;

/// Everything that this crate refuses, with the facts that tell why.
///
/// A number that is merely undefined (the mean of nothing, the correlation
/// with a constant) is no error: the functions return `None` for it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// Two sequences that must run side by side have different lengths.
    #[error("`{name}` has {found} values where {expected} are needed; pass one value for each")]
    LengthMismatch {
        /// The argument that has the wrong length.
        name: &'static str,
        /// The length it should have.
        expected: usize,
        /// The length it has.
        found: usize,
    },

    /// An array does not have the shape that its neighbours ask for.
    #[error("`{name}` has shape {found:?} where {expected:?} is needed")]
    ShapeMismatch {
        /// The argument that has the wrong shape.
        name: &'static str,
        /// The shape it should have.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },

    /// An array has no head, no target or no source.
    #[error("`{name}` has shape {found:?}; every axis needs at least one entry")]
    EmptyAxis {
        /// The argument with the empty axis.
        name: &'static str,
        /// The shape it has.
        found: Vec<usize>,
    },

    /// A value is NaN or infinite.
    #[error(
        "value {position} of `{name}` is {value}; only finite values can be counted, \
         so look for an overflow where it was computed"
    )]
    NotFinite {
        /// The argument that holds the value.
        name: &'static str,
        /// The position of the value, from 0, in the array's logical order.
        position: usize,
        /// The value.
        value: f64,
    },

    /// A layer, head, source or column is named by a number that is too large.
    #[error("{name} {index} is out of range: there are {length}, counted from 0")]
    OutOfRange {
        /// What is counted.
        name: &'static str,
        /// The number that was asked for.
        index: usize,
        /// How many there are.
        length: usize,
    },

    /// A vocabulary lacks a token that the classification needs.
    #[error("the vocabulary has no token `{token}`; describe the special tokens of this tokenizer")]
    MissingToken {
        /// The token that was looked up.
        token: String,
    },

    /// A line of a frequency table does not have three fields.
    #[error("line {line} of the frequency table has {found} fields; write `rank count token_id`")]
    FrequencyFields {
        /// The line, counted from 1.
        line: usize,
        /// How many fields it has.
        found: usize,
    },

    /// A field of a frequency table is not a whole number in range.
    #[error("line {line} of the frequency table: the {field} `{text}` is not a number that fits")]
    FrequencyNumber {
        /// The line, counted from 1.
        line: usize,
        /// Which of the three fields.
        field: &'static str,
        /// What stands there.
        text: String,
        /// Why it could not be read.
        source: ParseIntError,
    },

    /// A frequency table ranks one token twice.
    #[error("line {line} of the frequency table ranks token id {token_id} again; keep one line")]
    FrequencyDuplicate {
        /// The line, counted from 1.
        line: usize,
        /// The token ranked before.
        token_id: u32,
    },

    /// More (head, source) occurrences were collected than can be numbered.
    #[error("more than {limit} (head, source) occurrences in one category; collect layer by layer")]
    TooManyOccurrences {
        /// How many can be numbered.
        limit: u32,
    },

    /// No deciding source was named.
    #[error("no deciding source was given; name at least one")]
    NoDecidingSource,

    /// The masked token was named as its own deciding source.
    #[error(
        "source {target} is the masked token itself, which is left out of the ranking; \
         name another source or include the own entry"
    )]
    OwnDecidingSource {
        /// The position of the masked token.
        target: usize,
    },

    /// A name that is none of the known ones.
    #[error("no {what} {name:?}; known are {known}")]
    UnknownName {
        /// What is named.
        what: &'static str,
        /// What was given.
        name: String,
        /// The names there are, comma separated.
        known: &'static str,
    },

    /// A line of word links holds something else.
    #[error("line {line}: {token:?} is no link; write {expected}, with words counted from {first}")]
    LinkSyntax {
        /// The line, counted from 1.
        line: usize,
        /// What stands there.
        token: String,
        /// What a link looks like.
        expected: &'static str,
        /// The number of the first word.
        first: usize,
    },

    /// A link names a word that the sentence does not have.
    #[error(
        "line {line}: link {token:?} names {side} word {word}, counted from {first}, \
         but the sentence has {words} words"
    )]
    LinkOutside {
        /// The line, counted from 1.
        line: usize,
        /// The link as it stands there.
        token: String,
        /// `source` or `target`.
        side: &'static str,
        /// The word as the line counts it.
        word: usize,
        /// The number of the first word.
        first: usize,
        /// How many words the sentence has.
        words: usize,
    },

    /// A line of a file with a line a link holds something else.
    #[error("line {line}: {text:?} is no link; write {expected}")]
    TripleSyntax {
        /// The line, counted from 1.
        line: usize,
        /// What stands there.
        text: String,
        /// What a link looks like.
        expected: &'static str,
    },

    /// A link to word 0, by which the shared task says that a word has none.
    #[error(
        "line {line}: {text:?} says that a word has no partner, and words are counted from 1; \
         take the file without null links, or take these lines out"
    )]
    NullLink {
        /// The line, counted from 1.
        line: usize,
        /// What stands there.
        text: String,
    },

    /// A link of a sentence pair that is not there.
    #[error(
        "line {line}: there is no sentence pair {sentence}: the text has {sentences}, counted from 1"
    )]
    NoSuchSentence {
        /// The line, counted from 1.
        line: usize,
        /// The number of the pair.
        sentence: usize,
        /// How many pairs there are.
        sentences: usize,
    },

    /// Lines of two notations in one file of links.
    #[error(
        "line {line} is of another notation than line {first}: give a line of links a sentence \
         pair (1-1 2p3), or a line a link (1 3 4 S), and not both"
    )]
    MixedGold {
        /// The line that differs, counted from 1.
        line: usize,
        /// The first line with a link, counted from 1.
        first: usize,
    },
}
