//! How much a component changes which tokens a representation is made of.

use ndarray::ArrayView2;

use crate::attention::{check_index, check_length, check_shape};
use crate::element::Element;
use crate::summary::merged;
use crate::{LayerTable, MetricsError, Region, Summary, pearson, ranks};

/// The contextualization change from one map to another: one minus Spearman's
/// rank correlation of their entries, ties averaged.
///
/// ```text
/// change = 1 − ρ(before, after)      in [0, 2]
/// ```
///
/// 0 if all pairs keep their order (any strictly increasing map of the entries
/// does), 1 if nothing of it is left, 2 if it is turned round. `None` where ρ
/// is undefined: a map whose entries are all the same, and a single token.
/// O(n log n) time for n entries.
///
/// # Shapes
///
/// `before` and `after` [target, source], ‖y_ij‖ at two scopes of a layer. Real
/// tokens only: slice padding away first.
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
/// 2023, contextualization change, macro view.
pub fn contextualization_change<E: Element>(
    before: ArrayView2<'_, E>,
    after: ArrayView2<'_, E>,
    region: Region,
) -> Result<Option<f64>, MetricsError> {
    Ok(block_change(before, &[after], region)?.whole())
}

/// The contextualization change of each component of a block and of the block
/// as a whole, in one text.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockChange {
    components: Vec<Option<f64>>,
    whole: Option<f64>,
}

/// The contextualization change of each component of a block, and of the block
/// as a whole.
///
/// ```text
/// components[c] = contextualization change from map c to map c + 1
/// whole         = contextualization change from the first map to the last
/// ```
///
/// Each is what [`contextualization_change`] gives for the two maps, but every
/// map is ranked only once. The changes of components do not add up to that of
/// the whole: one may undo what another did. A block of no components has the
/// change 0 of a map against itself.
///
/// # Shapes
///
/// `before` [target, source], the map before the block; `after`, as many
/// [target, source] as there are components, the map after each. For the
/// feed-forward block of a post-LN layer: `atb`, then `atb_ff`, `atb_ff_res`,
/// `atb_ff_res_ln`.
///
/// # Errors
///
/// Those of [`contextualization_change`].
///
/// # Source
///
/// 2023, contextualization change by component.
pub fn block_change<E: Element>(
    before: ArrayView2<'_, E>,
    after: &[ArrayView2<'_, E>],
    region: Region,
) -> Result<BlockChange, MetricsError> {
    region.check("before", before.shape())?;
    let first = ranks(region.finite_entries("before", &before)?)?;
    let mut last: Option<Vec<f64>> = None;
    let mut components = Vec::with_capacity(after.len());
    for map in after {
        check_shape("after", before.shape(), map.shape())?;
        let next = ranks(region.finite_entries("after", map)?)?;
        components.push(change_of_ranks(last.as_ref().unwrap_or(&first), &next)?);
        last = Some(next);
    }
    let whole = change_of_ranks(&first, last.as_ref().unwrap_or(&first))?;
    Ok(BlockChange { components, whole })
}

fn change_of_ranks(before: &[f64], after: &[f64]) -> Result<Option<f64>, MetricsError> {
    Ok(pearson(before, after)?.map(|rho| 1.0 - rho))
}

impl BlockChange {
    /// The change of each component, from the first to the last; `None` where
    /// it is undefined.
    pub fn components(&self) -> &[Option<f64>] {
        &self.components
    }

    /// The change from before the block to after it; `None` where it is
    /// undefined.
    pub fn whole(&self) -> Option<f64> {
        self.whole
    }
}

/// Contextualization changes over a corpus, by layer and component.
///
/// Means are over texts, each counting once whatever its length. A text whose
/// change is undefined contributes nothing to it.
///
/// # Source
///
/// 2023, contextualization change by layer and component.
#[derive(Clone, Debug)]
pub struct ContextualizationChanges {
    components: Vec<String>,
    /// By layer: the components, then the whole block.
    layers: Vec<Vec<Summary>>,
}

impl ContextualizationChanges {
    /// No text yet, for a model of so many layers whose block has these
    /// components.
    pub fn new(layers: usize, components: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let components: Vec<String> = components.into_iter().map(Into::into).collect();
        Self {
            layers: vec![vec![Summary::new(); components.len() + 1]; layers],
            components,
        }
    }

    /// Adds one layer of one text.
    ///
    /// # Errors
    ///
    /// [`MetricsError::OutOfRange`] for a layer that is not there;
    /// [`MetricsError::LengthMismatch`] for another number of components.
    /// Nothing is added then.
    pub fn push(&mut self, layer: usize, change: &BlockChange) -> Result<(), MetricsError> {
        check_index("layer", layer, self.layers.len())?;
        check_length("components", self.components.len(), change.components.len())?;
        let changes = change.components.iter().chain([&change.whole]);
        for (cell, change) in self.layers[layer].iter_mut().zip(changes) {
            if let Some(change) = change {
                cell.add(*change);
            }
        }
        Ok(())
    }

    /// Adds everything that another collection over the same model has seen.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`] if layers or components differ in
    /// number.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricsError> {
        check_length("layers", self.layers.len(), other.layers.len())?;
        check_length("components", self.components.len(), other.components.len())?;
        for (cells, others) in self.layers.iter_mut().zip(&other.layers) {
            for (cell, other) in cells.iter_mut().zip(others) {
                cell.merge(other);
            }
        }
        Ok(())
    }

    /// The names of the components.
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// The changes of one component in one layer; `None` for one that is not
    /// there.
    pub fn component(&self, layer: usize, component: usize) -> Option<Summary> {
        let (_, components) = self.layers.get(layer)?.split_last()?;
        components.get(component).copied()
    }

    /// The changes of the whole block in one layer; `None` for a layer that is
    /// not there.
    pub fn whole(&self, layer: usize) -> Option<Summary> {
        self.layers.get(layer)?.last().copied()
    }

    /// The mean changes as a table of layers and components, with a column for
    /// the whole block; the overall row is the mean over the texts of all
    /// layers.
    pub fn table(&self) -> LayerTable {
        let rows = self.layers.iter();
        let overall = (0..=self.components.len())
            .map(|column| merged(self.layers.iter().map(|cells| &cells[column])).mean());
        LayerTable::from_finite(
            self.components.iter().cloned().chain(["whole".to_owned()]),
            rows.map(|cells| cells.iter().map(Summary::mean)),
            overall,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, arr2};

    fn maps() -> [Array2<f32>; 3] {
        [
            arr2(&[[1.0, 2.0], [3.0, 4.0]]),
            arr2(&[[1.0, 3.0], [2.0, 9.0]]),
            arr2(&[[4.0, 3.0], [2.0, 1.0]]),
        ]
    }

    #[test]
    fn a_change_by_hand() {
        let [before, after, _] = maps();
        // Ranks 1 2 3 4 and 1 3 2 4: Σd² = 2, ρ = 1 − 6·2/(4·15) = 0.8.
        let change = contextualization_change(before.view(), after.view(), Region::Full);
        assert!((change.unwrap().unwrap() - 0.2).abs() < 1e-15);
        // The triangle 1 3 4 against 1 2 9 keeps its order.
        let causal = contextualization_change(before.view(), after.view(), Region::LowerTriangle);
        assert_eq!(causal.unwrap(), Some(0.0));
    }

    #[test]
    fn ties_share_their_rank() {
        let before = arr2(&[[1.0, 2.0], [2.0, 3.0]]);
        let after = arr2(&[[1.0, 3.0], [2.0, 4.0]]);
        // Ranks 1 2.5 2.5 4 and 1 3 2 4: Σxy = 4.5, Σxx = 4.5, Σyy = 5.
        let change = contextualization_change(before.view(), after.view(), Region::Full);
        let expected = 1.0 - 4.5 / 22.5_f64.sqrt();
        assert!((change.unwrap().unwrap() - expected).abs() < 1e-15);
    }

    #[test]
    fn a_block_goes_from_its_first_map_to_its_last() {
        let [before, between, after] = maps();
        let block =
            block_change(before.view(), &[between.view(), after.view()], Region::Full).unwrap();
        let [first, second] = block.components() else {
            panic!("{block:?}");
        };
        assert!((first.unwrap() - 0.2).abs() < 1e-15);
        // Ranks 1 3 2 4 and 4 3 2 1: Σd² = 18, ρ = 1 − 6·18/60 = −0.8.
        assert!((second.unwrap() - 1.8).abs() < 1e-15);
        assert!((block.whole().unwrap() - 2.0).abs() < 1e-15);
        let nothing = block_change(before.view(), &[], Region::Full).unwrap();
        assert_eq!(nothing.components(), []);
        assert_eq!(nothing.whole(), Some(0.0));
    }

    #[test]
    fn a_constant_map_and_a_single_token_have_no_change() {
        let [before, ..] = maps();
        let constant = Array2::from_elem((2, 2), 0.1_f32);
        let block = block_change(
            before.view(),
            &[constant.view(), before.view()],
            Region::Full,
        )
        .unwrap();
        assert_eq!(block.components(), [None, None]);
        assert_eq!(block.whole(), Some(0.0));
        let one = arr2(&[[3.0]]);
        let change = contextualization_change(one.view(), one.view(), Region::LowerTriangle);
        assert_eq!(change, Ok(None));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let [before, after, _] = maps();
        let wide = Array2::zeros((2, 3));
        assert_eq!(
            contextualization_change(before.view(), wide.view(), Region::Full),
            Err(MetricsError::ShapeMismatch {
                name: "after",
                expected: vec![2, 2],
                found: vec![2, 3],
            })
        );
        assert!(matches!(
            contextualization_change(wide.view(), wide.view(), Region::LowerTriangle),
            Err(MetricsError::ShapeMismatch { name: "before", .. })
        ));
        let none = Array2::<f32>::zeros((0, 0));
        assert!(matches!(
            contextualization_change(none.view(), none.view(), Region::Full),
            Err(MetricsError::EmptyAxis { .. })
        ));
        let mut broken = after.clone();
        broken[[1, 0]] = f32::NAN;
        assert!(matches!(
            contextualization_change(before.view(), broken.view(), Region::Full),
            Err(MetricsError::NotFinite {
                name: "after",
                position: 2,
                ..
            })
        ));
    }

    fn change(components: [Option<f64>; 2], whole: Option<f64>) -> BlockChange {
        BlockChange {
            components: components.to_vec(),
            whole,
        }
    }

    #[test]
    fn means_are_over_the_texts_that_have_a_change() {
        let mut changes = ContextualizationChanges::new(2, ["FF", "RES2"]);
        let texts = [
            change([Some(0.5), None], Some(0.25)),
            change([Some(0.25), Some(1.0)], Some(0.75)),
        ];
        changes.push(0, &texts[0]).unwrap();
        changes.push(0, &texts[1]).unwrap();
        changes
            .push(1, &change([Some(0.0), None], Some(0.5)))
            .unwrap();
        let table = changes.table();
        assert_eq!(table.columns(), ["FF", "RES2", "whole"]);
        assert_eq!(table.rows()[0], [Some(0.375), Some(1.0), Some(0.5)]);
        assert_eq!(table.rows()[1], [Some(0.0), None, Some(0.5)]);
        assert_eq!(
            table.overall(),
            Some(&[Some(0.25), Some(1.0), Some(0.5)][..])
        );
        assert_eq!(changes.component(0, 1).unwrap().count(), 1);
        assert_eq!(changes.whole(0).unwrap().max(), Some(0.75));
        assert_eq!(changes.component(0, 2), None);
        assert_eq!(changes.component(2, 0), None);
        assert_eq!(changes.whole(2), None);
    }

    #[test]
    fn parts_are_merged_and_misfits_refused() {
        let mut all = ContextualizationChanges::new(1, ["FF", "RES2"]);
        let mut part = all.clone();
        all.push(0, &change([Some(0.5), None], Some(0.5))).unwrap();
        part.push(0, &change([Some(1.0), None], None)).unwrap();
        all.merge(&part).unwrap();
        assert_eq!(all.component(0, 0).unwrap().mean(), Some(0.75));
        assert_eq!(all.whole(0).unwrap().count(), 1);

        let before = all.table();
        let [map, ..] = maps();
        let short = block_change(map.view(), &[map.view()], Region::Full).unwrap();
        assert!(all.push(0, &short).is_err());
        assert!(all.push(1, &change([None, None], None)).is_err());
        assert!(
            all.merge(&ContextualizationChanges::new(1, ["FF"]))
                .is_err()
        );
        assert!(
            all.merge(&ContextualizationChanges::new(2, ["FF", "RES2"]))
                .is_err()
        );
        assert_eq!(all.table(), before);
    }
}
