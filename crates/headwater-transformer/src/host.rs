//! The CPU's own kernels behind Burn's tensors.
//!
//! [`Host::of`] says whether tensors lie in this machine's memory in single
//! precision, and everything that bypasses Burn starts there; for tensors on
//! any other device, or in float64, the caller goes on with Burn's operations.

use std::sync::OnceLock;

use burn::tensor::{DType, Tensor, TensorData};
use headwater_kernels::{self as kernels};
use headwater_kernels::{
    Affine, Cpu, Fold, HeadShape, HeadVectors, Matrix, Packed, ScoreBias, ScoreTerms, Then,
};

use headwater_checkpoint::wiring::{AttentionSpec, Band, NormKind, Pairs};

use crate::memory::Memory;
use crate::{Activation, FeedForward, Linear, Norm};

/// This machine's kernels, for tensors in its memory.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    cpu: Cpu,
}

/// A float32 tensor in this machine's memory.
#[derive(Debug, Clone)]
pub struct HostFloats<const D: usize> {
    memory: Memory,
    /// Its shape.
    pub shape: [usize; D],
    /// From one entry to the next along each axis; the last is 1.
    pub strides: [usize; D],
}

impl Host {
    /// The kernels, if they can compute on tensors of this one's device and element type.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        static CPU: OnceLock<Option<Cpu>> = OnceLock::new();
        if tensor.dtype() != DType::F32 || Memory::of(tensor).is_none() {
            return None;
        }
        CPU.get_or_init(Cpu::detect).map(|cpu| Self { cpu })
    }

    /// The instruction set that the kernels run on.
    pub fn cpu(self) -> Cpu {
        self.cpu
    }

    /// Looks at a tensor's memory; what does not lie with a last axis of
    /// stride 1 is copied into order first.
    ///
    /// # Panics
    /// The tensor is on another device.
    pub fn floats<const D: usize>(self, tensor: &Tensor<D>) -> HostFloats<D> {
        let memory = Memory::of(tensor).expect("a host was found for tensors of this device");
        let memory = match memory.strides().last() {
            None | Some(Some(1)) if memory.strides().iter().all(Option::is_some) => memory,
            _ => memory.ordered(),
        };
        HostFloats::new(memory, tensor.dims())
    }

    /// As [`Host::floats`], in order throughout.
    pub fn contiguous<const D: usize>(self, tensor: &Tensor<D>) -> HostFloats<D> {
        let floats = self.floats(tensor);
        let mut stride = 1;
        for axis in (0..D).rev() {
            if floats.shape[axis] > 1 && floats.strides[axis] != stride {
                return HostFloats::new(floats.memory.ordered(), floats.shape);
            }
            stride *= floats.shape[axis];
        }
        floats
    }

    /// A tensor of these numbers.
    pub fn tensor<const D: usize>(self, numbers: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Memory::tensor(TensorData::new(numbers, shape))
    }

    /// Packs the rows of `x` for products.
    pub(crate) fn pack(self, x: &Tensor<3>) -> Packed {
        let [_, _, width] = x.dims();
        Packed::new(self.cpu, self.contiguous(x).slice(), width)
    }

    /// [`Linear::forward`], or without its bias.
    pub(crate) fn linear(
        self,
        packed: &Packed,
        linear: &Linear,
        bias: bool,
        [batch, token]: [usize; 2],
    ) -> Tensor<3> {
        let [output, _] = linear.weight.dims();
        let weight = self.contiguous(&linear.weight);
        let biases = linear.bias.as_ref().filter(|_| bias);
        let biases = biases.map(|bias| self.contiguous(bias));
        let map = Affine {
            weight: matrix(&weight),
            bias: biases.as_ref().map(HostFloats::slice),
        };
        let y = kernels::linear(packed, map);
        self.tensor(y, [batch, token, output])
    }

    /// softmax(terms(q kᵀ)) v: the weights, if they are kept, and the context,
    /// heads side by side.
    ///
    /// # Shapes
    /// `query`: `[batch, target, H·d]`; `key`, `value`: `[batch, source, G·d]`;
    /// `mask` `[batch or 1, 1, target or 1, source]`, `positions` `[1, head, target or
    /// 1, source]`, `sinks` `[head]`; result `[batch, head, target, source]`,
    /// `[batch, target, H·d]`.
    pub(crate) fn attention(
        self,
        [query, key, value]: [&Tensor<3>; 3],
        spec: &AttentionSpec,
        [mask, positions]: [Option<&Tensor<4>>; 2],
        sinks: Option<&Tensor<1>>,
        keep_weights: bool,
    ) -> (Option<Tensor<4>>, Tensor<3>) {
        let [batch, targets, width] = query.dims();
        let [_, sources, _] = key.dims();
        let (n_heads, groups, d_head) = (spec.heads, spec.groups, spec.d_head);
        let shape = HeadShape {
            batch,
            heads: n_heads,
            groups,
            d_head,
            targets,
            sources,
            band: band(spec.band),
        };
        let [query, key, value] = [query, key, value].map(|rows| self.contiguous(rows));
        let rows = [
            (&query, targets, n_heads),
            (&key, sources, groups),
            (&value, sources, groups),
        ]
        .map(|(rows, tokens, heads)| HeadVectors::rows(rows.slice(), tokens, heads, d_head));
        let biases = [mask, positions].map(|bias| bias.map(|bias| self.contiguous(bias)));
        let [padding, position] = biases.each_ref().map(|bias| {
            bias.as_ref().map(|bias| {
                let [batches, heads, targets, _] = bias.shape;
                let of_head = targets * sources;
                ScoreBias {
                    data: bias.slice(),
                    offset: 0,
                    batch_stride: if batches > 1 { heads * of_head } else { 0 },
                    head_stride: if heads > 1 { of_head } else { 0 },
                    target_stride: if targets > 1 { sources as isize } else { 0 },
                }
            })
        });
        let sinks = sinks.map(|sinks| self.contiguous(sinks));
        let plain = ScoreTerms::scaled(d_head);
        let terms = ScoreTerms {
            scale: match spec.scale == (d_head as f64).sqrt().recip() {
                true => plain.scale,
                false => spec.scale as f32,
            },
            soft_cap: spec.soft_cap.map(|cap| cap as f32),
            padding,
            position,
            sinks: sinks.as_ref().map(HostFloats::slice),
        };
        let (weights, context) = kernels::attention(self.cpu, shape, rows, &terms, keep_weights);
        (
            weights.map(|weights| self.tensor(weights, [batch, n_heads, targets, sources])),
            self.tensor(context, [batch, targets, width]),
        )
    }

    /// Turns the first channels of every head by the angles of its token.
    ///
    /// # Shapes
    /// `x`: `[batch, token, heads · d_head]`, as the result; cos and sin `[batch or 1,
    /// token, pairs]`.
    pub(crate) fn rotate(
        self,
        x: &Tensor<3>,
        heads: usize,
        angles: [&Tensor<3>; 2],
        pairs: Pairs,
    ) -> Tensor<3> {
        let shape @ [_, _, width] = x.dims();
        let [cos, sin] = angles.map(|table| self.contiguous(table));
        let [members, tokens, _] = cos.shape;
        let pairs = match pairs {
            Pairs::Halves => kernels::Pairs::Halves,
            Pairs::Neighbours => kernels::Pairs::Neighbours,
        };
        let rotated = kernels::rotate(
            self.cpu,
            self.contiguous(x).slice(),
            [heads, width / heads],
            [cos.slice(), sin.slice()],
            members * tokens,
            pairs,
        );
        self.tensor(rotated, shape)
    }

    /// A gated block without limits and shift; u and v, a row a token, if they are
    /// kept, and the result.
    pub(crate) fn gated_feed_forward(
        self,
        x: &Tensor<3>,
        gate: &Linear,
        block: &FeedForward,
        keep: bool,
    ) -> Option<(Option<[Packed; 2]>, Tensor<3>)> {
        let curve = curve(block.activation)?;
        let [batch, token, _] = x.dims();
        let x = self.pack(x);
        let [gate, up] = [gate, &block.up].map(|map| {
            let bias = map.bias.as_ref().map(|bias| self.contiguous(bias));
            (self.contiguous(&map.weight), bias)
        });
        let [gate, up] = [&gate, &up].map(|(weight, bias)| Affine {
            weight: matrix(weight),
            bias: bias.as_ref().map(HostFloats::slice),
        });
        let (hidden, before) = match keep {
            true => {
                let (active, u) = kernels::linear_both(&x, gate, Then::Activation(curve));
                let (hidden, v) = kernels::linear_both(&x, up, Then::Times(&active));
                (hidden, Some([u, v]))
            }
            false => {
                let active = kernels::linear_packed(&x, gate, Then::Activation(curve));
                (kernels::linear_packed(&x, up, Then::Times(&active)), None)
            }
        };
        Some((
            before,
            self.linear(&hidden, &block.down, true, [batch, token]),
        ))
    }

    /// The feed-forward block; what its activation is applied to, a row a
    /// token, if it is kept, and the result.
    pub(crate) fn feed_forward(
        self,
        x: &Tensor<3>,
        block: &FeedForward,
        keep: bool,
    ) -> Option<(Option<Packed>, Tensor<3>)> {
        let curve = curve(block.activation)?;
        let [batch, token, _] = x.dims();
        let weight = self.contiguous(&block.up.weight);
        let bias = block.up.bias.as_ref().map(|bias| self.contiguous(bias));
        let map = Affine {
            weight: matrix(&weight),
            bias: bias.as_ref().map(HostFloats::slice),
        };
        let (x, then) = (self.pack(x), Then::Activation(curve));
        let (hidden, before) = match keep {
            true => {
                let (hidden, before) = kernels::linear_both(&x, map, then);
                (hidden, Some(before))
            }
            false => (kernels::linear_packed(&x, map, then), None),
        };
        Some((
            before,
            self.linear(&hidden, &block.down, true, [batch, token]),
        ))
    }

    /// [`Norm::forward`].
    pub(crate) fn norm(self, x: &Tensor<3>, norm: &Norm) -> (Tensor<3>, Tensor<3>) {
        let shape @ [batch, token, _] = x.dims();
        let x = self.contiguous(x);
        let weight = self.contiguous(&norm.weight);
        let bias = norm.bias.as_ref().map(|bias| self.contiguous(bias));
        let (normalized, scale) = kernels::normalize(
            self.cpu,
            x.slice(),
            fold(norm.kind, &weight),
            bias.as_ref().map(HostFloats::slice),
            norm.epsilon,
        );
        (
            self.tensor(normalized, shape),
            self.tensor(scale, [batch, token, 1]),
        )
    }

    /// [`Norm::part`].
    ///
    /// # Shapes
    /// `x`: `[batch, token, d_model]`; `scale`: s, `[batch, token, 1]`; result as `x`.
    pub(crate) fn norm_part(
        self,
        x: &Tensor<3>,
        norm: &Norm,
        bias: Option<&Tensor<1>>,
        scale: &Tensor<3>,
    ) -> Tensor<3> {
        let shape = x.dims();
        let (x, scale) = (self.contiguous(x), self.contiguous(scale));
        let weight = self.contiguous(&norm.weight);
        let bias = bias.map(|bias| self.contiguous(bias));
        let part = kernels::normalized_part(
            self.cpu,
            x.slice(),
            fold(norm.kind, &weight),
            bias.as_ref().map(HostFloats::slice),
            scale.slice(),
        );
        self.tensor(part, shape)
    }

    /// `((x W_1 + b_1) ⊙ slope) W_2 + b_2`.
    ///
    /// # Shapes
    /// `x`: `[batch, token, d_model]`, as the result; `slope`: a row a token, d_ff columns.
    pub fn sloped_feed_forward(
        self,
        x: &Tensor<3>,
        block: &FeedForward,
        slope: &Packed,
    ) -> Tensor<3> {
        let [batch, token, _] = x.dims();
        let weight = self.contiguous(&block.up.weight);
        let bias = block.up.bias.as_ref().map(|bias| self.contiguous(bias));
        let map = Affine {
            weight: matrix(&weight),
            bias: bias.as_ref().map(HostFloats::slice),
        };
        let x = self.pack(x);
        let hidden = kernels::linear_packed(&x, map, Then::Times(slope));
        self.linear(&hidden, &block.down, true, [batch, token])
    }

    /// `x Wᵀ`, packed for the next product.
    ///
    /// # Shapes
    /// `x`: `[batch, token, in]`; result: a row a token, one column an output.
    pub fn packed_product(self, x: &Tensor<3>, linear: &Linear) -> Packed {
        let weight = self.contiguous(&linear.weight);
        let map = Affine {
            weight: matrix(&weight),
            bias: None,
        };
        kernels::linear_packed(&self.pack(x), map, Then::Nothing)
    }

    /// As [`Host::packed_product`], times `factors` number by number, and the
    /// product itself.
    pub fn packed_product_times(
        self,
        x: &Tensor<3>,
        linear: &Linear,
        factors: &Packed,
    ) -> (Packed, Packed) {
        let weight = self.contiguous(&linear.weight);
        let map = Affine {
            weight: matrix(&weight),
            bias: None,
        };
        kernels::linear_both(&self.pack(x), map, Then::Times(factors))
    }

    /// `x Wᵀ` of packed rows.
    ///
    /// # Shapes
    /// `x`: batch · token rows; result `[batch, token, out]`.
    pub fn product(self, x: &Packed, linear: &Linear, [batch, token]: [usize; 2]) -> Tensor<3> {
        self.linear(x, linear, false, [batch, token])
    }

    /// Some rows of all tokens, counted through the batch.
    ///
    /// # Shapes
    /// `x`: `[batch, token, width]`; result `[1, rows.len(), width]`.
    pub fn rows(self, x: &Tensor<3>, rows: &[usize]) -> Tensor<3> {
        let [_, _, width] = x.dims();
        let x = self.contiguous(x);
        let mut picked = Vec::with_capacity(rows.len() * width);
        for row in rows {
            picked.extend_from_slice(&x.slice()[row * width..][..width]);
        }
        self.tensor(picked, [1, rows.len(), width])
    }

    /// ‖·‖ over the last axis: `[batch, token, d_model]` to `[batch, token]`.
    pub fn row_norms(self, x: &Tensor<3>) -> Tensor<2> {
        let [batch, token, width] = x.dims();
        let x = self.contiguous(x);
        let norms = kernels::row_norms(self.cpu, x.slice(), width, 1.0);
        self.tensor(norms, [batch, token])
    }

    /// `a + b`, of one shape.
    pub fn add<const D: usize>(self, a: &Tensor<D>, b: &Tensor<D>) -> Tensor<D> {
        let shape = a.dims();
        let (a, b) = (self.contiguous(a), self.contiguous(b));
        let sum = kernels::add(self.cpu, a.slice(), b.slice());
        self.tensor(sum, shape)
    }
}

/// A tensor as the matrix of a product.
fn matrix(weight: &HostFloats<2>) -> Matrix<'_> {
    Matrix::rows(weight.slice(), weight.shape[1])
}

/// What a norm does to every part alike.
fn fold(kind: NormKind, weight: &HostFloats<1>) -> Fold<'_> {
    match kind {
        NormKind::Layer => Fold::layer_norm(weight.slice()),
        NormKind::Rms => Fold::rms_norm(weight.slice()),
    }
}

/// The band as the kernels take it.
pub fn band(band: Band) -> kernels::Band {
    kernels::Band {
        back: band.back,
        ahead: band.ahead,
    }
}

/// The kernels' activation; tanh is left to Burn.
pub fn curve(activation: Activation) -> Option<kernels::Curve> {
    match activation {
        Activation::Gelu => Some(kernels::Curve::Gelu),
        // Single precision does not tell the two apart.
        Activation::GeluTanh | Activation::BloomGelu => Some(kernels::Curve::GeluTanh),
        Activation::QuickGelu => Some(kernels::Curve::QuickGelu),
        Activation::Relu => Some(kernels::Curve::Relu),
        Activation::Silu => Some(kernels::Curve::Silu),
        Activation::Tanh => None,
    }
}

impl<const D: usize> HostFloats<D> {
    fn new(memory: Memory, shape: [usize; D]) -> Self {
        let strides = memory.strides();
        Self {
            shape,
            // In order, so there are no negative ones.
            strides: std::array::from_fn(|axis| strides[axis].unwrap_or(0)),
            memory,
        }
    }

    /// The numbers, from the first one on.
    pub fn slice(&self) -> &[f32] {
        if self.shape.contains(&0) {
            return &[];
        }
        let axes = self.shape.iter().zip(&self.strides);
        let last: usize = axes.map(|(&size, &stride)| (size - 1) * stride).sum();
        &self.memory.numbers()[..=last]
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::rope::Rotation;
    use crate::{MultiHeadAttention, Precision, apply_activation};
    use headwater_checkpoint::wiring::RopeSpec;

    const TOLERANCE: f32 = 1e-5;

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 0.5), &Device::flex())
    }

    fn linear(input: usize, output: usize) -> Linear {
        Linear {
            weight: random([output, input]),
            bias: Some(random([output])),
        }
    }

    fn assert_alike<const D: usize>(kernel: Tensor<D>, burn: Tensor<D>) {
        assert_eq!(kernel.dims(), burn.dims());
        let [kernel, burn] = [kernel, burn].map(|x| x.into_data().try_into_vec::<f32>().unwrap());
        for (kernel, burn) in kernel.iter().zip(&burn) {
            let apart = (kernel - burn).abs();
            assert!(apart <= TOLERANCE * (1.0 + burn.abs()), "{kernel} {burn}");
        }
    }

    #[test]
    fn products_and_norms_are_those_of_burn() {
        let x = random([2, 7, 20]);
        let host = Host::of(&x).expect("this machine has vectors");
        let map = linear(20, 33);
        let product = map.burn_product(x.clone());
        assert_alike(map.product(x.clone()), product.clone());
        assert_alike(
            map.forward(x.clone()),
            product + map.bias.clone().unwrap().unsqueeze(),
        );
        for (kind, bias) in [
            (NormKind::Layer, Some(random([20]))),
            (NormKind::Layer, None),
            (NormKind::Rms, None),
        ] {
            let norm = Norm {
                kind,
                weight: random([20]),
                bias,
                epsilon: 1e-5,
            };
            let (kernel, burn) = (norm.forward(x.clone()), norm.burn_forward(x.clone()));
            assert_alike(kernel.0, burn.0);
            assert_alike(kernel.1.clone(), burn.1);
            let centred = match kind {
                NormKind::Layer => x.clone() - x.clone().mean_dim(2),
                NormKind::Rms => x.clone(),
            };
            let part = centred * norm.weight.clone().unsqueeze() / kernel.1.clone();
            assert_alike(norm.part(x.clone(), &kernel.1, false), part);
        }
        assert_alike(host.add(&x, &x), x.clone() + x.clone());
        assert_alike(
            host.row_norms(&x),
            x.clone().square().sum_dim(2).sqrt().squeeze_dim(2),
        );
        // A view that lies out of order in memory.
        let turned = x.clone().swap_dims(0, 1);
        assert_alike(host.add(&turned, &turned), turned.clone() + turned);
    }

    #[test]
    fn attention_is_that_of_burn() {
        let plain = AttentionSpec::new(4, 5);
        let shared = AttentionSpec {
            groups: 2,
            scale: 0.3,
            soft_cap: Some(1.5),
            ..plain.clone()
        };
        for (spec, sinks) in [(plain, None), (shared, Some(random([4])))] {
            let width = spec.groups * 5;
            let attention = MultiHeadAttention {
                query: linear(20, 20),
                key: linear(20, width),
                value: linear(20, width),
                output: linear(20, 20),
                spec,
                qk_norms: None,
                sinks,
                buckets: None,
            };
            let query = random([2, 5, 20]);
            let [key, value] = [(); 2].map(|()| random([2, 9, width]));
            let host = Host::of(&query).expect("this machine has vectors");
            for (mask, positions) in [
                (None, None),
                (Some(random([2, 1, 1, 9])), None),
                (Some(random([1, 1, 5, 9])), Some(random([1, 4, 1, 9]))),
                (None, Some(random([1, 4, 5, 9]))),
            ] {
                let [queries, keys] = [query.clone(), key.clone()];
                let burn = attention.burn_weights(queries, keys, positions.clone(), mask.as_ref());
                let values = attention.repeat_groups(attention.split_heads(value.clone()));
                let context = burn.clone().matmul(values);
                let (weights, kernel) = host.attention(
                    [&query, &key, &value],
                    &attention.spec,
                    [mask.as_ref(), positions.as_ref()],
                    attention.sinks.as_ref(),
                    true,
                );
                assert_alike(weights.expect("they are kept"), burn);
                assert_alike(kernel, attention.merge_heads(context));
            }
        }
    }

    #[test]
    fn rotations_are_those_of_burn() {
        let x = random([2, 7, 24]);
        for pairs in [Pairs::Halves, Pairs::Neighbours] {
            let spec = RopeSpec {
                pairs,
                ..RopeSpec::new(10_000.0, 6)
            };
            let rotation = Rotation::new(&spec, &[7, 7], 7, &Device::flex(), Precision::F32);
            assert_alike(
                rotation.apply(x.clone(), 3),
                rotation.burn_apply(x.clone(), 3),
            );
        }
    }

    #[test]
    fn gated_blocks_are_those_of_burn() {
        let x = random([2, 7, 20]);
        let host = Host::of(&x).expect("this machine has vectors");
        let gate = linear(20, 50);
        let block = FeedForward {
            up: linear(20, 50),
            gate: None,
            down: linear(50, 20),
            activation: Activation::Silu,
        };
        let [u, v] = [&gate, &block.up]
            .map(|map| map.burn_product(x.clone()) + map.bias.clone().unwrap().unsqueeze());
        let hidden = apply_activation(Activation::Silu, u.clone()) * v.clone();
        let y = block.down.burn_product(hidden) + block.down.bias.clone().unwrap().unsqueeze();
        let kernel = host.gated_feed_forward(&x, &gate, &block, true);
        let (kept, kernel) = kernel.expect("the kernels have this activation");
        for (kept, expected) in kept.expect("they are kept").into_iter().zip([u, v]) {
            assert_alike(host.tensor(kept.unpack(), [2, 7, 50]), expected);
        }
        assert_alike(kernel, y.clone());
        let (kept, alone) = host.gated_feed_forward(&x, &gate, &block, false).unwrap();
        assert!(kept.is_none());
        assert_alike(alone, y);
    }

    #[test]
    fn feed_forward_blocks_are_those_of_burn() {
        let x = random([2, 7, 20]);
        let host = Host::of(&x).expect("this machine has vectors");
        for activation in [
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::QuickGelu,
            Activation::Relu,
            Activation::Silu,
        ] {
            let block = FeedForward {
                up: linear(20, 50),
                gate: None,
                down: linear(50, 20),
                activation,
            };
            let p = block.up.burn_product(x.clone()) + block.up.bias.clone().unwrap().unsqueeze();
            let hidden = apply_activation(activation, p.clone());
            let y = block.down.burn_product(hidden) + block.down.bias.clone().unwrap().unsqueeze();
            let kernel = host.feed_forward(&x, &block, true);
            let (kept, kernel) = kernel.expect("the kernels have this activation");
            let kept = kept.expect("it is kept").unpack();
            assert_alike(host.tensor(kept, [2, 7, 50]), p);
            assert_alike(kernel, y);
        }
    }
}
