//! Mixing ratios: how much of a representation comes from other tokens.

use ndarray::{Array1, ArrayView3};

use crate::attention::{check_axes, check_index, check_length, check_shape};
use crate::element::{Element, all_finite};
use crate::summary::merged;
use crate::{LayerTable, MetricsError, Summary, TokenKind, depth_correlation};

/// The mixing ratio of a preserving and a mixing norm.
///
/// ```text
/// r = mixing / (mixing + preserving)      in [0, 1]
/// ```
///
/// 0 means that a token keeps to itself, 1 that it is made of others only.
/// 0/0 gives 0: nothing was mixed. The arguments are norms, finite and not
/// negative; of other values the result means nothing.
///
/// # Source
///
/// 2021, mixing ratio.
pub fn mixing_ratio(preserving: impl Element, mixing: impl Element) -> f64 {
    let (preserving, mixing) = (preserving.to_f64(), mixing.to_f64());
    if mixing == 0.0 {
        return 0.0;
    }
    mixing / (mixing + preserving)
}

/// The weight baseline `attn_w` of every target: `1 − A_ii`, with A the mean of
/// the attention weights over heads.
///
/// In [0, 1]: a row whose own weight rounds above 1 gives 0. A single token
/// gives 0.
///
/// # Shapes
///
/// `attention_weights` [head, target, source], as many targets as sources,
/// without padding; the result `[target]`.
///
/// # Errors
///
/// [`MetricsError::ShapeMismatch`] if the maps are not square;
/// [`MetricsError::EmptyAxis`]; [`MetricsError::NotFinite`].
///
/// # Source
///
/// 2021, ATTN-W.
pub fn attention_ratio<E: Element>(
    attention_weights: ArrayView3<'_, E>,
) -> Result<Array1<f64>, MetricsError> {
    check_axes("attention_weights", attention_weights.shape())?;
    let (heads, targets, _) = attention_weights.dim();
    let square = [heads, targets, targets];
    check_shape("attention_weights", &square, attention_weights.shape())?;
    let mut own: Array1<f64> = Array1::zeros(targets);
    for head in attention_weights.outer_iter() {
        own += &Array1::from_vec(all_finite("attention_weights diagonal", head.diag())?);
    }
    Ok(own.map(|own| (1.0 - own / heads as f64).clamp(0.0, 1.0)))
}

/// The weight baseline `attn_res_w` of every target: `(1 − A_ii)/2`, half of
/// [`attention_ratio`], because the residual connection counts as much as the
/// attention.
///
/// In [0, 1/2]. Shapes and errors are those of [`attention_ratio`].
///
/// # Source
///
/// 2021, ATTNRES-W, after Abnar and Zuidema 2020.
pub fn attention_residual_ratio<E: Element>(
    attention_weights: ArrayView3<'_, E>,
) -> Result<Array1<f64>, MetricsError> {
    Ok(attention_ratio(attention_weights)? / 2.0)
}

/// Mixing ratios over a corpus, by layer and kind of token.
///
/// Means are over token occurrences, so a long text weighs more than a short
/// one.
///
/// # Source
///
/// 2021, the table of means, and figure 3.
#[derive(Clone, Debug)]
pub struct MixingByKind {
    layers: Vec<[Summary; TokenKind::ALL.len()]>,
}

impl MixingByKind {
    /// No token yet, for a model of so many layers.
    pub fn new(layers: usize) -> Self {
        Self {
            layers: vec![[Summary::new(); TokenKind::ALL.len()]; layers],
        }
    }

    /// Adds one layer of one sequence.
    ///
    /// # Shapes
    ///
    /// `ratios` and `kinds` `[target]`.
    ///
    /// # Errors
    ///
    /// [`MetricsError::OutOfRange`] for a layer that is not there;
    /// [`MetricsError::LengthMismatch`]; [`MetricsError::NotFinite`]. Nothing
    /// is added then.
    pub fn push(
        &mut self,
        layer: usize,
        ratios: impl IntoIterator<Item: Element>,
        kinds: &[TokenKind],
    ) -> Result<(), MetricsError> {
        check_index("layer", layer, self.layers.len())?;
        let ratios = all_finite("ratios", ratios)?;
        check_length("kinds", ratios.len(), kinds.len())?;
        for (ratio, kind) in ratios.into_iter().zip(kinds) {
            self.layers[layer][*kind as usize].add(ratio);
        }
        Ok(())
    }

    /// Adds everything that another collection over the same model has seen.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`] if the numbers of layers differ.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricsError> {
        check_length("layers", self.layers.len(), other.layers.len())?;
        for (cells, others) in self.layers.iter_mut().zip(&other.layers) {
            for (cell, other) in cells.iter_mut().zip(others) {
                cell.merge(other);
            }
        }
        Ok(())
    }

    /// The ratios of one kind of token in one layer; `None` for a layer that
    /// is not there.
    pub fn kind(&self, layer: usize, kind: TokenKind) -> Option<Summary> {
        Some(self.layers.get(layer)?[kind as usize])
    }

    /// The ratios of all tokens of one layer; `None` for a layer that is not
    /// there.
    pub fn layer(&self, layer: usize) -> Option<Summary> {
        Some(merged(self.layers.get(layer)?))
    }

    /// The ratios of one kind of token in all layers.
    pub fn overall_kind(&self, kind: TokenKind) -> Summary {
        merged(self.layers.iter().map(|cells| &cells[kind as usize]))
    }

    /// The ratios of all tokens of all layers: what the papers' tables give
    /// mean, maximum and minimum of.
    pub fn overall(&self) -> Summary {
        merged(self.layers.iter().flatten())
    }

    /// Spearman's rank correlation of depth and the layers' mean ratio.
    ///
    /// `None` if a layer has no token yet, and where [`depth_correlation`] is.
    pub fn depth_correlation(&self) -> Option<f64> {
        let means: Option<Vec<f64>> = self
            .layers
            .iter()
            .map(|cells| merged(cells).mean())
            .collect();
        // Means of finite ratios are finite, so the only error cannot occur.
        depth_correlation(means?).ok()?
    }

    /// The mean ratios as a table of layers and kinds, with a column for all
    /// tokens; the overall row is the mean over the tokens of all layers.
    pub fn table(&self) -> LayerTable {
        let columns = TokenKind::ALL.map(|kind| kind.to_string());
        let rows = self.layers.iter().map(|cells| {
            let kinds = cells.iter().map(Summary::mean);
            kinds.chain([merged(cells).mean()]).collect::<Vec<_>>()
        });
        let overall = TokenKind::ALL.map(|kind| self.overall_kind(kind).mean());
        LayerTable::from_finite(
            columns.into_iter().chain(["overall".to_owned()]),
            rows,
            overall.into_iter().chain([self.overall().mean()]),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TokenKind::{Cls, Mask, Normal, Sep};
    use ndarray::{Array3, arr1, arr3};

    #[test]
    fn ratios_by_hand() {
        assert_eq!(mixing_ratio(3.0_f32, 1.0), 0.25);
        assert_eq!(mixing_ratio(0.0, 2.0), 1.0);
        assert_eq!(mixing_ratio(2.0, 0.0_f32), 0.0);
        assert_eq!(mixing_ratio(0.0, 0.0), 0.0);
    }

    #[test]
    fn weight_baselines_by_hand() {
        let weights = arr3(&[[[0.5_f32, 0.5], [0.25, 0.75]], [[1.0, 0.0], [0.5, 0.5]]]);
        // Own weights: (0.5 + 1)/2 and (0.75 + 0.5)/2.
        assert_eq!(
            attention_ratio(weights.view()).unwrap(),
            arr1(&[0.25, 0.375])
        );
        assert_eq!(
            attention_residual_ratio(weights.view()).unwrap(),
            arr1(&[0.125, 0.1875])
        );
        let one = arr3(&[[[1.0 + 1e-7]]]);
        assert_eq!(attention_ratio(one.view()).unwrap(), arr1(&[0.0]));
    }

    #[test]
    fn weights_that_are_no_self_attention_are_refused() {
        let cross = Array3::<f32>::zeros((2, 3, 4));
        assert!(matches!(
            attention_ratio(cross.view()),
            Err(MetricsError::ShapeMismatch { .. })
        ));
        let none = Array3::<f32>::zeros((0, 3, 3));
        assert!(matches!(
            attention_ratio(none.view()),
            Err(MetricsError::EmptyAxis { .. })
        ));
        let broken = Array3::from_elem((1, 2, 2), f32::NAN);
        assert!(matches!(
            attention_residual_ratio(broken.view()),
            Err(MetricsError::NotFinite { .. })
        ));
    }

    #[test]
    fn means_are_over_tokens() {
        let mut mixing = MixingByKind::new(2);
        mixing
            .push(0, [0.5, 0.25, 0.75, 0.5], &[Cls, Normal, Normal, Sep])
            .unwrap();
        mixing.push(0, [0.125_f32], &[Cls]).unwrap();
        mixing.push(1, [0.25], &[Mask]).unwrap();
        assert_eq!(mixing.kind(0, Normal).unwrap().mean(), Some(0.5));
        assert_eq!(mixing.kind(0, Cls).unwrap().mean(), Some(0.3125));
        assert_eq!(mixing.kind(0, Mask).unwrap().mean(), None);
        // (0.5 + 0.25 + 0.75 + 0.5 + 0.125)/5 and, with the second layer, 2.375/6.
        assert!((mixing.layer(0).unwrap().mean().unwrap() - 0.425).abs() < 1e-15);
        assert!((mixing.overall().mean().unwrap() - 2.375 / 6.0).abs() < 1e-15);
        assert_eq!(mixing.overall().max(), Some(0.75));
        assert_eq!(mixing.layer(2), None);
        assert_eq!(mixing.depth_correlation(), Some(-1.0));

        let table = mixing.table();
        assert_eq!(
            table.columns(),
            ["normal", "[MASK]", "[CLS]", "[SEP]", "overall"]
        );
        assert_eq!(table.rows()[1], [None, Some(0.25), None, None, Some(0.25)]);
        assert_eq!(table.overall().unwrap()[0], Some(0.5));

        let mut twice = mixing.clone();
        twice.merge(&mixing).unwrap();
        assert_eq!(twice.overall().count(), 12);
        assert!(twice.merge(&MixingByKind::new(1)).is_err());
    }

    #[test]
    fn a_refused_sequence_adds_nothing() {
        let mut mixing = MixingByKind::new(1);
        assert!(mixing.push(0, [0.5, f64::NAN], &[Cls, Sep]).is_err());
        assert!(mixing.push(0, [0.5, 0.5], &[Cls]).is_err());
        assert!(mixing.push(1, [0.5], &[Cls]).is_err());
        assert_eq!(mixing.overall().count(), 0);
        assert_eq!(mixing.depth_correlation(), None);
    }
}
