//! How the parts off the diagonal are made, without making them.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;
use headwater_kernels::Packed;
use headwater_transformer::{FeedForward, LayerNorm};

use crate::norm_map::{Gram, OutputMap};
use crate::slope::Slope;

/// The form of a scope's parts y_ij, j ≠ i.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// Σ_h α^h_ij v^h_j M^h / s_i.
    Heads(Arc<HeadsForm>),
    /// Parts behind the feed-forward block, and what came after it.
    FeedForward(Arc<FeedForwardForm>, Vec<Tail>),
}

/// y_ij = Σ_h α^h_ij v^h_j M^h / s_i: few vectors a source, combined by α.
#[derive(Debug)]
pub(crate) struct HeadsForm {
    /// M.
    pub(crate) map: OutputMap,
    /// s_i where a layer norm is in the scope, `[batch, target, 1]`.
    pub(crate) scale: Option<Tensor<3>>,
    gram: OnceLock<Gram>,
}

impl HeadsForm {
    pub(crate) fn new(map: OutputMap, scale: Option<Tensor<3>>) -> Self {
        Self {
            map,
            scale,
            gram: OnceLock::new(),
        }
    }

    /// The Gram matrices, by Burn's operations.
    pub(crate) fn gram(&self, values: &Tensor<4>) -> &Gram {
        self.gram.get_or_init(|| Gram::new(&self.map, values))
    }

    /// y_ij for a range of targets, right off the diagonal.
    ///
    /// # Shapes
    /// `[batch, targets, source, d_model]`.
    pub(crate) fn parts(
        &self,
        weights: &Tensor<4>,
        values: &Tensor<4>,
        targets: Range<usize>,
    ) -> Tensor<4> {
        // For each source: [targets, head] · [head, d_model].
        let by_source = weights
            .clone()
            .slice_dim(2, targets.clone())
            .permute([0, 3, 2, 1]);
        let parts = by_source
            .matmul(self.map.transformed(values.clone()))
            .swap_dims(1, 2);
        match &self.scale {
            Some(scale) => {
                let scale = scale.clone().slice_dim(1, targets);
                parts / scale.unsqueeze_dim::<4>(3)
            }
            None => parts,
        }
    }

    /// ‖y_ij‖, right off the diagonal.
    ///
    /// # Shapes
    /// `[batch, target, source]`.
    pub(crate) fn norms(&self, weights: &Tensor<4>, values: &Tensor<4>) -> Tensor<3> {
        let norms = self.gram(values).norms(weights);
        match &self.scale {
            Some(scale) => norms / scale.clone(),
            None => norms,
        }
    }
}

/// y_ij ↦ ((y_ij W_1) ⊙ slope_i) W_2.
#[derive(Debug)]
pub(crate) struct FeedForwardForm {
    /// The parts before the block.
    pub(crate) input: Arc<HeadsForm>,
    pub(crate) block: FeedForward,
    pub(crate) slope: Slope,
    /// What every target mixes in, behind W_1 and its slopes and behind W_1
    /// alone, for the CPU's kernels.
    pub(crate) mixed: OnceLock<[Packed; 2]>,
    hidden_map: OnceLock<Tensor<3>>,
}

impl FeedForwardForm {
    pub(crate) fn new(input: Arc<HeadsForm>, block: FeedForward, slope: Slope) -> Self {
        Self {
            input,
            block,
            slope,
            mixed: OnceLock::new(),
            hidden_map: OnceLock::new(),
        }
    }

    /// M W_1, from a head's values to pre-activations, `[head, d_head, d_ff]`;
    /// 2·d_model²·d_ff FLOPs, once a layer.
    pub(crate) fn hidden_map(&self) -> Tensor<3> {
        self.hidden_map
            .get_or_init(|| {
                let up = self.block.up.weight.clone().transpose();
                self.input.map.by_head().matmul(up.unsqueeze())
            })
            .clone()
    }
}

/// A component behind the feed-forward block.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // At most a handful exist.
pub(crate) enum Tail {
    /// The parts of the block's input are added.
    Residual(Arc<HeadsForm>),
    /// Centre, scale by γ, divide by s_i.
    LayerNorm {
        /// γ, `[d_model]`.
        weight: Tensor<1>,
        /// s_i, `[batch, target, 1]`.
        scale: Tensor<3>,
    },
}

impl Tail {
    pub(crate) fn residual(block_input: &Form) -> Self {
        match block_input {
            Form::Heads(heads) => Tail::Residual(Arc::clone(heads)),
            Form::FeedForward(..) => unreachable!("a layer has one feed-forward block"),
        }
    }
}

impl Form {
    /// The form behind a component that comes after the feed-forward block.
    pub(crate) fn then(self, component: Tail) -> Self {
        match self {
            Form::FeedForward(form, mut tail) => {
                tail.push(component);
                Form::FeedForward(form, tail)
            }
            Form::Heads(_) => unreachable!("the residual of an attention block is on the diagonal"),
        }
    }

    /// The form behind a layer norm: folded into M, or one more component.
    pub(crate) fn layer_norm(self, norm: &LayerNorm, scale: &Tensor<3>) -> Self {
        match self {
            Form::Heads(heads) => {
                let scale = match &heads.scale {
                    Some(before) => before.clone() * scale.clone(),
                    None => scale.clone(),
                };
                let map = heads.map.layer_norm(norm);
                Form::Heads(Arc::new(HeadsForm::new(map, Some(scale))))
            }
            form => form.then(Tail::LayerNorm {
                weight: norm.weight.clone(),
                scale: scale.clone(),
            }),
        }
    }
}
