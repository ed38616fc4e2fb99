//! How far links are from those that people drew.

use super::{GoldLinks, Links};

/// How far links are from those that people drew, over a corpus.
///
/// With A the links found, S the sure and P ⊇ S the possible gold links, each
/// counted over all sentence pairs:
///
/// ```text
/// AER       = 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|)       in [0, 1], 0 is best
/// precision = |A ∩ P| / |A|
/// recall    = |A ∩ S| / |S|
/// ```
///
/// Links that are possible and not sure are right where they are found, and
/// not missed where they are not.
///
/// ```
/// use headwater_metrics::{AlignmentErrorRate, GoldLinks, LinkLine, Links, Numbering};
///
/// let line = LinkLine { number: 1, numbering: Numbering::FromZero, words: None };
/// let mut rate = AlignmentErrorRate::default();
/// rate.push(&Links::parse("0-0 1-2 2-1", line)?, &GoldLinks::parse("0-0 1-1 1p2", line)?);
/// // Sure: 0-0 of 2. Possible: 0-0 and 1-2 of 3.
/// assert!((rate.error_rate() - (1.0 - (1.0 + 2.0) / (3.0 + 2.0))).abs() < 1e-15);
/// assert_eq!(rate.precision(), Some(2.0 / 3.0));
/// assert_eq!(rate.recall(), Some(0.5));
/// # Ok::<(), headwater_metrics::MetricsError>(())
/// ```
///
/// # Source
///
/// Och and Ney 2000, Improved Statistical Alignment Models; 2020, word alignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlignmentErrorRate {
    found: usize,
    sure: usize,
    found_sure: usize,
    found_possible: usize,
}

impl AlignmentErrorRate {
    /// Adds a sentence pair.
    pub fn push(&mut self, found: &Links, gold: &GoldLinks) {
        self.found += found.len();
        self.sure += gold.sure().len();
        self.found_sure += found.intersection(gold.sure()).len();
        self.found_possible += found.intersection(gold.possible()).len();
    }

    /// The alignment error rate; 0 where there is neither a link found nor a
    /// sure one to find.
    pub fn error_rate(&self) -> f64 {
        let wrong = (self.found - self.found_possible) + (self.sure - self.found_sure);
        match self.found + self.sure {
            0 => 0.0,
            links => wrong as f64 / links as f64,
        }
    }

    /// How many of the links found are possible; `None` where none was found.
    pub fn precision(&self) -> Option<f64> {
        share(self.found_possible, self.found)
    }

    /// How many of the sure links were found; `None` where none is sure.
    pub fn recall(&self) -> Option<f64> {
        share(self.found_sure, self.sure)
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LinkLine, Numbering};

    /// Error rate, precision and recall of sentence pairs (found, gold).
    fn scores(pairs: &[(&str, &str)]) -> (f64, Option<f64>, Option<f64>) {
        let mut rate = AlignmentErrorRate::default();
        for (number, (found, gold)) in (1..).zip(pairs) {
            let line = LinkLine {
                number,
                numbering: Numbering::FromZero,
                words: None,
            };
            let gold = GoldLinks::parse(gold, line).unwrap();
            rate.push(&Links::parse(found, line).unwrap(), &gold);
        }
        (rate.error_rate(), rate.precision(), rate.recall())
    }

    #[test]
    fn by_hand() {
        let gold = "0-0 1-1 2p2 3p2";
        // All that is sure and nothing impossible, with and without possible links.
        assert_eq!(scores(&[("0-0 1-1", gold)]), (0.0, Some(1.0), Some(1.0)));
        let found = "0-0 1-1 2-2 3-2";
        assert_eq!(scores(&[(found, gold)]), (0.0, Some(1.0), Some(1.0)));
        // |A| = 4, |S| = 2, |A∩P| = 2, |A∩S| = 1: 1 − 3/6.
        let found = "0-0 2-2 2-3 9-9";
        assert_eq!(scores(&[(found, gold)]), (0.5, Some(0.5), Some(0.5)));
        // Possible only: |A| = 2, |S| = 2, |A∩P| = 2, |A∩S| = 0: 1 − 2/4.
        assert_eq!(scores(&[("2-2 3-2", gold)]), (0.5, Some(1.0), Some(0.0)));
        // Nothing right.
        assert_eq!(scores(&[("1-0 0-1", gold)]), (1.0, Some(0.0), Some(0.0)));
    }

    #[test]
    fn counts_are_added_up_and_rates_are_not_averaged() {
        // |A| = 1 + 3, |S| = 1 + 1, |A∩P| = 1 + 1, |A∩S| = 1 + 0: 1 − 3/6.
        // The rates alone are 0 and 3/4.
        let pairs = [("0-0", "0-0"), ("0-0 0-1 0-2", "1-0 0p1")];
        assert_eq!(scores(&pairs), (0.5, Some(0.5), Some(0.5)));
        assert_eq!(scores(&pairs[1..]), (0.75, Some(1.0 / 3.0), Some(0.0)));
    }

    #[test]
    fn empty_sets() {
        assert_eq!(scores(&[]), (0.0, None, None));
        assert_eq!(scores(&[("", "")]), (0.0, None, None));
        assert_eq!(scores(&[("", "0p0")]), (0.0, None, None));
        assert_eq!(scores(&[("", "0-0")]), (1.0, None, Some(0.0)));
        assert_eq!(scores(&[("0-0", "")]), (1.0, Some(0.0), None));
        assert_eq!(scores(&[("0-0", "0p0")]), (0.0, Some(1.0), None));
        // A pair with no links of either kind changes nothing.
        assert_eq!(scores(&[("0-0", "0-0 1-1"), ("", "")]).0, 1.0 / 3.0);
    }
}
