//! What a run keeps of its layers: opt-in, by layer and by quantity.

mod insert;

use std::fmt;

use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;
use headwater_checkpoint::wiring::Step;
use headwater_kernels::Packed;

use crate::{Error, Host, Routing};

pub use insert::Captured;

/// An intermediate result of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activations {
    /// The layer's input x, `[batch, token, d_model]`.
    Input,
    /// α of the attention at a step, `[batch, head, target, source]`.
    AttentionWeights(Step),
    /// v = x W_V + b_V of the attention at a step, x behind the norm before it, where
    /// one comes first, or an encoder's outputs, `[batch, group, source, d_head]`.
    Values(Step),
    /// What a step puts out, `[batch, token, d_model]`.
    State(Step),
    /// s(y) of the norm at a step, `[batch, token, 1]`.
    NormScale(Step),
    /// What the feed-forward block's activation is applied to, or what is
    /// multiplied by its gate and the gate, `[batch, token, d_ff]`.
    PreActivation,
}

impl fmt::Display for Activations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activations::Input => f.write_str("the input"),
            Activations::AttentionWeights(step) => {
                write!(f, "the attention weights of block {}", step.block)
            }
            Activations::Values(step) => write!(f, "the values of block {}", step.block),
            Activations::State(step) => write!(f, "the output of {step}"),
            Activations::NormScale(step) => write!(f, "the scale of {step}"),
            Activations::PreActivation => f.write_str("the feed-forward pre-activation"),
        }
    }
}

/// Which quantities of which layers a run keeps.
///
/// Tensors are shared, not copied: what is captured costs the memory of
/// keeping it alive, what is not captured is freed as the run goes on.
#[derive(Debug, Clone, Default)]
pub struct Captures {
    quantities: Vec<Activations>,
    layers: Option<Vec<usize>>,
}

impl Captures {
    /// Nothing: a plain forward pass.
    pub fn none() -> Self {
        Self::default()
    }

    /// These quantities, of every layer.
    pub fn of(quantities: &[Activations]) -> Self {
        Self {
            quantities: quantities.to_vec(),
            layers: None,
        }
    }

    /// What either names, of the layers of this one.
    pub fn and(mut self, other: Self) -> Self {
        self.quantities.extend(other.quantities);
        self
    }

    /// Only of these layers.
    pub fn at_layers(mut self, layers: &[usize]) -> Self {
        self.layers = Some(layers.to_vec());
        self
    }

    /// Whether anything of this layer is kept.
    pub fn includes_layer(&self, layer: usize) -> bool {
        !self.quantities.is_empty()
            && self
                .layers
                .as_ref()
                .is_none_or(|layers| layers.contains(&layer))
    }

    pub(crate) fn keeps(&self, layer: usize, quantity: Activations) -> bool {
        self.includes_layer(layer) && self.quantities.contains(&quantity)
    }
}

/// The captured quantities of one layer.
#[derive(Debug, Clone)]
pub struct LayerCapture {
    layer: usize,
    matrices: Vec<(Activations, Tensor<3>)>,
    head_matrices: Vec<(Activations, Tensor<4>)>,
    pre_activation: Option<PreActivation>,
    gate: Option<PreActivation>,
    routing: Option<Arc<Routing>>,
}

/// What the activation of a feed-forward block is applied to, as a layer left it.
#[derive(Debug, Clone)]
pub struct PreActivation {
    /// Made from the packed rows when it is asked for.
    tensor: OnceLock<Tensor<3>>,
    packed: Option<PackedRows>,
}

/// A row a token of the batch, as the CPU's kernels leave and take them.
#[derive(Debug, Clone)]
struct PackedRows {
    host: Host,
    rows: Arc<Packed>,
    /// Sequences and tokens.
    tokens: [usize; 2],
}

impl PreActivation {
    pub(crate) fn packed(host: Host, rows: Packed, tokens: [usize; 2]) -> Self {
        let rows = Arc::new(rows);
        Self {
            tensor: OnceLock::new(),
            packed: Some(PackedRows { host, rows, tokens }),
        }
    }

    /// # Shapes
    /// `[batch, token, d_ff]`.
    pub fn tensor(&self) -> Tensor<3> {
        let unpack = || {
            let PackedRows { host, rows, tokens } = self.packed.as_ref().expect("one of the two");
            let [batch, token] = *tokens;
            let numbers = rows.unpack();
            let d_ff = numbers.len() / (batch * token).max(1);
            host.tensor(numbers, [batch, token, d_ff])
        };
        self.tensor.get_or_init(unpack).clone()
    }

    /// `[batch, token, d_ff]`.
    pub fn dims(&self) -> [usize; 3] {
        match (self.tensor.get(), &self.packed) {
            (Some(tensor), _) => tensor.dims(),
            (None, Some(PackedRows { rows, tokens, .. })) => [tokens[0], tokens[1], rows.columns()],
            (None, None) => unreachable!("it is one of the two"),
        }
    }

    /// The rows of all tokens, if the CPU's kernels made them.
    pub fn packed_rows(&self) -> Option<&Arc<Packed>> {
        self.packed.as_ref().map(|packed| &packed.rows)
    }
}

impl From<Tensor<3>> for PreActivation {
    fn from(tensor: Tensor<3>) -> Self {
        Self {
            tensor: OnceLock::from(tensor),
            packed: None,
        }
    }
}

impl LayerCapture {
    /// An empty capture, to be filled by [`Layer::forward`](crate::Layer::forward).
    pub fn new(layer: usize) -> Self {
        Self {
            layer,
            matrices: Vec::new(),
            head_matrices: Vec::new(),
            pre_activation: None,
            gate: None,
            routing: None,
        }
    }

    pub(crate) fn keeps(&self, captures: &Captures, quantity: Activations) -> bool {
        captures.keeps(self.layer, quantity)
    }

    pub(crate) fn keep(&mut self, captures: &Captures, quantity: Activations, value: &Tensor<3>) {
        if captures.keeps(self.layer, quantity) {
            self.matrices.push((quantity, value.clone()));
        }
    }

    pub(crate) fn keep_heads(
        &mut self,
        captures: &Captures,
        quantity: Activations,
        value: &Tensor<4>,
    ) {
        if captures.keeps(self.layer, quantity) {
            self.head_matrices.push((quantity, value.clone()));
        }
    }

    pub(crate) fn keep_routing(&mut self, value: Arc<Routing>) {
        self.routing = Some(value);
    }

    pub(crate) fn keep_gate(&mut self, value: PreActivation) {
        self.gate = Some(value);
    }

    pub(crate) fn keep_pre_activation(&mut self, value: PreActivation) {
        self.pre_activation = Some(value);
    }

    /// The layer, from 0.
    pub fn layer(&self) -> usize {
        self.layer
    }

    fn matrix(&self, quantity: Activations) -> Result<Tensor<3>, Error> {
        self.matrices
            .iter()
            .find(|(kept, _)| *kept == quantity)
            .map(|(_, value)| value.clone())
            .ok_or(self.missing(quantity))
    }

    fn heads(&self, quantity: Activations) -> Result<Tensor<4>, Error> {
        self.head_matrices
            .iter()
            .find(|(kept, _)| *kept == quantity)
            .map(|(_, value)| value.clone())
            .ok_or(self.missing(quantity))
    }

    fn missing(&self, quantity: Activations) -> Error {
        Error::NotCaptured {
            quantity: quantity.to_string(),
            layer: self.layer,
        }
    }
}

/// Each accessor fails if its quantity was not captured.
impl LayerCapture {
    /// [`Activations::Input`].
    ///
    /// # Errors
    /// It was not captured.
    pub fn input(&self) -> Result<Tensor<3>, Error> {
        self.matrix(Activations::Input)
    }

    /// [`Activations::AttentionWeights`].
    ///
    /// # Errors
    /// It was not captured.
    pub fn attention_weights(&self, step: Step) -> Result<Tensor<4>, Error> {
        self.heads(Activations::AttentionWeights(step))
    }

    /// [`Activations::Values`].
    ///
    /// # Errors
    /// It was not captured.
    pub fn values(&self, step: Step) -> Result<Tensor<4>, Error> {
        self.heads(Activations::Values(step))
    }

    /// [`Activations::State`].
    ///
    /// # Errors
    /// It was not captured.
    pub fn state(&self, step: Step) -> Result<Tensor<3>, Error> {
        self.matrix(Activations::State(step))
    }

    /// [`Activations::NormScale`].
    ///
    /// # Errors
    /// It was not captured.
    pub fn norm_scale(&self, step: Step) -> Result<Tensor<3>, Error> {
        self.matrix(Activations::NormScale(step))
    }

    /// [`Activations::PreActivation`].
    ///
    /// # Errors
    /// It was not captured.
    pub fn pre_activation(&self) -> Result<&PreActivation, Error> {
        let missing = || self.missing(Activations::PreActivation);
        self.pre_activation.as_ref().ok_or_else(missing)
    }

    /// Which experts had which tokens: kept in the place of
    /// [`Activations::PreActivation`] where there are experts.
    ///
    /// # Errors
    /// It was not captured.
    pub fn routing(&self) -> Result<&Arc<Routing>, Error> {
        let missing = || self.missing(Activations::PreActivation);
        self.routing.as_ref().ok_or_else(missing)
    }

    /// The gate of [`Activations::PreActivation`], `[batch, token, d_ff]`.
    ///
    /// # Errors
    /// It was not captured.
    pub fn gate(&self) -> Result<&PreActivation, Error> {
        let missing = || self.missing(Activations::PreActivation);
        self.gate.as_ref().ok_or_else(missing)
    }
}
