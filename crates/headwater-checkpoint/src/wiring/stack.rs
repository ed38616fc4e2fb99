use super::{Layers, NormSpec};
use crate::Activation;

/// A stack of layers with what is before and behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Wiring {
    /// How token ids become the first layer's input.
    pub embeddings: EmbeddingSpec,
    /// The layers.
    pub layers: Layers,
    /// The norm behind the last layer.
    pub final_norm: Option<NormSpec>,
    /// How the last hidden states become logits, where that is known.
    pub head: Option<HeadSpec>,
}

/// How token ids become the first layer's input.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingSpec {
    /// Width of the word embeddings; where it is not the model's, a projection follows.
    pub width: usize,
    /// What word embeddings are multiplied by before anything is added: √D in
    /// most translation models and in Gemma, else 1.
    pub scale: f64,
    /// Where vectors of positions come from.
    pub positions: Positions,
    /// Rows of the token type table; 0 where the model has none.
    pub token_types: usize,
    /// The norm of the sum.
    pub norm: Option<NormSpec>,
    /// What is projected to the model's width, where `width` is another.
    pub projection: Projection,
}

/// What of narrow embeddings is projected to the model's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Projection {
    /// The sum, behind its norm, with a bias (ELECTRA, ALBERT).
    OfSum,
    /// Word embeddings, without a bias, before positions of the model's width are added
    /// (OPT-350M).
    OfWords,
}

/// Where the vectors come from that are added for positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Positions {
    /// Nowhere: positions change attention alone.
    None,
    /// A table among the parameters.
    Learned {
        /// Rows of the table.
        rows: usize,
        /// The row of the first token.
        first: usize,
        /// Which tokens are counted.
        counting: Counting,
    },
    /// Sines in the first half of a row, cosines in the second.
    Sinusoidal {
        /// The longest text: rows of the table less `first`.
        limit: usize,
        /// The row of the first token.
        first: usize,
        /// The frequencies.
        frequencies: Sinusoids,
    },
}

/// Which tokens a position is counted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counting {
    /// Every token.
    All,
    /// Tokens that are not padding; padding within a text has the padding token's row
    /// (RoBERTa).
    Unpadded,
}

/// The frequencies of sinusoidal positions, by column k of a half of the width D.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sinusoids {
    /// 10000^(−2k/D) (Marian).
    ByWidth,
    /// 10000^(−k/(D/2 − 1)) (M2M100, Pegasus takes the other).
    ByHalf,
}

impl EmbeddingSpec {
    /// Word embeddings as they are, and nothing else.
    pub const fn words(width: usize) -> Self {
        Self {
            width,
            scale: 1.0,
            positions: Positions::None,
            token_types: 0,
            norm: None,
            projection: Projection::OfSum,
        }
    }

    /// Words and a table of positions for texts of `longest` tokens, behind `first` rows that no
    /// token takes.
    pub const fn learned(width: usize, longest: usize, first: usize) -> Self {
        Self {
            positions: Positions::Learned {
                // More than any file holds, where it saturates.
                rows: longest.saturating_add(first),
                first,
                counting: Counting::All,
            },
            ..Self::words(width)
        }
    }

    /// Width of the position table, where the model has this one.
    pub const fn position_width(&self, d_model: usize) -> usize {
        match self.projection {
            Projection::OfSum => self.width,
            Projection::OfWords => d_model,
        }
    }

    /// Whether the projection has a bias.
    pub const fn projection_has_bias(&self) -> bool {
        matches!(self.projection, Projection::OfSum)
    }

    /// The longest text, where a table limits it.
    pub fn limit(&self) -> Option<usize> {
        match self.positions {
            Positions::None => None,
            Positions::Learned { rows, first, .. } => Some(rows.saturating_sub(first)),
            Positions::Sinusoidal { limit, .. } => Some(limit),
        }
    }
}

/// How the last hidden states, behind the final norm, become a logit a word.
///
/// transform, product with the matrix, · factor, + bias, soft cap.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadSpec {
    /// Whether the matrix is the word embeddings, or one of its own; `[vocab, in]`.
    pub tied: bool,
    /// What comes before the product, in masked language models.
    pub transform: Option<HeadTransform>,
    /// Whether a bias `[vocab]` is added.
    pub bias: bool,
    /// What logits are multiplied by before the bias: Cohere's `logit_scale`, T5's D^−½.
    pub factor: f64,
    /// c of c·tanh(logit/c) (Gemma 2).
    pub soft_cap: Option<f64>,
}

/// act(x W + b), then a norm: what masked language models have before the product
/// with the word embeddings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadTransform {
    /// Width of the result: that of the word embeddings.
    pub width: usize,
    /// Whether b is there.
    pub bias: bool,
    /// act.
    pub activation: Activation,
    /// The norm.
    pub norm: NormSpec,
}

impl HeadSpec {
    /// A product with the word embeddings, or with a matrix of its own, and nothing else.
    pub const fn product(tied: bool) -> Self {
        Self {
            tied,
            transform: None,
            bias: false,
            factor: 1.0,
            soft_cap: None,
        }
    }
}
