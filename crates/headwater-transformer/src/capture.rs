//! What a run keeps of its layers: opt-in, by layer and by quantity.

use burn::tensor::Tensor;

use crate::Error;

/// An intermediate result of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activations {
    /// The layer's input x, `[batch, token, d_model]`.
    Input,
    /// α, `[batch, head, target, source]`.
    AttentionWeights,
    /// v = x W_V + b_V by head, `[batch, head, source, d_head]`.
    Values,
    /// The attention sublayer's output, output bias included, `[batch, token, d_model]`.
    AttentionOutput,
    /// Attention output plus residual, `[batch, token, d_model]`.
    AttentionResidual,
    /// The attention block's output, behind its layer norm, `[batch, token, d_model]`.
    AttentionBlock,
    /// s(y) of the attention block's layer norm, `[batch, token, 1]`.
    AttentionNormScale,
    /// The layer's output, `[batch, token, d_model]`.
    Output,
}

impl Activations {
    /// Every quantity.
    pub const ALL: [Activations; 8] = [
        Activations::Input,
        Activations::AttentionWeights,
        Activations::Values,
        Activations::AttentionOutput,
        Activations::AttentionResidual,
        Activations::AttentionBlock,
        Activations::AttentionNormScale,
        Activations::Output,
    ];

    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Activations::Input => "the input",
            Activations::AttentionWeights => "the attention weights",
            Activations::Values => "the values",
            Activations::AttentionOutput => "the attention output",
            Activations::AttentionResidual => "the attention output plus residual",
            Activations::AttentionBlock => "the attention block's output",
            Activations::AttentionNormScale => "the scale of the attention block's layer norm",
            Activations::Output => "the output",
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
}

impl LayerCapture {
    /// An empty capture, to be filled by [`EncoderLayer::forward`](crate::EncoderLayer::forward).
    pub fn new(layer: usize) -> Self {
        Self {
            layer,
            matrices: Vec::new(),
            head_matrices: Vec::new(),
        }
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
            quantity: quantity.name(),
            layer: self.layer,
        }
    }
}

macro_rules! accessors {
    ($($name:ident, $rank:literal, $from:ident, $quantity:ident;)*) => {
        impl LayerCapture {
            $(
                #[doc = concat!("[`Activations::", stringify!($quantity), "`].\n\n# Errors\nIt was not captured.")]
                pub fn $name(&self) -> Result<Tensor<$rank>, Error> {
                    self.$from(Activations::$quantity)
                }
            )*
        }
    };
}

accessors! {
    input, 3, matrix, Input;
    attention_weights, 4, heads, AttentionWeights;
    values, 4, heads, Values;
    attention_output, 3, matrix, AttentionOutput;
    attention_residual, 3, matrix, AttentionResidual;
    attention_block, 3, matrix, AttentionBlock;
    attention_norm_scale, 3, matrix, AttentionNormScale;
    output, 3, matrix, Output;
}
