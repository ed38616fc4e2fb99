//! Which row of a cross-attention map belongs to a target token.

use std::fmt::{self, Display};
use std::str::FromStr;

use crate::MetricsError;

/// Which row of a cross-attention map belongs to a target token.
///
/// A decoder reads `start, y_1, …` and predicts `y_1, y_2, …`, so every token
/// is the input of one row and the output of the row before it. As text,
/// `awi` and `awo`.
///
/// # Source
///
/// 2020, word alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlignmentSetting {
    /// Alignment with input: the row whose input is the token.
    Awi,
    /// Alignment with output: the row that predicts the token.
    Awo,
}

impl AlignmentSetting {
    /// Both settings.
    pub const ALL: [Self; 2] = [Self::Awi, Self::Awo];

    /// The row of a target token, which is counted from 0 without the start
    /// token.
    pub fn row(self, token: usize) -> usize {
        match self {
            Self::Awi => token + 1,
            Self::Awo => token,
        }
    }
}

impl Display for AlignmentSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Awi => "awi",
            Self::Awo => "awo",
        })
    }
}

impl FromStr for AlignmentSetting {
    type Err = MetricsError;

    /// # Errors
    ///
    /// [`MetricsError::UnknownName`].
    fn from_str(name: &str) -> Result<Self, MetricsError> {
        let found = Self::ALL
            .into_iter()
            .find(|setting| setting.to_string() == name);
        found.ok_or_else(|| MetricsError::UnknownName {
            what: "alignment setting",
            name: name.to_owned(),
            known: "awi, awo",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for setting in AlignmentSetting::ALL {
            assert_eq!(setting.to_string().parse(), Ok(setting));
        }
        let error = "AWI".parse::<AlignmentSetting>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "no alignment setting \"AWI\"; known are awi, awo"
        );
    }
}
