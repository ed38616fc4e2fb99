/// Rotary positions: pairs of channels of queries and keys are turned by
/// position · f_k.
///
/// f_k = θ^(−2k/r) for k in 0..r/2, changed as [`RopeKind`] says. The channels
/// of a head behind the first r pass through.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeSpec {
    /// θ, the base.
    pub theta: f64,
    /// r, the channels of a head that are turned; even, at most the head's width.
    pub width: usize,
    /// Which channels are pairs.
    pub pairs: Pairs,
    /// How frequencies are changed for longer texts.
    pub kind: RopeKind,
}

/// Which channels of a head are turned together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pairs {
    /// k with k + r/2 (Llama, GPT-NeoX and most others).
    Halves,
    /// 2k with 2k + 1 (GPT-J, Cohere).
    Neighbours,
}

/// How a model changes its frequencies f_k.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeKind {
    /// f_k.
    Default,
    /// f_k / factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// For texts of n tokens, n over `max_positions`, the base is
    /// θ·(factor·n/max_positions − (factor − 1))^(r/(r−2)).
    Dynamic {
        /// The factor.
        factor: f64,
        /// The longest text that nothing changes for.
        max_positions: usize,
    },
    /// By wavelength w = 2π/f: f where w < original/high, f/factor where
    /// w > original/low, and in between (1 − s)·f/factor + s·f with
    /// s = (original/w − low)/(high − low).
    Llama3 {
        /// The factor.
        factor: f64,
        /// `low_freq_factor`.
        low: f64,
        /// `high_freq_factor`.
        high: f64,
        /// `original_max_position_embeddings`.
        original: f64,
    },
    /// f/factor·ramp + f·(1 − ramp): the ramp goes over k from 0 at dim(fast) to
    /// 1 at dim(slow), dim(n) = r·ln(original/(2πn))/(2 ln θ), held within
    /// 0..=r−1.
    Yarn {
        /// The factor.
        factor: f64,
        /// `original_max_position_embeddings`.
        original: f64,
        /// `beta_fast`, turns within the original length.
        fast: f64,
        /// `beta_slow`.
        slow: f64,
        /// Whether the ramp's ends are rounded, outwards, to whole k.
        truncate: bool,
        /// What cos and sin are multiplied by.
        attention_factor: f64,
    },
    /// f_k / short_k for texts of at most `original` tokens, f_k / long_k for
    /// every position of longer ones.
    LongRope {
        /// r/2 factors of short texts.
        short: Vec<f64>,
        /// r/2 factors of long texts.
        long: Vec<f64>,
        /// `original_max_position_embeddings`.
        original: usize,
        /// What cos and sin are multiplied by.
        attention_factor: f64,
    },
}

impl RopeSpec {
    /// Frequencies as they are, channels turned in halves.
    pub const fn new(theta: f64, width: usize) -> Self {
        Self {
            theta,
            width,
            pairs: Pairs::Halves,
            kind: RopeKind::Default,
        }
    }

    /// Whether the angles of a position depend on how long the text is.
    pub const fn depends_on_length(&self) -> bool {
        match self.kind {
            RopeKind::Dynamic { .. } | RopeKind::LongRope { .. } => true,
            RopeKind::Default
            | RopeKind::Linear { .. }
            | RopeKind::Llama3 { .. }
            | RopeKind::Yarn { .. } => false,
        }
    }
}
