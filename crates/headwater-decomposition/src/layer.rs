//! A layer taken apart: every scope, every measure.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use headwater_kernels as kernels;
use headwater_transformer::wiring::{Component, FeedForwardSpec, LayerSpec, Part, Reads, Step};
use headwater_transformer::{Activations, Captures, Host, Layer, LayerCapture};

use crate::diagonal::{Own, identity};
use crate::form::{Form, HeadsForm};
use crate::shared::Shared;
use crate::stage::{Stage, Sum, row_norms, stages};
use crate::tiles::FeedForwardMaps;
use crate::{BiasTreatment, DecompositionOptions, Error, Scope, Segment};

/// One layer's exact decomposition `y_i = Σ_j y_ij + b_i` at the scopes asked for.
///
/// Nothing of size `[head, target, source, d_model]` or
/// `[target, source, d_model]` is made unless [`ScopeDecomposition::parts`] is
/// called. Every quantity is computed when it is first asked for; what several
/// scopes have in common is computed once.
///
/// # Source
/// Kobayashi et al. 2020, 2021 and 2024.
#[derive(Debug)]
pub struct LayerDecomposition {
    shared: Arc<Shared>,
    steps: Vec<ScopeDecomposition>,
}

impl LayerDecomposition {
    /// The captures that the decomposition of these scopes needs, in a layer
    /// without cross-attention.
    ///
    /// # Errors
    /// A scope that the layer does not have.
    pub fn captures(layer: &LayerSpec, scopes: &[Scope]) -> Result<Captures, Error> {
        Self::captures_of(Segment::Layer, layer, scopes)
    }

    /// The captures that the decomposition of a segment at these scopes needs.
    ///
    /// # Errors
    /// A scope that the segment does not have.
    pub fn captures_of(
        segment: Segment,
        layer: &LayerSpec,
        scopes: &[Scope],
    ) -> Result<Captures, Error> {
        let steps = steps_of(segment, layer, scopes)?;
        Self::captures_at(segment, layer, &steps)
    }

    /// The captures that the decomposition of a segment at these steps needs.
    ///
    /// # Errors
    /// A segment that the layer does not have.
    pub fn captures_at(
        segment: Segment,
        layer: &LayerSpec,
        steps: &[Step],
    ) -> Result<Captures, Error> {
        let blocks = segment.blocks(layer)?;
        let attention = Step {
            block: blocks.start as u8,
            part: Part::Sublayer,
        };
        let mut quantities = vec![
            match blocks.start.checked_sub(1) {
                None => Activations::Input,
                Some(before) => Activations::State(layer.last_step(before)),
            },
            Activations::AttentionWeights(attention),
            Activations::Values(attention),
        ];
        let last = steps.iter().max();
        let reached = layer.steps().into_iter().filter(|(step, _)| {
            blocks.contains(&usize::from(step.block)) && last.is_some_and(|last| step <= last)
        });
        for (step, component) in reached {
            quantities.push(Activations::State(step));
            match component {
                Component::Norm => quantities.push(Activations::NormScale(step)),
                Component::FeedForward if needs_pre_activation(layer) => {
                    quantities.push(Activations::PreActivation);
                }
                _ => {}
            }
        }
        Ok(Captures::of(&quantities))
    }

    /// Decomposes a layer that was run with [`LayerDecomposition::captures`].
    ///
    /// # Errors
    /// A quantity that was not captured, a scope that the layer does not have,
    /// a layer with cross-attention.
    pub fn new(layer: &Layer, capture: &LayerCapture, scopes: &[Scope]) -> Result<Self, Error> {
        Self::with_options(layer, capture, scopes, DecompositionOptions::default())
    }

    /// Decomposes a layer with options.
    ///
    /// # Errors
    /// As [`LayerDecomposition::new`].
    pub fn with_options(
        layer: &Layer,
        capture: &LayerCapture,
        scopes: &[Scope],
        options: DecompositionOptions,
    ) -> Result<Self, Error> {
        Self::of_segment(Segment::Layer, layer, capture, scopes, options)
    }

    /// Decomposes a segment of a layer that was run with
    /// [`LayerDecomposition::captures_of`].
    ///
    /// # Errors
    /// A quantity that was not captured, a scope or a segment that the layer does not have.
    pub fn of_segment(
        segment: Segment,
        layer: &Layer,
        capture: &LayerCapture,
        scopes: &[Scope],
        options: DecompositionOptions,
    ) -> Result<Self, Error> {
        let steps = steps_of(segment, &layer.spec, scopes)?;
        Self::at_steps(segment, layer, capture, &steps, options)
    }

    /// Decomposes a segment of a layer that was run with
    /// [`LayerDecomposition::captures_at`]: any step of any wiring, whether or not
    /// it has the name of a scope.
    ///
    /// # Errors
    /// A quantity that was not captured, a step or a segment that the layer does not
    /// have, and a fixed bias where none is treated.
    pub fn at_steps(
        segment: Segment,
        layer: &Layer,
        capture: &LayerCapture,
        steps: &[Step],
        options: DecompositionOptions,
    ) -> Result<Self, Error> {
        let blocks = segment.blocks(&layer.spec)?;
        let reads_input = |block: usize| layer.spec.blocks[block].reads == Reads::LayerInput;
        if options.bias_treatment == BiasTreatment::Fixed && blocks.clone().any(reads_input) {
            return Err(Error::NoBiasToTreat);
        }
        let mut asked = steps.to_vec();
        asked.sort_unstable();
        asked.dedup();
        let shared = Arc::new(Shared::new(layer, segment, capture, options)?);
        let stages = stages(&shared, capture, blocks, asked.last().copied())?;
        let names = segment.scopes_at(&layer.spec);
        let asked: Vec<Arc<Stage>> = asked
            .into_iter()
            .map(|step| {
                let stage = stages.iter().find(|stage| stage.step == step);
                stage.cloned().ok_or(Error::StepNotDecomposed { step })
            })
            .collect::<Result<_, Error>>()?;

        let maps = feed_forward_maps(&shared, asked.iter().map(|stage| &stage.form));
        let steps = asked
            .into_iter()
            .map(|stage| ScopeDecomposition {
                scope: names
                    .iter()
                    .find_map(|&(scope, step)| (step == stage.step).then_some(scope)),
                parts: match &stage.form {
                    Form::Nothing => Parts::Nothing,
                    Form::Heads(form) => Parts::Heads(Arc::clone(form)),
                    Form::FeedForward(_, tail) => Parts::FeedForward {
                        maps: maps.clone().expect("made for these scopes"),
                        tail: tail.len(),
                    },
                },
                stage,
                shared: Arc::clone(&shared),
            })
            .collect();
        Ok(Self { shared, steps })
    }

    /// A scope that was asked for.
    ///
    /// # Errors
    /// The scope was not asked for.
    pub fn scope(&self, scope: Scope) -> Result<&ScopeDecomposition, Error> {
        self.steps
            .iter()
            .find(|decomposed| decomposed.scope == Some(scope))
            .ok_or(Error::ScopeNotDecomposed { scope })
    }

    /// The scopes that were asked for, or the steps.
    pub fn scopes(&self) -> impl Iterator<Item = &ScopeDecomposition> {
        self.steps.iter()
    }

    /// A step that was asked for.
    ///
    /// # Errors
    /// The step was not asked for.
    pub fn step(&self, step: Step) -> Result<&ScopeDecomposition, Error> {
        let found = self
            .steps
            .iter()
            .find(|decomposed| decomposed.step() == step);
        found.ok_or(Error::StepNotDecomposed { step })
    }

    /// The attention weights α.
    ///
    /// # Shapes
    /// `[batch, head, target, source]`, rows sum to 1 over visible sources.
    pub fn attention_weights(&self) -> Tensor<4> {
        self.shared.weights.clone()
    }

    /// The mixing ratio of the attention weights alone: Σ_{j≠i} A_ij / Σ_j A_ij,
    /// with A the mean over heads. Summed off the diagonal, so that a token that
    /// attends to itself loses no digits. Without sinks rows sum to 1, and it is
    /// 1 − A_ii.
    ///
    /// # Shapes
    /// `[batch, target]`, in [0, 1]; exactly 0 for a single token.
    ///
    /// # Source
    /// ATTN-W of Kobayashi et al. 2021.
    pub fn mixing_weights(&self) -> Tensor<2> {
        match self.sum_of_weights() {
            Some(sum) => self.weights_of_others() / sum,
            None => self.weights_of_others(),
        }
    }

    /// The same beside a residual connection of weight 1:
    /// Σ_{j≠i} A_ij / (Σ_j A_ij + 1). Without sinks half of
    /// [`LayerDecomposition::mixing_weights`].
    ///
    /// # Shapes
    /// `[batch, target]`, in [0, 1).
    ///
    /// # Source
    /// Abnar and Zuidema 2020, ATTNRES-W of Kobayashi et al. 2021.
    pub fn residual_mixing_weights(&self) -> Tensor<2> {
        match self.sum_of_weights() {
            Some(sum) => self.weights_of_others() / (sum + 1.0),
            None => self.weights_of_others() / 2.0,
        }
    }

    /// Σ_j A_ij, `[batch, target]`, where it is not 1.
    fn sum_of_weights(&self) -> Option<Tensor<2>> {
        self.shared.attention.sinks.as_ref()?;
        let by_head = self.shared.weights.clone().sum_dim(3);
        let sum: Tensor<2> = by_head.mean_dim(1).squeeze_dims(&[1, 3]);
        // A sink may take all of it; then there is nothing to divide.
        Some(sum.clamp_min(f64::from(f32::MIN_POSITIVE)))
    }

    /// Σ_{j≠i} A_ij, `[batch, target]`.
    fn weights_of_others(&self) -> Tensor<2> {
        let weights = &self.shared.weights;
        // The kernel counts on rows that sum to 1.
        let sums_to_one = self.shared.attention.sinks.is_none();
        if let Some(host) = Host::of(weights).filter(|_| sums_to_one) {
            let [batch, heads, targets, sources] = weights.dims();
            let maps = host.contiguous(weights);
            let sums = match self.shared.own_weights(host) {
                Some(own) => kernels::sums_of_others(host.cpu(), maps.slice(), own, sources),
                None => kernels::row_sums(host.cpu(), maps.slice(), sources),
            };
            let by_head: Tensor<3> = host.tensor(sums, [batch, heads, targets]);
            return by_head.mean_dim(1).squeeze_dim(1);
        }
        self.shared
            .own
            .others(weights)
            .sum_dim(3)
            .mean_dim(1)
            .squeeze_dims(&[1, 3])
    }

    /// ‖f^h(x_j)‖, the norms of the transformed vectors; in pre-LN models
    /// ‖f^h(LN(x_j))‖.
    ///
    /// # Shapes
    /// `[batch, head, source]`.
    ///
    /// # Source
    /// Kobayashi et al. 2020: f(x) = (x W_V + b_V) W_O.
    pub fn transformed_norms(&self) -> Tensor<3> {
        let shared = &self.shared;
        match Host::of(&shared.weights) {
            Some(host) => {
                let shape = shared.head_shape();
                let norms = shared.grams(host)[0].transformed_norms();
                host.tensor(norms, [shape.batch, shape.heads, shape.sources])
            }
            None => shared.heads.gram(&shared.values).transformed_norms(),
        }
    }

    /// ‖α^h_ij f^h(x_j)‖ = α^h_ij ‖f^h(x_j)‖, the norms of the weighted vectors.
    ///
    /// # Shapes
    /// `[batch, head, target, source]`.
    ///
    /// # Source
    /// Kobayashi et al. 2020, the weighted vectors.
    pub fn weighted_norms(&self) -> Tensor<4> {
        let weights = &self.shared.weights;
        let norms = self.transformed_norms();
        match Host::of(weights) {
            Some(host) => {
                let shape @ [.., sources] = weights.dims();
                let weights = host.contiguous(weights);
                let norms = host.contiguous(&norms);
                let product =
                    kernels::times_factors(host.cpu(), weights.slice(), norms.slice(), sources);
                host.tensor(product, shape)
            }
            None => weights.clone() * norms.unsqueeze_dim::<4>(2),
        }
    }
}

/// Whether the parts behind the feed-forward block depend on more than what it
/// reads and puts out.
fn needs_pre_activation(layer: &LayerSpec) -> bool {
    let reads_parts = layer
        .blocks
        .iter()
        .all(|block| block.reads == Reads::Previous);
    // The biases of experts belong to no source, with the router's weights.
    reads_parts || matches!(layer.feed_forward(), FeedForwardSpec::Experts { .. })
}

/// The last steps of scopes.
fn steps_of(segment: Segment, layer: &LayerSpec, scopes: &[Scope]) -> Result<Vec<Step>, Error> {
    let scopes = scopes.iter();
    scopes.map(|&scope| segment.step_of(scope, layer)).collect()
}

/// One pass for all feed-forward scopes among `forms`; the last is the longest.
fn feed_forward_maps<'a>(
    shared: &Arc<Shared>,
    forms: impl Iterator<Item = &'a Form>,
) -> Option<Arc<FeedForwardMaps>> {
    let behind: Vec<_> = forms
        .filter_map(|form| match form {
            Form::Nothing | Form::Heads(_) => None,
            Form::FeedForward(form, tail) => Some((form, tail)),
        })
        .collect();
    let (form, longest) = behind.iter().max_by_key(|(_, tail)| tail.len())?;
    let scopes = behind.iter().map(|(_, tail)| tail.len()).collect();
    Some(Arc::new(FeedForwardMaps::new(
        Arc::clone(shared),
        Arc::clone(form),
        (*longest).clone(),
        scopes,
    )))
}

/// The decomposition at one scope.
#[derive(Debug)]
pub struct ScopeDecomposition {
    scope: Option<Scope>,
    stage: Arc<Stage>,
    parts: Parts,
    shared: Arc<Shared>,
}

/// Where norm maps and parts off the diagonal come from.
#[derive(Debug)]
enum Parts {
    /// There are none.
    Nothing,
    Heads(Arc<HeadsForm>),
    FeedForward {
        maps: Arc<FeedForwardMaps>,
        /// Components behind the feed-forward block.
        tail: usize,
    },
}

impl ScopeDecomposition {
    /// Which scope this is.
    ///
    /// # Panics
    /// It is a step without a name, of a wiring that no scopes describe.
    pub fn scope(&self) -> Scope {
        self.scope.expect("a step that was named by its scope")
    }

    /// The last step that is in it.
    pub fn step(&self) -> Step {
        self.stage.step
    }

    /// The norm map ‖y_ij‖.
    ///
    /// Before the feed-forward block `‖y_ij‖² = α_ijᵀ G_j α_ij / s_i²` with the
    /// Gram matrix G_j of the transformed vectors, 2·T·d_model² +
    /// 2·T·H²·d_model + 2·T²·H² FLOPs. Behind it the parts are made and dropped
    /// tile by tile, 2·T²·d_ff·d_model FLOPs for all such scopes together.
    ///
    /// The Gram matrix squares: in float32 an entry at which the heads cancel to
    /// a share r of their size is off by about 2⁻²⁵ / r² of itself.
    ///
    /// # Shapes
    /// `[batch, target, source]`.
    pub fn norms(&self) -> Tensor<3> {
        let shared = &self.shared;
        if let (Parts::Heads(form), Some(host)) = (&self.parts, Host::of(&shared.weights)) {
            let own = match shared.own {
                Own::Diagonal(_) => Some(self.preserving_norms()),
                Own::Stream => None,
            };
            return shared.host_norms(host, form, own.as_ref());
        }
        let norms = match &self.parts {
            Parts::Nothing => shared.weights.clone().mean_dim(1).squeeze_dim::<3>(1) * 0.0,
            Parts::Heads(form) => form.norms(&shared.weights, &shared.values),
            Parts::FeedForward { maps, tail } => maps.norms(*tail),
        };
        // On the diagonal is the norm of a vector that is there anyway, with
        // its residual.
        shared.own.place(norms, || self.preserving_norms())
    }

    /// ‖y_ii‖: how much of itself a token keeps; behind cross-attention the
    /// norm of its own stream.
    ///
    /// # Shapes
    /// `[batch, target]`.
    pub fn preserving_norms(&self) -> Tensor<2> {
        self.stage.norms(Sum::Preserving)
    }

    /// ‖Σ_{j≠i} y_ij‖: how much a token takes from the others. The norm of the
    /// sum, not the sum of norms; exactly 0 for a single token. Behind
    /// cross-attention, how much it takes from the encoder's tokens.
    ///
    /// # Shapes
    /// `[batch, target]`.
    pub fn mixing_norms(&self) -> Tensor<2> {
        self.stage.norms(Sum::Mixing)
    }

    /// ‖b_i‖: what belongs to no source.
    ///
    /// # Shapes
    /// `[batch, target]`.
    pub fn bias_norms(&self) -> Tensor<2> {
        self.stage.norms(Sum::Bias)
    }

    /// ‖Σ_j y_ij + b_i − y_i‖ / ‖y_i‖, y_i as the forward pass computed it; 0
    /// where the parts sum to y_i exactly, a y_i of zeros included.
    ///
    /// # Shapes
    /// `[batch, target]`.
    pub fn reconstruction_errors(&self) -> Tensor<2> {
        let stage = &self.stage;
        let sum = stage.sources() + stage.sum(Sum::Bias);
        let rest = row_norms(sum - stage.output.clone());
        let exact = rest.clone().equal_elem(0.0);
        (rest / row_norms(stage.output.clone())).mask_fill(exact, 0.0)
    }

    /// y_ii: what a token keeps of itself; behind cross-attention the part of
    /// its own stream.
    ///
    /// # Shapes
    /// `[batch, target, d_model]`.
    pub fn preserving(&self) -> Tensor<3> {
        self.stage.sum(Sum::Preserving)
    }

    /// b_i: the part that belongs to no source.
    ///
    /// # Shapes
    /// `[batch, target, d_model]`.
    pub fn bias(&self) -> Tensor<3> {
        self.stage.sum(Sum::Bias)
    }

    /// y_i: the representation that is decomposed, as the forward pass computed it.
    ///
    /// # Shapes
    /// `[batch, target, d_model]`.
    pub fn output(&self) -> Tensor<3> {
        self.stage.output.clone()
    }

    /// The parts y_ij as vectors, for a range of targets; behind cross-attention
    /// those of the encoder's tokens, beside [`ScopeDecomposition::preserving`].
    ///
    /// This is the one large result: choose the range to fit memory.
    ///
    /// # Shapes
    /// `[batch, targets.len(), source, d_model]`.
    ///
    /// # Errors
    /// The range is empty or leaves the sequence.
    pub fn parts(&self, targets: Range<usize>) -> Result<Tensor<4>, Error> {
        let shared = &self.shared;
        let [batch, _, tokens, sources] = shared.weights.dims();
        if targets.is_empty() || targets.end > tokens {
            return Err(Error::TargetsOutOfRange {
                start: targets.start,
                end: targets.end,
                tokens,
            });
        }
        let parts = match &self.parts {
            Parts::Nothing => {
                let [_, _, d_model] = self.stage.output.dims();
                let shape = [batch, targets.len(), sources, d_model];
                let options = (&self.stage.output.device(), self.stage.output.dtype());
                Tensor::zeros(shape, options)
            }
            Parts::Heads(form) => form.parts(&shared.weights, &shared.values, targets.clone()),
            Parts::FeedForward { maps, tail } => maps.parts(*tail, targets.clone()),
        };
        if matches!(shared.own, Own::Stream) {
            return Ok(parts);
        }
        let own = self
            .stage
            .sum(Sum::Preserving)
            .slice_dim(1, targets.clone())
            .unsqueeze_dim::<4>(2);
        let is_own = identity(tokens, &shared.weights)
            .slice_dim(0, targets.clone())
            .reshape([1, targets.len(), sources, 1])
            .expand([batch, targets.len(), sources, 1]);
        Ok(parts * (is_own.clone() * -1.0 + 1.0) + own * is_own)
    }
}
