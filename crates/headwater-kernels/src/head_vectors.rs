//! The vectors of all heads: their sizes, and where they lie.

/// The sizes of a multi-head attention.
#[derive(Debug, Clone, Copy)]
pub struct HeadShape {
    /// Sequences.
    pub batch: usize,
    /// Heads.
    pub heads: usize,
    /// Numbers of a head's query, key or value.
    pub d_head: usize,
    /// Tokens of a sequence that ask.
    pub targets: usize,
    /// Tokens of a sequence that are looked at.
    pub sources: usize,
    /// Whether a target sees no source behind itself.
    pub causal: bool,
}

/// Vectors by token and head: that of head h of token t of sequence b begins at
/// `b·batch_stride + t·token_stride + h·head_stride`.
#[derive(Debug, Clone, Copy)]
pub struct HeadVectors<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// From one sequence to the next.
    pub batch_stride: usize,
    /// From one head to the next.
    pub head_stride: usize,
    /// From one token to the next.
    pub token_stride: usize,
}

impl<'a> HeadVectors<'a> {
    /// Rows of a product, `[batch, token, head · d_head]`.
    pub fn rows(data: &'a [f32], tokens: usize, heads: usize, d_head: usize) -> Self {
        Self {
            data,
            batch_stride: tokens * heads * d_head,
            head_stride: d_head,
            token_stride: heads * d_head,
        }
    }

    pub(crate) fn of(self, sequence: usize, head: usize) -> &'a [f32] {
        &self.data[sequence * self.batch_stride + head * self.head_stride..]
    }

    /// That there is a vector for each token and head; of nothing there need be none.
    ///
    /// # Panics
    /// The numbers end before the last vector does.
    pub(crate) fn check(self, shape: HeadShape, tokens: usize) {
        if shape.batch * shape.heads * tokens * shape.d_head == 0 {
            return;
        }
        let last = (shape.batch - 1) * self.batch_stride
            + (shape.heads - 1) * self.head_stride
            + (tokens - 1) * self.token_stride;
        assert!(
            last + shape.d_head <= self.data.len(),
            "a vector for each token and head"
        );
    }
}
