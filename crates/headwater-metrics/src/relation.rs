//! How attention weights and the norms they multiply go together.

use crate::attention::{LayerAttention, check_length};
use crate::correlation::{Comoments, tied_rank};
use crate::element::Element;
use crate::{MetricsError, TokenCategory};

/// All (head, target, source) pairs of α and ‖f(x)‖, by the category of the
/// source, for their rank correlation.
///
/// ‖f^h(x_j)‖ is the same for every target i, so it is stored once for each
/// (head, source): a pair costs 8 bytes for f32 and 16 for f64, and the
/// correlation needs no memory beyond that but 32 bytes for each (head, source).
///
/// # Source
///
/// 2020, experiments on BERT, relation between α and ‖f(x)‖.
#[derive(Clone, Debug)]
pub struct WeightNormRelation<E> {
    by_category: [Pairs<E>; TokenCategory::ALL.len()],
}

#[derive(Clone, Debug)]
struct Pairs<E> {
    /// α, and which entry of `norms` it goes with.
    weights: Vec<(E, u32)>,
    /// ‖f(x)‖, and how many α go with it.
    norms: Vec<(E, f64)>,
}

impl<E: Element> WeightNormRelation<E> {
    /// No pair yet.
    pub fn new() -> Self {
        Self {
            by_category: std::array::from_fn(|_| Pairs {
                weights: Vec::new(),
                norms: Vec::new(),
            }),
        }
    }

    /// Adds all pairs of one layer of one sequence.
    ///
    /// # Shapes
    ///
    /// `categories` `[source]`.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`] if there is not one category a source;
    /// [`MetricsError::TooManyOccurrences`] past 2³² (head, source) pairs.
    pub fn push(
        &mut self,
        attention: &LayerAttention<'_, E>,
        categories: &[TokenCategory],
    ) -> Result<(), MetricsError> {
        check_length("categories", attention.sources(), categories.len())?;
        let (heads, norms) = (attention.attention_weights(), attention.transformed_norms());
        for (weights, norms) in heads.outer_iter().zip(norms.outer_iter()) {
            let columns = weights.columns().into_iter();
            for ((column, &norm), &category) in columns.zip(norms).zip(categories) {
                let pairs = &mut self.by_category[category as usize];
                let occurrence = u32::try_from(pairs.norms.len())
                    .map_err(|_| MetricsError::TooManyOccurrences { limit: u32::MAX })?;
                pairs.norms.push((norm, column.len() as f64));
                pairs
                    .weights
                    .extend(column.iter().map(|&weight| (weight, occurrence)));
            }
        }
        Ok(())
    }

    /// How many pairs a category has.
    pub fn count(&self, category: TokenCategory) -> usize {
        self.by_category[category as usize].weights.len()
    }

    /// Spearman's rank correlation of α and ‖f(x)‖ over the pairs of a
    /// category, ties averaged: what [`crate::spearman`] gives for the two
    /// lists written out.
    ///
    /// `None` if there are fewer than two pairs or one side is constant. Sorts
    /// the pairs where they lie, hence `&mut`; more can be added afterwards.
    pub fn spearman(&mut self, category: TokenCategory) -> Option<f64> {
        let pairs = &mut self.by_category[category as usize];
        let norm_ranks = pairs.norm_ranks();
        pairs
            .weights
            .sort_unstable_by(|a, b| a.0.to_f64().total_cmp(&b.0.to_f64()));
        let mut moments = Comoments::default();
        let mut below = 0;
        for ties in pairs.weights.chunk_by(|a, b| a.0.to_f64() == b.0.to_f64()) {
            let rank = tied_rank(below as f64, ties.len() as f64);
            for &(_, occurrence) in ties {
                moments.add(rank, norm_ranks[occurrence as usize]);
            }
            below += ties.len();
        }
        moments.correlation()
    }
}

impl<E: Element> Default for WeightNormRelation<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Element> Pairs<E> {
    /// The rank of each norm when it is counted once for every α with it.
    fn norm_ranks(&self) -> Vec<f64> {
        let mut order: Vec<usize> = (0..self.norms.len()).collect();
        let norm = |occurrence: usize| self.norms[occurrence].0.to_f64();
        order.sort_unstable_by(|&a, &b| norm(a).total_cmp(&norm(b)));
        let mut ranks = vec![0.0; order.len()];
        let mut below = 0.0;
        for ties in order.chunk_by(|&a, &b| norm(a) == norm(b)) {
            let copies = ties
                .iter()
                .map(|&occurrence| self.norms[occurrence].1)
                .sum();
            for &occurrence in ties {
                ranks[occurrence] = tied_rank(below, copies);
            }
            below += copies;
        }
        ranks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TokenCategory::{Cls, Other, Sep};
    use ndarray::{arr2, arr3};

    #[test]
    fn weights_and_norms_by_hand() {
        // Other has the pairs (0.5, 3), (0.75, 3), (0.25, 1), (0.125, 1): ranks of α
        // 3 4 2 1, of the norm 3.5 3.5 1.5 1.5. Σxy of deviations from 2.5 is
        // 0.5 + 1.5 + 0.5 + 1.5 = 4, Σxx = 5, Σyy = 4.
        let weights = arr3(&[[[0.5, 0.25, 0.25], [0.75, 0.125, 0.125]]]);
        let norms = arr2(&[[3.0_f32, 1.0, 9.0]]);
        let attention = LayerAttention::new(weights.view(), norms.view()).unwrap();
        let mut relation = WeightNormRelation::new();
        relation.push(&attention, &[Other, Other, Cls]).unwrap();
        let rho = relation.spearman(Other).unwrap();
        assert!((rho - 4.0 / 20.0_f64.sqrt()).abs() < 1e-15);
        assert_eq!(relation.count(Other), 4);
        // One norm only: constant.
        assert_eq!(relation.spearman(Cls), None);
        assert_eq!(relation.spearman(Sep), None);
        // Sorting in place leaves the pairs as they were.
        assert_eq!(relation.spearman(Other), Some(rho));
    }

    #[test]
    fn categories_must_cover_the_sources() {
        let (weights, norms) = (arr3(&[[[1.0]]]), arr2(&[[1.0]]));
        let attention = LayerAttention::new(weights.view(), norms.view()).unwrap();
        assert!(WeightNormRelation::new().push(&attention, &[]).is_err());
    }
}
