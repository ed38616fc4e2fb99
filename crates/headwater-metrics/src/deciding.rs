//! Where the token that decides a masked word ranks among its sources.

use crate::attention::check_index;
use crate::element::{Element, all_finite};
use crate::{MetricsError, Summary};

/// Whether a token competes with the other sources of its own representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnEntry {
    /// The diagonal entry is left out: the question is which *other* token
    /// contributes most, and the residual connection makes the own entry the
    /// highest in most maps.
    Excluded,
    /// The diagonal entry is a source like any other.
    Included,
}

/// The ranks of the deciding sources in one row of a contribution map.
#[derive(Clone, Debug, PartialEq)]
pub struct DecidingRank {
    ranks: Vec<f64>,
    candidates: usize,
}

/// Ranks the deciding sources of a masked target among all its sources.
///
/// Rank 1 is the highest contribution; ties share the average of the ranks
/// that they take up. O(sources · deciding).
///
/// # Shapes
///
/// `row` `[source]`, one target's row of a contribution map; `target` is that
/// target's position, `deciding` positions of sources.
///
/// # Errors
///
/// [`MetricsError::OutOfRange`] for a position past the row's end;
/// [`MetricsError::NoDecidingSource`]; [`MetricsError::OwnDecidingSource`] if
/// the target is named although its own entry is excluded;
/// [`MetricsError::NotFinite`].
///
/// # Source
///
/// Ranking of a known answer as in question answering (Voorhees 1999).
pub fn deciding_rank(
    row: impl IntoIterator<Item: Element>,
    target: usize,
    deciding: &[usize],
    own_entry: OwnEntry,
) -> Result<DecidingRank, MetricsError> {
    let row = all_finite("row", row)?;
    check_index("target", target, row.len())?;
    if deciding.is_empty() {
        return Err(MetricsError::NoDecidingSource);
    }
    let competes = |source: usize| own_entry == OwnEntry::Included || source != target;
    let rank = |&source: &usize| {
        check_index("source", source, row.len())?;
        if !competes(source) {
            return Err(MetricsError::OwnDecidingSource { target });
        }
        let rivals = || (0..row.len()).filter(|&rival| competes(rival));
        let higher = rivals().filter(|&rival| row[rival] > row[source]).count();
        let ties = rivals().filter(|&rival| row[rival] == row[source]).count();
        Ok(crate::correlation::tied_rank(higher as f64, ties as f64))
    };
    Ok(DecidingRank {
        ranks: deciding.iter().map(rank).collect::<Result<_, _>>()?,
        candidates: (0..row.len()).filter(|&source| competes(source)).count(),
    })
}

impl DecidingRank {
    /// The rank of each deciding source, in the order they were named; from 1
    /// to [`DecidingRank::candidates`].
    pub fn ranks(&self) -> &[f64] {
        &self.ranks
    }

    /// How many sources competed.
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    /// The rank of the best deciding source.
    pub fn best(&self) -> f64 {
        self.ranks.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// One over the best rank, in (0, 1].
    pub fn reciprocal_rank(&self) -> f64 {
        self.best().recip()
    }

    /// The best rank on a scale from 0 (the highest contribution) to 1 (the
    /// lowest): `(best − 1)/(candidates − 1)`.
    ///
    /// `None` if there was only one candidate, which has nothing to beat.
    pub fn normalised_rank(&self) -> Option<f64> {
        (self.candidates > 1).then(|| (self.best() - 1.0) / (self.candidates - 1) as f64)
    }
}

/// Mean reciprocal and mean normalised rank over many masked tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DecidingRanks {
    reciprocal: Summary,
    normalised: Summary,
}

impl DecidingRanks {
    /// No masked token yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one masked token; without a normalised rank it counts for the
    /// reciprocal rank only.
    pub fn push(&mut self, rank: &DecidingRank) {
        self.reciprocal.add(rank.reciprocal_rank());
        if let Some(normalised) = rank.normalised_rank() {
            self.normalised.add(normalised);
        }
    }

    /// Adds everything that another collection has seen.
    pub fn merge(&mut self, other: &Self) {
        self.reciprocal.merge(&other.reciprocal);
        self.normalised.merge(&other.normalised);
    }

    /// How many masked tokens were added.
    pub fn count(&self) -> u64 {
        self.reciprocal.count()
    }

    /// The mean of the reciprocal ranks, in (0, 1]; `None` if nothing was added.
    pub fn mean_reciprocal_rank(&self) -> Option<f64> {
        self.reciprocal.mean()
    }

    /// The mean of the normalised ranks, in [0, 1], 0.5 for ranks at random
    /// with one deciding source; `None` if no token has one.
    pub fn mean_normalised_rank(&self) -> Option<f64> {
        self.normalised.mean()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [f32; 5] = [0.1, 0.3, 0.9, 0.3, 0.2];

    #[test]
    fn ranks_by_hand() {
        let rank = deciding_rank(ROW, 2, &[1, 4], OwnEntry::Excluded).unwrap();
        // Without 0.9: 0.3 twice shares ranks 1 and 2, 0.2 is third of four.
        assert_eq!(rank.ranks(), [1.5, 3.0]);
        assert_eq!(rank.candidates(), 4);
        assert_eq!(rank.best(), 1.5);
        assert_eq!(rank.reciprocal_rank(), 1.0 / 1.5);
        assert_eq!(rank.normalised_rank(), Some(0.5 / 3.0));

        let with_own = deciding_rank(ROW, 2, &[2, 0], OwnEntry::Included).unwrap();
        assert_eq!(with_own.ranks(), [1.0, 5.0]);
        assert_eq!(with_own.candidates(), 5);
    }

    #[test]
    fn means_over_masked_tokens() {
        let mut means = DecidingRanks::new();
        assert_eq!(means.mean_reciprocal_rank(), None);
        assert_eq!(means.mean_normalised_rank(), None);
        means.push(&deciding_rank(ROW, 0, &[2], OwnEntry::Excluded).unwrap());
        let mut other = DecidingRanks::new();
        other.push(&deciding_rank(ROW, 2, &[0], OwnEntry::Excluded).unwrap());
        means.merge(&other);
        // Ranks 1 and 4 of four candidates.
        assert_eq!(means.mean_reciprocal_rank(), Some(0.625));
        assert_eq!(means.mean_normalised_rank(), Some(0.5));
        // A rank of one among one has no place on the scale.
        means.push(&deciding_rank([0.5, 0.5], 0, &[1], OwnEntry::Excluded).unwrap());
        assert_eq!(means.mean_normalised_rank(), Some(0.5));
        assert_eq!(means.count(), 3);
    }

    #[test]
    fn what_cannot_be_ranked_is_refused() {
        let rank = |target, deciding: &[usize]| {
            deciding_rank(ROW, target, deciding, OwnEntry::Excluded).unwrap_err()
        };
        assert_eq!(rank(0, &[]), MetricsError::NoDecidingSource);
        assert_eq!(rank(1, &[1]), MetricsError::OwnDecidingSource { target: 1 });
        assert!(matches!(
            rank(0, &[5]),
            MetricsError::OutOfRange { name: "source", .. }
        ));
        assert!(matches!(
            rank(5, &[0]),
            MetricsError::OutOfRange { name: "target", .. }
        ));
        assert!(deciding_rank([0.0, f64::NAN], 0, &[1], OwnEntry::Excluded).is_err());
    }
}
