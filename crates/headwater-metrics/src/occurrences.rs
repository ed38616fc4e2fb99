//! A value for each token occurrence, and how it goes with frequency.

use ndarray::Array1;

use crate::attention::check_length;
use crate::element::{Element, all_finite};
use crate::{FrequencyRanks, MetricsError, Summary, TokenKind, spearman};

/// The mean over layers of a value that each token of one sequence has.
///
/// With [`crate::LayerAttention::received`] it gives 2020's mean over layers,
/// heads and targets of the attention received; with
/// [`crate::LayerAttention::mean_transformed_norm`] the mean over layers and
/// heads of ‖f(x)‖; with a mixing ratio 2021's layer mean.
#[derive(Clone, Debug, Default)]
pub struct TokenMeans {
    tokens: Option<Vec<Summary>>,
}

impl TokenMeans {
    /// No layer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one layer's value of every token.
    ///
    /// # Shapes
    ///
    /// `values` `[token]`, the same tokens every time.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`] if there are not as many tokens as in
    /// the first layer; [`MetricsError::NotFinite`]. Nothing is added then.
    pub fn push(&mut self, values: impl IntoIterator<Item: Element>) -> Result<(), MetricsError> {
        let values = all_finite("values", values)?;
        let tokens = self
            .tokens
            .get_or_insert_with(|| vec![Summary::new(); values.len()]);
        check_length("values", tokens.len(), values.len())?;
        for (token, value) in tokens.iter_mut().zip(values) {
            token.add(value);
        }
        Ok(())
    }

    /// The mean of every token; `None` if no layer was added.
    ///
    /// # Shapes
    ///
    /// `[token]`.
    pub fn means(&self) -> Option<Array1<f64>> {
        self.tokens.as_ref()?.iter().map(Summary::mean).collect()
    }
}

/// Which token occurrences a correlation with frequency is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OccurrenceSelection {
    /// All of them.
    All,
    /// Only those of kind [`TokenKind::Normal`].
    ///
    /// The papers' own selection leaves out `[CLS]` and `[SEP]`; their inputs
    /// to this experiment have no `[MASK]`, so the two agree there.
    WithoutSpecial,
}

/// A value for each token occurrence of a corpus, for its rank correlation
/// with the frequency of the token.
///
/// # Source
///
/// 2020 and 2021, relation with word frequency.
#[derive(Clone, Debug, Default)]
pub struct TokenOccurrences {
    occurrences: Vec<(u32, TokenKind, f64)>,
}

impl TokenOccurrences {
    /// No occurrence yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the tokens of one sequence.
    ///
    /// # Shapes
    ///
    /// `token_ids`, `kinds` and `values` `[token]`.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`]; [`MetricsError::NotFinite`]. Nothing
    /// is added then.
    pub fn push(
        &mut self,
        token_ids: &[u32],
        kinds: &[TokenKind],
        values: impl IntoIterator<Item: Element>,
    ) -> Result<(), MetricsError> {
        let values = all_finite("values", values)?;
        check_length("kinds", token_ids.len(), kinds.len())?;
        check_length("values", token_ids.len(), values.len())?;
        let tokens = token_ids.iter().zip(kinds).zip(values);
        self.occurrences
            .extend(tokens.map(|((&token_id, &kind), value)| (token_id, kind, value)));
        Ok(())
    }

    /// How many occurrences there are.
    pub fn len(&self) -> usize {
        self.occurrences.len()
    }

    /// Whether there is no occurrence yet.
    pub fn is_empty(&self) -> bool {
        self.occurrences.is_empty()
    }

    /// Spearman's rank correlation of the frequency rank and the value.
    ///
    /// Rank 1 is the most frequent token: a negative correlation means that
    /// frequent tokens have high values. `None` where [`spearman`] is.
    pub fn spearman(&self, ranks: &FrequencyRanks, selection: OccurrenceSelection) -> Option<f64> {
        let selected = || {
            self.occurrences.iter().filter(move |(_, kind, _)| {
                selection == OccurrenceSelection::All || *kind == TokenKind::Normal
            })
        };
        let frequency = selected().map(|&(token_id, ..)| ranks.rank(token_id) as f64);
        let values = selected().map(|&(_, _, value)| value);
        // Both sides have one finite value an occurrence: no error can occur.
        spearman(frequency, values).ok()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TokenKind::{Cls, Normal, Sep};
    use ndarray::arr1;

    #[test]
    fn layer_means_by_hand() {
        let mut means = TokenMeans::new();
        assert_eq!(means.means(), None);
        means.push([1.0_f32, 2.0]).unwrap();
        means.push(arr1(&[3.0, 2.5])).unwrap();
        assert_eq!(means.means(), Some(arr1(&[2.0, 2.25])));
        assert!(means.push([1.0]).is_err());
        assert!(means.push([1.0, f64::NAN]).is_err());
        assert_eq!(means.means(), Some(arr1(&[2.0, 2.25])));
    }

    #[test]
    fn correlation_with_and_without_special_tokens() {
        let ranks = FrequencyRanks::from_counts([(101, 100), (5, 50), (6, 20), (102, 10)]);
        let mut occurrences = TokenOccurrences::new();
        let kinds = [Cls, Normal, Normal, Normal, Sep];
        // Ranks 1 2 3 5 4 (id 9 is unseen) against the ranks 3 1 2 4 5 of the
        // values: Σd² = 4 + 1 + 1 + 1 + 1 = 8, 1 − 6·8/(5·24) = 0.6.
        occurrences
            .push(&[101, 5, 6, 9, 102], &kinds, [0.3, 0.1, 0.2, 0.4, 0.5])
            .unwrap();
        let all = occurrences
            .spearman(&ranks, OccurrenceSelection::All)
            .unwrap();
        assert!((all - 0.6).abs() < 1e-15);
        let normal = occurrences.spearman(&ranks, OccurrenceSelection::WithoutSpecial);
        assert_eq!(normal, Some(1.0));
        assert_eq!(occurrences.len(), 5);
    }

    #[test]
    fn a_refused_sequence_adds_nothing() {
        let mut occurrences = TokenOccurrences::new();
        assert!(occurrences.push(&[1, 2], &[Cls], [0.1, 0.2]).is_err());
        assert!(occurrences.push(&[1, 2], &[Cls, Sep], [0.1]).is_err());
        assert!(occurrences.push(&[1], &[Cls], [f32::INFINITY]).is_err());
        assert!(occurrences.is_empty());
        let ranks = FrequencyRanks::default();
        assert_eq!(occurrences.spearman(&ranks, OccurrenceSelection::All), None);
    }
}
