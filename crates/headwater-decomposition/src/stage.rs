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
use headwater_transformer::{
    COMPONENTS_PER_BLOCK, Component, Layer, LayerCapture, LayerNorm, MultiHeadAttention,
    apply_activation,
};

use crate::diagonal::{Diagonal, Own};
use crate::form::{FeedForwardForm, Form, HeadsForm, Tail};
use crate::norm_map::OutputMap;
use crate::slope::{secant, slope};
use crate::{BiasTreatment, DecompositionOptions, Error, Segment};

/// What all stages of a layer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layer: Layer,
    /// The attention sublayer that the parts start from.
    pub(crate) attention: MultiHeadAttention,
    /// α, `[batch, head, target, source]`.
    pub(crate) weights: Tensor<4>,
    /// v, `[batch, head, source, d_head]`.
    pub(crate) values: Tensor<4>,
    pub(crate) own: Own,
    pub(crate) options: DecompositionOptions,
    /// The parts of attention alone.
    pub(crate) heads: Arc<HeadsForm>,
    /// What enters the first block, `[batch, target, d_model]`.
    input: Tensor<3>,
}

impl Shared {
    pub(crate) fn new(
        layer: &Layer,
        segment: Segment,
        capture: &LayerCapture,
        options: DecompositionOptions,
    ) -> Result<Self, Error> {
        let (attention, weights, values, input) = match (segment, &layer.cross_attention) {
            (Segment::CrossAttention, Some(block)) => (
                block.attention.clone(),
                capture.cross_attention_weights()?,
                capture.cross_attention_values()?,
                // What the block before it put out.
                capture.component(COMPONENTS_PER_BLOCK - 1)?,
            ),
            (Segment::Layer, None) | (Segment::SelfAttention, Some(_)) => (
                layer.attention.clone(),
                capture.attention_weights()?,
                capture.values()?,
                capture.input()?,
            ),
            (segment, _) => return Err(Error::NoSuchSegment { segment }),
        };
        let own = match segment {
            Segment::CrossAttention => Own::Stream,
            _ => Own::Diagonal(Diagonal::new(weights.dims()[2], &weights)),
        };
        Ok(Self {
            heads: Arc::new(HeadsForm::new(OutputMap::attention(&attention), None)),
            layer: layer.clone(),
            attention,
            weights,
            values,
            own,
            options,
            input,
        })
    }
}

/// A sum of the parts of every target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    /// y_ii.
    Preserving,
    /// Σ_{j≠i} y_ij.
    Mixing,
    /// b_i.
    Bias,
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
    sums: [OnceLock<Tensor<3>>; 3],
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
    let slope = match shared.options.bias_treatment {
        BiasTreatment::Player => slope(block.activation, p),
        BiasTreatment::Fixed => {
            let beta = block.up.forward(previous.sum(Sum::Bias));
            secant(block.activation, p, beta)
        }
    };
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

    fn compute(&self, sum: Sum) -> Tensor<3> {
        let before = || match &self.previous {
            Some(previous) => previous.sum(sum),
            None => unreachable!("only attention starts a pipeline"),
        };
        match &self.step {
            Step::Attention => attention(&self.shared, sum),
            Step::Residual(Some(block_input)) => before() + block_input.sum(sum),
            Step::Residual(None) if sum == Sum::Preserving => before() + self.shared.input.clone(),
            Step::Residual(None) => before(),
            Step::LayerNorm { norm, scale } => layer_norm(before(), norm, scale, sum),
            Step::FeedForward(form) => {
                feed_forward(before(), form, self.shared.options.bias_treatment, sum)
            }
        }
    }
}

/// ATTN. Each sum costs at most an attention product and an output
/// projection, 2·T²·d_model + 2·T·d_model² FLOPs a sequence.
///
/// The mixing sum is a product with the diagonal of α zeroed rather than
/// output minus diagonal: the difference of two nearly equal vectors would
/// leave no correct digit in a token that attends to itself, and a lone token
/// would mix in rounding noise instead of exactly nothing.
fn attention(shared: &Shared, sum: Sum) -> Tensor<3> {
    let attention = &shared.attention;
    let project = |by_head| attention.output.product(attention.merge_heads(by_head));
    match sum {
        Sum::Preserving => match shared.own.weight(&shared.weights) {
            Some(own_weight) => project(shared.values.clone() * own_weight),
            None => shared.input.zeros_like(),
        },
        Sum::Mixing => {
            let others = shared.own.others(&shared.weights);
            project(others.matmul(shared.values.clone()))
        }
        Sum::Bias => {
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

/// LN: centre, scale by γ, divide by s of the true input; β goes to the bias.
fn layer_norm(v: Tensor<3>, norm: &LayerNorm, scale: &Tensor<3>, sum: Sum) -> Tensor<3> {
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
    match (sum, treatment) {
        (Sum::Bias, BiasTreatment::Player) => {
            block.down.forward(block.up.forward(v) * form.slope.clone())
        }
        (Sum::Bias, BiasTreatment::Fixed) => block
            .down
            .forward(apply_activation(block.activation, block.up.forward(v))),
        _ => block.down.product(block.up.product(v) * form.slope.clone()),
    }
}
