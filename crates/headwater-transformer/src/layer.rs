//! One layer: attention and feed-forward block, in either arrangement.

use burn::tensor::{Tensor, activation};
use headwater_checkpoint::{Activation, Architecture, Arrangement};

use crate::capture::{Activations, Captures, LayerCapture, PreActivation};
use crate::pipeline::{COMPONENTS_PER_BLOCK, Component, cross_attention_pipeline, pipeline};
use crate::reader::ParameterReader;
use crate::{Error, Host, LayerNorm, Linear, apply_activation};

/// Multi-head attention: within a sequence, or to the outputs of an encoder.
#[derive(Debug, Clone)]
pub struct MultiHeadAttention {
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
    /// Whether a token sees only itself and what comes before it.
    pub causal: bool,
}

/// A layer's second attention block, whose sources are an encoder's outputs.
#[derive(Debug, Clone)]
pub struct CrossAttention {
    /// The attention sublayer: queries of the layer's own tokens, keys and values of the encoder's.
    pub attention: MultiHeadAttention,
    /// The block's layer norm, behind it (post-LN) or before it (pre-LN).
    pub norm: LayerNorm,
}

/// What an attention sublayer may look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// Added to the attention scores: `[batch or 1, 1, target or 1, source]`.
    pub score_bias: Option<&'a Tensor<4>>,
    /// The outputs of an encoder, for layers with cross-attention.
    pub encoder: Option<&'a EncoderOutput>,
}

/// What a decoder attends to.
#[derive(Debug, Clone)]
pub struct EncoderOutput {
    /// The encoder's last hidden states, behind its final layer norm where it
    /// has one, `[batch, source, d_model]`.
    pub hidden_states: Tensor<3>,
    /// What hides padded sources, `[batch, 1, 1, source]`; nothing where none is padded.
    pub score_bias: Option<Tensor<4>>,
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

/// A layer with its sublayers in the open.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The order of the components.
    pub arrangement: Arrangement,
    /// The attention sublayer.
    pub attention: MultiHeadAttention,
    /// The layer norm of the attention block: behind it (post-LN) or before it (pre-LN).
    pub attention_norm: LayerNorm,
    /// The second attention block, in the decoders of translation models.
    pub cross_attention: Option<CrossAttention>,
    /// The feed-forward sublayer.
    pub feed_forward: FeedForward,
    /// The layer norm of the feed-forward block.
    pub feed_forward_norm: LayerNorm,
}

/// Which of its quantities an attention sublayer keeps, and where.
struct AttentionCapture<'a> {
    captures: &'a Captures,
    capture: &'a mut LayerCapture,
    weights: Activations,
    values: Activations,
}

impl AttentionCapture<'_> {
    /// Whether the weights are kept.
    fn weights(&self) -> bool {
        self.capture.keeps(self.captures, self.weights)
    }

    fn keep(&mut self, weights: Option<&Tensor<4>>, values: &Tensor<4>) {
        if let Some(weights) = weights {
            self.capture
                .keep_heads(self.captures, self.weights, weights);
        }
        self.capture.keep_heads(self.captures, self.values, values);
    }
}

impl MultiHeadAttention {
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

    /// # Shapes
    /// `targets`: `[batch, target, d_model]`, asks; `sources`: `[batch, source,
    /// d_model]`, is looked at, or `targets` itself; result as `targets`.
    fn forward(
        &self,
        targets: &Tensor<3>,
        sources: Option<&Tensor<3>>,
        score_bias: Option<&Tensor<4>>,
        keep: &mut AttentionCapture<'_>,
    ) -> Tensor<3> {
        let ([query], [key, value]) = match sources {
            None => {
                let maps = [&self.query, &self.key, &self.value];
                let [query, key, value] = Linear::forward_all(targets, maps);
                ([query], [key, value])
            }
            Some(sources) => (
                Linear::forward_all(targets, [&self.query]),
                Linear::forward_all(sources, [&self.key, &self.value]),
            ),
        };
        let context = match Host::of(&query) {
            Some(host) => {
                let (weights, context) = host.attention(
                    [&query, &key, &value],
                    self.n_heads,
                    self.causal,
                    score_bias,
                    keep.weights(),
                );
                keep.keep(weights.as_ref(), &self.split_heads(value));
                context
            }
            None => {
                let value = self.split_heads(value);
                let weights = self.burn_weights(query, key, score_bias);
                keep.keep(Some(&weights), &value);
                self.merge_heads(weights.matmul(value))
            }
        };
        self.output.forward(context)
    }

    /// α, `[batch, head, target, source]`.
    pub(crate) fn burn_weights(
        &self,
        query: Tensor<3>,
        key: Tensor<3>,
        score_bias: Option<&Tensor<4>>,
    ) -> Tensor<4> {
        let query = self.split_heads(query);
        let key = self.split_heads(key);
        let d_head = query.dims()[3];
        let mut scores = query.matmul(rows_in_memory(key.transpose())) / (d_head as f64).sqrt();
        if let Some(bias) = score_bias {
            scores = scores + bias.clone();
        }
        activation::softmax(scores, 3)
    }

    fn load(
        reader: &ParameterReader<'_>,
        name: &str,
        n_heads: usize,
        causal: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            query: reader.linear(&format!("{name}.query"))?,
            key: reader.linear(&format!("{name}.key"))?,
            value: reader.linear(&format!("{name}.value"))?,
            output: reader.linear(&format!("{name}.output"))?,
            n_heads,
            causal,
        })
    }
}

/// The same tensor with its last axis contiguous.
///
/// Where the summed axis of both factors is contiguous, burn-flex's product
/// takes a kernel whose order of summation depends on the other sizes: the
/// score of two tokens would change in its last bits with the length of the
/// text. With this layout it sums in one order, and a padded text has the
/// scores of the text alone.
fn rows_in_memory(x: Tensor<4>) -> Tensor<4> {
    let dims @ [batch, heads, rows, columns] = x.dims();
    x.reshape([batch * heads, rows * columns]).reshape(dims)
}

impl FeedForward {
    /// Applies the block to every token.
    ///
    /// # Shapes
    /// `[batch, token, d_model]` to the same. 4·batch·token·d_model·d_ff FLOPs.
    fn forward(&self, x: Tensor<3>, captures: &Captures, capture: &mut LayerCapture) -> Tensor<3> {
        let keep = capture.keeps(captures, Activations::PreActivation);
        let host = Host::of(&x).and_then(|host| host.feed_forward(&x, self, keep));
        if let Some((pre_activation, y)) = host {
            if let (Some(rows), Some(host)) = (pre_activation, Host::of(&y)) {
                let [batch, token, _] = y.dims();
                capture.keep_pre_activation(PreActivation::packed(host, rows, [batch, token]));
            }
            return y;
        }
        let pre_activation = self.up.forward(x);
        if keep {
            capture.keep_pre_activation(PreActivation::from(pre_activation.clone()));
        }
        self.down
            .forward(apply_activation(self.activation, pre_activation))
    }
}

impl Layer {
    pub(crate) fn load(
        reader: &ParameterReader<'_>,
        index: usize,
        architecture: &Architecture,
    ) -> Result<Self, Error> {
        let name = |part: &str| format!("layers.{index}.{part}");
        let epsilon = architecture.layer_norm_eps;
        let n_heads = architecture.n_heads;
        let cross_attention = architecture
            .cross_attention
            .then(|| {
                let attention = name("cross_attention");
                Ok::<_, Error>(CrossAttention {
                    attention: MultiHeadAttention::load(reader, &attention, n_heads, false)?,
                    norm: reader.layer_norm(&name("cross_attention_norm"), epsilon)?,
                })
            })
            .transpose()?;
        Ok(Self {
            arrangement: architecture.arrangement,
            attention: MultiHeadAttention::load(
                reader,
                &name("attention"),
                n_heads,
                architecture.causal,
            )?,
            attention_norm: reader.layer_norm(&name("attention_norm"), epsilon)?,
            cross_attention,
            feed_forward: FeedForward {
                up: reader.linear(&name("feed_forward.up"))?,
                down: reader.linear(&name("feed_forward.down"))?,
                activation: architecture.activation,
            },
            feed_forward_norm: reader.layer_norm(&name("feed_forward_norm"), epsilon)?,
        })
    }

    /// The components of this layer in the order of computation.
    pub fn pipeline(&self) -> &'static [Component] {
        match self.cross_attention {
            None => pipeline(self.arrangement),
            Some(_) => cross_attention_pipeline(self.arrangement),
        }
    }

    /// The layer norm at a step of the pipeline: that of the block the step is in.
    pub fn norm_at(&self, step: usize) -> &LayerNorm {
        match (step / COMPONENTS_PER_BLOCK, &self.cross_attention) {
            (0, _) => &self.attention_norm,
            (1, Some(cross_attention)) => &cross_attention.norm,
            _ => &self.feed_forward_norm,
        }
    }

    /// Runs the layer, keeping what `captures` names.
    ///
    /// # Shapes
    /// `x`: `[batch, token, d_model]`; result as `x`.
    ///
    /// # Panics
    /// A layer with cross-attention without an encoder's output.
    pub fn forward(
        &self,
        x: Tensor<3>,
        sources: Sources<'_>,
        captures: &Captures,
        capture: &mut LayerCapture,
    ) -> Tensor<3> {
        capture.keep(captures, Activations::Input, &x);
        let mut block_input = x.clone();
        let mut state = x;
        for (step, component) in self.pipeline().iter().enumerate() {
            if step % COMPONENTS_PER_BLOCK == 0 {
                block_input = state.clone();
            }
            state = match component {
                Component::Attention => self.attention.forward(
                    &state,
                    None,
                    sources.score_bias,
                    &mut AttentionCapture {
                        captures,
                        capture,
                        weights: Activations::AttentionWeights,
                        values: Activations::Values,
                    },
                ),
                Component::CrossAttention => {
                    let (block, encoder) = self
                        .cross_attention
                        .as_ref()
                        .zip(sources.encoder)
                        .expect("a layer with cross-attention is run behind an encoder");
                    block.attention.forward(
                        &state,
                        Some(&encoder.hidden_states),
                        encoder.score_bias.as_ref(),
                        &mut AttentionCapture {
                            captures,
                            capture,
                            weights: Activations::CrossAttentionWeights,
                            values: Activations::CrossAttentionValues,
                        },
                    )
                }
                Component::FeedForward => self.feed_forward.forward(state, captures, capture),
                Component::Residual => match Host::of(&state) {
                    Some(host) => host.add(&state, &block_input),
                    None => state + block_input.clone(),
                },
                Component::LayerNorm => {
                    let (normalized, scale) = self.norm_at(step).forward(state);
                    capture.keep(captures, Activations::NormScale(step), &scale);
                    normalized
                }
            };
            capture.keep(captures, Activations::Component(step), &state);
        }
        state
    }
}
