use std::ops::Range;

use super::{NormSpec, RopeSpec};
use crate::Error;

/// Multi-head attention.
///
/// With D the model's width: W_Q `[H·d, D]`; W_K and W_V `[G·d, D]`; W_O
/// `[D, H·d]`. Query head h reads key and value head h / (H/G).
///
/// Scores are made in one order: q/k norm, rotary positions, q·k·scale, soft
/// cap, terms added for positions, band and padding, softmax with the sink.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionSpec {
    /// H, query heads.
    pub heads: usize,
    /// G, key and value heads; divides H.
    pub groups: usize,
    /// d, the width of a head; not always D/H.
    pub d_head: usize,
    /// Whether query, key, value and output have a bias.
    pub biases: [bool; 4],
    /// What q·k is multiplied by; d^−½ in most models.
    pub scale: f64,
    /// Which sources a target sees.
    pub band: Band,
    /// A norm of queries and keys, before positions.
    pub qk_norm: Option<(Over, NormSpec)>,
    /// Rotary positions.
    pub rope: Option<RopeSpec>,
    /// c of c·tanh(score/c).
    pub soft_cap: Option<f64>,
    /// What is added to scores for positions.
    pub position: PositionScores,
    /// Whether each head has one more logit that receives weight and has no
    /// value, so that rows of attention weights sum to less than 1.
    pub sinks: bool,
}

impl AttentionSpec {
    /// H heads of width d with keys and values of their own and all four biases,
    /// scores q·k/√d, all sources visible.
    pub fn new(heads: usize, d_head: usize) -> Self {
        Self {
            heads,
            groups: heads,
            d_head,
            biases: [true; 4],
            scale: (d_head as f64).sqrt().recip(),
            band: Band::ALL,
            qk_norm: None,
            rope: None,
            soft_cap: None,
            position: PositionScores::None,
            sinks: false,
        }
    }

    /// H heads that share the model's width evenly.
    pub(crate) fn of_width(d_model: usize, heads: usize) -> Result<Self, Error> {
        match d_model % heads {
            0 => Ok(Self::new(heads, d_model / heads)),
            _ => Err(Error::IndivisibleHeads {
                n_heads: heads,
                d_model,
            }),
        }
    }

    /// H·d: the width of queries, and of heads side by side.
    pub const fn query_width(&self) -> usize {
        self.heads.saturating_mul(self.d_head)
    }

    /// G·d: the width of keys, and of values.
    pub const fn key_width(&self) -> usize {
        self.groups.saturating_mul(self.d_head)
    }
}

/// Which sources a target sees: target i sees i − back ..= i + ahead, as far as
/// there are tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Band {
    /// How far back; without limit if absent.
    pub back: Option<usize>,
    /// How far ahead; without limit if absent.
    pub ahead: Option<usize>,
}

impl Band {
    /// Every source.
    pub const ALL: Self = Self {
        back: None,
        ahead: None,
    };

    /// A target sees itself and what comes before it.
    pub const CAUSAL: Self = Self {
        back: None,
        ahead: Some(0),
    };

    /// A target sees itself and the `window` − 1 tokens before it.
    pub const fn causal_window(window: usize) -> Self {
        Self {
            back: Some(window.saturating_sub(1)),
            ahead: Some(0),
        }
    }

    /// A target sees itself and `side` tokens on each side.
    pub const fn window(side: usize) -> Self {
        Self {
            back: Some(side),
            ahead: Some(side),
        }
    }

    /// The sources of a target among `tokens`; never empty for `target` < `tokens`.
    pub fn sources(self, target: usize, tokens: usize) -> Range<usize> {
        let first = self.back.map_or(0, |back| target.saturating_sub(back));
        let end = self.ahead.map_or(tokens, |ahead| {
            target.saturating_add(ahead).saturating_add(1)
        });
        first.min(tokens)..end.min(tokens)
    }

    /// Whether a target sees every source of a text of `tokens`.
    pub fn sees_all(self, tokens: usize) -> bool {
        let reaches = |side: Option<usize>| side.is_none_or(|side| side + 1 >= tokens);
        reaches(self.back) && reaches(self.ahead)
    }
}

/// What a norm of queries and keys goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// Each head by itself; one γ `[d]` for all query heads, one for all key heads
    /// (Qwen3, Gemma 3).
    Head,
    /// All heads together, before they are split: γ `[H·d]` and `[G·d]` (OLMo2).
    Projection,
}

/// What is added to scores for positions.
#[derive(Clone, Debug, PartialEq)]
pub enum PositionScores {
    /// Nothing.
    None,
    /// slope_h · j, j the source's position (BLOOM, Falcon).
    Alibi {
        /// A slope a head.
        slopes: Vec<f64>,
        /// Whether the term is added before scores are scaled.
        scaled: bool,
        /// Whether slopes and products are rounded to bfloat16, whatever the model's type.
        bfloat16: bool,
    },
    /// A learned number a bucket of distances and head (T5).
    Buckets {
        /// Buckets.
        buckets: usize,
        /// From this distance on there is one bucket.
        farthest: usize,
        /// Whether later sources have buckets of their own: the upper half.
        both_sides: bool,
    },
    /// Products of content with vectors of relative positions (DeBERTa).
    Disentangled(DisentangledSpec),
}

/// DeBERTa's disentangled attention: q_i·Kr\[n\] and k_j·Qr\[n\] are added to
/// q_i·k_j before scaling, with n = clip(δ(i − j) + span, 0, 2·span − 1) and Kr,
/// Qr projections of one table of relative positions `[2·span, D]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DisentangledSpec {
    /// Half of the table's rows.
    pub span: usize,
    /// Buckets of δ; the identity if absent.
    pub buckets: Option<usize>,
    /// `max_relative_positions`, where δ's buckets end.
    pub farthest: usize,
    /// Whether q_i·Kr\[n\] is there.
    pub content_to_position: bool,
    /// Whether k_j·Qr\[n\] is there.
    pub position_to_content: bool,
    /// Whether the table is projected by W_K and W_Q, or by matrices of its own.
    pub shared: bool,
    /// The norm of the table.
    pub norm: Option<NormSpec>,
}

/// The slopes of ALiBi for any number of heads: with p the largest power of two
/// up to `heads`, 2^(−8i/p) for i in 1..=p, then 2^(−4(2i−1)/p).
///
/// # Source
/// Press et al. 2022, and BLOOM for what is not a power of two.
pub fn alibi_slopes(heads: usize) -> Vec<f64> {
    let power = (heads + 1).next_power_of_two() / 2;
    let first = (1..=power).map(|i| -8.0 * i as f64 / power as f64);
    let rest = (1..=heads - power).map(|i| -4.0 * (2 * i - 1) as f64 / power as f64);
    first.chain(rest).map(f64::exp2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_says_what_a_target_sees() {
        assert_eq!(Band::ALL.sources(2, 5), 0..5);
        assert_eq!(Band::CAUSAL.sources(2, 5), 0..3);
        assert_eq!(Band::causal_window(2).sources(0, 5), 0..1);
        assert_eq!(Band::causal_window(2).sources(3, 5), 2..4);
        assert_eq!(Band::window(1).sources(4, 5), 3..5);
        assert_eq!(Band::window(usize::MAX).sources(4, 5), 0..5);
        assert!(Band::window(4).sees_all(5) && !Band::window(3).sees_all(5));
        assert!(!Band::CAUSAL.sees_all(2) && Band::CAUSAL.sees_all(1));
    }

    #[test]
    fn slopes_are_those_of_bloom() {
        let slopes = [0.25, 1.0 / 16.0, 1.0 / 64.0, 1.0 / 256.0, 0.5, 0.125];
        assert_eq!(alibi_slopes(6), slopes);
        assert_eq!(alibi_slopes(1), [1.0 / 256.0]);
        assert_eq!(alibi_slopes(8)[0], 0.5);
        assert_eq!(alibi_slopes(8).len(), 8);
    }
}
