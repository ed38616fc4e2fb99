//! The parts of every target, summed into three vectors: what it keeps, what
//! it mixes in, and what belongs to no source.
//!
//! Every component is linear in the parts once the forward pass is known, so
//! the three sums go through a layer without any part ever being made. Mixing
//! ratios, bias norms and the reconstruction check need nothing else.

use burn::tensor::Tensor;
use headwater_transformer::{LayerNorm, SelfAttention};

use crate::diagonal::Diagonal;

/// Σ over parts, by kind.
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    /// y_ii, `[batch, target, d_model]`.
    pub(crate) preserving: Tensor<3>,
    /// Σ_{j≠i} y_ij, `[batch, target, d_model]`.
    pub(crate) mixing: Tensor<3>,
    /// b_i, `[batch, target, d_model]`.
    pub(crate) bias: Tensor<3>,
}

/// ATTN. Twice the cost of the sublayer's own output: an off-diagonal
/// attention product and two output projections,
/// 2·T²·d_model + 4·T·d_model² FLOPs a sequence.
///
/// The mixing sum is a product with the diagonal of α zeroed rather than
/// output minus diagonal: the difference of two nearly equal vectors would
/// leave no correct digit in a token that attends to itself, and a lone token
/// would mix in rounding noise instead of exactly nothing.
///
/// # Shapes
/// `weights`: `[batch, head, target, source]`; `values`: `[batch, head, source, d_head]`.
pub(crate) fn attention(
    attention: &SelfAttention,
    weights: Tensor<4>,
    values: Tensor<4>,
    diagonal: &Diagonal,
) -> Sums {
    let own_weight = diagonal.extract(weights.clone());
    let mixed = diagonal.zero(weights).matmul(values.clone());
    let preserving = attention
        .output
        .product(attention.merge_heads(values * own_weight));
    let mixing = attention.output.product(attention.merge_heads(mixed));
    let bias = attention
        .output
        .bias
        .clone()
        .unsqueeze::<3>()
        .expand(preserving.dims());
    Sums {
        preserving,
        mixing,
        bias,
    }
}

/// RES, first residual: x_i joins the part i→i.
pub(crate) fn residual(sums: Sums, x: Tensor<3>) -> Sums {
    Sums {
        preserving: sums.preserving + x,
        ..sums
    }
}

/// LN: centre, scale by γ, divide by s of the true input; β goes to the bias.
///
/// # Shapes
/// `scale`: `[batch, target, 1]`.
pub(crate) fn layer_norm(sums: Sums, norm: &LayerNorm, scale: &Tensor<3>) -> Sums {
    let linear = |v: Tensor<3>| {
        let centred = v.clone() - v.mean_dim(2);
        centred * norm.weight.clone().unsqueeze() / scale.clone()
    };
    Sums {
        preserving: linear(sums.preserving),
        mixing: linear(sums.mixing),
        bias: linear(sums.bias) + norm.bias.clone().unsqueeze(),
    }
}

/// ‖·‖ over the last axis: `[batch, token, d_model]` to `[batch, token]`.
pub(crate) fn row_norms(v: Tensor<3>) -> Tensor<2> {
    v.square().sum_dim(2).sqrt().squeeze_dim(2)
}
