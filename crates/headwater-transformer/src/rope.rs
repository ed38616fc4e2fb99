//! Rotary positions: the angles, and how they turn pairs of channels.

use std::f64::consts::PI;

use burn::tensor::{Device, Tensor, TensorData};
use headwater_checkpoint::wiring::{Pairs, RopeKind, RopeSpec};

use crate::{Host, Precision, dtype};

/// cos and sin of every position's angles, for the texts of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    /// `[batch or 1, token, width / 2]`.
    cos: Tensor<3>,
    sin: Tensor<3>,
    pairs: Pairs,
}

impl Rotation {
    /// The angles of texts of these lengths, padded to `tokens`.
    ///
    /// Where the frequencies depend on the length of the text, each has its own:
    /// padding changes no number. In float64, rounded once.
    pub(crate) fn new(
        spec: &RopeSpec,
        lengths: &[usize],
        tokens: usize,
        device: &Device,
        precision: Precision,
    ) -> Self {
        let lengths = match spec.depends_on_length() {
            true => lengths,
            false => &lengths[..1],
        };
        let pairs = spec.width / 2;
        let mut angles = Vec::with_capacity(lengths.len() * tokens * pairs);
        for &length in lengths {
            let frequencies = frequencies(spec, length);
            for position in 0..tokens {
                angles.extend(frequencies.iter().map(|f| position as f64 * f));
            }
        }
        let factor = attention_factor(spec);
        let table = |function: fn(f64) -> f64| {
            let values: Vec<f64> = angles
                .iter()
                .map(|&angle| function(angle) * factor)
                .collect();
            let shape = [lengths.len(), tokens, pairs];
            Tensor::from_data(TensorData::new(values, shape), (device, dtype(precision)))
        };
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
            pairs: spec.pairs,
        }
    }

    /// Turns the first channels of every head.
    ///
    /// # Shapes
    /// `x`: `[batch, token, heads · d_head]`; result the same.
    pub(crate) fn apply(&self, x: Tensor<3>, heads: usize) -> Tensor<3> {
        if let Some(host) = Host::of(&x) {
            return host.rotate(&x, heads, [&self.cos, &self.sin], self.pairs);
        }
        self.burn_apply(x, heads)
    }

    pub(crate) fn burn_apply(&self, x: Tensor<3>, heads: usize) -> Tensor<3> {
        let [batch, token, width] = x.dims();
        let d_head = width / heads;
        let [members, _, pairs] = self.cos.dims();
        let x: Tensor<4> = x.reshape([batch, token, heads, d_head]);
        let table =
            |table: &Tensor<3>| -> Tensor<4> { table.clone().reshape([members, token, 1, pairs]) };
        let (cos, sin) = (table(&self.cos), table(&self.sin));
        let turned = |a: Tensor<4>, b: Tensor<4>| {
            let first = a.clone() * cos.clone() - b.clone() * sin.clone();
            [first, b * cos.clone() + a * sin.clone()]
        };
        let rotated = match self.pairs {
            Pairs::Halves => {
                let [a, b] =
                    [0..pairs, pairs..2 * pairs].map(|range| x.clone().slice_dim(3, range));
                Tensor::cat(turned(a, b).into(), 3)
            }
            Pairs::Neighbours => {
                let x: Tensor<4> = x.clone().slice_dim(3, 0..2 * pairs);
                let x: Tensor<5> = x.reshape([batch, token, heads, pairs, 2]);
                let [a, b] =
                    [0..1, 1..2].map(|range| x.clone().slice_dim(4, range).squeeze_dim::<4>(4));
                let turned = turned(a, b).map(|x| x.unsqueeze_dim::<5>(4));
                Tensor::cat(turned.into(), 4).reshape([batch, token, heads, 2 * pairs])
            }
        };
        let whole = match 2 * pairs < d_head {
            true => Tensor::cat(vec![rotated, x.slice_dim(3, 2 * pairs..d_head)], 3),
            false => rotated,
        };
        whole.reshape([batch, token, width])
    }
}

/// The frequencies of a text of `length` tokens, by pair.
fn frequencies(spec: &RopeSpec, length: usize) -> Vec<f64> {
    let r = spec.width as f64;
    let of_base = |theta: f64| -> Vec<f64> {
        (0..spec.width / 2)
            .map(|k| theta.powf(-2.0 * k as f64 / r))
            .collect()
    };
    let plain = || of_base(spec.theta);
    match &spec.kind {
        RopeKind::Default => plain(),
        RopeKind::Linear { factor } => plain().into_iter().map(|f| f / factor).collect(),
        &RopeKind::Dynamic {
            factor,
            max_positions,
        } => {
            if length <= max_positions {
                return plain();
            }
            let stretched = factor * length as f64 / max_positions as f64 - (factor - 1.0);
            of_base(spec.theta * stretched.powf(r / (r - 2.0)))
        }
        &RopeKind::Llama3 {
            factor,
            low,
            high,
            original,
        } => plain()
            .into_iter()
            .map(|f| {
                let wavelength = 2.0 * PI / f;
                if wavelength < original / high {
                    f
                } else if wavelength > original / low {
                    f / factor
                } else {
                    let s = (original / wavelength - low) / (high - low);
                    (1.0 - s) * f / factor + s * f
                }
            })
            .collect(),
        &RopeKind::Yarn {
            factor,
            original,
            fast,
            slow,
            truncate,
            ..
        } => {
            let dim =
                |turns: f64| r * (original / (turns * 2.0 * PI)).ln() / (2.0 * spec.theta.ln());
            let (low, high) = match truncate {
                true => (dim(fast).floor(), dim(slow).ceil()),
                false => (dim(fast), dim(slow)),
            };
            let (low, mut high) = (low.max(0.0), high.min(r - 1.0));
            if low == high {
                high += 0.001;
            }
            let ramped = |(k, f): (usize, f64)| {
                let ramp = ((k as f64 - low) / (high - low)).clamp(0.0, 1.0);
                f / factor * ramp + f * (1.0 - ramp)
            };
            plain().into_iter().enumerate().map(ramped).collect()
        }
        RopeKind::LongRope {
            short,
            long,
            original,
            ..
        } => {
            let factors = if length > *original { long } else { short };
            plain()
                .into_iter()
                .zip(factors)
                .map(|(f, factor)| f / factor)
                .collect()
        }
    }
}

/// What cos and sin are multiplied by.
fn attention_factor(spec: &RopeSpec) -> f64 {
    match spec.kind {
        RopeKind::Yarn {
            attention_factor, ..
        }
        | RopeKind::LongRope {
            attention_factor, ..
        } => attention_factor,
        RopeKind::Default
        | RopeKind::Linear { .. }
        | RopeKind::Dynamic { .. }
        | RopeKind::Llama3 { .. } => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_texts_change_the_base_of_dynamic_frequencies() {
        let kind = RopeKind::Dynamic {
            factor: 2.0,
            max_positions: 8,
        };
        let dynamic = RopeSpec {
            kind,
            ..RopeSpec::new(10_000.0, 4)
        };
        assert_eq!(frequencies(&dynamic, 8), [1.0, 0.01]);
        // 2·16/8 − 1 = 3; the base is 10000·3², of which r/2 = 2 roots.
        let long = frequencies(&dynamic, 16);
        assert!(
            (long[1] - (90_000.0_f64).powf(-0.5)).abs() < 1e-15,
            "{long:?}"
        );
    }

    #[test]
    fn long_factors_are_for_all_positions_of_long_texts() {
        let kind = RopeKind::LongRope {
            short: vec![1.0, 2.0],
            long: vec![4.0, 8.0],
            original: 5,
            attention_factor: 1.5,
        };
        let long_rope = RopeSpec {
            kind,
            ..RopeSpec::new(10_000.0, 4)
        };
        assert_eq!(frequencies(&long_rope, 5), [1.0, 0.005]);
        assert_eq!(frequencies(&long_rope, 6), [0.25, 0.00125]);
        assert_eq!(attention_factor(&long_rope), 1.5);
    }
}
