//! From the products of queries and keys to attention weights.

use std::ops::Range;

use pulp::Simd;

use crate::HeadShape;
use crate::curve::{exp, tanh};
use crate::tile::DEPTH;

/// What is done to the products q·k before the softmax, in this order: the
/// scale, the soft cap, what is added, and the sink beside it.
#[derive(Debug, Clone, Copy)]
pub struct ScoreTerms<'a> {
    /// What q·k is multiplied by; above 0.
    pub scale: f32,
    /// c of `c tanh(score / c)`; above 0.
    pub soft_cap: Option<f32>,
    /// What is added for padding, or for whatever else a source has.
    pub padding: Option<ScoreBias<'a>>,
    /// What is added for positions.
    pub position: Option<ScoreBias<'a>>,
    /// A score a head that takes its share of the softmax and passes nothing on:
    /// the weights of a row sum to less than 1.
    pub sinks: Option<&'a [f32]>,
}

/// What is added to the scores: for source s of target t and head h of sequence
/// b the number at `offset + b·batch_stride + h·head_stride + t·target_stride + s`.
#[derive(Debug, Clone, Copy)]
pub struct ScoreBias<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Where those of the first target of the first head begin.
    pub offset: usize,
    /// From one sequence to the next; 0 if all have the same.
    pub batch_stride: usize,
    /// From one head to the next; 0 if all have the same.
    pub head_stride: usize,
    /// From one target to the next; 0 if all have the same, −1 if the number
    /// depends on s − t alone.
    pub target_stride: isize,
}

impl<'a> ScoreTerms<'a> {
    /// `q·k / √d_head` and nothing else.
    pub fn scaled(d_head: usize) -> Self {
        Self {
            scale: 1.0 / (d_head as f32).sqrt(),
            soft_cap: None,
            padding: None,
            position: None,
            sinks: None,
        }
    }

    /// That there is a number wherever one will be looked for.
    ///
    /// # Panics
    /// There is not, or a number is not above 0 that has to be.
    pub(crate) fn check(&self, shape: HeadShape) {
        assert!(self.scale > 0.0, "a scale above 0");
        assert!(self.soft_cap.is_none_or(|cap| cap > 0.0), "a cap above 0");
        let sinks = self.sinks.is_none_or(|sinks| sinks.len() == shape.heads);
        assert!(sinks, "a sink a head");
        for bias in [&self.padding, &self.position].into_iter().flatten() {
            bias.check(shape);
        }
    }
}

impl<'a> ScoreBias<'a> {
    /// # Panics
    /// A pair of tokens without a number.
    fn check(&self, shape: HeadShape) {
        let to_last = (shape.targets - 1) as isize * self.target_stride;
        let first = self.offset as isize + to_last.min(0);
        let last = self.offset
            + (shape.batch - 1) * self.batch_stride
            + (shape.heads - 1) * self.head_stride
            + to_last.max(0) as usize;
        assert!(
            first >= 0 && last + shape.sources <= self.data.len(),
            "a bias for each pair"
        );
    }

    /// The numbers of a target, from the first source on.
    #[inline(always)]
    fn row(&self, sequence: usize, head: usize, target: usize) -> &'a [f32] {
        let first = self.offset + sequence * self.batch_stride + head * self.head_stride;
        let to_target = target as isize * self.target_stride;
        let start = first.checked_add_signed(to_target);
        &self.data[start.expect("it was checked")..]
    }
}

/// The scores of a target, which become weights where they lie.
pub(crate) struct Row<'a> {
    pub(crate) sequence: usize,
    pub(crate) head: usize,
    pub(crate) target: usize,
    /// The sources that the target sees.
    pub(crate) seen: Range<usize>,
    pub(crate) sources: usize,
    /// In strips of [`DEPTH`] sources, filled up to whole panels.
    pub(crate) scores: &'a mut [f32],
    /// From one strip to the next.
    pub(crate) stride: usize,
}

impl Row<'_> {
    /// Scores to weights; 0 for sources that the target does not see.
    #[inline(always)]
    pub(crate) fn softmax<S: Simd>(mut self, simd: S, terms: &ScoreTerms<'_>) {
        let start = match terms.sinks {
            Some(sinks) => sinks[self.head],
            None => f32::NEG_INFINITY,
        };
        let largest = match (terms.soft_cap, terms.position) {
            (None, None) => self.scaled(simd, terms, start),
            _ => self.with_terms(simd, terms, start),
        };
        let splat = simd.splat_f32s(largest);
        let mut sum = simd.splat_f32s(0.0);
        for first in self.strips() {
            for vector in S::as_mut_simd_f32s(self.strip::<S>(first)).0 {
                *vector = exp(simd, simd.sub_f32s(*vector, splat));
                sum = simd.add_f32s(sum, *vector);
            }
        }
        let mut sum = simd.reduce_sum_f32s(sum);
        if terms.sinks.is_some() {
            sum += simd.reduce_max_f32s(exp(simd, simd.splat_f32s(start - largest)));
        }
        let factor = simd.splat_f32s(1.0 / sum);
        for first in self.strips() {
            for vector in S::as_mut_simd_f32s(self.strip::<S>(first)).0 {
                *vector = simd.mul_f32s(*vector, factor);
            }
        }
        // Strips that the loops did not come to.
        let (sources, seen) = (self.sources, self.seen.clone());
        for first in (0..sources).step_by(DEPTH) {
            if first + DEPTH <= seen.start || first >= seen.end {
                self.strip::<S>(first).fill(0.0);
            }
        }
    }

    /// The first sources of strips with sources that the target sees.
    #[inline(always)]
    fn strips(&self) -> std::iter::StepBy<Range<usize>> {
        (self.seen.start / DEPTH * DEPTH..self.seen.end).step_by(DEPTH)
    }

    /// A strip, filled up to whole panels.
    #[inline(always)]
    fn strip<S: Simd>(&mut self, first: usize) -> &mut [f32] {
        let kept = DEPTH.min(self.sources - first);
        let length = kept.next_multiple_of(2 * S::F32_LANES);
        &mut self.scores[first / DEPTH * self.stride..][..length]
    }

    /// Leaves nothing of the scores of sources that the target does not see.
    #[inline(always)]
    fn hide<S: Simd>(&mut self, first: usize) {
        let before = self.seen.start.saturating_sub(first);
        let behind = self.seen.end - first;
        let strip = self.strip::<S>(first);
        strip[..before].fill(f32::NEG_INFINITY);
        if behind < strip.len() {
            strip[behind..].fill(f32::NEG_INFINITY);
        }
    }

    /// `score · scale + padding`; returns the largest, or `start`.
    #[inline(always)]
    fn scaled<S: Simd>(&mut self, simd: S, terms: &ScoreTerms<'_>, start: f32) -> f32 {
        let scale = simd.splat_f32s(terms.scale);
        let end = self.seen.end;
        let padding = terms
            .padding
            .as_ref()
            .map(|padding| self.row_of(padding, end));
        let mut largest = simd.splat_f32s(start);
        for first in self.strips() {
            self.hide::<S>(first);
            let vectors = S::as_mut_simd_f32s(self.strip::<S>(first)).0;
            if let Some(padding) = padding {
                let padding = &padding[first..end.min(first + DEPTH)];
                for (vector, padding) in vectors.iter_mut().zip(padding.chunks(S::F32_LANES)) {
                    let padding = loaded(simd, padding);
                    *vector = simd.mul_add_f32s(*vector, scale, padding);
                    largest = simd.max_f32s(largest, *vector);
                }
            } else {
                for vector in vectors {
                    *vector = simd.mul_f32s(*vector, scale);
                    largest = simd.max_f32s(largest, *vector);
                }
            }
        }
        simd.reduce_max_f32s(largest)
    }

    /// The same with everything that there may be; returns the largest, or `start`.
    #[inline(always)]
    fn with_terms<S: Simd>(&mut self, simd: S, terms: &ScoreTerms<'_>, start: f32) -> f32 {
        let scale = simd.splat_f32s(terms.scale);
        let end = self.seen.end;
        let mut largest = simd.splat_f32s(start);
        for first in self.strips() {
            let vectors = S::as_mut_simd_f32s(self.strip::<S>(first)).0;
            for vector in vectors.iter_mut() {
                *vector = simd.mul_f32s(*vector, scale);
            }
            if let Some(cap) = terms.soft_cap {
                let (cap, inverse) = (simd.splat_f32s(cap), simd.splat_f32s(1.0 / cap));
                for vector in vectors.iter_mut() {
                    *vector = simd.mul_f32s(cap, tanh(simd, simd.mul_f32s(*vector, inverse)));
                }
            }
            for bias in [&terms.padding, &terms.position].into_iter().flatten() {
                let bias = &self.row_of(bias, end)[first..end.min(first + DEPTH)];
                let vectors = S::as_mut_simd_f32s(self.strip::<S>(first)).0;
                for (vector, bias) in vectors.iter_mut().zip(bias.chunks(S::F32_LANES)) {
                    *vector = simd.add_f32s(*vector, loaded(simd, bias));
                }
            }
            // Behind the cap, which would make numbers of infinities.
            self.hide::<S>(first);
            for vector in S::as_mut_simd_f32s(self.strip::<S>(first)).0 {
                largest = simd.max_f32s(largest, *vector);
            }
        }
        simd.reduce_max_f32s(largest)
    }

    /// What is added for the sources up to `end`.
    #[inline(always)]
    fn row_of<'b>(&self, bias: &ScoreBias<'b>, end: usize) -> &'b [f32] {
        &bias.row(self.sequence, self.head, self.target)[..end]
    }
}

/// A vector of numbers, or of what is left of them and zeros.
#[inline(always)]
fn loaded<S: Simd>(simd: S, numbers: &[f32]) -> S::f32s {
    match S::as_simd_f32s(numbers).0.first() {
        Some(&whole) => whole,
        None => simd.partial_load_f32s(numbers),
    }
}
