//! How much the norms of transformed vectors vary, against those of the inputs.

use ndarray::{Array1, ArrayView2};

use crate::attention::{check_index, check_length};
use crate::element::{Element, all_finite};
use crate::{LayerTable, MetricsError, Summary};

/// The norms of ‖f^h(x)‖ by layer and head and of ‖x‖ by layer, over all
/// tokens of a corpus.
///
/// # Source
///
/// 2020, experiments on BERT, dispersion of ‖f(x)‖.
#[derive(Clone, Debug)]
pub struct Dispersion {
    heads: usize,
    /// [layer, head].
    transformed: Vec<Summary>,
    /// `[layer]`.
    inputs: Vec<Summary>,
}

impl Dispersion {
    /// No token yet, for a model of so many layers and heads.
    pub fn new(layers: usize, heads: usize) -> Self {
        Self {
            heads,
            transformed: vec![Summary::new(); layers * heads],
            inputs: vec![Summary::new(); layers],
        }
    }

    /// Adds one layer of one sequence.
    ///
    /// # Shapes
    ///
    /// `transformed_norms` [head, source], ‖f^h(x_j)‖; `input_norms` `[source]`,
    /// ‖x_j‖ of the layer's inputs (see [`vector_norms`]).
    ///
    /// # Errors
    ///
    /// [`MetricsError::OutOfRange`] for a layer that is not there;
    /// [`MetricsError::LengthMismatch`]; [`MetricsError::NotFinite`]. Nothing
    /// is added then.
    pub fn push<E: Element>(
        &mut self,
        layer: usize,
        transformed_norms: ArrayView2<'_, E>,
        input_norms: impl IntoIterator<Item: Element>,
    ) -> Result<(), MetricsError> {
        check_index("layer", layer, self.inputs.len())?;
        let (heads, sources) = transformed_norms.dim();
        check_length("transformed_norms", self.heads, heads)?;
        let input_norms = all_finite("input_norms", input_norms)?;
        check_length("input_norms", sources, input_norms.len())?;
        all_finite("transformed_norms", &transformed_norms)?;

        let cells = &mut self.transformed[layer * heads..][..heads];
        for (cell, norms) in cells.iter_mut().zip(transformed_norms.outer_iter()) {
            cell.extend(norms)?;
        }
        self.inputs[layer].extend(input_norms)
    }

    /// Adds everything that another collection over the same model has seen.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LengthMismatch`] if layers or heads differ.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricsError> {
        check_length("layers", self.inputs.len(), other.inputs.len())?;
        check_length("heads", self.heads, other.heads)?;
        let cells = self.transformed.iter_mut().chain(&mut self.inputs);
        for (cell, other) in cells.zip(other.transformed.iter().chain(&other.inputs)) {
            cell.merge(other);
        }
        Ok(())
    }

    /// The norms ‖f^h(x)‖ of one head; `None` for one that is not there.
    pub fn transformed(&self, layer: usize, head: usize) -> Option<Summary> {
        (head < self.heads)
            .then(|| self.transformed.get(layer * self.heads + head).copied())
            .flatten()
    }

    /// The norms ‖x‖ of one layer's inputs; `None` for a layer that is not
    /// there.
    pub fn inputs(&self, layer: usize) -> Option<Summary> {
        self.inputs.get(layer).copied()
    }

    /// The coefficients of variation, standard deviation over mean: a column
    /// for ‖x‖, one for the mean over heads of those of ‖f(x)‖, and one a head.
    ///
    /// A coefficient that is undefined (no token, a mean of 0) is an empty
    /// cell, and means are over those that are defined. The overall row is the
    /// mean over layers.
    pub fn table(&self) -> LayerTable {
        let names = ["‖x‖".to_owned(), "‖f(x)‖".to_owned()];
        let heads = (1..=self.heads).map(|head| format!("head {head}"));
        let columns: Vec<String> = names.into_iter().chain(heads).collect();
        let rows: Vec<Vec<Option<f64>>> = (0..self.inputs.len())
            .map(|layer| self.coefficients(layer))
            .collect();
        let overall: Vec<Option<f64>> = (0..columns.len())
            .map(|column| mean(rows.iter().map(|row| row[column])))
            .collect();
        LayerTable::from_finite(columns, rows, overall)
    }

    fn coefficients(&self, layer: usize) -> Vec<Option<f64>> {
        let heads: Vec<Option<f64>> = self.transformed[layer * self.heads..][..self.heads]
            .iter()
            .map(Summary::coefficient_of_variation)
            .collect();
        let all_heads = mean(heads.iter().copied());
        let mut cells = vec![self.inputs[layer].coefficient_of_variation(), all_heads];
        cells.extend(heads);
        cells
    }
}

fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut summary = Summary::new();
    values.flatten().for_each(|value| summary.add(value));
    summary.mean()
}

/// The Euclidean norm of every row: `‖x_j‖ = sqrt(Σ_k x_jk²)`.
///
/// # Shapes
///
/// `vectors` [token, d_model]; the result `[token]`.
pub fn vector_norms<E: Element>(vectors: ArrayView2<'_, E>) -> Array1<f64> {
    let norm = |row: ndarray::ArrayView1<'_, E>| {
        let squares = row.iter().map(|value| value.to_f64().powi(2));
        squares.sum::<f64>().sqrt()
    };
    vectors.outer_iter().map(norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    fn example() -> Dispersion {
        let mut dispersion = Dispersion::new(2, 2);
        let norms = arr2(&[[1.0_f32, 3.0], [2.0, 2.0]]);
        dispersion.push(0, norms.view(), [1.0, 9.0]).unwrap();
        dispersion
    }

    #[test]
    fn coefficients_by_hand() {
        let dispersion = example();
        let table = dispersion.table();
        assert_eq!(table.columns(), ["‖x‖", "‖f(x)‖", "head 1", "head 2"]);
        // ‖x‖: 4/5; head 1: 1/2; head 2: 0/2; their mean 1/4.
        let first = [Some(0.8), Some(0.25), Some(0.5), Some(0.0)];
        assert_eq!(table.rows()[0], first);
        assert_eq!(table.rows()[1], [None; 4]);
        assert_eq!(table.overall(), Some(&first[..]));
        assert_eq!(dispersion.transformed(0, 1).unwrap().mean(), Some(2.0));
        assert_eq!(dispersion.inputs(0).unwrap().mean(), Some(5.0));
        assert_eq!(dispersion.transformed(0, 2), None);
        assert_eq!(dispersion.transformed(2, 0), None);
        assert_eq!(dispersion.inputs(2), None);
    }

    #[test]
    fn parts_are_merged_cell_by_cell() {
        let mut all = example();
        let mut part = Dispersion::new(2, 2);
        part.push(0, arr2(&[[5.0], [2.0]]).view(), [5.0]).unwrap();
        all.merge(&part).unwrap();
        assert_eq!(all.transformed(0, 0).unwrap().mean(), Some(3.0));
        assert_eq!(all.inputs(0).unwrap().count(), 3);
        assert!(all.merge(&Dispersion::new(2, 3)).is_err());
        assert!(all.merge(&Dispersion::new(1, 2)).is_err());
    }

    #[test]
    fn a_refused_sequence_adds_nothing() {
        let mut dispersion = example();
        let before = dispersion.table();
        let broken = arr2(&[[1.0, 1.0], [1.0, f64::NAN]]);
        assert!(dispersion.push(0, broken.view(), [1.0, 1.0]).is_err());
        let norms = arr2(&[[1.0], [1.0]]);
        assert!(dispersion.push(0, norms.view(), [1.0, 1.0]).is_err());
        assert!(dispersion.push(2, norms.view(), [1.0]).is_err());
        assert!(dispersion.push(0, norms.t(), [1.0, 1.0]).is_err());
        assert_eq!(dispersion.table(), before);
    }

    #[test]
    fn norms_of_rows() {
        let norms = vector_norms(arr2(&[[3.0_f32, 4.0], [0.0, 0.0]]).view());
        assert_eq!(norms, arr1(&[5.0, 0.0]));
    }
}
