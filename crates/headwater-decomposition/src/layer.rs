//! A layer taken apart: every scope, every measure.

use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

use burn::tensor::Tensor;
use headwater_transformer::{Activations, EncoderLayer, LayerCapture};

use crate::diagonal::Diagonal;
use crate::norm_map::{Gram, OutputMap, norm_map};
use crate::sums::{self, Sums, row_norms};
use crate::{Component, Error, Scope, parts};

/// One layer's exact decomposition `y_i = Σ_j y_ij + b_i` at the scopes asked for.
///
/// Nothing of size `[head, target, source, d_model]` or
/// `[target, source, d_model]` is made unless [`ScopeDecomposition::parts`] is
/// called. Norm maps are computed when they are asked for.
///
/// # Source
/// Kobayashi et al. 2020, eq. 4 to 7; 2021, section 3.
#[derive(Debug)]
pub struct LayerDecomposition {
    attention: Rc<AttentionState>,
    scopes: Vec<ScopeDecomposition>,
}

/// What all scopes of a layer share.
#[derive(Debug)]
struct AttentionState {
    weights: Tensor<4>,
    values: Tensor<4>,
    diagonal: Diagonal,
    head_gram: Rc<SharedGram>,
}

/// An output map and, once a norm map was asked for, its Gram matrices.
#[derive(Debug)]
struct SharedGram {
    map: OutputMap,
    gram: OnceCell<Gram>,
}

impl SharedGram {
    fn new(map: OutputMap) -> Rc<Self> {
        Rc::new(Self {
            map,
            gram: OnceCell::new(),
        })
    }

    fn gram(&self, values: &Tensor<4>) -> &Gram {
        self.gram.get_or_init(|| Gram::new(&self.map, values))
    }
}

impl LayerDecomposition {
    /// The captures that [`LayerDecomposition::new`] needs.
    pub const CAPTURES: [Activations; 7] = [
        Activations::Input,
        Activations::AttentionWeights,
        Activations::Values,
        Activations::AttentionOutput,
        Activations::AttentionResidual,
        Activations::AttentionBlock,
        Activations::AttentionNormScale,
    ];

    /// Decomposes a layer that was run with [`LayerDecomposition::CAPTURES`].
    ///
    /// Costs 2·T²·d_model + 4·T·d_model² FLOPs a sequence, less than half of
    /// the layer's own forward pass.
    ///
    /// # Errors
    /// A quantity that was not captured.
    pub fn new(
        layer: &EncoderLayer,
        capture: &LayerCapture,
        scopes: &[Scope],
    ) -> Result<Self, Error> {
        let weights = capture.attention_weights()?;
        let values = capture.values()?;
        let diagonal = Diagonal::new(weights.dims()[2], &weights);
        let head_gram = SharedGram::new(OutputMap::attention(&layer.attention));
        let attention = Rc::new(AttentionState {
            weights,
            values,
            diagonal,
            head_gram,
        });

        let longest = scopes.iter().max().copied();
        let mut flow: Option<Flow> = None;
        let mut decomposed = Vec::with_capacity(scopes.len());
        for scope in Scope::ALL {
            if longest.is_none_or(|longest| scope > longest) {
                break;
            }
            // Each scope is the one before it and one more component.
            let component = scope.components()[scope.components().len() - 1];
            let next = Flow::advance(flow, component, layer, capture, &attention)?;
            if scopes.contains(&scope) {
                decomposed.push(ScopeDecomposition {
                    scope,
                    flow: next.clone(),
                    attention: Rc::clone(&attention),
                });
            }
            flow = Some(next);
        }
        Ok(Self {
            attention,
            scopes: decomposed,
        })
    }

    /// A scope that was asked for.
    ///
    /// # Errors
    /// The scope was not asked for.
    pub fn scope(&self, scope: Scope) -> Result<&ScopeDecomposition, Error> {
        self.scopes
            .iter()
            .find(|decomposed| decomposed.scope == scope)
            .ok_or(Error::ScopeNotDecomposed { scope })
    }

    /// The scopes that were asked for, shortest first.
    pub fn scopes(&self) -> impl Iterator<Item = &ScopeDecomposition> {
        self.scopes.iter()
    }

    /// The attention weights α.
    ///
    /// # Shapes
    /// `[batch, head, target, source]`, rows sum to 1 over real sources.
    pub fn attention_weights(&self) -> Tensor<4> {
        self.attention.weights.clone()
    }

    /// The mixing ratio of the attention weights alone: Σ_{j≠i} A_ij = 1 − A_ii,
    /// with A the mean over heads. Summed off the diagonal, so that a token
    /// that attends to itself loses no digits.
    ///
    /// # Shapes
    /// `[batch, target]`, in [0, 1]; exactly 0 for a single token.
    ///
    /// # Source
    /// ATTN-W of Kobayashi et al. 2021.
    pub fn mixing_weights(&self) -> Tensor<2> {
        let state = &self.attention;
        state
            .diagonal
            .zero(state.weights.clone())
            .sum_dim(3)
            .mean_dim(1)
            .squeeze_dims(&[1, 3])
    }

    /// ‖f^h(x_j)‖, the norms of the transformed vectors.
    ///
    /// # Shapes
    /// `[batch, head, source]`.
    ///
    /// # Source
    /// Kobayashi et al. 2020, section 2.2: f(x) = (x W_V + b_V) W_O.
    pub fn transformed_norms(&self) -> Tensor<3> {
        let state = &self.attention;
        state.head_gram.gram(&state.values).transformed_norms()
    }

    /// ‖α^h_ij f^h(x_j)‖ = α^h_ij ‖f^h(x_j)‖, the norms of the weighted vectors.
    ///
    /// # Shapes
    /// `[batch, head, target, source]`.
    ///
    /// # Source
    /// Kobayashi et al. 2020, section 3.
    pub fn weighted_norms(&self) -> Tensor<4> {
        self.attention.weights.clone() * self.transformed_norms().unsqueeze_dim::<4>(2)
    }
}

/// The state of a decomposition behind some component.
#[derive(Debug, Clone)]
struct Flow {
    sums: Sums,
    /// The representation itself, from the forward pass.
    output: Tensor<3>,
    gram: Rc<SharedGram>,
    /// What every part of a target is divided by, `[batch, target, 1]`.
    scale: Option<Tensor<3>>,
}

impl Flow {
    fn advance(
        before: Option<Flow>,
        component: Component,
        layer: &EncoderLayer,
        capture: &LayerCapture,
        state: &AttentionState,
    ) -> Result<Flow, Error> {
        match (component, before) {
            (Component::Attention, _) => Ok(Flow {
                sums: sums::attention(
                    &layer.attention,
                    state.weights.clone(),
                    state.values.clone(),
                    &state.diagonal,
                ),
                output: capture.attention_output()?,
                gram: Rc::clone(&state.head_gram),
                scale: None,
            }),
            (Component::Residual, Some(flow)) => Ok(Flow {
                sums: sums::residual(flow.sums, capture.input()?),
                output: capture.attention_residual()?,
                ..flow
            }),
            (Component::LayerNorm, Some(flow)) => {
                let scale = capture.attention_norm_scale()?;
                Ok(Flow {
                    sums: sums::layer_norm(flow.sums, &layer.attention_norm, &scale),
                    output: capture.attention_block()?,
                    gram: SharedGram::new(flow.gram.map.clone().layer_norm(&layer.attention_norm)),
                    scale: Some(scale),
                })
            }
            (component, None) => unreachable!("a pipeline cannot start with {component:?}"),
        }
    }
}

/// The decomposition at one scope.
#[derive(Debug)]
pub struct ScopeDecomposition {
    scope: Scope,
    flow: Flow,
    attention: Rc<AttentionState>,
}

impl ScopeDecomposition {
    /// Which scope this is.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The norm map ‖y_ij‖.
    ///
    /// Off the diagonal `‖y_ij‖² = α_ijᵀ G_j α_ij / s_i²` with the Gram matrix
    /// G_j of the transformed vectors; 2·T·d_model² + 2·T·H²·d_model + 2·T²·H²
    /// FLOPs, of which `attn` and `attn_res` share the first two terms.
    ///
    /// # Shapes
    /// `[batch, target, source]`.
    pub fn norms(&self) -> Tensor<3> {
        let state = &self.attention;
        norm_map(
            self.flow.gram.gram(&state.values),
            &state.weights,
            self.flow.scale.as_ref(),
            self.preserving_norms(),
            &state.diagonal,
        )
    }

    /// ‖y_ii‖: how much of itself a token keeps.
    ///
    /// # Shapes
    /// `[batch, target]`.
    pub fn preserving_norms(&self) -> Tensor<2> {
        row_norms(self.flow.sums.preserving.clone())
    }

    /// ‖Σ_{j≠i} y_ij‖: how much a token takes from the others. The norm of the
    /// sum, not the sum of norms; exactly 0 for a single token.
    ///
    /// # Shapes
    /// `[batch, target]`.
    pub fn mixing_norms(&self) -> Tensor<2> {
        row_norms(self.flow.sums.mixing.clone())
    }

    /// ‖b_i‖: what belongs to no source.
    ///
    /// # Shapes
    /// `[batch, target]`.
    pub fn bias_norms(&self) -> Tensor<2> {
        row_norms(self.flow.sums.bias.clone())
    }

    /// ‖Σ_j y_ij + b_i − y_i‖ / ‖y_i‖, y_i as the forward pass computed it.
    ///
    /// # Shapes
    /// `[batch, target]`.
    pub fn reconstruction_errors(&self) -> Tensor<2> {
        let sums = &self.flow.sums;
        let sum = sums.preserving.clone() + sums.mixing.clone() + sums.bias.clone();
        row_norms(sum - self.flow.output.clone()) / row_norms(self.flow.output.clone())
    }

    /// b_i: the part that belongs to no source.
    ///
    /// # Shapes
    /// `[batch, target, d_model]`.
    pub fn bias(&self) -> Tensor<3> {
        self.flow.sums.bias.clone()
    }

    /// y_i: the representation that is decomposed, as the forward pass computed it.
    ///
    /// # Shapes
    /// `[batch, target, d_model]`.
    pub fn output(&self) -> Tensor<3> {
        self.flow.output.clone()
    }

    /// The parts y_ij as vectors, for a range of targets.
    ///
    /// This is the one large result: choose the range to fit memory.
    ///
    /// # Shapes
    /// `[batch, targets.len(), source, d_model]`.
    ///
    /// # Errors
    /// The range is empty or leaves the sequence.
    pub fn parts(&self, targets: Range<usize>) -> Result<Tensor<4>, Error> {
        let state = &self.attention;
        let tokens = state.weights.dims()[2];
        if targets.is_empty() || targets.end > tokens {
            return Err(Error::TargetsOutOfRange {
                start: targets.start,
                end: targets.end,
                tokens,
            });
        }
        Ok(parts::parts(
            &self.flow.gram.map,
            state.weights.clone(),
            state.values.clone(),
            self.flow.scale.as_ref(),
            self.flow.sums.preserving.clone(),
            targets,
        ))
    }
}
