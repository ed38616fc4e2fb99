//! Norm maps by a Gram matrix: ‖y_ij‖ for all pairs, and no y_ij.

use std::sync::OnceLock;

use burn::tensor::Tensor;
use headwater_kernels as kernels;
use headwater_transformer::wiring::NormKind;
use headwater_transformer::{HostFloats, MultiHeadAttention, Norm};

use crate::diagonal::identity;

/// Squares underflow float32 below 1e-19, long before the vectors of small
/// attention weights do. Whatever is squared is scaled by this power of two
/// first, exactly, and its norm divided by it.
pub(crate) const VECTOR_SCALE: f64 = (1u64 << 30) as f64;
/// The same for products of two vectors.
const GRAM_SCALE: f64 = VECTOR_SCALE * VECTOR_SCALE;

/// Bytes of one block of transformed vectors U.
const BLOCK_BYTES: usize = 32 << 20;

/// What a norm does to every part alike: γ ⊙ (y − mean(y)), or γ ⊙ y. The
/// division by s(y_i) is apart.
#[derive(Debug, Clone)]
pub(crate) struct Fold {
    /// γ, `[d_model]`.
    pub(crate) weight: Tensor<1>,
    /// Whether the mean is taken off.
    pub(crate) centre: bool,
}

impl Fold {
    pub(crate) fn of(norm: &Norm) -> Self {
        Self {
            weight: norm.weight.clone(),
            centre: match norm.kind {
                NormKind::Layer => true,
                NormKind::Rms => false,
            },
        }
    }

    /// The same for the CPU's kernels, with the numbers of γ.
    pub(crate) fn on_host<'a>(&self, weight: &'a HostFloats<1>) -> kernels::Fold<'a> {
        kernels::Fold {
            weight: weight.slice(),
            centre: self.centre,
        }
    }

    /// # Shapes
    /// `parts`: `[.., .., d_model]`, as the result.
    pub(crate) fn apply(&self, parts: Tensor<3>) -> Tensor<3> {
        let centred = match self.centre {
            true => parts.clone() - parts.mean_dim(2),
            false => parts,
        };
        centred * self.weight.clone().unsqueeze()
    }
}

/// The linear map from a head's values to the residual stream at some scope:
/// W_O^h, then whatever the components behind attention do to every part alike.
#[derive(Debug, Clone)]
pub(crate) struct OutputMap {
    /// W_O, `[d_model, head · d_head]`.
    pub(crate) output: Tensor<2>,
    n_heads: usize,
    /// The norms behind it, in order.
    pub(crate) folds: Vec<Fold>,
    by_head: OnceLock<Tensor<3>>,
}

impl OutputMap {
    /// ATTN: f^h(x_j) = v^h_j W_O^h.
    pub(crate) fn attention(attention: &MultiHeadAttention) -> Self {
        Self {
            output: attention.output.weight.clone(),
            n_heads: attention.spec.heads,
            folds: Vec::new(),
            by_head: OnceLock::new(),
        }
    }

    /// The same behind one norm more, without its division by s(y_i).
    pub(crate) fn folded(&self, fold: Fold) -> Self {
        let mut folds = self.folds.clone();
        folds.push(fold);
        Self {
            output: self.output.clone(),
            n_heads: self.n_heads,
            folds,
            by_head: OnceLock::new(),
        }
    }

    /// `[head, d_head, d_model]`. Folding a norm into W_O costs d_model² once
    /// instead of T·H·d_model a sequence.
    pub(crate) fn by_head(&self) -> Tensor<3> {
        let make = || {
            let [d_model, width] = self.output.dims();
            let shape = [self.n_heads, width / self.n_heads, d_model];
            let by_head: Tensor<3> = self.output.clone().transpose().reshape(shape);
            self.folds
                .iter()
                .fold(by_head, |by_head, fold| fold.apply(by_head))
        };
        self.by_head.get_or_init(make).clone()
    }

    /// U_j = (f^1(x_j), …, f^H(x_j)) for a block of sources.
    ///
    /// # Shapes
    /// `values`: `[batch, head, source, d_head]`; result `[batch, source, head, d_model]`.
    pub(crate) fn transformed(&self, values: Tensor<4>) -> Tensor<4> {
        values.matmul(self.by_head().unsqueeze()).swap_dims(1, 2)
    }

    /// G_j = U_j U_jᵀ for every source, scaled by [`GRAM_SCALE`].
    ///
    /// U is made and dropped block by block: 2·T·d_model² + 2·T·H²·d_model
    /// FLOPs, [`BLOCK_BYTES`] of memory or one source, if that is more.
    ///
    /// # Shapes
    /// `values`: `[batch, head, source, d_head]`; result `[batch, source, head, head]`.
    fn gram(&self, values: &Tensor<4>) -> Tensor<4> {
        let [batch, heads, sources, _] = values.dims();
        let [d_model, _] = self.output.dims();
        let source_bytes = batch * heads * d_model * values.dtype().size();
        let block = (BLOCK_BYTES / source_bytes).clamp(1, sources);
        let blocks = values
            .clone()
            .split(block, 2)
            .into_iter()
            .map(|values| {
                let u = self.transformed(values);
                u.clone().matmul(u.transpose())
            })
            .collect();
        Tensor::cat(blocks, 1) * GRAM_SCALE
    }
}

/// The Gram matrices of one output map; shared by the scopes between which
/// that map does not change.
#[derive(Debug, Clone)]
pub(crate) struct Gram {
    /// `[batch, source, head, head]`, scaled.
    scaled: Tensor<4>,
}

impl Gram {
    pub(crate) fn new(map: &OutputMap, values: &Tensor<4>) -> Self {
        Self {
            scaled: map.gram(values),
        }
    }

    /// ‖f^h(x_j)‖, the roots of the diagonals, `[batch, head, source]`.
    pub(crate) fn transformed_norms(&self) -> Tensor<3> {
        let [_, _, heads, _] = self.scaled.dims();
        let identity = identity(heads, &self.scaled);
        let diagonal: Tensor<3> = (self.scaled.clone() * identity.unsqueeze())
            .sum_dim(3)
            .squeeze_dim(3);
        (diagonal.sqrt() / VECTOR_SCALE).swap_dims(1, 2)
    }

    /// ‖Σ_h α^h_ij U^h_j‖ = sqrt(α_ijᵀ G_j α_ij) for all pairs.
    ///
    /// 2·T²·H² FLOPs and twice the memory of α. Rounding can push a form that
    /// is almost zero below it; it is clamped.
    ///
    /// # Shapes
    /// `weights`: `[batch, head, target, source]`; result `[batch, target, source]`.
    pub(crate) fn norms(&self, weights: &Tensor<4>) -> Tensor<3> {
        let by_source = weights.clone().permute([0, 3, 2, 1]);
        let squares = (by_source.clone().matmul(self.scaled.clone()) * by_source).sum_dim(3);
        let norms: Tensor<3> = squares.clamp_min(0.0).sqrt().squeeze_dim(3);
        norms.swap_dims(1, 2) / VECTOR_SCALE
    }
}
