//! What each category of tokens receives and is worth: 2020's second look at
//! where BERT attends.

use crate::attention::{LayerAttention, check_index, check_length};
use crate::element::Element;
use crate::{LayerTable, MetricsError, Summary, TokenCategory};

/// What one category of sources is to one head, in one sequence or on average
/// over many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CategoryStatistics {
    /// Σ α over the category's sources, mean over targets.
    pub attention: f64,
    /// Σ ‖αf(x)‖ over the category's sources, mean over targets.
    pub weighted_norm: f64,
    /// Mean of ‖f(x)‖ over the category's sources.
    pub transformed_norm: f64,
}

/// Which of the three [`CategoryStatistics`] a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CategoryQuantity {
    /// [`CategoryStatistics::attention`].
    Attention,
    /// [`CategoryStatistics::weighted_norm`].
    WeightedNorm,
    /// [`CategoryStatistics::transformed_norm`].
    TransformedNorm,
}

impl CategoryStatistics {
    /// One of the three numbers.
    pub fn quantity(&self, quantity: CategoryQuantity) -> f64 {
        match quantity {
            CategoryQuantity::Attention => self.attention,
            CategoryQuantity::WeightedNorm => self.weighted_norm,
            CategoryQuantity::TransformedNorm => self.transformed_norm,
        }
    }

    fn scaled(self, factor: f64) -> Self {
        Self {
            attention: self.attention * factor,
            weighted_norm: self.weighted_norm * factor,
            transformed_norm: self.transformed_norm * factor,
        }
    }
}

/// The statistics of one category in one layer of one sequence, head by head.
///
/// ```text
/// attention        = (1/targets) Σ_i Σ_{j ∈ C} α^h_ij
/// weighted_norm    = (1/targets) Σ_i Σ_{j ∈ C} α^h_ij ‖f^h(x_j)‖
/// transformed_norm = (1/|C|)     Σ_{j ∈ C} ‖f^h(x_j)‖
/// ```
///
/// `None` if no source is of that category: nothing is known about it, which
/// is not the same as 0. Over all categories `attention` sums to 1.
///
/// # Shapes
///
/// `categories` `[source]`; the result `[head]`.
///
/// # Errors
///
/// [`MetricsError::LengthMismatch`] if there is not one category a source.
///
/// # Source
///
/// 2020, experiments on BERT, token categories.
pub fn category_statistics<E: Element>(
    attention: &LayerAttention<'_, E>,
    categories: &[TokenCategory],
    category: TokenCategory,
) -> Result<Option<Vec<CategoryStatistics>>, MetricsError> {
    check_length("categories", attention.sources(), categories.len())?;
    let members: Vec<usize> = (0..categories.len())
        .filter(|&source| categories[source] == category)
        .collect();
    if members.is_empty() {
        return Ok(None);
    }
    // ‖f(x)‖ does not depend on the target, so the targets are averaged first.
    let received = attention.received_by_head();
    let norms = attention.transformed_norms();
    let by_head = received.outer_iter().zip(norms.outer_iter());
    let statistics = by_head.map(|(received, norms)| {
        let sum =
            |term: &dyn Fn(usize) -> f64| members.iter().map(|&source| term(source)).sum::<f64>();
        CategoryStatistics {
            attention: sum(&|source| received[source]),
            weighted_norm: sum(&|source| received[source] * norms[source].to_f64()),
            transformed_norm: sum(&|source| norms[source].to_f64()) / members.len() as f64,
        }
    });
    Ok(Some(statistics.collect()))
}

/// Category statistics over a corpus: the mean over sequences, then over heads.
///
/// A sequence without a category contributes nothing to it, so that the mean
/// is over the sequences that have it.
///
/// # Source
///
/// 2020, experiments on BERT, token categories.
#[derive(Clone, Debug)]
pub struct CategoryMeans {
    layers: usize,
    heads: usize,
    /// [layer, category, head], each with its three quantities.
    cells: Vec<[Summary; 3]>,
}

impl CategoryMeans {
    /// No sequence yet, for a model of so many layers and heads.
    pub fn new(layers: usize, heads: usize) -> Self {
        let cells = vec![[Summary::new(); 3]; layers * TokenCategory::ALL.len() * heads];
        Self {
            layers,
            heads,
            cells,
        }
    }

    /// Adds one layer of one sequence, all categories of it.
    ///
    /// # Shapes
    ///
    /// `categories` `[source]`.
    ///
    /// # Errors
    ///
    /// [`MetricsError::OutOfRange`] for a layer that is not there;
    /// [`MetricsError::LengthMismatch`] if heads or categories do not fit.
    pub fn push<E: Element>(
        &mut self,
        layer: usize,
        attention: &LayerAttention<'_, E>,
        categories: &[TokenCategory],
    ) -> Result<(), MetricsError> {
        check_index("layer", layer, self.layers)?;
        check_length("heads", self.heads, attention.heads())?;
        for category in TokenCategory::ALL {
            let Some(heads) = category_statistics(attention, categories, category)? else {
                continue;
            };
            for (head, statistics) in heads.into_iter().enumerate() {
                let cell = self.position(layer, category, head);
                let [attention, weighted, transformed] = &mut self.cells[cell];
                attention.push(statistics.attention)?;
                weighted.push(statistics.weighted_norm)?;
                transformed.push(statistics.transformed_norm)?;
            }
        }
        Ok(())
    }

    /// The mean over sequences for one head.
    ///
    /// `None` if no sequence had the category, and for a layer or head that is
    /// not there.
    pub fn head(
        &self,
        layer: usize,
        head: usize,
        category: TokenCategory,
    ) -> Option<CategoryStatistics> {
        if layer >= self.layers || head >= self.heads {
            return None;
        }
        let [attention, weighted, transformed] = &self.cells[self.position(layer, category, head)];
        Some(CategoryStatistics {
            attention: attention.mean()?,
            weighted_norm: weighted.mean()?,
            transformed_norm: transformed.mean()?,
        })
    }

    /// The mean over the layer's heads of their means over sequences.
    ///
    /// `None` where [`CategoryMeans::head`] is.
    pub fn layer(&self, layer: usize, category: TokenCategory) -> Option<CategoryStatistics> {
        // Every head sees every sequence, so all heads have a mean or none has.
        let heads: Vec<_> = (0..self.heads)
            .filter_map(|head| self.head(layer, head, category))
            .collect();
        mean(&heads)
    }

    /// The mean over the layers of [`CategoryMeans::layer`]; `None` if no
    /// sequence had the category.
    pub fn overall(&self, category: TokenCategory) -> Option<CategoryStatistics> {
        let layers: Vec<_> = (0..self.layers)
            .filter_map(|layer| self.layer(layer, category))
            .collect();
        mean(&layers)
    }

    /// One quantity as a table of layers and categories; its overall row is
    /// the mean over layers.
    pub fn table(&self, quantity: CategoryQuantity) -> LayerTable {
        let cell = |statistics: Option<CategoryStatistics>| {
            statistics.map(|statistics| statistics.quantity(quantity))
        };
        let columns = TokenCategory::ALL.map(|category| category.to_string());
        let rows = (0..self.layers)
            .map(|layer| TokenCategory::ALL.map(|category| cell(self.layer(layer, category))));
        let overall = TokenCategory::ALL.map(|category| cell(self.overall(category)));
        LayerTable::from_finite(columns, rows, overall)
    }

    fn position(&self, layer: usize, category: TokenCategory, head: usize) -> usize {
        (layer * TokenCategory::ALL.len() + category as usize) * self.heads + head
    }
}

fn mean(statistics: &[CategoryStatistics]) -> Option<CategoryStatistics> {
    let sum = statistics
        .iter()
        .copied()
        .reduce(|a, b| CategoryStatistics {
            attention: a.attention + b.attention,
            weighted_norm: a.weighted_norm + b.weighted_norm,
            transformed_norm: a.transformed_norm + b.transformed_norm,
        });
    Some(sum?.scaled(1.0 / statistics.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use TokenCategory::{Cls, CommaOrPeriod, Other, Sep};
    use ndarray::{Array2, Array3, arr2, arr3};

    const CATEGORIES: [TokenCategory; 3] = [Cls, Other, Other];

    fn example() -> (Array3<f32>, Array2<f32>) {
        let weights = arr3(&[
            [[0.5, 0.25, 0.25], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]],
            [[0.25, 0.75, 0.0], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]],
        ]);
        (weights, arr2(&[[2.0, 4.0, 8.0], [1.0, 3.0, 5.0]]))
    }

    #[test]
    fn statistics_by_hand() {
        let (weights, norms) = example();
        let attention = LayerAttention::new(weights.view(), norms.view()).unwrap();
        let of = |category| category_statistics(&attention, &CATEGORIES, category).unwrap();
        let cls = of(Cls).unwrap();
        // Head 0: (0.5 + 0 + 1)/3 = 0.5 of weight, times ‖f‖ = 2, which is also the mean.
        assert_eq!(
            cls[0],
            CategoryStatistics {
                attention: 0.5,
                weighted_norm: 1.0,
                transformed_norm: 2.0,
            }
        );
        assert_eq!(cls[1].attention, 0.25);
        // Head 1: rows 0.75·3 = 2.25, 0.5·3 + 0.25·5 = 2.75, 0.25·3 + 0.5·5 = 3.25.
        let other = of(Other).unwrap();
        assert!((other[1].weighted_norm - 8.25 / 3.0).abs() < 1e-15);
        assert_eq!(other[1].transformed_norm, 4.0);
        assert_eq!(other[0].attention, 0.5);
        assert_eq!(of(Sep), None);
    }

    #[test]
    fn a_sequence_without_a_category_contributes_nothing() {
        let (weights, norms) = example();
        let attention = LayerAttention::new(weights.view(), norms.view()).unwrap();
        let mut means = CategoryMeans::new(2, 2);
        means.push(0, &attention, &CATEGORIES).unwrap();
        means
            .push(0, &attention, &[Cls, CommaOrPeriod, Other])
            .unwrap();

        let comma = means.layer(0, CommaOrPeriod).unwrap();
        // Only the second sequence: head 0 (0.25 + 0.5 + 0)/3, head 1 (0.75 + 0.5 + 0.25)/3.
        assert!((comma.attention - (0.25 + 0.5) / 2.0).abs() < 1e-15);
        assert_eq!(comma.transformed_norm, 3.5);
        // Head 0: source 1 and 2 in one sequence, source 2 in the other: (6 + 8)/2.
        assert_eq!(means.head(0, 0, Other).unwrap().transformed_norm, 7.0);
        assert_eq!(means.layer(0, Sep), None);
        assert_eq!(means.layer(1, Cls), None);
        assert_eq!(means.head(2, 0, Cls), None);
        assert_eq!(means.overall(Cls), means.layer(0, Cls));

        let table = means.table(CategoryQuantity::Attention);
        assert_eq!(
            table.columns(),
            ["[CLS]", "[SEP]", "comma or period", "other"]
        );
        assert_eq!(table.rows()[0][0], Some(0.375));
        assert_eq!(table.rows()[0][1], None);
        assert_eq!(table.rows()[1], [None; 4]);
        assert_eq!(table.overall().unwrap()[0], Some(0.375));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (weights, norms) = example();
        let attention = LayerAttention::new(weights.view(), norms.view()).unwrap();
        assert!(category_statistics(&attention, &[Cls], Cls).is_err());
        assert!(matches!(
            CategoryMeans::new(1, 2).push(1, &attention, &CATEGORIES),
            Err(MetricsError::OutOfRange { .. })
        ));
        assert!(matches!(
            CategoryMeans::new(1, 3).push(0, &attention, &CATEGORIES),
            Err(MetricsError::LengthMismatch { name: "heads", .. })
        ));
    }
}
