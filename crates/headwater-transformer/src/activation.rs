use burn::tensor::{Tensor, activation};
use headwater_checkpoint::Activation;

/// What BLOOM's code has for √(2/π).
pub const BLOOM_ROOT: f64 = 0.797_884_56;

/// Applies an elementwise activation.
///
/// # Shapes
/// Any; the result has the same.
pub fn apply_activation<const D: usize>(kind: Activation, x: Tensor<D>) -> Tensor<D> {
    match kind {
        Activation::Gelu => activation::gelu(x),
        Activation::GeluTanh => activation::gelu_approximate(x),
        Activation::BloomGelu => {
            let cubic = x.clone().square() * 0.044_715 + 1.0;
            let inner = x.clone() * cubic * BLOOM_ROOT;
            x * (activation::tanh(inner) + 1.0) / 2.0
        }
        Activation::QuickGelu => x.clone() * sigmoid(x * 1.702),
        Activation::Relu => activation::relu(x),
        Activation::Silu => x.clone() * sigmoid(x),
        Activation::Tanh => activation::tanh(x),
    }
}

/// The logistic function σ(x) = 1 / (1 + exp(−x)); 0 where exp(−x) overflows.
///
/// Burn's own goes through float32 on backends that do not override it, and
/// its silu with it: half of a float64's digits.
///
/// # Shapes
/// Any; the result has the same.
pub fn sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    ((x * -1.0).exp() + 1.0).recip()
}
