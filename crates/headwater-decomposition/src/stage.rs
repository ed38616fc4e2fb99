//! A layer's pipeline, stage by stage: what each component does to the parts.
//!
//! Every component is linear in the parts once the forward pass is known.
//! Three sums of them go through the layer as vectors — what a target keeps,
//! what it mixes in, what belongs to no source — and no part is ever made for
//! a mixing ratio, a bias norm or a reconstruction check. Each sum is computed
//! when it is first asked for, and once.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;
use headwater_kernels as kernels;
use headwater_transformer::{
    COMPONENTS_PER_BLOCK, Component, Host, LayerCapture, LayerNorm, apply_activation,
};

use crate::form::{FeedForwardForm, Form, Tail};
use crate::rest;
use crate::shared::{Shared, head_vectors};
use crate::slope::{Slope, secant};
use crate::{BiasTreatment, Error};

/// A sum of the parts of every target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    /// y_ii.
    Preserving,
    /// Σ_{j≠i} y_ij.
    Mixing,
    /// b_i.
    Bias,
    /// Σ_j y_ij, with j = i, multiplied out in one piece: what the sums above
    /// are checked by.
    Sources,
}

/// The decomposition behind one component.
#[derive(Debug)]
pub(crate) struct Stage {
    shared: Arc<Shared>,
    /// The stage before; attention has none, for nothing flows before it.
    previous: Option<Arc<Stage>>,
    step: Step,
    /// The representation itself, from the forward pass, `[batch, target, d_model]`.
    pub(crate) output: Tensor<3>,
    /// How the parts off the diagonal are made.
    pub(crate) form: Form,
    sums: [OnceLock<Tensor<3>>; 4],
    norms: [OnceLock<Tensor<2>>; 4],
}

/// A component with what it takes from the forward pass.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // At most a handful exist.
enum Step {
    Attention,
    /// The stage at the input of the block; the first block's is the layer's own input.
    Residual(Option<Arc<Stage>>),
    LayerNorm {
        norm: LayerNorm,
        /// s(y_i), `[batch, target, 1]`.
        scale: Tensor<3>,
    },
    FeedForward(Arc<FeedForwardForm>),
}

/// Runs components of a layer's pipeline; one stage a component, less what
/// comes before attention.
pub(crate) fn stages(
    shared: &Arc<Shared>,
    capture: &LayerCapture,
    components: Range<usize>,
) -> Result<Vec<Arc<Stage>>, Error> {
    let mut stages: Vec<Arc<Stage>> = Vec::with_capacity(components.len());
    let mut block_input = None;
    for index in components {
        let component = shared.layer.pipeline()[index];
        let previous = stages.last().cloned();
        if index % COMPONENTS_PER_BLOCK == 0 {
            block_input = previous.clone();
        }
        let (step, form) = match (component, &previous) {
            (Component::Attention | Component::CrossAttention, _) => {
                (Step::Attention, Form::Heads(Arc::clone(&shared.heads)))
            }
            // A layer norm before attention is part of what f is applied to.
            (_, None) => continue,
            (Component::Residual, Some(previous)) => {
                let form = match &block_input {
                    // x_i joins the diagonal, which no form describes.
                    None => previous.form.clone(),
                    Some(stage) => previous.form.clone().then(Tail::residual(&stage.form)),
                };
                (Step::Residual(block_input.clone()), form)
            }
            (Component::LayerNorm, Some(previous)) => {
                let norm = shared.layer.norm_at(index).clone();
                let scale = capture.norm_scale(index)?;
                if let Form::Heads(_) = &previous.form {
                    shared.norm.get_or_init(|| norm.weight.clone());
                }
                let form = previous.form.clone().layer_norm(&norm, &scale);
                (Step::LayerNorm { norm, scale }, form)
            }
            (Component::FeedForward, Some(previous)) => {
                let form = feed_forward_form(shared, previous, capture)?;
                let form = Arc::new(form);
                (
                    Step::FeedForward(Arc::clone(&form)),
                    Form::FeedForward(form, Vec::new()),
                )
            }
            (other, _) => unreachable!("component {other:?} has no stage"),
        };
        stages.push(Arc::new(Stage {
            shared: Arc::clone(shared),
            previous,
            step,
            output: capture.component(index)?,
            form,
            sums: Default::default(),
            norms: Default::default(),
        }));
    }
    Ok(stages)
}

fn feed_forward_form(
    shared: &Shared,
    previous: &Arc<Stage>,
    capture: &LayerCapture,
) -> Result<FeedForwardForm, Error> {
    let block = &shared.layer.feed_forward;
    let p = capture.pre_activation()?;
    let known = match shared.options.bias_treatment {
        BiasTreatment::Player => None,
        BiasTreatment::Fixed => {
            let beta = block.up.forward(previous.sum(Sum::Bias));
            Some(secant(block.activation, p.tensor(), beta))
        }
    };
    let slope = Slope::new(block.activation, p.clone(), known);
    let Form::Heads(input) = &previous.form else {
        unreachable!("a layer has one feed-forward block");
    };
    Ok(FeedForwardForm::new(
        Arc::clone(input),
        block.clone(),
        slope,
    ))
}

impl Stage {
    /// # Shapes
    /// `[batch, target, d_model]`.
    pub(crate) fn sum(&self, sum: Sum) -> Tensor<3> {
        self.sums[sum as usize]
            .get_or_init(|| self.compute(sum))
            .clone()
    }

    /// The norms of a sum.
    ///
    /// # Shapes
    /// `[batch, target]`.
    pub(crate) fn norms(&self, sum: Sum) -> Tensor<2> {
        self.norms[sum as usize]
            .get_or_init(|| row_norms(self.sum(sum)))
            .clone()
    }

    fn compute(&self, sum: Sum) -> Tensor<3> {
        let before = || match &self.previous {
            Some(previous) => previous.sum(sum),
            None => unreachable!("only attention starts a pipeline"),
        };
        match &self.step {
            Step::Attention => attention(&self.shared, &self.output, sum),
            Step::Residual(Some(block_input)) => add(&before(), &block_input.sum(sum)),
            Step::Residual(None) => match sum {
                Sum::Preserving | Sum::Sources => add(&before(), &self.shared.input),
                Sum::Mixing | Sum::Bias => before(),
            },
            Step::LayerNorm { norm, scale } => layer_norm(before(), norm, scale, sum),
            Step::FeedForward(form) => match (Host::of(&self.output), sum) {
                (Some(host), Sum::Preserving | Sum::Mixing) => {
                    let previous = self.previous.as_ref().expect("attention comes before");
                    rest::feed_forward(host, form, previous, sum)
                }
                _ => feed_forward(before(), form, self.shared.options.bias_treatment, sum),
            },
        }
    }
}

impl Stage {
    /// Σ_j y_ij, by products that owe nothing to the representation itself.
    ///
    /// # Shapes
    /// `[batch, target, d_model]`.
    pub(crate) fn sources(&self) -> Tensor<3> {
        match Host::of(&self.output) {
            // There what is mixed in may be a rest of the representation.
            Some(_) => self.sum(Sum::Sources),
            None => self.sum(Sum::Preserving) + self.sum(Sum::Mixing),
        }
    }

    /// The layer norm that this stage is and s_i, if what comes before it has
    /// one b for all targets; that b.
    pub(crate) fn norm_of_constant_bias(&self) -> Option<(&LayerNorm, &Tensor<3>, Tensor<1>)> {
        let Step::LayerNorm { norm, scale } = &self.step else {
            return None;
        };
        let before = self.previous.as_ref()?.constant_bias()?;
        Some((norm, scale, before))
    }

    /// b_i, if it is the same for all targets.
    fn constant_bias(&self) -> Option<Tensor<1>> {
        match &self.step {
            Step::Attention => Some(self.shared.attention.output.bias.clone()),
            Step::Residual(None) => self.previous.as_ref()?.constant_bias(),
            _ => None,
        }
    }
}

/// ‖·‖ over the last axis: `[batch, token, d_model]` to `[batch, token]`.
pub(crate) fn row_norms(v: Tensor<3>) -> Tensor<2> {
    if let Some(host) = Host::of(&v) {
        return host.row_norms(&v);
    }
    v.square().sum_dim(2).sqrt().squeeze_dim(2)
}

fn add(a: &Tensor<3>, b: &Tensor<3>) -> Tensor<3> {
    match Host::of(a) {
        Some(host) => host.add(a, b),
        None => a.clone() + b.clone(),
    }
}

/// ATTN. What is kept costs at most an output projection, 2·T·d_model² FLOPs a
/// sequence; what is mixed in by Burn's operations an attention product more,
/// 2·T²·d_model.
///
/// There the mixing sum is a product with the diagonal of α zeroed rather than
/// output minus diagonal: the difference of two nearly equal vectors would
/// leave no correct digit in a token that attends to itself, and a lone token
/// would mix in rounding noise instead of exactly nothing. The CPU's kernels
/// take the difference where it is not small.
fn attention(shared: &Shared, output: &Tensor<3>, sum: Sum) -> Tensor<3> {
    let attention = &shared.attention;
    let project = |by_head| attention.output.product(attention.merge_heads(by_head));
    match (sum, Host::of(&shared.weights)) {
        (Sum::Preserving, Some(host)) => match shared.own_sum(host) {
            Some(own) => own,
            None => shared.input.zeros_like(),
        },
        (Sum::Mixing, Some(host)) => rest::attention(host, shared, output),
        (Sum::Sources, Some(host)) => {
            let [batch, targets, _] = output.dims();
            let all: Vec<usize> = (0..batch * targets).collect();
            let context = weighted_values(host, shared, &all, false);
            let [_, _, width] = context.dims();
            attention
                .output
                .product(context.reshape([batch, targets, width]))
        }
        (Sum::Preserving, None) => match shared.own.weight(&shared.weights) {
            Some(own_weight) => project(shared.values.clone() * own_weight),
            None => shared.input.zeros_like(),
        },
        (Sum::Mixing, None) => {
            let others = shared.own.others(&shared.weights);
            project(others.matmul(shared.values.clone()))
        }
        (Sum::Sources, None) => project(shared.weights.clone().matmul(shared.values.clone())),
        (Sum::Bias, _) => {
            let [batch, tokens, d_model] = shared.input.dims();
            attention
                .output
                .bias
                .clone()
                .unsqueeze::<3>()
                .expand([batch, tokens, d_model])
        }
    }
}

/// Σ_j α^h_ij v^h_j of some targets, counted through the batch; without j = i
/// if `skip_own`.
///
/// # Shapes
/// `[1, rows.len(), head · d_head]`.
pub(crate) fn weighted_values(
    host: Host,
    shared: &Shared,
    rows: &[usize],
    skip_own: bool,
) -> Tensor<3> {
    let shape = shared.head_shape();
    let context = kernels::weighted_sums(
        host.cpu(),
        shape,
        host.contiguous(&shared.weights).slice(),
        head_vectors(&host.floats(&shared.values)),
        rows,
        skip_own,
    );
    host.tensor(context, [1, rows.len(), shape.heads * shape.d_head])
}

/// LN: centre, scale by γ, divide by s of the true input; β goes to the bias.
fn layer_norm(v: Tensor<3>, norm: &LayerNorm, scale: &Tensor<3>, sum: Sum) -> Tensor<3> {
    if let Some(host) = Host::of(&v) {
        let bias = (sum == Sum::Bias).then_some(&norm.bias);
        return host.layer_norm_part(&v, &norm.weight, bias, scale);
    }
    let centred = v.clone() - v.mean_dim(2);
    let scaled = centred * norm.weight.clone().unsqueeze() / scale.clone();
    match sum {
        Sum::Bias => scaled + norm.bias.clone().unsqueeze(),
        _ => scaled,
    }
}

/// FF: `(v W_1 ⊙ slope) W_2`, the cost of the block itself. The bias has b_1
/// inside, and g(0) W_2 + b_2 on top (g(0) = 0 for every activation here); or
/// it is g(β) W_2 + b_2, if it is fixed inside g.
fn feed_forward(
    v: Tensor<3>,
    form: &FeedForwardForm,
    treatment: BiasTreatment,
    sum: Sum,
) -> Tensor<3> {
    let block = &form.block;
    if let (Some(host), Sum::Bias, BiasTreatment::Player) = (Host::of(&v), sum, treatment) {
        return host.sloped_feed_forward(&v, block, form.slope.packed(host));
    }
    if let (Some(host), Sum::Sources) = (Host::of(&v), sum) {
        let [batch, targets, _] = v.dims();
        let hidden = host.packed_product(&v, &block.up);
        let hidden = hidden.times(form.slope.packed(host));
        return host.product(&hidden, &block.down, [batch, targets]);
    }
    match (sum, treatment) {
        (Sum::Bias, BiasTreatment::Player) => block
            .down
            .forward(block.up.forward(v) * form.slope.tensor()),
        (Sum::Bias, BiasTreatment::Fixed) => block
            .down
            .forward(apply_activation(block.activation, block.up.forward(v))),
        _ => block
            .down
            .product(block.up.product(v) * form.slope.tensor()),
    }
}
