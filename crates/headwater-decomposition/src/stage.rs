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
use headwater_kernels::{self as kernels, HeadGram, HeadShape, HeadVectors, Transformed};
use headwater_transformer::{
    COMPONENTS_PER_BLOCK, Component, Host, HostFloats, Layer, LayerCapture, LayerNorm, Linear,
    MultiHeadAttention, apply_activation,
};

use crate::diagonal::{Diagonal, Own};
use crate::form::{FeedForwardForm, Form, HeadsForm, Tail};
use crate::norm_map::OutputMap;
use crate::slope::{Slope, secant};
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
    /// γ of the layer norm behind attention, where a scope has it before the
    /// feed-forward block.
    norm: OnceLock<Tensor<1>>,
    /// The Gram matrices of the transformed vectors, without and with that
    /// norm, and Σ_h α^h_ii f^h(x_i), if they were made by the CPU's kernels.
    grams: OnceLock<Vec<HeadGram>>,
    own_sum: OnceLock<Tensor<3>>,
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
            _ => Own::Diagonal(Diagonal::new(weights.dims()[2])),
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
            norm: OnceLock::new(),
            grams: OnceLock::new(),
            own_sum: OnceLock::new(),
        })
    }

    /// The sizes of the attention.
    pub(crate) fn head_shape(&self) -> HeadShape {
        let [batch, heads, targets, sources] = self.weights.dims();
        HeadShape {
            batch,
            heads,
            d_head: self.values.dims()[3],
            targets,
            sources,
            causal: self.attention.causal,
        }
    }

    /// The Gram matrices of the transformed vectors, and behind them those with
    /// the layer norm, if there is one. All are made in one pass, together with
    /// what a target keeps of itself.
    pub(crate) fn grams(&self, host: Host) -> &[HeadGram] {
        self.grams.get_or_init(|| {
            let transformed = self.transformed(host, true);
            if let Some(own) = transformed.own {
                self.own_sum.get_or_init(|| self.own_tensor(host, own));
            }
            transformed.grams
        })
    }

    /// ‖y_ij‖ of parts that are combined by α, with `own`, `[batch, target]`,
    /// on the diagonal.
    pub(crate) fn host_norms(
        &self,
        host: Host,
        form: &HeadsForm,
        own: Option<&Tensor<2>>,
    ) -> Tensor<3> {
        let [batch, _, targets, sources] = self.weights.dims();
        let grams = self.grams(host);
        let gram = &grams[usize::from(form.map.norm.is_some())];
        let weights = host.contiguous(&self.weights);
        let scale = form.scale.as_ref().map(|scale| host.contiguous(scale));
        let own = own.map(|own| host.contiguous(own));
        let norms = gram.norms(
            host.cpu,
            weights.slice(),
            targets,
            scale.as_ref().map(HostFloats::slice),
            own.as_ref().map(HostFloats::slice),
        );
        host.tensor(norms, [batch, targets, sources])
    }

    /// Σ_h α^h_ii f^h(x_i); none in cross-attention.
    fn own_sum(&self, host: Host) -> Option<Tensor<3>> {
        if matches!(self.own, Own::Stream) {
            return None;
        }
        let make = || {
            let own = self.transformed(host, false).own;
            self.own_tensor(host, own.expect("own weights were given"))
        };
        Some(self.own_sum.get_or_init(make).clone())
    }

    fn own_tensor(&self, host: Host, own: Vec<f32>) -> Tensor<3> {
        host.tensor(own, self.input.dims())
    }

    fn transformed(&self, host: Host, with_grams: bool) -> Transformed {
        let values = host.floats(&self.values);
        let weights = host.contiguous(&self.weights);
        let shape = self.head_shape();
        let own = match self.own {
            Own::Diagonal(_) => Some(kernels::diagonal(weights.slice(), shape.targets)),
            Own::Stream => None,
        };
        let output = host.contiguous(&self.attention.output.weight);
        let norm = self.norm.get().map(|norm| host.contiguous(norm));
        kernels::transformed(
            host.cpu,
            shape,
            head_vectors(&values),
            output.slice(),
            own.as_deref(),
            norm.as_ref().map(HostFloats::slice),
            with_grams,
        )
    }
}

/// Vectors by token and head, `[batch, head, token, d_head]`, as the kernels take them.
pub(crate) fn head_vectors(vectors: &HostFloats<4>) -> HeadVectors<'_> {
    let [batch_stride, head_stride, token_stride, _] = vectors.strides;
    HeadVectors {
        data: vectors.slice(),
        batch_stride,
        head_stride,
        token_stride,
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
            Some(secant(block.activation, p.clone(), beta))
        }
    };
    let slope = Slope::new(block.activation, p, known);
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
            Step::Residual(Some(block_input)) => add(&before(), &block_input.sum(sum)),
            Step::Residual(None) if sum == Sum::Preserving => add(&before(), &self.shared.input),
            Step::Residual(None) => before(),
            Step::LayerNorm { norm, scale } => layer_norm(before(), norm, scale, sum),
            Step::FeedForward(form) => match (Host::of(&self.output), sum) {
                (Some(host), Sum::Preserving | Sum::Mixing) => {
                    self.feed_forward_on_host(host, form, sum)
                }
                _ => feed_forward(before(), form, self.shared.options.bias_treatment, sum),
            },
        }
    }
}

/// A kept part is a small one, and is multiplied out, from this fraction of
/// what it would be taken off.
const SMALL: f32 = 0.125;

impl Stage {
    /// FF of what a target keeps or mixes in, `(v W_1 ⊙ slope) W_2`.
    ///
    /// The forward pass knows `p = (y_ii + Σ_{j≠i} y_ij + b_i) W_1 + b_1`. So
    /// once what is mixed in went through W_1, what is kept is the rest, and one
    /// of the three products is saved. What is kept nearly always is the larger
    /// one: where it is not, [`SMALL`], digits would be lost, and its product is
    /// made.
    fn feed_forward_on_host(&self, host: Host, form: &FeedForwardForm, sum: Sum) -> Tensor<3> {
        let previous = self.previous.as_ref().expect("attention comes before");
        let up = |v: Tensor<3>| host.packed_product(&v, &form.block.up);
        let mixed = form.mixed.get_or_init(|| up(previous.sum(Sum::Mixing)));
        let slope = form.slope.packed(host);
        let hidden = match (sum, previous.bias_of_rows(host)) {
            (Sum::Mixing, _) => mixed.times(host.cpu, slope),
            (_, None) => up(previous.sum(Sum::Preserving)).times(host.cpu, slope),
            (_, Some(bias)) => {
                let [by_scale, constant] = bias.through(host, &form.block.up);
                let scale = host.contiguous(&bias.scale);
                let before = form.slope.pre_activation(host);
                let known = [&by_scale, &constant].map(|known| known.as_slice());
                let mut hidden = before.rest_times(host.cpu, mixed, known, scale.slice(), slope);
                let kept = previous.sum(Sum::Preserving);
                let small = bias.small_rows(host, &kept, &previous.output);
                if !small.is_empty() {
                    let rows = |x: &Tensor<3>| host.rows(x, &small);
                    let product = up(rows(&kept));
                    let slope = form.slope.of_rows(host, &small);
                    hidden.replace_rows(&small, &product.times(host.cpu, &slope));
                }
                hidden
            }
        };
        let [batch, targets, _] = self.output.dims();
        host.product(&hidden, &form.block.down, [batch, targets])
    }

    /// b_i behind the first layer norm, where it is known without a sum: what
    /// comes before it is one vector for all targets.
    fn bias_of_rows(&self, host: Host) -> Option<BiasOfRows> {
        let Step::LayerNorm { norm, scale } = &self.step else {
            return None;
        };
        let before = self.previous.as_ref()?.constant_bias()?;
        let shape = [1, 1, before.dims()[0]];
        let one = host.tensor(vec![1.0], [1, 1, 1]);
        Some(BiasOfRows {
            by_scale: host.layer_norm_part(&before.reshape(shape), &norm.weight, None, &one),
            constant: norm.bias.clone().reshape(shape),
            scale: scale.clone(),
        })
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

/// `b_i = a/s_i + c`: the bias behind a layer norm.
struct BiasOfRows {
    /// a, `[1, 1, d_model]`.
    by_scale: Tensor<3>,
    /// c, `[1, 1, d_model]`.
    constant: Tensor<3>,
    /// s_i, `[batch, target, 1]`.
    scale: Tensor<3>,
}

impl BiasOfRows {
    /// `a W_1` and `c W_1 + b_1`.
    fn through(&self, host: Host, up: &Linear) -> [Vec<f32>; 2] {
        let weight = host.contiguous(&up.weight);
        let times = |x: &Tensor<3>| {
            kernels::rows_times_vector(host.cpu, weight.slice(), host.contiguous(x).slice())
        };
        let bias = host.contiguous(&up.bias);
        let constant = times(&self.constant).into_iter().zip(bias.slice());
        let constant = constant.map(|(product, bias)| product + bias).collect();
        [times(&self.by_scale), constant]
    }

    /// The rows of `kept` that are small beside what they would be taken off.
    fn small_rows(&self, host: Host, kept: &Tensor<3>, sum: &Tensor<3>) -> Vec<usize> {
        let norms = |x: &Tensor<3>| host.contiguous(&host.row_norms(x)).slice().to_vec();
        let (by_scale, constant) = (norms(&self.by_scale)[0], norms(&self.constant)[0]);
        let scales = host.contiguous(&self.scale);
        let rows = norms(kept).into_iter().zip(norms(sum));
        rows.zip(scales.slice())
            .map(|((kept, sum), scale)| kept < SMALL * (sum + by_scale / scale + constant))
            .enumerate()
            .filter_map(|(row, is_small)| is_small.then_some(row))
            .collect()
    }
}

fn add(a: &Tensor<3>, b: &Tensor<3>) -> Tensor<3> {
    match Host::of(a) {
        Some(host) => host.add(a, b),
        None => a.clone() + b.clone(),
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
    match (sum, Host::of(&shared.weights)) {
        (Sum::Preserving, Some(host)) => match shared.own_sum(host) {
            Some(own) => own,
            None => shared.input.zeros_like(),
        },
        (Sum::Mixing, Some(host)) => {
            let skip_own = matches!(shared.own, Own::Diagonal(_));
            let shape = shared.head_shape();
            let values = host.floats(&shared.values);
            let mut context = vec![0.0; shape.batch * shape.targets * shape.heads * shape.d_head];
            kernels::weighted_sum(
                host.cpu,
                shape,
                host.contiguous(&shared.weights).slice(),
                head_vectors(&values),
                skip_own,
                &mut context,
            );
            let width = shape.heads * shape.d_head;
            let context = host.tensor(context, [shape.batch, shape.targets, width]);
            attention.output.product(context)
        }
        (Sum::Preserving, None) => match shared.own.weight(&shared.weights) {
            Some(own_weight) => project(shared.values.clone() * own_weight),
            None => shared.input.zeros_like(),
        },
        (Sum::Mixing, None) => {
            let others = shared.own.others(&shared.weights);
            project(others.matmul(shared.values.clone()))
        }
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
