//! Which tokens of a vocabulary the papers single out.

use crate::MetricsError;
use crate::category::{TokenCategory, TokenKind};

/// The tokens of one vocabulary that the papers look at apart from the rest.
///
/// `T` is the form in which tokens come: strings (the default) or ids. What is
/// not listed here is ordinary: `[UNK]`, `##,` and `...` are other tokens, as
/// in the papers' scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTokens<T = String> {
    /// The token at the start of every input.
    pub cls: T,
    /// The token after every text.
    pub sep: T,
    /// The token that stands for a masked one.
    pub mask: T,
    /// All forms of the comma and the period.
    pub comma_or_period: Vec<T>,
}

impl SpecialTokens {
    /// The tokens of BERT and other WordPiece vocabularies: `[CLS]`, `[SEP]`,
    /// `[MASK]`, `,` and `.`.
    pub fn bert() -> Self {
        Self::named(["[CLS]", "[SEP]", "[MASK]"], &[""])
    }

    /// The tokens of RoBERTa and other vocabularies with `<s>`, `</s>` and
    /// `<mask>`, where a comma or a period may carry the mark of a space
    /// before it (`Ġ,` or `▁,`).
    pub fn roberta() -> Self {
        Self::named(["<s>", "</s>", "<mask>"], &["", "Ġ", "▁"])
    }

    fn named([cls, sep, mask]: [&str; 3], prefixes: &[&str]) -> Self {
        Self {
            cls: cls.to_owned(),
            sep: sep.to_owned(),
            mask: mask.to_owned(),
            comma_or_period: prefixes
                .iter()
                .flat_map(|prefix| [format!("{prefix},"), format!("{prefix}.")])
                .collect(),
        }
    }

    /// The same tokens by their ids, so that inputs can be classified without
    /// their strings.
    ///
    /// A form of the comma or the period that the vocabulary lacks is left out.
    ///
    /// # Errors
    ///
    /// [`MetricsError::MissingToken`] if the vocabulary lacks one of the other
    /// three.
    pub fn to_ids<I>(
        &self,
        id_of: impl Fn(&str) -> Option<I>,
    ) -> Result<SpecialTokens<I>, MetricsError> {
        let id = |token: &String| {
            id_of(token).ok_or_else(|| MetricsError::MissingToken {
                token: token.clone(),
            })
        };
        Ok(SpecialTokens {
            cls: id(&self.cls)?,
            sep: id(&self.sep)?,
            mask: id(&self.mask)?,
            comma_or_period: self
                .comma_or_period
                .iter()
                .filter_map(|token| id_of(token))
                .collect(),
        })
    }
}

impl<T> SpecialTokens<T> {
    /// The category of a token in the sense of 2020.
    ///
    /// A mask is an other token there.
    pub fn category<Q>(&self, token: &Q) -> TokenCategory
    where
        T: PartialEq<Q>,
        Q: ?Sized,
    {
        if self.cls == *token {
            TokenCategory::Cls
        } else if self.sep == *token {
            TokenCategory::Sep
        } else if self.comma_or_period.iter().any(|listed| listed == token) {
            TokenCategory::CommaOrPeriod
        } else {
            TokenCategory::Other
        }
    }

    /// The kind of a token in the sense of 2021.
    ///
    /// A comma or a period is a normal token there.
    pub fn kind<Q>(&self, token: &Q) -> TokenKind
    where
        T: PartialEq<Q>,
        Q: ?Sized,
    {
        if self.cls == *token {
            TokenKind::Cls
        } else if self.sep == *token {
            TokenKind::Sep
        } else if self.mask == *token {
            TokenKind::Mask
        } else {
            TokenKind::Normal
        }
    }

    /// The category of every token of a sequence.
    pub fn categories<'t, Q>(&self, tokens: impl IntoIterator<Item = &'t Q>) -> Vec<TokenCategory>
    where
        T: PartialEq<Q>,
        Q: ?Sized + 't,
    {
        tokens
            .into_iter()
            .map(|token| self.category(token))
            .collect()
    }

    /// The kind of every token of a sequence.
    pub fn kinds<'t, Q>(&self, tokens: impl IntoIterator<Item = &'t Q>) -> Vec<TokenKind>
    where
        T: PartialEq<Q>,
        Q: ?Sized + 't,
    {
        tokens.into_iter().map(|token| self.kind(token)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bert_sequence() {
        let tokens = [
            "[CLS]", "head", "##water", ",", "[MASK]", ".", "...", "[SEP]",
        ];
        use TokenCategory::{Cls, CommaOrPeriod, Other, Sep};
        assert_eq!(
            SpecialTokens::bert().categories(&tokens.map(String::from)),
            [
                Cls,
                Other,
                Other,
                CommaOrPeriod,
                Other,
                CommaOrPeriod,
                Other,
                Sep
            ]
        );
        let special = SpecialTokens::bert();
        let kinds = tokens.map(|token| special.kind(token));
        let mut expected = [TokenKind::Normal; 8];
        expected[0] = TokenKind::Cls;
        expected[4] = TokenKind::Mask;
        expected[7] = TokenKind::Sep;
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_roberta_sequence() {
        let special = SpecialTokens::roberta();
        for token in [",", ".", "Ġ,", "Ġ.", "▁,", "▁."] {
            assert_eq!(
                special.category(token),
                TokenCategory::CommaOrPeriod,
                "{token}"
            );
        }
        assert_eq!(special.category("<s>"), TokenCategory::Cls);
        assert_eq!(special.category("</s>"), TokenCategory::Sep);
        assert_eq!(special.category("<mask>"), TokenCategory::Other);
        assert_eq!(special.kind("<mask>"), TokenKind::Mask);
        assert_eq!(special.kind("Ġ,"), TokenKind::Normal);
        assert_eq!(special.category("[CLS]"), TokenCategory::Other);
    }

    #[test]
    fn ids_classify_like_strings() {
        let vocabulary = ["[CLS]", "[SEP]", "[MASK]", ",", ".", "water"];
        let id_of = |token: &str| vocabulary.iter().position(|entry| *entry == token);
        let strings = SpecialTokens::bert();
        let ids = strings.to_ids(id_of).unwrap();
        for (id, token) in vocabulary.iter().enumerate() {
            assert_eq!(ids.category(&id), strings.category(*token), "{token}");
            assert_eq!(ids.kind(&id), strings.kind(*token), "{token}");
        }
        assert_eq!(ids.comma_or_period, [3, 4]);
        assert_eq!(
            SpecialTokens::roberta().to_ids(id_of).unwrap_err(),
            MetricsError::MissingToken {
                token: "<s>".to_owned()
            }
        );
    }
}
