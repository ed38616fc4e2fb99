//! Activations that another program captured, such as hooks in PyTorch.

use burn::tensor::Tensor;

use super::{Activations, Captures, LayerCapture};
use crate::Error;

/// A tensor of the rank that its quantity has.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Captured {
    /// `[batch, token, width]`.
    Matrix(Tensor<3>),
    /// `[batch, head, …, …]`.
    Heads(Tensor<4>),
}

impl From<Tensor<3>> for Captured {
    fn from(tensor: Tensor<3>) -> Self {
        Self::Matrix(tensor)
    }
}

impl From<Tensor<4>> for Captured {
    fn from(tensor: Tensor<4>) -> Self {
        Self::Heads(tensor)
    }
}

impl Captures {
    /// What is kept, each quantity once: what a capture needs that is filled by
    /// [`LayerCapture::insert`].
    pub fn quantities(&self) -> Vec<Activations> {
        let mut quantities: Vec<Activations> = Vec::new();
        for quantity in &self.quantities {
            if !quantities.contains(quantity) {
                quantities.push(*quantity);
            }
        }
        quantities
    }
}

impl LayerCapture {
    /// Takes a quantity that was computed elsewhere, in the place of one that
    /// was there. The other dimensions than the rank are the caller's: those of
    /// [`Activations`], for one batch.
    ///
    /// # Errors
    /// [`Error::CapturedRank`]: a tensor of another rank than the quantity has.
    pub fn insert(
        &mut self,
        quantity: Activations,
        tensor: impl Into<Captured>,
    ) -> Result<(), Error> {
        let of_heads = matches!(
            quantity,
            Activations::AttentionWeights(_) | Activations::Values(_)
        );
        match (tensor.into(), of_heads) {
            (Captured::Matrix(tensor), false) if quantity == Activations::PreActivation => {
                self.pre_activation = Some(tensor.into());
            }
            (Captured::Matrix(tensor), false) => {
                self.matrices.retain(|(kept, _)| *kept != quantity);
                self.matrices.push((quantity, tensor));
            }
            (Captured::Heads(tensor), true) => {
                self.head_matrices.retain(|(kept, _)| *kept != quantity);
                self.head_matrices.push((quantity, tensor));
            }
            (Captured::Matrix(_), true) => return Err(rank(quantity, 4, 3)),
            (Captured::Heads(_), false) => return Err(rank(quantity, 3, 4)),
        }
        Ok(())
    }
}

fn rank(quantity: Activations, expected: usize, found: usize) -> Error {
    Error::CapturedRank {
        quantity: quantity.to_string(),
        expected,
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceName;
    use headwater_checkpoint::wiring::{Part, Step};

    #[test]
    fn a_quantity_is_what_was_inserted_last_and_has_its_rank() {
        let device = DeviceName::ENABLED[0].device();
        let step = Step {
            block: 0,
            part: Part::Sublayer,
        };
        let mut capture = LayerCapture::new(3);
        assert!(capture.input().is_err());
        for value in [1.0, 2.0] {
            let input = Tensor::<3>::full([1, 2, 4], value, &device);
            capture.insert(Activations::Input, input).unwrap();
            let weights = Tensor::<4>::full([1, 1, 2, 2], value, &device);
            let quantity = Activations::AttentionWeights(step);
            capture.insert(quantity, weights).unwrap();
        }
        let sum = |values: Vec<f32>| values.iter().sum::<f32>();
        let input = capture.input().unwrap().into_data().iter::<f32>().collect();
        assert_eq!(sum(input), 16.0);
        let weights = capture.attention_weights(step).unwrap();
        assert_eq!(sum(weights.into_data().iter::<f32>().collect()), 8.0);

        let flat = Tensor::<3>::zeros([1, 2, 2], &device);
        let error = capture.insert(Activations::Values(step), flat).unwrap_err();
        assert!(
            matches!(
                error,
                Error::CapturedRank {
                    expected: 4,
                    found: 3,
                    ..
                }
            ),
            "{error}"
        );
    }
}
