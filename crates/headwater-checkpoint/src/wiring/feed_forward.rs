use crate::Activation;

/// A position-wise feed-forward sublayer.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedForwardSpec {
    /// act(x W_1 + b_1) W_2 + b_2.
    Plain(PlainSpec),
    /// (act(x W_g + b_g) ⊙ (x W_u + b_u)) W_d + b_d.
    Gated(GatedSpec),
    /// Σ_e w_e(x) · expert_e(x) over the experts that the router chose.
    Experts {
        /// Experts.
        experts: usize,
        /// How many of them a token is sent to.
        used: usize,
        /// How they are chosen and weighted.
        router: RouterSpec,
        /// Every expert.
        expert: GatedSpec,
    },
}

/// act(x W_1 + b_1) W_2 + b_2: W_1 `[F, D]`, W_2 `[D, F]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlainSpec {
    /// F.
    pub d_ff: usize,
    /// act.
    pub activation: Activation,
    /// Whether b_1 and b_2 are there.
    pub biases: [bool; 2],
}

/// (act(u) ⊙ v) W_d + b_d with u = x W_g + b_g and v = x W_u + b_u: W_g and W_u
/// `[F, D]`, W_d `[D, F]`.
///
/// With a limit ℓ and a shift c it is act(min(u, ℓ)) ⊙ (clamp(v, ±ℓ) + c).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GatedSpec {
    /// F.
    pub d_ff: usize,
    /// act.
    pub activation: Activation,
    /// Whether b_g, b_u and b_d are there.
    pub biases: [bool; 3],
    /// ℓ (gpt-oss).
    pub limit: Option<f64>,
    /// c: 1 in gpt-oss, else 0.
    pub shift: f64,
}

/// How tokens are sent to experts: logits x W_r + b_r, W_r `[experts, D]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterSpec {
    /// How logits become the weights of the experts that are used.
    pub weights: RouterWeights,
    /// Whether b_r is there.
    pub bias: bool,
}

/// How the logits of a router become weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouterWeights {
    /// Softmax over all experts, then the largest (Qwen3-MoE without `norm_topk_prob`).
    SoftmaxThenTop,
    /// Softmax over all experts, then the largest, divided by their sum (Mixtral).
    /// It is the softmax of the largest logits.
    SoftmaxThenTopToOne,
    /// The largest logits, then softmax over those (gpt-oss).
    TopThenSoftmax,
}

impl PlainSpec {
    /// With both biases.
    pub const fn new(d_ff: usize, activation: Activation) -> Self {
        Self {
            d_ff,
            activation,
            biases: [true; 2],
        }
    }
}

impl GatedSpec {
    /// Without biases, limit and shift.
    pub const fn new(d_ff: usize, activation: Activation) -> Self {
        Self {
            d_ff,
            activation,
            biases: [false; 3],
            limit: None,
            shift: 0.0,
        }
    }
}

impl FeedForwardSpec {
    /// F: the width between the products; of an expert, where there are any.
    pub const fn d_ff(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.d_ff,
            Self::Gated(gated) => gated.d_ff,
            Self::Experts { expert, .. } => expert.d_ff,
        }
    }
}
