//! Which entries of a contribution map count.

use ndarray::ArrayView2;

use crate::MetricsError;
use crate::attention::{check_axes, check_shape};
use crate::element::{Element, finite};

/// The part of a map [target, source] that holds contributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// Every target sees every source: encoders.
    Full,
    /// A target sees itself and the sources before it: causal models. The
    /// diagonal is in it; what stands above it is never looked at.
    LowerTriangle,
}

impl Region {
    /// Whether the entry of this target and this source counts.
    pub fn contains(self, target: usize, source: usize) -> bool {
        match self {
            Self::Full => true,
            Self::LowerTriangle => source <= target,
        }
    }

    /// The entries that count, row by row, each with its target and source.
    pub(crate) fn entries<'a, E: Element>(
        self,
        map: &'a ArrayView2<'_, E>,
    ) -> impl Iterator<Item = ((usize, usize), E)> + 'a {
        map.indexed_iter()
            .filter(move |&((target, source), _)| self.contains(target, source))
            .map(|(place, &value)| (place, value))
    }

    /// Refuses a map with an axis of no entries, and one that has no lower
    /// triangle because targets and sources are not the same tokens.
    pub(crate) fn check(self, name: &'static str, shape: &[usize]) -> Result<(), MetricsError> {
        check_axes(name, shape)?;
        match self {
            Self::Full => Ok(()),
            Self::LowerTriangle => check_shape(name, &[shape[0], shape[0]], shape),
        }
    }

    /// The entries that count in `f64`; the first one that is not finite is an
    /// error.
    pub(crate) fn finite_entries<E: Element>(
        self,
        name: &'static str,
        map: &ArrayView2<'_, E>,
    ) -> Result<Vec<f64>, MetricsError> {
        self.each_finite(name, map).collect()
    }

    /// Refuses a map in which an entry that counts is not finite.
    pub(crate) fn check_finite<E: Element>(
        self,
        name: &'static str,
        map: &ArrayView2<'_, E>,
    ) -> Result<(), MetricsError> {
        self.each_finite(name, map)
            .try_for_each(|value| value.map(drop))
    }

    fn each_finite<'a, E: Element>(
        self,
        name: &'static str,
        map: &'a ArrayView2<'_, E>,
    ) -> impl Iterator<Item = Result<f64, MetricsError>> + 'a {
        self.entries(map).map(move |((target, source), value)| {
            finite(name, target * map.ncols() + source, value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, arr2};

    #[test]
    fn the_triangle_has_the_diagonal_and_what_is_left_of_it() {
        let map = arr2(&[[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]);
        let entries = |region: Region| region.finite_entries("map", &map.view()).unwrap();
        assert_eq!(
            entries(Region::LowerTriangle),
            [1.0, 4.0, 5.0, 7.0, 8.0, 9.0]
        );
        assert_eq!(entries(Region::Full).len(), 9);
    }

    #[test]
    fn a_broken_entry_is_named_by_its_place_in_the_whole_map() {
        let map = arr2(&[[1.0, f64::NAN], [2.0, f64::INFINITY]]);
        let position = |region: Region| match region.finite_entries("map", &map.view()) {
            Err(MetricsError::NotFinite { position, .. }) => position,
            other => panic!("{other:?}"),
        };
        assert_eq!(position(Region::Full), 1);
        assert_eq!(position(Region::LowerTriangle), 3);
    }

    #[test]
    fn only_square_maps_have_a_triangle() {
        let wide = Array2::<f64>::zeros((2, 3));
        assert_eq!(Region::Full.check("map", wide.shape()), Ok(()));
        assert_eq!(
            Region::LowerTriangle.check("map", wide.shape()),
            Err(MetricsError::ShapeMismatch {
                name: "map",
                expected: vec![2, 2],
                found: vec![2, 3],
            })
        );
        assert!(matches!(
            Region::Full.check("map", &[0, 3]),
            Err(MetricsError::EmptyAxis { .. })
        ));
    }
}
