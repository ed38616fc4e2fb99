//! Which pairs of tokens a feed-forward network brings closer together.

use std::cmp::Ordering;

use ndarray::{Array2, ArrayView2};

use crate::attention::check_shape;
use crate::element::Element;
use crate::{MetricsError, OwnEntry, Region};

/// The amplification map of a feed-forward network (FF-amp): how much more of
/// each source there is in a target after it than before.
///
/// ```text
/// amplification_ij = ‖y_ij‖ after − ‖y_ij‖ before
/// ```
///
/// # Shapes
///
/// `before`, `after` and the result [target, source].
///
/// # Errors
///
/// [`MetricsError::ShapeMismatch`]; [`MetricsError::EmptyAxis`];
/// [`MetricsError::NotFinite`].
///
/// # Source
///
/// 2023, FF-amp, micro view.
pub fn amplification_map<E: Element>(
    before: ArrayView2<'_, E>,
    after: ArrayView2<'_, E>,
) -> Result<Array2<f64>, MetricsError> {
    check_maps(&before, &after, Region::Full)?;
    Ok(Array2::from_shape_fn(before.dim(), |place| {
        AmplifiedPair::at(place, before[place], after[place]).amount
    }))
}

/// One entry of an amplification map, with what it is the difference of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AmplifiedPair {
    /// The token whose representation is being made.
    pub target: usize,
    /// The token it is made from.
    pub source: usize,
    /// `after − before`.
    pub amount: f64,
    /// ‖y_ij‖ before the feed-forward network.
    pub before: f64,
    /// ‖y_ij‖ after it.
    pub after: f64,
}

/// From which end of an amplification map pairs are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AmplificationOrder {
    /// The largest amount first.
    MostAmplified,
    /// The smallest amount first, which is the most negative one.
    MostReduced,
}

/// Which pairs of an amplification map are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairSelection {
    /// How many, at most.
    pub count: usize,
    /// From which end.
    pub order: AmplificationOrder,
    /// Where in the map.
    pub region: Region,
    /// Whether the pairs of a token with itself compete.
    pub own_entry: OwnEntry,
}

/// The most amplified or most reduced pairs of a map, the foremost first.
///
/// Equal amounts stand in the order of their targets, then of their sources,
/// so the result depends on nothing but the numbers. All pairs come back where
/// fewer than `count` compete. Amounts are taken as they are: if fewer than
/// `count` pairs are amplified at all, the last of the most amplified have
/// amounts of 0 or below.
///
/// O(n + k log k) time and O(k) memory for n entries and k pairs.
///
/// # Shapes
///
/// `before` and `after` [target, source].
///
/// # Errors
///
/// [`MetricsError::ShapeMismatch`] if the maps differ in shape, or if their
/// lower triangle is asked for and they are not square;
/// [`MetricsError::EmptyAxis`]; [`MetricsError::NotFinite`] for a NaN or an
/// infinity in the region.
///
/// # Source
///
/// 2023, pairs amplified by the feed-forward network, micro view.
pub fn amplified_pairs<E: Element>(
    before: ArrayView2<'_, E>,
    after: ArrayView2<'_, E>,
    selection: &PairSelection,
) -> Result<Vec<AmplifiedPair>, MetricsError> {
    check_maps(&before, &after, selection.region)?;
    let competes = |target, source| selection.own_entry == OwnEntry::Included || target != source;
    let pairs = selection
        .region
        .entries(&before)
        .filter(|&((target, source), _)| competes(target, source))
        .map(|(place, before)| AmplifiedPair::at(place, before, after[place]));
    Ok(foremost(pairs, selection.count, |a, b| {
        selection.order.compare(a, b)
    }))
}

impl AmplifiedPair {
    fn at((target, source): (usize, usize), before: impl Element, after: impl Element) -> Self {
        let (before, after) = (before.to_f64(), after.to_f64());
        Self {
            target,
            source,
            // Adding 0 makes a negative zero, which would sort below the
            // positive one, equal to it.
            amount: after - before + 0.0,
            before,
            after,
        }
    }
}

impl AmplificationOrder {
    /// A total order of the pairs of one map.
    fn compare(self, a: &AmplifiedPair, b: &AmplifiedPair) -> Ordering {
        let amounts = match self {
            Self::MostAmplified => b.amount.total_cmp(&a.amount),
            Self::MostReduced => a.amount.total_cmp(&b.amount),
        };
        amounts.then((a.target, a.source).cmp(&(b.target, b.source)))
    }
}

/// The first `count` items in a total order, sorted.
fn foremost<T>(
    items: impl Iterator<Item = T>,
    count: usize,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Vec<T> {
    let Some(last) = count.checked_sub(1) else {
        return Vec::new();
    };
    let mut kept = Vec::new();
    for item in items {
        kept.push(item);
        // Halving a buffer of 2k items is O(k) and happens every k items.
        if kept.len() == count.saturating_mul(2) {
            kept.select_nth_unstable_by(last, &compare);
            kept.truncate(count);
        }
    }
    kept.sort_unstable_by(&compare);
    kept.truncate(count);
    kept
}

fn check_maps<E: Element>(
    before: &ArrayView2<'_, E>,
    after: &ArrayView2<'_, E>,
    region: Region,
) -> Result<(), MetricsError> {
    region.check("before", before.shape())?;
    check_shape("after", before.shape(), after.shape())?;
    region.check_finite("before", before)?;
    region.check_finite("after", after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use AmplificationOrder::{MostAmplified, MostReduced};
    use ndarray::arr2;

    fn maps() -> (Array2<f32>, Array2<f32>) {
        (
            arr2(&[[1.0, 2.0, 0.0], [3.0, 1.0, 5.0], [2.0, 2.0, 4.0]]),
            arr2(&[[4.0, 2.0, 9.0], [3.5, 2.0, 1.0], [2.5, 1.0, 4.5]]),
        )
    }

    const SELECTION: PairSelection = PairSelection {
        count: 3,
        order: MostAmplified,
        region: Region::Full,
        own_entry: OwnEntry::Included,
    };

    fn places(selection: &PairSelection) -> Vec<(usize, usize, f64)> {
        let (before, after) = maps();
        let pairs = amplified_pairs(before.view(), after.view(), selection).unwrap();
        let place = |pair: &AmplifiedPair| (pair.target, pair.source, pair.amount);
        pairs.iter().map(place).collect()
    }

    #[test]
    fn the_map_by_hand() {
        let (before, after) = maps();
        assert_eq!(
            amplification_map(before.view(), after.view()).unwrap(),
            arr2(&[[3.0, 0.0, 9.0], [0.5, 1.0, -4.0], [0.5, -1.0, 0.5]])
        );
    }

    #[test]
    fn pairs_by_hand() {
        assert_eq!(places(&SELECTION), [(0, 2, 9.0), (0, 0, 3.0), (1, 1, 1.0)]);
        let reduced = PairSelection {
            order: MostReduced,
            ..SELECTION
        };
        assert_eq!(places(&reduced), [(1, 2, -4.0), (2, 1, -1.0), (0, 1, 0.0)]);
        let (before, after) = maps();
        let pairs = amplified_pairs(before.view(), after.view(), &SELECTION).unwrap();
        assert_eq!((pairs[1].before, pairs[1].after), (1.0, 4.0));
    }

    #[test]
    fn equal_amounts_go_by_target_and_then_by_source() {
        let selection = |count| PairSelection {
            count,
            region: Region::LowerTriangle,
            ..SELECTION
        };
        let all = [
            (0, 0, 3.0),
            (1, 1, 1.0),
            (1, 0, 0.5),
            (2, 0, 0.5),
            (2, 2, 0.5),
            (2, 1, -1.0),
        ];
        for count in 0..=all.len() {
            assert_eq!(places(&selection(count)), all[..count]);
        }
        assert_eq!(places(&selection(usize::MAX)), all);
    }

    #[test]
    fn zeros_of_either_sign_are_equal() {
        let (before, after) = (arr2(&[[0.0, 0.0]]), arr2(&[[-0.0, 0.0]]));
        for order in [MostAmplified, MostReduced] {
            let selection = PairSelection { order, ..SELECTION };
            let pairs = amplified_pairs(before.view(), after.view(), &selection).unwrap();
            assert_eq!([pairs[0].source, pairs[1].source], [0, 1]);
        }
    }

    #[test]
    fn own_pairs_can_be_left_out() {
        let others = PairSelection {
            region: Region::LowerTriangle,
            own_entry: OwnEntry::Excluded,
            ..SELECTION
        };
        assert_eq!(places(&others), [(1, 0, 0.5), (2, 0, 0.5), (2, 1, -1.0)]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (before, mut after) = maps();
        let wide = Array2::<f32>::zeros((3, 2));
        assert!(matches!(
            amplification_map(before.view(), wide.view()),
            Err(MetricsError::ShapeMismatch { name: "after", .. })
        ));
        let causal = PairSelection {
            region: Region::LowerTriangle,
            ..SELECTION
        };
        assert!(matches!(
            amplified_pairs(wide.view(), wide.view(), &causal),
            Err(MetricsError::ShapeMismatch { name: "before", .. })
        ));
        after[[0, 2]] = f32::NAN;
        assert!(amplified_pairs(before.view(), after.view(), &causal).is_ok());
        assert!(matches!(
            amplified_pairs(before.view(), after.view(), &SELECTION),
            Err(MetricsError::NotFinite { position: 2, .. })
        ));
        assert!(matches!(
            amplification_map(after.view(), before.view()),
            Err(MetricsError::NotFinite { name: "before", .. })
        ));
    }
}
