//! What a token has from itself: the diagonal of a token-to-token map, or a source apart.

use burn::tensor::Tensor;

/// The identity matrix `[size, size]` on the device and in the precision of `like`.
pub(crate) fn identity(size: usize, like: &Tensor<4>) -> Tensor<2> {
    Tensor::<2>::eye(size, &like.device()).cast(like.dtype())
}

/// The diagonal of square maps: i = j.
#[derive(Debug, Clone)]
pub(crate) struct Diagonal {
    /// 1 on the diagonal, `[token, token]`.
    identity: Tensor<2>,
}

impl Diagonal {
    pub(crate) fn new(tokens: usize, like: &Tensor<4>) -> Self {
        Self {
            identity: identity(tokens, like),
        }
    }

    /// `[batch, head, token, token]` to its diagonal `[batch, head, token, 1]`.
    pub(crate) fn extract(&self, map: Tensor<4>) -> Tensor<4> {
        (map * self.identity.clone().unsqueeze()).sum_dim(3)
    }

    /// The map with its diagonal set to 0.
    pub(crate) fn zero(&self, map: Tensor<4>) -> Tensor<4> {
        map * self.others().unsqueeze()
    }

    /// 0 on the diagonal, 1 elsewhere.
    fn others(&self) -> Tensor<2> {
        self.identity.clone() * -1.0 + 1.0
    }

    /// Puts `values` `[batch, token]` on the diagonal of `map` `[batch, token, token]`.
    pub(crate) fn replace(&self, map: Tensor<3>, values: Tensor<2>) -> Tensor<3> {
        map * self.others().unsqueeze()
            + values.unsqueeze_dim::<3>(2) * self.identity.clone().unsqueeze()
    }
}

/// Where what a target keeps of itself stands among the sources.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // One a layer exists.
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
