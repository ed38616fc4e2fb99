//! The sorts of tokens that the papers tell apart.

use std::fmt::{self, Display};

/// The token categories of 2020.
///
/// # Source
///
/// 2020, experiments on BERT, token categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenCategory {
    /// The token at the start of the input.
    Cls,
    /// A token after a text.
    Sep,
    /// A comma or a period.
    CommaOrPeriod,
    /// Every other token.
    Other,
}

impl TokenCategory {
    /// All four, in the order of the columns of a table.
    pub const ALL: [Self; 4] = [Self::Cls, Self::Sep, Self::CommaOrPeriod, Self::Other];
}

impl Display for TokenCategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cls => "[CLS]",
            Self::Sep => "[SEP]",
            Self::CommaOrPeriod => "comma or period",
            Self::Other => "other",
        })
    }
}

/// The kinds of tokens that 2021 tells apart.
///
/// # Source
///
/// 2021, figure 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenKind {
    /// A token of the text.
    Normal,
    /// A masked token.
    Mask,
    /// The token at the start of the input.
    Cls,
    /// A token after a text.
    Sep,
}

impl TokenKind {
    /// All four, in the order of the columns of a table.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Mask, Self::Cls, Self::Sep];
}

impl Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "normal",
            Self::Mask => "[MASK]",
            Self::Cls => "[CLS]",
            Self::Sep => "[SEP]",
        })
    }
}
