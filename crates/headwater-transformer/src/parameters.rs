//! Parameters as they lie in the file, and the two functions that use them.

use burn::tensor::Tensor;
use headwater_checkpoint::wiring::NormKind;

use crate::Host;

/// An affine map `y = x Wᵀ + b`, or a linear one where there is no b.
#[derive(Debug, Clone)]
pub struct Linear {
    /// W, `[out, in]`: the layout of the file, so that no second copy is made.
    /// Matrix products take its transposed view.
    pub weight: Tensor<2>,
    /// b, `[out]`.
    pub bias: Option<Tensor<1>>,
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
            None => match &self.bias {
                Some(bias) => self.burn_product(x) + bias.clone().unsqueeze(),
                None => self.burn_product(x),
            },
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

/// A normalization of rows: `y = γ ⊙ (x − mean(x)) / s(x) + β` with
/// `s(x) = sqrt(var(x) + ε)`, biased variance; or of RMS, where no mean is taken
/// off and s(x) = sqrt(mean(x²) + ε).
///
/// Burn's own module hides its ε, and the decomposition needs s(x).
#[derive(Debug, Clone)]
pub struct Norm {
    /// Whether a mean is taken off.
    pub kind: NormKind,
    /// γ, `[width]`.
    pub weight: Tensor<1>,
    /// β, `[width]`.
    pub bias: Option<Tensor<1>>,
    /// ε, added to the mean of squares.
    pub epsilon: f64,
}

impl Norm {
    /// Normalizes every row.
    ///
    /// # Shapes
    /// `x`: `[batch, token, width]`; result: the same, and s(x) `[batch, token, 1]`.
    pub fn forward(&self, x: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        match Host::of(&x) {
            Some(host) => host.norm(&x, self),
            None => self.burn_forward(x),
        }
    }

    pub(crate) fn burn_forward(&self, x: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let centred = self.centred(x);
        let scale = (centred.clone().square().mean_dim(2) + self.epsilon).sqrt();
        let normalized = centred / scale.clone() * self.weight.clone().unsqueeze();
        let normalized = match &self.bias {
            Some(bias) => normalized + bias.clone().unsqueeze(),
            None => normalized,
        };
        (normalized, scale)
    }

    /// What the norm does to a part of its input: γ ⊙ (v − mean(v)) / s, or
    /// γ ⊙ v / s, and β with it if it is asked for.
    ///
    /// # Shapes
    /// `part`: `[batch, token, width]`, as the result; `scale`: s of the whole
    /// input, `[batch, token, 1]`.
    pub fn part(&self, part: Tensor<3>, scale: &Tensor<3>, with_bias: bool) -> Tensor<3> {
        let bias = self.bias.as_ref().filter(|_| with_bias);
        if let Some(host) = Host::of(&part) {
            return host.norm_part(&part, self, bias, scale);
        }
        let scaled = self.centred(part) * self.weight.clone().unsqueeze() / scale.clone();
        match bias {
            Some(bias) => scaled + bias.clone().unsqueeze(),
            None => scaled,
        }
    }

    /// The rows less what the norm takes off.
    fn centred<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self.kind {
            NormKind::Layer => x.clone() - x.mean_dim(D - 1),
            NormKind::Rms => x,
        }
    }
}
