//! One post-LN encoder layer: ATTN, RES, LN, FF, RES, LN.

use burn::tensor::{Tensor, activation};
use headwater_checkpoint::Activation;

use crate::capture::{Activations, Captures, LayerCapture};
use crate::parameters::ParameterReader;
use crate::{Error, LayerNorm, Linear, apply_activation};

/// Multi-head self-attention.
#[derive(Debug, Clone)]
pub struct SelfAttention {
    /// W_Q, b_Q.
    pub query: Linear,
    /// W_K, b_K.
    pub key: Linear,
    /// W_V, b_V; head h owns output rows `h·d_head .. (h+1)·d_head`.
    pub value: Linear,
    /// W_O, b_O; head h owns input columns `h·d_head .. (h+1)·d_head`.
    pub output: Linear,
    /// Heads.
    pub n_heads: usize,
}

/// The position-wise feed-forward block `act(x W_1 + b_1) W_2 + b_2`.
#[derive(Debug, Clone)]
pub struct FeedForward {
    /// W_1, b_1: d_model to d_ff.
    pub up: Linear,
    /// W_2, b_2: d_ff to d_model.
    pub down: Linear,
    /// The activation between them.
    pub activation: Activation,
}

/// A post-LN encoder layer with its sublayers in the open.
#[derive(Debug, Clone)]
pub struct EncoderLayer {
    /// The attention sublayer.
    pub attention: SelfAttention,
    /// The layer norm behind attention and residual.
    pub attention_norm: LayerNorm,
    /// The feed-forward sublayer.
    pub feed_forward: FeedForward,
    /// The layer norm behind feed-forward block and residual.
    pub output_norm: LayerNorm,
}

impl SelfAttention {
    /// `[batch, token, d_model]` to `[batch, head, token, d_head]`.
    pub fn split_heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, token, width] = x.dims();
        x.reshape([batch, token, self.n_heads, width / self.n_heads])
            .swap_dims(1, 2)
    }

    /// `[batch, head, token, d_head]` to `[batch, token, d_model]`.
    pub fn merge_heads(&self, x: Tensor<4>) -> Tensor<3> {
        let [batch, heads, token, width] = x.dims();
        x.swap_dims(1, 2).reshape([batch, token, heads * width])
    }

    fn forward(
        &self,
        x: Tensor<3>,
        source_bias: Option<&Tensor<4>>,
        captures: &Captures,
        capture: &mut LayerCapture,
    ) -> Tensor<3> {
        let query = self.split_heads(self.query.forward(x.clone()));
        let key = self.split_heads(self.key.forward(x.clone()));
        let value = self.split_heads(self.value.forward(x));
        let d_head = query.dims()[3];

        let mut scores = query.matmul(key.transpose()) / (d_head as f64).sqrt();
        if let Some(bias) = source_bias {
            scores = scores + bias.clone();
        }
        let weights = activation::softmax(scores, 3);
        capture.keep_heads(captures, Activations::AttentionWeights, &weights);
        capture.keep_heads(captures, Activations::Values, &value);

        self.output.forward(self.merge_heads(weights.matmul(value)))
    }
}

impl FeedForward {
    /// Applies the block to every token.
    ///
    /// # Shapes
    /// `[batch, token, d_model]` to the same. 4·batch·token·d_model·d_ff FLOPs.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.down
            .forward(apply_activation(self.activation, self.up.forward(x)))
    }
}

impl EncoderLayer {
    pub(crate) fn load(
        reader: &ParameterReader<'_>,
        index: usize,
        n_heads: usize,
        activation: Activation,
        epsilon: f64,
    ) -> Result<Self, Error> {
        let name = |part: &str| format!("layers.{index}.{part}");
        Ok(Self {
            attention: SelfAttention {
                query: reader.linear(&name("attention.query"))?,
                key: reader.linear(&name("attention.key"))?,
                value: reader.linear(&name("attention.value"))?,
                output: reader.linear(&name("attention.output"))?,
                n_heads,
            },
            attention_norm: reader.layer_norm(&name("attention_norm"), epsilon)?,
            feed_forward: FeedForward {
                up: reader.linear(&name("feed_forward.up"))?,
                down: reader.linear(&name("feed_forward.down"))?,
                activation,
            },
            output_norm: reader.layer_norm(&name("output_norm"), epsilon)?,
        })
    }

    /// Runs the layer, keeping what `captures` names.
    ///
    /// # Shapes
    /// `x`: `[batch, token, d_model]`; `source_bias`, added to the attention
    /// scores: `[batch, 1, 1, token]`; result as `x`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        source_bias: Option<&Tensor<4>>,
        captures: &Captures,
        capture: &mut LayerCapture,
    ) -> Tensor<3> {
        capture.keep(captures, Activations::Input, &x);
        let attention = self
            .attention
            .forward(x.clone(), source_bias, captures, capture);
        capture.keep(captures, Activations::AttentionOutput, &attention);
        let residual = attention + x;
        capture.keep(captures, Activations::AttentionResidual, &residual);
        let (block, scale) = self.attention_norm.forward(residual);
        capture.keep(captures, Activations::AttentionBlock, &block);
        capture.keep(captures, Activations::AttentionNormScale, &scale);
        let feed_forward = self.feed_forward.forward(block.clone());
        let (output, _) = self.output_norm.forward(feed_forward + block);
        capture.keep(captures, Activations::Output, &output);
        output
    }
}
