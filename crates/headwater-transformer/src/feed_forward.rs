//! Feed-forward sublayers, plain and gated.

use burn::tensor::Tensor;
use headwater_checkpoint::wiring::{FeedForwardSpec, GatedSpec, PlainSpec};

use crate::capture::{Activations, Captures, LayerCapture, PreActivation};
use crate::reader::ParameterReader;
use crate::{Activation, Error, Host, Linear, apply_activation};

/// A position-wise feed-forward block: `act(x W_1 + b_1) W_2 + b_2`, or with a
/// gate `(act(u) ⊙ v) W_2 + b_2`, u = x W_g + b_g and v = x W_1 + b_1.
#[derive(Debug, Clone)]
pub struct FeedForward {
    /// W_1 `[d_ff, d_model]`, b_1.
    pub up: Linear,
    /// The gate; the activation is applied to it, where there is one.
    pub gate: Option<Gate>,
    /// W_2 `[d_model, d_ff]`, b_2.
    pub down: Linear,
    /// act.
    pub activation: Activation,
}

/// The gate of a feed-forward block.
#[derive(Debug, Clone)]
pub struct Gate {
    /// W_g `[d_ff, d_model]`, b_g.
    pub map: Linear,
    /// ℓ of act(min(u, ℓ)) ⊙ clamp(v, ±ℓ).
    pub limit: Option<f64>,
    /// What is added to v, behind its limits.
    pub shift: f64,
}

impl Gate {
    /// `act(min(u, ℓ)) ⊙ (clamp(v, ±ℓ) + shift)`.
    ///
    /// # Shapes
    /// Any; the result has the same.
    pub fn apply<const D: usize>(
        &self,
        activation: Activation,
        u: Tensor<D>,
        v: Tensor<D>,
    ) -> Tensor<D> {
        let (u, v) = match self.limit {
            Some(limit) => (u.clamp_max(limit), v.clamp(-limit, limit)),
            None => (u, v),
        };
        let v = if self.shift == 0.0 { v } else { v + self.shift };
        apply_activation(activation, u) * v
    }
}

impl FeedForward {
    /// Applies the block to every token.
    ///
    /// # Shapes
    /// `[batch, token, d_model]` to the same. 4·batch·token·d_model·d_ff FLOPs,
    /// 6 with a gate.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        captures: &Captures,
        capture: &mut LayerCapture,
    ) -> Tensor<3> {
        let keep = capture.keeps(captures, Activations::PreActivation);
        if let Some(gate) = &self.gate {
            let plain = gate.limit.is_none() && gate.shift == 0.0;
            let host = Host::of(&x).filter(|_| plain);
            let host = host.and_then(|host| host.gated_feed_forward(&x, &gate.map, self, keep));
            if let Some((before, y)) = host {
                if let (Some([u, v]), Some(host)) = (before, Host::of(&y)) {
                    let [batch, token, _] = y.dims();
                    let packed = |rows| PreActivation::packed(host, rows, [batch, token]);
                    capture.keep_gate(packed(u));
                    capture.keep_pre_activation(packed(v));
                }
                return y;
            }
            let [u, v] = Linear::forward_all(&x, [&gate.map, &self.up]);
            if keep {
                capture.keep_gate(PreActivation::from(u.clone()));
                capture.keep_pre_activation(PreActivation::from(v.clone()));
            }
            return self.down.forward(gate.apply(self.activation, u, v));
        }
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

    /// The block of every row, and nothing kept.
    ///
    /// # Shapes
    /// `[batch, token, d_model]` to the same.
    pub fn apply(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward(x, &Captures::none(), &mut LayerCapture::new(0))
    }

    /// F, the width between the products.
    pub fn d_ff(&self) -> usize {
        self.up.weight.dims()[0]
    }

    pub(crate) fn load(
        reader: &ParameterReader<'_>,
        name: &str,
        spec: &FeedForwardSpec,
    ) -> Result<Self, Error> {
        let part = |part: &str| format!("{name}.{part}");
        match *spec {
            FeedForwardSpec::Plain(PlainSpec {
                activation,
                biases: [up, down],
                ..
            }) => Ok(Self {
                up: reader.linear(&part("up"), up)?,
                gate: None,
                down: reader.linear(&part("down"), down)?,
                activation,
            }),
            FeedForwardSpec::Gated(GatedSpec {
                activation,
                biases: [gate, up, down],
                limit,
                shift,
                ..
            }) => Ok(Self {
                up: reader.linear(&part("up"), up)?,
                gate: Some(Gate {
                    map: reader.linear(&part("gate"), gate)?,
                    limit,
                    shift,
                }),
                down: reader.linear(&part("down"), down)?,
                activation,
            }),
            FeedForwardSpec::Experts { .. } => unreachable!("experts are a sublayer of their own"),
        }
    }
}
