//! Sums of parts as the rest of a sum that the forward pass made, on the CPU.
//!
//! Where the forward pass knows a sum of three and two are at hand, the third
//! needs no product. A difference of nearly equal vectors has no correct
//! digits: rows of which little is left are multiplied out.

use burn::tensor::Tensor;
use headwater_kernels::{self as kernels, Known, Matrix, Packed};
use headwater_transformer::{FeedForward, Host, HostFloats, Linear};

use crate::diagonal::Own;
use crate::form::FeedForwardForm;
use crate::shared::Shared;
use crate::slope::Slope;
use crate::stage::{Stage, Sum, weighted_values};

/// A rest is a small one, and is multiplied out, up to this fraction of what
/// it would be taken off: above it, three of float32's 24 bits are lost at most.
const SMALL: f32 = 0.125;

/// What every target mixes in by attention, `Σ_{j≠i} Σ_h α^h_ij f^h(x_j)`: the
/// output of the block less its bias and what is kept.
///
/// A token that attends to itself alone mixes in exactly nothing.
pub(crate) fn attention(host: Host, shared: &Shared, output: &Tensor<3>) -> Tensor<3> {
    let shape @ [_, _, d_model] = output.dims();
    let projection = &shared.attention.output;
    let own = shared.own_sum(host).map(|own| host.contiguous(&own));
    let bias = projection.bias.as_ref().map(|bias| host.contiguous(bias));
    let (mut mixed, small) = kernels::rest(
        host.cpu(),
        host.contiguous(output).slice(),
        d_model,
        bias.as_ref().map(HostFloats::slice),
        own.as_ref().map(HostFloats::slice),
        SMALL,
    );
    if !small.is_empty() {
        let skip_own = matches!(shared.own, Own::Diagonal(_));
        let context = weighted_values(host, shared, &small, skip_own);
        let product = host.contiguous(&projection.product(context));
        for (&row, product) in small.iter().zip(product.slice().chunks_exact(d_model)) {
            mixed[row * d_model..][..d_model].copy_from_slice(product);
        }
    }
    host.tensor(mixed, shape)
}

/// FF of what a target keeps or mixes in, `(v W_1 ⊙ slope) W_2`.
///
/// The forward pass knows `p = (y_ii + Σ_{j≠i} y_ij + b_i) W_1 + b_1`. So once
/// what is mixed in went through W_1, what is kept is the rest, and one of the
/// three products is saved. What is kept nearly always is the larger one.
pub(crate) fn feed_forward(
    host: Host,
    form: &FeedForwardForm,
    (block, slope): (&FeedForward, &Slope),
    previous: &Stage,
    sum: Sum,
) -> Tensor<3> {
    let up = |v: Tensor<3>| host.packed_product(&v, &block.up);
    let before = slope;
    let slope = slope.packed(host);
    let [sloped, mixed] = form.mixed.get_or_init(|| {
        let mixed = previous.sum(Sum::Mixing);
        let (sloped, mixed) = host.packed_product_times(&mixed, &block.up, slope);
        [sloped, mixed]
    });
    let [batch, targets, _] = previous.output.dims();
    let down = |hidden: &Packed| host.product(hidden, &block.down, [batch, targets]);
    if sum == Sum::Mixing {
        return down(sloped);
    }
    let hidden = match BiasOfRows::of(host, previous) {
        None => up(previous.sum(Sum::Preserving)).times(slope),
        Some(bias) => {
            let [by_scale, constant] = bias.through(host, &block.up);
            let scale = host.contiguous(&bias.scale);
            let before = before.pre_activation(host);
            let known = [(&constant, None), (&by_scale, Some(scale.slice()))];
            let known = known.map(|(vector, divisor)| Known { vector, divisor });
            let mut hidden = before.rest_times(mixed, &known, slope);
            let kept = previous.sum(Sum::Preserving);
            let small = bias.small_rows(host, &kept, &previous.output);
            if !small.is_empty() {
                let rows = |x: &Tensor<3>| host.rows(x, &small);
                let product = up(rows(&kept));
                let slope = slope.pick_rows(&small);
                hidden.replace_rows(&small, &product.times(&slope));
            }
            hidden
        }
    };
    down(&hidden)
}

/// `b_i = a/s_i + c`: the bias behind a layer norm.
struct BiasOfRows {
    /// a, `[1, 1, d_model]`.
    by_scale: Tensor<3>,
    /// c, `[1, 1, d_model]`.
    constant: Tensor<3>,
    /// s_i, `[batch, target, 1]`.
    scale: Tensor<3>,
}

impl BiasOfRows {
    /// b_i behind the first layer norm, where it is known without a sum: what
    /// comes before it is one vector for all targets.
    fn of(host: Host, stage: &Stage) -> Option<Self> {
        let (norm, scale, before) = stage.norm_of_constant_bias()?;
        let shape = [1, 1, before.dims()[0]];
        let one = host.tensor(vec![1.0], [1, 1, 1]);
        Some(Self {
            by_scale: norm.part(before.reshape(shape), &one, false),
            constant: norm.bias.clone()?.reshape(shape),
            scale: scale.clone(),
        })
    }

    /// `a W_1` and `c W_1 + b_1`.
    fn through(&self, host: Host, up: &Linear) -> [Vec<f32>; 2] {
        let weight = host.contiguous(&up.weight);
        let times = |x: &Tensor<3>| {
            let weight = Matrix::rows(weight.slice(), weight.shape[1]);
            kernels::rows_times_vector(host.cpu(), weight, host.contiguous(x).slice())
        };
        let constant = times(&self.constant);
        let constant = match &up.bias {
            Some(bias) => {
                let bias = host.contiguous(bias);
                let both = constant.into_iter().zip(bias.slice());
                both.map(|(product, bias)| product + bias).collect()
            }
            None => constant,
        };
        [times(&self.by_scale), constant]
    }

    /// The rows of `kept` that are small beside what they would be taken off.
    fn small_rows(&self, host: Host, kept: &Tensor<3>, sum: &Tensor<3>) -> Vec<usize> {
        let norms = |x: &Tensor<3>| host.contiguous(&host.row_norms(x)).slice().to_vec();
        let (by_scale, constant) = (norms(&self.by_scale)[0], norms(&self.constant)[0]);
        let scales = host.contiguous(&self.scale);
        let rows = norms(kept).into_iter().zip(norms(sum));
        rows.zip(scales.slice())
            .map(|((kept, sum), scale)| kept < SMALL * (sum + by_scale / scale + constant))
            .enumerate()
            .filter_map(|(row, is_small)| is_small.then_some(row))
            .collect()
    }
}
