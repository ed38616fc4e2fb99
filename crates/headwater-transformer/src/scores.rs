//! What a batch adds to attention scores: masks, angles and terms for
//! positions, made once for every kind of layer.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Int, Tensor, TensorData};
use headwater_checkpoint::wiring::{Band, PositionScores, RopeSpec};

use crate::device::precision_of;
use crate::rope::Rotation;
use crate::{Precision, dtype};

/// Low enough that its exponential is exactly zero beside any real score, in
/// float32 and in float64, and high enough to stay finite in both.
const MASKED_SCORE: f64 = -1e30;

/// The masks, angles and position terms of the texts of a batch.
#[derive(Debug, Clone)]
pub struct ScoreTables {
    lengths: Arc<[usize]>,
    longest: usize,
    device: Device,
    precision: Precision,
    made: Arc<Mutex<Made>>,
}

/// What was asked for so far; a model has few kinds of layers.
#[derive(Debug, Default)]
struct Made {
    masks: Vec<(Band, Option<Tensor<4>>)>,
    rotations: Vec<(RopeSpec, Rotation)>,
    positions: Vec<((PositionScores, u64), Tensor<4>)>,
    buckets: Vec<([usize; 4], Tensor<1, Int>)>,
}

/// The entry of a list, made if it is not there.
fn entry<K: Clone + PartialEq, V: Clone>(
    list: &mut Vec<(K, V)>,
    key: &K,
    make: impl FnOnce() -> V,
) -> V {
    if let Some((_, value)) = list.iter().find(|(known, _)| known == key) {
        return value.clone();
    }
    let value = make();
    list.push((key.clone(), value.clone()));
    value
}

impl ScoreTables {
    /// For texts of these lengths, padded to `longest`.
    pub fn new(lengths: &[usize], longest: usize, device: &Device, precision: Precision) -> Self {
        Self {
            lengths: lengths.into(),
            longest,
            device: device.clone(),
            precision,
            made: Arc::default(),
        }
    }

    /// For texts that fill a tensor `[batch, token, _]`.
    pub(crate) fn unpadded(x: &Tensor<3>) -> Self {
        let [batch, tokens, _] = x.dims();
        let precision = precision_of(x.dtype());
        Self::new(&vec![tokens; batch], tokens, &x.device(), precision)
    }

    fn made<T>(&self, take: impl FnOnce(&mut Made) -> T) -> T {
        take(&mut self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tensor<const D: usize>(&self, values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
        let options = (&self.device, dtype(self.precision));
        Tensor::from_data(TensorData::new(values, shape), options)
    }

    /// Added to scores: 0 for visible sources, a very negative number for padding
    /// and what is outside of the band; nothing where all are visible.
    ///
    /// # Shapes
    /// `[batch, 1, 1, source]`, or `[batch, 1, target, source]` with a band.
    pub(crate) fn mask(&self, band: Band) -> Option<Tensor<4>> {
        let band = match band != Band::CAUSAL && band.sees_all(self.longest) {
            true => Band::ALL,
            false => band,
        };
        let make = || {
            mask(&self.lengths, self.longest, band).map(|(shape, values)| {
                let options = (&self.device, dtype(self.precision));
                Tensor::from_data(TensorData::new(values, shape), options)
            })
        };
        self.made(|made| entry(&mut made.masks, &band, make))
    }

    /// The angles of rotary positions.
    pub(crate) fn rotation(&self, spec: &RopeSpec) -> Rotation {
        let make = || {
            Rotation::new(
                spec,
                &self.lengths,
                self.longest,
                &self.device,
                self.precision,
            )
        };
        self.made(|made| entry(&mut made.rotations, spec, make))
    }

    /// ALiBi: slope_h · j, `[1, head, 1, source]`.
    ///
    /// With `bfloat16`, slopes and products are rounded as Falcon rounds them.
    pub(crate) fn alibi(&self, spec: &PositionScores, factor: f64) -> Option<Tensor<4>> {
        let PositionScores::Alibi {
            slopes,
            scaled,
            bfloat16,
        } = spec
        else {
            return None;
        };
        let rounded = |x: f64| match bfloat16 {
            true => half::bf16::from_f64(x).to_f64(),
            false => x,
        };
        let factor = if *scaled { factor } else { 1.0 };
        let key = (spec.clone(), factor.to_bits());
        let make = || {
            let values = slopes.iter().flat_map(|&slope| {
                let slope = rounded(slope);
                (0..self.longest).map(move |source| rounded(slope * source as f64) * factor)
            });
            self.tensor(values.collect(), [1, slopes.len(), 1, self.longest])
        };
        Some(self.made(|made| entry(&mut made.positions, &key, make)))
    }

    /// The bucket of every pair, row by row: `[target · source]`.
    pub(crate) fn buckets(&self, spec: &PositionScores) -> Option<Tensor<1, Int>> {
        let &PositionScores::Buckets {
            buckets,
            farthest,
            both_sides,
        } = spec
        else {
            return None;
        };
        let key = [buckets, farthest, usize::from(both_sides), self.longest];
        let make = || {
            let pairs = self.longest * self.longest;
            let values = (0..pairs).map(|pair| {
                let (target, source) = (pair / self.longest, pair % self.longest);
                let distance = source as i64 - target as i64;
                bucket(distance, buckets, farthest, both_sides) as i32
            });
            let values: Vec<i32> = values.collect();
            Tensor::from_data(TensorData::new(values, [pairs]), &self.device)
        };
        Some(self.made(|made| entry(&mut made.buckets, &key, make)))
    }
}

/// What hides padded sources and those outside of the band; nothing where all are visible.
fn mask(lengths: &[usize], longest: usize, band: Band) -> Option<([usize; 4], Vec<f32>)> {
    let banded = band != Band::ALL;
    if !banded && lengths.iter().all(|&length| length == longest) {
        return None;
    }
    let targets = if banded { longest } else { 1 };
    let mut values = Vec::with_capacity(lengths.len() * targets * longest);
    for &length in lengths {
        for target in 0..targets {
            let seen = band.sources(target, longest);
            values.extend((0..longest).map(|source| {
                // A padded target sees itself, so that its row stays finite.
                let real = source < length || (banded && source == target);
                if real && seen.contains(&source) {
                    0.0
                } else {
                    MASKED_SCORE as f32
                }
            }));
        }
    }
    Some(([lengths.len(), 1, targets, longest], values))
}

/// T5's bucket of a distance, source less target.
///
/// # Source
/// Raffel et al. 2020, as in transformers; the logarithm in float32, like there.
fn bucket(distance: i64, buckets: usize, farthest: usize, both_sides: bool) -> usize {
    let (first, buckets, distance) = match both_sides {
        true => {
            let buckets = buckets / 2;
            let later = if distance > 0 { buckets } else { 0 };
            (later, buckets, distance.unsigned_abs() as usize)
        }
        false => (0, buckets, usize::try_from(-distance).unwrap_or(0)),
    };
    let exact = buckets / 2;
    if distance < exact {
        return first + distance;
    }
    let ratio =
        (distance as f32 / exact as f32).ln() / (farthest as f64 / exact as f64).ln() as f32;
    let large = exact + (ratio * (buckets - exact) as f32) as usize;
    first + large.min(buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_the_buckets_of_t5() {
        // By transformers' T5Attention._relative_position_bucket, 32 buckets up to 128.
        let distances = [
            -200, -128, -64, -20, -8, -7, -1, 0, 1, 7, 8, 20, 64, 127, 500,
        ];
        let found = |both| distances.map(|distance| bucket(distance, 32, 128, both));
        assert_eq!(
            found(true),
            [15, 15, 14, 10, 8, 7, 1, 0, 17, 23, 24, 26, 30, 31, 31]
        );
        assert_eq!(
            found(false),
            [31, 31, 26, 17, 8, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn a_window_hides_what_is_farther_and_a_padded_target_sees_itself() {
        let (shape, values) = mask(&[2, 3], 3, Band::window(1)).unwrap();
        assert_eq!(shape, [2, 1, 3, 3]);
        let visible: Vec<u8> = values.iter().map(|&v| u8::from(v == 0.0)).collect();
        assert_eq!(visible[..9], [1, 1, 0, 1, 1, 0, 0, 1, 1]);
        assert_eq!(visible[9..], [1, 1, 0, 1, 1, 1, 0, 1, 1]);
        assert!(mask(&[3, 3], 3, Band::ALL).is_none());
    }
}
