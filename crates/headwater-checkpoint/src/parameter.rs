//! The tensors of a checkpoint, by what they are to an architecture.

use crate::{Dtype, Layout};

/// A parameter of the architecture: a tensor of the file, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// This crate's name, for instance `layers.0.attention.query.weight`.
    pub name: String,
    /// The tensor's name in the file, for instance `bert.encoder.layer.0.attention.self.query.weight`.
    pub name_in_file: String,
    /// The shape, which agrees with the architecture; a linear layer's weight is `[out, in]`.
    pub shape: Vec<usize>,
    /// The shape of that tensor, which may hold other parameters too.
    pub shape_in_file: Vec<usize>,
    /// Where it lies in the tensor; [`Checkpoint::read`](crate::Checkpoint::read) returns it in `shape` either way.
    pub layout: Layout,
    /// The element type in the file.
    pub dtype: Dtype,
}

impl Parameter {
    /// Whether the tensor in the file is the parameter, number by number.
    pub fn is_whole(&self) -> bool {
        self.layout == Layout::WHOLE && self.shape == self.shape_in_file
    }
}

/// A tensor that the architecture has no use for: a task head, a buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct UnusedTensor {
    /// The name in the file.
    pub name: String,
    /// The shape in the file.
    pub shape: Vec<usize>,
    /// The element type in the file.
    pub dtype: Dtype,
}
