//! How the parts off the diagonal are made, without making them.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;
use headwater_kernels::Packed;
use headwater_transformer::{ExpertRows, FeedForward, Linear, Norm};

use crate::norm_map::{Fold, Gram, OutputMap};
use crate::slope::{Slope, Slopes};

/// The form of a scope's parts y_ij, j ≠ i.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// There are none: all of it is a target's own.
    Nothing,
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
    /// s_i, of all norms in the scope multiplied, `[batch, target, 1]`.
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

/// y_ij ↦ ((y_ij W_1) ⊙ slope_i) W_2, or with a gate
/// y_ij ↦ ((y_ij W_g) ⊙ a_i + (y_ij W_1) ⊙ c_i) W_2; or the sum of such over experts.
#[derive(Debug)]
pub(crate) struct FeedForwardForm {
    /// The parts before the block.
    pub(crate) input: Arc<HeadsForm>,
    pub(crate) work: Work,
    /// What every target mixes in, behind W_1 and its slopes and behind W_1
    /// alone, for the CPU's kernels.
    pub(crate) mixed: OnceLock<[Packed; 2]>,
    source_maps: OnceLock<Vec<Tensor<3>>>,
}

/// What a feed-forward sublayer is made of.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // A layer has one.
pub(crate) enum Work {
    One(FeedForward, Slopes),
    Experts(Vec<ExpertWork>),
}

/// One expert, of the targets that were sent to it.
#[derive(Debug)]
pub(crate) struct ExpertWork {
    pub(crate) block: FeedForward,
    pub(crate) rows: ExpertRows,
    /// a and c times the router's weight, `[1, row, d_ff]`.
    pub(crate) slopes: [Tensor<3>; 2],
}

impl FeedForwardForm {
    pub(crate) fn new(input: Arc<HeadsForm>, work: Work) -> Self {
        Self {
            input,
            work,
            mixed: OnceLock::new(),
            source_maps: OnceLock::new(),
        }
    }

    /// A block without a gate, with its slopes.
    pub(crate) fn plain(&self) -> Option<(&FeedForward, &Slope)> {
        match &self.work {
            Work::One(block, Slopes::Plain(slope)) => Some((block, slope)),
            Work::One(_, Slopes::Gated(_)) | Work::Experts(_) => None,
        }
    }

    /// The maps that a source's vectors are sent through once, from a head's values,
    /// `[head, d_head, ..]`: M W for each map into the block, 2·head·d_head·d_model·d_ff
    /// FLOPs each, once a layer. M alone where there are experts: as many folded
    /// matrices would be larger than the layer.
    pub(crate) fn source_maps(&self) -> &[Tensor<3>] {
        self.source_maps.get_or_init(|| {
            let by_head = self.input.map.by_head();
            match &self.work {
                Work::One(block, _) => maps_into(block)
                    .map(|map| {
                        let map = map.weight.clone().transpose();
                        by_head.clone().matmul(map.unsqueeze())
                    })
                    .collect(),
                Work::Experts(_) => vec![by_head],
            }
        })
    }

    /// Numbers of a source that all tiles of its targets share, by head.
    pub(crate) fn source_width(&self) -> usize {
        match &self.work {
            Work::One(block, _) => block.d_ff() * maps_into(block).count(),
            Work::Experts(_) => self.d_model(),
        }
    }

    /// Numbers of a pair that are there at once.
    pub(crate) fn pair_width(&self) -> usize {
        let hidden = match &self.work {
            Work::One(block, _) => block.d_ff() * maps_into(block).count(),
            Work::Experts(experts) => {
                let widest = experts.iter().map(|expert| expert.block.d_ff()).max();
                2 * widest.unwrap_or(0) + self.d_model()
            }
        };
        hidden + self.d_model()
    }

    fn d_model(&self) -> usize {
        self.input.map.output.dims()[0]
    }
}

/// The maps into a block, the gate first.
pub(crate) fn maps_into(block: &FeedForward) -> impl Iterator<Item = &Linear> {
    let gate = block.gate.as_ref().map(|gate| &gate.map);
    gate.into_iter().chain([&block.up])
}

/// `(v W_1 ⊙ slope) W_2` or `(v W_g ⊙ a + v W_1 ⊙ c) W_2`, with or without the biases
/// inside; nothing is added behind W_2.
///
/// # Shapes
/// `v`: `[.., row, d_model]`, as the result; slopes `[.., row, d_ff]`.
pub(crate) fn sloped(
    block: &FeedForward,
    slopes: &[Tensor<3>],
    v: &Tensor<3>,
    with_biases: bool,
) -> Tensor<3> {
    let hidden = maps_into(block).zip(slopes).map(|(map, slope)| {
        let product = match with_biases {
            true => map.forward(v.clone()),
            false => map.product(v.clone()),
        };
        product * slope.clone()
    });
    let hidden = hidden.reduce(|a, b| a + b);
    block.down.product(hidden.expect("a block has a map"))
}

/// A component behind the feed-forward block.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // At most a handful exist.
pub(crate) enum Tail {
    /// The parts of the block's input are added.
    Residual(Arc<HeadsForm>),
    /// What a norm does, divided by s_i.
    Norm {
        fold: Fold,
        /// s_i, `[batch, target, 1]`.
        scale: Tensor<3>,
    },
}

impl Form {
    /// The form of the sum with the parts of `kept`.
    pub(crate) fn add(self, kept: &Form) -> Self {
        match (self, kept) {
            (form, Form::Nothing) => form,
            // What was the target's own stays on the diagonal.
            (Form::Nothing, kept) => kept.clone(),
            (Form::FeedForward(form, mut tail), Form::Heads(heads)) => {
                tail.push(Tail::Residual(Arc::clone(heads)));
                Form::FeedForward(form, tail)
            }
            (_, Form::FeedForward(..)) => unreachable!("a layer has one feed-forward block"),
            (Form::Heads(_), Form::Heads(_)) => {
                unreachable!("a segment has one attention block")
            }
        }
    }

    /// The form behind a norm: folded into M, or one more component.
    pub(crate) fn norm(self, norm: &Norm, scale: &Tensor<3>) -> Self {
        let fold = Fold::of(norm);
        match self {
            Form::Nothing => Form::Nothing,
            Form::Heads(heads) => {
                let scale = match &heads.scale {
                    Some(before) => before.clone() * scale.clone(),
                    None => scale.clone(),
                };
                let map = heads.map.folded(fold);
                Form::Heads(Arc::new(HeadsForm::new(map, Some(scale))))
            }
            Form::FeedForward(form, mut tail) => {
                tail.push(Tail::Norm {
                    fold,
                    scale: scale.clone(),
                });
                Form::FeedForward(form, tail)
            }
        }
    }
}
