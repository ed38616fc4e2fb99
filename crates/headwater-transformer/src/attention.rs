//! Multi-head attention: within a sequence, or to the outputs of an encoder.

use burn::tensor::{Tensor, activation};
use headwater_checkpoint::wiring::{AttentionSpec, Over, PositionScores, Step};

use crate::capture::{Activations, Captures, LayerCapture};
use crate::reader::ParameterReader;
use crate::scores::ScoreTables;
use crate::{Error, Host, Linear, Norm};

/// Multi-head attention.
///
/// With H query heads, G key and value heads and heads of width d: query head h
/// reads key and value head h / (H/G).
#[derive(Debug, Clone)]
pub struct MultiHeadAttention {
    /// Sizes, and how scores are made.
    pub spec: AttentionSpec,
    /// W_Q `[H·d, d_model]`, b_Q.
    pub query: Linear,
    /// W_K `[G·d, d_model]`, b_K.
    pub key: Linear,
    /// W_V `[G·d, d_model]`, b_V; head g owns output rows `g·d .. (g+1)·d`.
    pub value: Linear,
    /// W_O `[d_model, H·d]`, b_O; head h owns input columns `h·d .. (h+1)·d`.
    pub output: Linear,
    /// The norms of queries and of keys.
    pub qk_norms: Option<[Norm; 2]>,
    /// The logit of each head that receives weight and has no value, `[H]`.
    pub sinks: Option<Tensor<1>>,
    /// What is added to the score of a bucket of distances, `[bucket, H]`.
    pub buckets: Option<Tensor<2>>,
}

/// What an attention sublayer looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attended<'a> {
    /// `[batch, source, d_model]`, if it is not the targets themselves.
    pub(crate) sources: Option<&'a Tensor<3>>,
    /// Of the targets' own texts.
    pub(crate) tables: &'a ScoreTables,
    /// What hides sources, `[batch or 1, 1, target or 1, source]`.
    pub(crate) mask: Option<&'a Tensor<4>>,
}

/// Which of its quantities an attention sublayer keeps, and where.
pub(crate) struct AttentionCapture<'a> {
    captures: &'a Captures,
    capture: &'a mut LayerCapture,
    weights: Activations,
    values: Activations,
}

impl<'a> AttentionCapture<'a> {
    /// Keeps what is asked for of the sublayer at a step.
    pub(crate) fn at(step: Step, captures: &'a Captures, capture: &'a mut LayerCapture) -> Self {
        Self {
            captures,
            capture,
            weights: Activations::AttentionWeights(step),
            values: Activations::Values(step),
        }
    }

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
    /// `[batch, token, heads · d_head]` to `[batch, heads, token, d_head]`.
    pub fn split_heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, token, width] = x.dims();
        let d_head = self.spec.d_head;
        x.reshape([batch, token, width / d_head, d_head])
            .swap_dims(1, 2)
    }

    /// `[batch, head, token, d_head]` to `[batch, token, head · d_head]`.
    pub fn merge_heads(&self, x: Tensor<4>) -> Tensor<3> {
        let [batch, heads, token, width] = x.dims();
        x.swap_dims(1, 2).reshape([batch, token, heads * width])
    }

    /// Each key or value head as often as query heads read it: `[batch, G, token,
    /// d_head]` to `[batch, H, token, d_head]`.
    pub fn repeat_groups(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, groups, token, d_head] = x.dims();
        let heads = self.spec.heads;
        if groups == heads {
            return x;
        }
        let each = heads / groups;
        x.unsqueeze_dim::<5>(2)
            .expand([batch, groups, each, token, d_head])
            .reshape([batch, heads, token, d_head])
    }

    /// # Shapes
    /// `targets`: `[batch, target, d_model]`, asks; result as `targets`.
    pub(crate) fn forward(
        &self,
        targets: &Tensor<3>,
        attended: Attended<'_>,
        keep: &mut AttentionCapture<'_>,
    ) -> Tensor<3> {
        let ([query], [key, value]) = match attended.sources {
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
        let [query, key] = self.normed([query, key]);
        let [query, key] = match &self.spec.rope {
            Some(rope) => {
                let rotation = attended.tables.rotation(rope);
                [
                    rotation.apply(query, self.spec.heads),
                    rotation.apply(key, self.spec.groups),
                ]
            }
            None => [query, key],
        };
        let positions = self.position_scores(attended.tables);
        let context = match Host::of(&query) {
            Some(host) => {
                let (weights, context) = host.attention(
                    [&query, &key, &value],
                    &self.spec,
                    [attended.mask, positions.as_ref()],
                    self.sinks.as_ref(),
                    keep.weights(),
                );
                keep.keep(weights.as_ref(), &self.split_heads(value));
                context
            }
            None => {
                let value = self.split_heads(value);
                let weights = self.burn_weights(query, key, positions, attended.mask);
                keep.keep(Some(&weights), &value);
                self.merge_heads(weights.matmul(self.repeat_groups(value)))
            }
        };
        self.output.forward(context)
    }

    /// Queries and keys behind their norms.
    fn normed(&self, rows: [Tensor<3>; 2]) -> [Tensor<3>; 2] {
        let (Some(norms), Some((over, _))) = (&self.qk_norms, self.spec.qk_norm) else {
            return rows;
        };
        let mut norms = norms.iter();
        rows.map(|rows| {
            let norm = norms.next().expect("one for each");
            match over {
                Over::Projection => norm.forward(rows).0,
                Over::Head => {
                    let shape @ [batch, token, width] = rows.dims();
                    let d_head = self.spec.d_head;
                    let by_head = rows.reshape([batch, token * (width / d_head), d_head]);
                    norm.forward(by_head).0.reshape(shape)
                }
            }
        })
    }

    /// What is added to scores for positions, `[1, head, target or 1, source]`.
    fn position_scores(&self, tables: &ScoreTables) -> Option<Tensor<4>> {
        match &self.spec.position {
            PositionScores::None => None,
            alibi @ PositionScores::Alibi { .. } => tables.alibi(alibi, self.spec.scale),
            buckets @ PositionScores::Buckets { .. } => {
                let of_pairs = tables.buckets(buckets)?;
                let [pairs] = of_pairs.dims();
                let tokens = pairs.isqrt();
                let table = self.buckets.as_ref()?.clone();
                let by_pair = table.select(0, of_pairs).transpose();
                Some(by_pair.reshape([1, self.spec.heads, tokens, tokens]))
            }
            PositionScores::Disentangled(_) => {
                unreachable!("refused when the layer was loaded")
            }
        }
    }

    /// α, `[batch, head, target, source]`, of queries and keys behind their norms
    /// and rotations. In this order: scale, soft cap, positions, mask, softmax
    /// with the sink.
    pub(crate) fn burn_weights(
        &self,
        query: Tensor<3>,
        key: Tensor<3>,
        positions: Option<Tensor<4>>,
        mask: Option<&Tensor<4>>,
    ) -> Tensor<4> {
        let query = self.split_heads(query);
        let key = self.repeat_groups(self.split_heads(key));
        let scores = query.matmul(rows_in_memory(key.transpose()));
        let root = (self.spec.d_head as f64).sqrt();
        let mut scores = match self.spec.scale == root.recip() {
            true => scores / root,
            false => scores * self.spec.scale,
        };
        if let Some(cap) = self.spec.soft_cap {
            scores = (scores / cap).tanh() * cap;
        }
        if let Some(positions) = positions {
            scores = scores + positions;
        }
        if let Some(mask) = mask {
            scores = scores + mask.clone();
        }
        match &self.sinks {
            None => activation::softmax(scores, 3),
            Some(sinks) => {
                let [heads] = sinks.dims();
                let sinks: Tensor<4> = sinks.clone().reshape([1, heads, 1, 1]);
                let largest = scores.clone().max_dim(3);
                let sinks = sinks.expand(largest.dims());
                let largest = largest.max_pair(sinks.clone());
                let weights = (scores - largest.clone()).exp();
                let rest = (sinks - largest).exp();
                weights.clone() / (weights.sum_dim(3) + rest)
            }
        }
    }

    pub(crate) fn load(
        reader: &ParameterReader<'_>,
        name: &str,
        spec: &AttentionSpec,
    ) -> Result<Self, Error> {
        if let PositionScores::Disentangled(_) = spec.position {
            return Err(Error::NotSupported {
                what: "disentangled attention",
            });
        }
        let part = |part: &str| format!("{name}.{part}");
        let [query, key, value, output] = spec.biases;
        let qk_norms = spec.qk_norm.map(|(_, norm)| {
            Ok::<_, Error>([
                reader.norm(&part("query_norm"), norm)?,
                reader.norm(&part("key_norm"), norm)?,
            ])
        });
        let has_buckets = matches!(spec.position, PositionScores::Buckets { .. });
        Ok(Self {
            query: reader.linear(&part("query"), query)?,
            key: reader.linear(&part("key"), key)?,
            value: reader.linear(&part("value"), value)?,
            output: reader.linear(&part("output"), output)?,
            qk_norms: qk_norms.transpose()?,
            sinks: reader.present(&part("sinks.weight"), spec.sinks)?,
            buckets: reader.present(&part("relative_bias.weight"), has_buckets)?,
            spec: spec.clone(),
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
