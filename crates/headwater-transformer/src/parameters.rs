//! Parameters as they lie in the file, and the two functions that use them.

use burn::tensor::Tensor;

use crate::Host;

/// An affine map `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// W, `[out, in]`: the layout of the file, so that no second copy is made.
    /// Matrix products take its transposed view.
    pub weight: Tensor<2>,
    /// b, `[out]`.
    pub bias: Tensor<1>,
}

impl Linear {
    /// Applies the map to every row.
    ///
    /// # Shapes
    /// `x`: `[batch, token, in]`; result `[batch, token, out]`. 2·batch·token·in·out FLOPs.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match Host::of(&x) {
            Some(host) => {
                let [batch, token, _] = x.dims();
                host.linear(&host.pack(&x), self, true, [batch, token])
            }
            None => self.burn_product(x) + self.bias.clone().unsqueeze(),
        }
    }

    /// The linear part alone: `x Wᵀ`.
    ///
    /// # Shapes
    /// As [`Linear::forward`].
    pub fn product(&self, x: Tensor<3>) -> Tensor<3> {
        match Host::of(&x) {
            Some(host) => {
                let [batch, token, _] = x.dims();
                host.linear(&host.pack(&x), self, false, [batch, token])
            }
            None => self.burn_product(x),
        }
    }

    /// Several maps of the same rows.
    pub(crate) fn forward_all<const N: usize>(x: &Tensor<3>, maps: [&Self; N]) -> [Tensor<3>; N] {
        match Host::of(x) {
            Some(host) => {
                let [batch, token, _] = x.dims();
                let packed = host.pack(x);
                maps.map(|map| host.linear(&packed, map, true, [batch, token]))
            }
            None => maps.map(|map| map.forward(x.clone())),
        }
    }

    pub(crate) fn burn_product(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, token, input] = x.dims();
        let [output, _] = self.weight.dims();
        // One large product instead of `batch` small ones.
        x.reshape([batch * token, input])
            .matmul(self.weight.clone().transpose())
            .reshape([batch, token, output])
    }
}

/// Layer normalization `y = γ ⊙ (x − mean(x)) / s(x) + β` with
/// `s(x) = sqrt(var(x) + ε)`, biased variance.
///
/// Burn's own module hides its ε, and the decomposition needs s(x).
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// γ, `[d_model]`.
    pub weight: Tensor<1>,
    /// β, `[d_model]`.
    pub bias: Tensor<1>,
    /// ε, added to the variance.
    pub epsilon: f64,
}

impl LayerNorm {
    /// Normalizes every row.
    ///
    /// # Shapes
    /// `x`: `[batch, token, d_model]`; result: the same, and s(x) `[batch, token, 1]`.
    pub fn forward(&self, x: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        match Host::of(&x) {
            Some(host) => host.layer_norm(&x, self),
            None => self.burn_forward(x),
        }
    }

    pub(crate) fn burn_forward(&self, x: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let centred = x.clone() - x.mean_dim(2);
        let scale = (centred.clone().square().mean_dim(2) + self.epsilon).sqrt();
        let normalized = centred / scale.clone() * self.weight.clone().unsqueeze()
            + self.bias.clone().unsqueeze();
        (normalized, scale)
    }
}
