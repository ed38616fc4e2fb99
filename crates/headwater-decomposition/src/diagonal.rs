//! What a token has from itself: the diagonal of a token-to-token map, or a source apart.

use burn::tensor::Tensor;

/// The identity matrix `[size, size]` on the device and in the precision of `like`.
pub(crate) fn identity<const D: usize>(size: usize, like: &Tensor<D>) -> Tensor<2> {
    Tensor::<2>::eye(size, &like.device()).cast(like.dtype())
}

/// The diagonal of square maps: i = j.
///
/// Its operations are products with an identity matrix, which every device has.
#[derive(Debug, Clone)]
pub(crate) struct Diagonal {
    tokens: usize,
}

impl Diagonal {
    pub(crate) fn new(tokens: usize) -> Self {
        Self { tokens }
    }

    /// `[batch, head, token, token]` to its diagonal `[batch, head, token, 1]`.
    pub(crate) fn extract(&self, map: Tensor<4>) -> Tensor<4> {
        let identity = identity(self.tokens, &map);
        (map * identity.unsqueeze()).sum_dim(3)
    }

    /// The map with its diagonal set to 0.
    pub(crate) fn zero(&self, map: Tensor<4>) -> Tensor<4> {
        let others = identity(self.tokens, &map) * -1.0 + 1.0;
        map * others.unsqueeze()
    }

    /// Puts `values` `[batch, token]` on the diagonal of `map` `[batch, token, token]`.
    pub(crate) fn replace(&self, map: Tensor<3>, values: Tensor<2>) -> Tensor<3> {
        let identity = identity(self.tokens, &map);
        map * (identity.clone() * -1.0 + 1.0).unsqueeze()
            + values.unsqueeze_dim::<3>(2) * identity.unsqueeze()
    }
}

/// Where what a target keeps of itself stands among the sources.
#[derive(Debug, Clone)]
pub(crate) enum Own {
    /// Within a sequence: at i = j.
    Diagonal(Diagonal),
    /// In cross-attention: nowhere. Its own stream is a source beside the encoder's tokens.
    Stream,
}

impl Own {
    /// α_ii by head, `[batch, head, target, 1]`; none where no source is the target itself.
    pub(crate) fn weight(&self, weights: &Tensor<4>) -> Option<Tensor<4>> {
        match self {
            Own::Diagonal(diagonal) => Some(diagonal.extract(weights.clone())),
            Own::Stream => None,
        }
    }

    /// α without α_ii.
    pub(crate) fn others(&self, weights: &Tensor<4>) -> Tensor<4> {
        match self {
            Own::Diagonal(diagonal) => diagonal.zero(weights.clone()),
            Own::Stream => weights.clone(),
        }
    }

    /// Puts what is measured on the own part, `[batch, target]`, into a map of
    /// the sources, where it has a place there.
    pub(crate) fn place(&self, map: Tensor<3>, own: impl FnOnce() -> Tensor<2>) -> Tensor<3> {
        match self {
            Own::Diagonal(diagonal) => diagonal.replace(map, own()),
            Own::Stream => map,
        }
    }
}
