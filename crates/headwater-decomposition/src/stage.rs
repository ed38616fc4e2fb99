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
use headwater_transformer::wiring::{Part, Reads, Residual, Step};
use headwater_transformer::{
    FeedForward, Gate, Host, LayerCapture, Norm, PreActivation, Sublayer, apply_activation, curve,
};

use crate::form::{ExpertWork, FeedForwardForm, Form, Work, maps_into, sloped};
use crate::gate::{gated_secants, gated_slopes};
use crate::rest;
use crate::shared::{Shared, head_vectors};
use crate::slope::{GatedSlope, Slope, Slopes, secant};
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
    pub(crate) step: Step,
    made: Made,
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
enum Made {
    Attention,
    Residual(Kept),
    Norm {
        norm: Norm,
        /// s(y_i), `[batch, target, 1]`.
        scale: Tensor<3>,
    },
    FeedForward(Arc<FeedForwardForm>),
    /// A feed-forward block that reads the layer's input: all that comes of it,
    /// but b_2, is the target's own.
    Own {
        /// Σ w_e b_2 where there are experts; `[1 or batch, 1 or target, d_model]`.
        bias: Option<Tensor<3>>,
    },
}

/// What a residual connection adds.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // At most a handful exist.
enum Kept {
    /// Of the target alone: what enters the segment, or that behind a norm.
    Own(Tensor<3>),
    Stage(Arc<Stage>),
}

/// Runs the blocks of a segment up to `last`; one stage a component, less what
/// comes before attention.
pub(crate) fn stages(
    shared: &Arc<Shared>,
    capture: &LayerCapture,
    blocks: Range<usize>,
    last: Option<Step>,
) -> Result<Vec<Arc<Stage>>, Error> {
    let mut maker = Maker {
        shared,
        capture,
        last,
        stages: Vec::new(),
    };
    let mut running: Option<Arc<Stage>> = None;
    for number in blocks {
        let (block, spec) = (
            &shared.layer.blocks[number],
            &shared.layer.spec.blocks[number],
        );
        let step = |part| Step {
            block: number as u8,
            part,
        };
        let read = match spec.reads {
            Reads::Previous => running.clone(),
            Reads::LayerInput => None,
        };
        // A norm of what no part is in maps none: it belongs to what f is applied to.
        let normed = maker.norm(step(Part::Before), block.before.as_ref(), read.clone())?;
        let of_target = |stage: Option<Arc<Stage>>, state: Result<Tensor<3>, Error>| {
            Ok::<_, Error>(match stage {
                Some(stage) => Kept::Stage(stage),
                None => Kept::Own(state?),
            })
        };
        let input = || Ok(shared.input.clone());
        let kept = match (spec.reads, spec.residual) {
            (Reads::LayerInput, _) => of_target(running.clone(), input())?,
            (Reads::Previous, Residual::Input) => of_target(read, input())?,
            (Reads::Previous, Residual::Normed) => {
                let state = match (&normed, &block.before) {
                    (None, Some(_)) if maker.reaches(step(Part::Before)) => {
                        capture.state(step(Part::Before)).map_err(Error::from)
                    }
                    _ => input(),
                };
                of_target(normed.clone(), state)?
            }
        };
        let sublayer = step(Part::Sublayer);
        let (made, form) = match (&block.sublayer, &normed) {
            (Sublayer::Attention(_) | Sublayer::CrossAttention(_), _) => {
                (Made::Attention, Form::Heads(Arc::clone(&shared.heads)))
            }
            _ if !maker.reaches(sublayer) => break,
            (_, Some(previous)) => {
                let work = work(shared, &block.sublayer, previous, capture)?;
                let form = Arc::new(feed_forward_form(previous, work));
                let made = Made::FeedForward(Arc::clone(&form));
                (made, Form::FeedForward(form, Vec::new()))
            }
            (sublayer, None) => {
                let bias = own_bias(sublayer, capture)?;
                (Made::Own { bias }, Form::Nothing)
            }
        };
        let z = maker.push(sublayer, normed, made, form)?;
        let z = maker.norm(step(Part::Output), block.output.as_ref(), z)?;
        let sum = match z {
            Some(z) => {
                let form = match &kept {
                    // x_i joins the diagonal, which no form describes.
                    Kept::Own(_) => z.form.clone(),
                    Kept::Stage(stage) => z.form.clone().add(&stage.form),
                };
                maker.push(step(Part::Residual), Some(z), Made::Residual(kept), form)?
            }
            None => None,
        };
        running = maker.norm(step(Part::Behind), block.behind.as_ref(), sum)?;
    }
    Ok(maker.stages)
}

/// Makes stages in order, up to the last one that is wanted.
struct Maker<'a> {
    shared: &'a Arc<Shared>,
    capture: &'a LayerCapture,
    last: Option<Step>,
    stages: Vec<Arc<Stage>>,
}

impl Maker<'_> {
    fn reaches(&self, step: Step) -> bool {
        self.last.is_some_and(|last| step <= last)
    }

    fn push(
        &mut self,
        step: Step,
        previous: Option<Arc<Stage>>,
        made: Made,
        form: Form,
    ) -> Result<Option<Arc<Stage>>, Error> {
        if !self.reaches(step) {
            return Ok(None);
        }
        let stage = Arc::new(Stage {
            shared: Arc::clone(self.shared),
            previous,
            step,
            made,
            output: self.capture.state(step)?,
            form,
            sums: Default::default(),
            norms: Default::default(),
        });
        self.stages.push(Arc::clone(&stage));
        Ok(Some(stage))
    }

    /// The stage behind a norm, where there is a norm and something before it.
    fn norm(
        &mut self,
        step: Step,
        norm: Option<&Norm>,
        previous: Option<Arc<Stage>>,
    ) -> Result<Option<Arc<Stage>>, Error> {
        let (Some(norm), Some(before)) = (norm, &previous) else {
            return Ok(previous);
        };
        if !self.reaches(step) {
            return Ok(None);
        }
        let scale = self.capture.norm_scale(step)?;
        let form = before.form.clone().norm(norm, &scale);
        if let Form::Heads(heads) = &form {
            self.shared.reach(&heads.map.folds);
        }
        let norm = norm.clone();
        self.push(step, previous, Made::Norm { norm, scale }, form)
    }
}

fn feed_forward_form(previous: &Stage, work: Work) -> FeedForwardForm {
    let Form::Heads(input) = &previous.form else {
        unreachable!("a layer has one feed-forward block");
    };
    FeedForwardForm::new(Arc::clone(input), work)
}

/// A feed-forward sublayer with its slopes.
fn work(
    shared: &Shared,
    sublayer: &Sublayer,
    previous: &Stage,
    capture: &LayerCapture,
) -> Result<Work, Error> {
    let treatment = shared.options.bias_treatment;
    match sublayer {
        Sublayer::Attention(_) | Sublayer::CrossAttention(_) => {
            unreachable!("attention starts a segment")
        }
        Sublayer::FeedForward(block) => {
            let p = capture.pre_activation()?;
            let slopes = match &block.gate {
                None => Slopes::Plain(plain_slope(shared, block, previous, p)),
                Some(gate) => {
                    let u = capture.gate()?;
                    let plain = gate.limit.is_none() && gate.shift == 0.0;
                    let host = Host::of(&previous.output).filter(|_| plain);
                    let curve = curve(block.activation);
                    match (host, curve, treatment) {
                        (Some(host), Some(curve), BiasTreatment::Player) => {
                            Slopes::of_gate(host, curve, [u, p])
                        }
                        _ => {
                            let ends = [u.tensor(), p.tensor()];
                            let bias = || previous.sum(Sum::Bias);
                            let slopes = slopes_of_gate(block, gate, treatment, ends, bias)?;
                            Slopes::Gated(slopes.map(GatedSlope::from))
                        }
                    }
                }
            };
            Ok(Work::One(block.clone(), slopes))
        }
        Sublayer::Experts(experts) => {
            let routing = capture.routing()?;
            let input = &previous.output;
            let mut work = Vec::new();
            for (number, block) in experts.experts.iter().enumerate() {
                let Some(rows) = routing.rows(number, input) else {
                    continue;
                };
                let gate = block.gate.as_ref().expect("an expert has a gate");
                let x = rows.pick(input);
                let ends = [gate.map.forward(x.clone()), block.up.forward(x)];
                let bias = || rows.pick(&previous.sum(Sum::Bias));
                let slopes = slopes_of_gate(block, gate, treatment, ends, bias)?;
                work.push(ExpertWork {
                    block: block.clone(),
                    slopes: slopes.map(|slope| slope * rows.weights.clone()),
                    rows,
                });
            }
            Ok(Work::Experts(work))
        }
    }
}

/// a and c of a gated block whose maps reached `ends`.
fn slopes_of_gate(
    block: &FeedForward,
    gate: &Gate,
    treatment: BiasTreatment,
    ends: [Tensor<3>; 2],
    bias: impl FnOnce() -> Tensor<3>,
) -> Result<[Tensor<3>; 2], Error> {
    match treatment {
        BiasTreatment::Player => {
            let [u, v] = ends;
            gated_slopes(block.activation, gate, u, v)
        }
        BiasTreatment::Fixed => {
            let bias = bias();
            let from = [&gate.map, &block.up].map(|map| map.forward(bias.clone()));
            gated_secants(block.activation, gate, ends, from)
        }
    }
}

/// What a feed-forward sublayer that reads the layer's input adds for no source.
fn own_bias(sublayer: &Sublayer, capture: &LayerCapture) -> Result<Option<Tensor<3>>, Error> {
    match sublayer {
        Sublayer::Attention(_) | Sublayer::CrossAttention(_) => {
            unreachable!("attention starts a segment")
        }
        Sublayer::FeedForward(block) => Ok(block.down.bias.clone().map(Tensor::unsqueeze)),
        Sublayer::Experts(experts) => {
            if experts
                .experts
                .iter()
                .all(|block| block.down.bias.is_none())
            {
                return Ok(None);
            }
            let routing = capture.routing()?;
            let like = capture.input()?;
            let mut sum = like.zeros_like();
            for (number, block) in experts.experts.iter().enumerate() {
                if let (Some(rows), Some(bias)) = (routing.rows(number, &like), &block.down.bias) {
                    let weighted = rows.weights.clone() * bias.clone().unsqueeze();
                    sum = rows.add(sum, weighted);
                }
            }
            Ok(Some(sum))
        }
    }
}

fn plain_slope(shared: &Shared, block: &FeedForward, previous: &Stage, p: &PreActivation) -> Slope {
    let known = match shared.options.bias_treatment {
        BiasTreatment::Player => None,
        BiasTreatment::Fixed => {
            let beta = block.up.forward(previous.sum(Sum::Bias));
            Some(secant(block.activation, p.tensor(), beta))
        }
    };
    Slope::new(block.activation, p.clone(), known)
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
        if sum == Sum::Bias && !self.has_bias() {
            return self.output.zeros_like();
        }
        let before = || match &self.previous {
            Some(previous) => previous.sum(sum),
            None => unreachable!("only attention and what reads the input start a pipeline"),
        };
        match &self.made {
            Made::Attention => attention(&self.shared, &self.output, sum),
            Made::Residual(Kept::Stage(kept)) => add(&before(), &kept.sum(sum)),
            Made::Residual(Kept::Own(kept)) => match sum {
                Sum::Preserving | Sum::Sources => add(&before(), kept),
                Sum::Mixing | Sum::Bias => before(),
            },
            Made::Norm { norm, scale } => norm.part(before(), scale, sum == Sum::Bias),
            Made::FeedForward(form) => match (Host::of(&self.output), sum, form.plain()) {
                (Some(host), Sum::Preserving | Sum::Mixing, Some(plain)) => {
                    let previous = self.previous.as_ref().expect("attention comes before");
                    rest::feed_forward(host, form, plain, previous, sum)
                }
                _ => feed_forward(before(), form, self.shared.options.bias_treatment, sum),
            },
            Made::Own { bias } => match (sum, bias) {
                (Sum::Preserving | Sum::Sources, None) => self.output.clone(),
                (Sum::Preserving | Sum::Sources, Some(bias)) => self.output.clone() - bias.clone(),
                (Sum::Mixing, _) | (Sum::Bias, None) => self.output.zeros_like(),
                (Sum::Bias, Some(bias)) => bias.clone().expand(self.output.dims()),
            },
        }
    }

    /// Whether anything belongs to no source: in many models nothing does.
    fn has_bias(&self) -> bool {
        let before = || self.previous.as_ref().is_some_and(|stage| stage.has_bias());
        match &self.made {
            Made::Attention => self.shared.attention.output.bias.is_some(),
            Made::Residual(Kept::Own(_)) => before(),
            Made::Residual(Kept::Stage(kept)) => before() || kept.has_bias(),
            Made::Norm { norm, .. } => norm.bias.is_some() || before(),
            Made::FeedForward(form) => {
                let biased = |block: &FeedForward| {
                    let mut maps = maps_into(block).chain([&block.down]);
                    maps.any(|map| map.bias.is_some())
                };
                before()
                    || match &form.work {
                        Work::One(block, _) => biased(block),
                        Work::Experts(experts) => experts.iter().any(|e| biased(&e.block)),
                    }
            }
            Made::Own { bias } => bias.is_some(),
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

    /// The norm that this stage is and s_i, if what comes before it has one b for
    /// all targets; that b.
    pub(crate) fn norm_of_constant_bias(&self) -> Option<(&Norm, &Tensor<3>, Tensor<1>)> {
        let Made::Norm { norm, scale } = &self.made else {
            return None;
        };
        let before = self.previous.as_ref()?.constant_bias()?;
        Some((norm, scale, before))
    }

    /// b_i, if it is the same for all targets.
    fn constant_bias(&self) -> Option<Tensor<1>> {
        match &self.made {
            Made::Attention => self.shared.attention.output.bias.clone(),
            Made::Residual(Kept::Own(_)) => self.previous.as_ref()?.constant_bias(),
            _ => None,
        }
    }
}

/// A vector in every row of `[batch, token, d_model]`.
fn every_row(vector: &Tensor<1>, like: &Tensor<3>) -> Tensor<3> {
    vector.clone().unsqueeze::<3>().expand(like.dims())
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
        (Sum::Bias, _) => match &attention.output.bias {
            Some(bias) => every_row(bias, &shared.input),
            None => shared.input.zeros_like(),
        },
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
        head_vectors(&host.floats(&shared.group_values)),
        rows,
        skip_own,
    );
    host.tensor(context, [1, rows.len(), shape.heads * shape.d_head])
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
    let is_bias = sum == Sum::Bias;
    // What the block makes of the bias alone, where it is fixed inside.
    let fixed = |block: &FeedForward, v: Tensor<3>| match &block.gate {
        None => apply_activation(block.activation, block.up.forward(v)),
        Some(gate) => gate.apply(
            block.activation,
            gate.map.forward(v.clone()),
            block.up.forward(v),
        ),
    };
    let (block, slopes) = match &form.work {
        Work::One(block, slopes) => (block, slopes),
        Work::Experts(experts) => {
            let mut all = v.zeros_like();
            for expert in experts {
                let (block, rows) = (&expert.block, &expert.rows);
                let x = rows.pick(&v);
                let y = match (is_bias, treatment) {
                    (true, BiasTreatment::Fixed) => {
                        block.down.product(fixed(block, x)) * rows.weights.clone()
                    }
                    _ => sloped(block, &expert.slopes, &x, is_bias),
                };
                let y = match (&block.down.bias, is_bias) {
                    (Some(bias), true) => y + rows.weights.clone() * bias.clone().unsqueeze(),
                    _ => y,
                };
                all = rows.add(all, y);
            }
            return all;
        }
    };
    if let (Some(host), Slopes::Plain(slope)) = (Host::of(&v), slopes) {
        match (sum, treatment) {
            (Sum::Bias, BiasTreatment::Player) => {
                return host.sloped_feed_forward(&v, block, slope.packed(host));
            }
            (Sum::Sources, _) => {
                let [batch, targets, _] = v.dims();
                let hidden = host.packed_product(&v, &block.up);
                let hidden = hidden.times(slope.packed(host));
                return host.product(&hidden, &block.down, [batch, targets]);
            }
            _ => {}
        }
    }
    let y = match (is_bias, treatment) {
        (true, BiasTreatment::Fixed) => return block.down.forward(fixed(block, v)),
        _ => sloped(block, &slopes.tensors(), &v, is_bias),
    };
    match (&block.down.bias, is_bias) {
        (Some(bias), true) => y + bias.clone().unsqueeze(),
        _ => y,
    }
}
