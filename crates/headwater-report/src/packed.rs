//! Numbers as a page keeps them: decimals that are right to the last digit.
//!
//! A map of values v is kept as the whole numbers round(v · 10^q). What a page
//! shows is therefore the value in the file, rounded to q decimals. q is chosen
//! for each map, so that it has as many digits as the size of the page allows.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::Serialize;

/// Significant digits of the largest value: what float32 tells apart, and what
/// three bytes hold.
pub(crate) const MOST_DIGITS: i32 = 7;
/// What compression takes over the entropy of the bytes at least, as measured on random maps.
const OVERHEAD: f64 = 1.08;
/// Values looked at to estimate a size.
const SAMPLE: usize = 8192;

/// What must be known of a map before it is packed.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    /// How many values there are.
    pub(crate) count: usize,
    /// The largest value.
    pub(crate) max: f64,
    /// The largest value where target and source differ.
    pub(crate) max_off_diagonal: f64,
    sample: Vec<f64>,
    /// The median of the sample's values above zero.
    typical: f64,
}

impl Survey {
    /// Of `[rows, columns]` values, all finite and none negative. With `square`
    /// false row and column i are different tokens and there is no diagonal.
    pub(crate) fn new(values: &[f64], columns: usize, square: bool) -> Self {
        // An odd step walks through all columns.
        let step = (values.len() / SAMPLE) | 1;
        let sample: Vec<f64> = values.iter().copied().step_by(step).collect();
        let mut positive: Vec<f64> = sample.iter().copied().filter(|&v| v > 0.0).collect();
        let max = values.iter().copied().fold(0.0, f64::max);
        let middle = positive.len() / 2;
        let typical = match positive.is_empty() {
            true => max,
            false => *positive.select_nth_unstable_by(middle, f64::total_cmp).1,
        };
        let max_off_diagonal = values
            .chunks(columns)
            .enumerate()
            .flat_map(|(row, values)| {
                let other = move |&(column, _): &(usize, &f64)| !square || column != row;
                values.iter().enumerate().filter(other)
            })
            .fold(0.0, |max, (_, &value)| f64::max(max, value));
        Self {
            count: values.len(),
            max,
            max_off_diagonal,
            sample,
            typical,
        }
    }

    /// The decimals that give a typical value so many digits, or fewer where
    /// the largest value then had more than [`MOST_DIGITS`].
    pub(crate) fn decimals(&self, digits: i32) -> i32 {
        if self.max == 0.0 {
            return 0;
        }
        let of_typical = digits - 1 - magnitude(self.typical);
        // 10^300 is still a float64.
        of_typical.min(decimals_of_largest(self.max)).min(300)
    }

    /// About how many bytes the map takes when packed: the entropy of its bytes and a little more.
    pub(crate) fn estimated_bytes(&self, decimals: i32) -> f64 {
        let codes: Vec<u32> = codes(&self.sample, decimals).collect();
        let bits: f64 = (0..planes(self.max, decimals))
            .map(|plane| entropy(codes.iter().map(|code| code.to_le_bytes()[plane])))
            .sum();
        OVERHEAD * bits / 8.0 * self.count as f64
    }
}

fn entropy(bytes: impl Iterator<Item = u8>) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.for_each(|byte| counts[usize::from(byte)] += 1);
    let total: f64 = counts.iter().copied().map(f64::from).sum();
    let share = |&count: &u32| f64::from(count) / total;
    let present = counts.iter().filter(|&&count| count > 0);
    present
        .map(|count| -share(count) * share(count).log2())
        .sum()
}

/// Packed values, to be put into a page.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Packed {
    /// Where the bytes are.
    pub(crate) blob: usize,
    /// Digits behind the decimal point; negative for whole tens, hundreds and so on.
    pub(crate) decimals: i32,
    /// Bytes a value.
    pub(crate) planes: usize,
}

/// The texts of a page's data elements, in order.
#[derive(Debug, Default)]
pub(crate) struct Blobs(pub(crate) Vec<String>);

impl Blobs {
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(String::len).sum()
    }

    /// Packs values with the given decimals: all lowest bytes, then all bytes
    /// above them and so on, compressed, as text.
    pub(crate) fn pack(&mut self, values: &[f64], decimals: i32) -> Packed {
        let max = values.iter().copied().fold(0.0, f64::max);
        let planes = planes(max, decimals);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        for plane in 0..planes {
            let bytes: Vec<u8> = codes(values, decimals)
                .map(|code| code.to_le_bytes()[plane])
                .collect();
            encoder.write_all(&bytes).expect("memory takes everything");
        }
        let bytes = encoder.finish().expect("memory takes everything");
        self.0.push(STANDARD.encode(bytes));
        Packed {
            blob: self.0.len() - 1,
            decimals,
            planes,
        }
    }

    /// Packs values that are few with the most digits.
    pub(crate) fn pack_finely(&mut self, values: &[f64]) -> Packed {
        let max = values.iter().copied().fold(0.0, f64::max);
        self.pack(values, decimals_of_largest(max))
    }
}

fn decimals_of_largest(max: f64) -> i32 {
    match max {
        0.0 => 0,
        max => (MOST_DIGITS - 1 - magnitude(max)).min(300),
    }
}

/// The power of ten below a positive value.
fn magnitude(value: f64) -> i32 {
    value.log10().floor() as i32
}

fn codes(values: &[f64], decimals: i32) -> impl Iterator<Item = u32> {
    values.iter().map(move |&value| code(value, decimals))
}

fn code(value: f64, decimals: i32) -> u32 {
    // A power of ten up to 22 is exact, so one rounding stands between value and code.
    let scale = 10_f64.powi(decimals.abs());
    let scaled = if decimals < 0 {
        value / scale
    } else {
        value * scale
    };
    scaled.round() as u32
}

/// The bytes that hold every code.
fn planes(max: f64, decimals: i32) -> usize {
    let bits = u32::BITS - code(max, decimals).leading_zeros();
    bits.div_ceil(8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::DeflateDecoder;
    use std::io::Read;

    fn unpacked(blobs: &Blobs, packed: Packed) -> Vec<f64> {
        let bytes = STANDARD.decode(&blobs.0[packed.blob]).unwrap();
        let mut planes = Vec::new();
        DeflateDecoder::new(&bytes[..])
            .read_to_end(&mut planes)
            .unwrap();
        let count = planes.len() / packed.planes.max(1);
        (0..count)
            .map(|index| {
                let bytes = (0..packed.planes).map(|plane| planes[plane * count + index]);
                let code = bytes
                    .rev()
                    .fold(0_u32, |code, byte| code << 8 | u32::from(byte));
                f64::from(code) * 10_f64.powi(-packed.decimals)
            })
            .collect()
    }

    #[test]
    fn every_value_is_right_to_its_last_decimal() {
        let values: Vec<f64> = (0..3000)
            .map(|i| (f64::from(i) * 0.7).sin().powi(4))
            .collect();
        for scale in [1e-30, 1e-3, 1.0, 123.4, 1e9] {
            let scaled: Vec<f64> = values.iter().map(|value| value * scale).collect();
            let survey = Survey::new(&scaled, 50, true);
            for digits in 1..=6 {
                let decimals = survey.decimals(digits);
                let mut blobs = Blobs::default();
                let packed = blobs.pack(&scaled, decimals);
                let half = 0.5 * 10_f64.powi(-decimals);
                for (found, expected) in unpacked(&blobs, packed).iter().zip(&scaled) {
                    assert!((found - expected).abs() <= half * (1.0 + 1e-9));
                }
            }
        }
    }

    #[test]
    fn sizes_are_estimated_to_a_sixth() {
        let values: Vec<f64> = (1..20_000)
            .map(|i| ((f64::from(i) * 12.9898).sin() * 43_758.5).fract().abs())
            .collect();
        let survey = Survey::new(&values, 100, true);
        for digits in [1, 2, 3, 5] {
            let decimals = survey.decimals(digits);
            let mut blobs = Blobs::default();
            blobs.pack(&values, decimals);
            let size = blobs.0[0].len() as f64 * 0.75;
            let estimated = survey.estimated_bytes(decimals);
            assert!(
                (0.85..1.15).contains(&(size / estimated)),
                "{size} {estimated}"
            );
        }
    }

    #[test]
    fn decimals_follow_the_typical_value_and_the_largest() {
        let survey = Survey::new(&[0.0, 0.031, 0.032, 0.033, 0.9], 5, false);
        assert_eq!(survey.decimals(2), 3);
        assert_eq!(survey.decimals(9), 7);
        assert_eq!(survey.max_off_diagonal, 0.9);
        assert_eq!(Survey::new(&[0.0; 4], 2, true).decimals(3), 0);
        let values = [4.0, 1.0, 2.0, 5.0];
        assert_eq!(Survey::new(&values, 2, true).max_off_diagonal, 2.0);
        assert_eq!(Survey::new(&values, 2, false).max_off_diagonal, 5.0);
        assert_eq!(Survey::new(&[31_000.0], 1, true).decimals(2), -3);
    }
}
