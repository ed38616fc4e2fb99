//! What `config.json` says about a model, in one vocabulary for all families.

use crate::wiring::{
    self, AttentionSpec, Band, Counting, EmbeddingSpec, FeedForwardSpec, LayerSpec, NormSpec,
    PlainSpec, Sinusoids, Sublayer,
};

/// The sizes and choices that fix a model's arithmetic.
///
/// All sizes are at least 1 except `position_offset` and `token_types`;
/// `n_heads` divides `d_model`.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Which table of checkpoint names the model follows.
    pub family: Family,
    /// `model_type` as the configuration spells it, for instance `xlm-roberta`.
    pub model_type: String,
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub d_model: usize,
    /// Width of the embeddings; another than `d_model` only in ELECTRA, which then projects.
    pub d_embedding: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Attention heads a layer.
    pub n_heads: usize,
    /// Width of the feed-forward block.
    pub d_ff: usize,
    /// The longest input: rows of the position table less `position_offset`.
    pub max_positions: usize,
    /// Row of the position table that the first token takes: 0, `pad_token_id + 1` in RoBERTa, 2 in OPT.
    pub position_offset: usize,
    /// Where position vectors come from.
    pub positions: Positions,
    /// What word embeddings are multiplied by before positions are added: √d_model in most
    /// translation models, else 1.
    pub embedding_scale: f64,
    /// Rows of the token type table; 0 where the model has none (DistilBERT, GPT-2, OPT).
    pub token_types: usize,
    /// The order of a layer's components.
    pub arrangement: Arrangement,
    /// Whether a token sees only itself and what comes before it.
    pub causal: bool,
    /// Whether each layer has a second attention block whose sources are an encoder's outputs.
    pub cross_attention: bool,
    /// The ε added to the variance in every layer normalization.
    pub layer_norm_eps: f64,
    /// The feed-forward block's nonlinearity.
    pub activation: Activation,
    /// The token that fills up shorter inputs; 0 in GPT-2, which has none.
    pub pad_token_id: u32,
}

impl Architecture {
    /// Width of one attention head, `d_model / n_heads`.
    pub fn d_head(&self) -> usize {
        self.d_model / self.n_heads
    }

    /// How token ids become the first layer's input.
    pub fn embeddings(&self) -> EmbeddingSpec {
        let normed = match self.family {
            Family::Bert
            | Family::Roberta
            | Family::DistilBert
            | Family::Electra
            | Family::Bart
            | Family::Mbart => true,
            Family::Gpt2 | Family::Opt | Family::Marian => false,
        };
        let positions = match self.positions {
            Positions::Sinusoidal => wiring::Positions::Sinusoidal {
                limit: self.max_positions,
                first: self.position_offset,
                frequencies: Sinusoids::ByWidth,
            },
            Positions::Learned => wiring::Positions::Learned {
                rows: self.max_positions.saturating_add(self.position_offset),
                first: self.position_offset,
                counting: match self.family {
                    Family::Roberta => Counting::Unpadded,
                    _ => Counting::All,
                },
            },
        };
        EmbeddingSpec {
            width: self.d_embedding,
            scale: self.embedding_scale,
            positions,
            token_types: self.token_types,
            norm: normed.then_some(NormSpec::layer(self.layer_norm_eps)),
        }
    }

    /// The norm behind the last layer.
    pub fn final_norm(&self) -> Option<NormSpec> {
        match self.arrangement {
            Arrangement::PostLn => None,
            Arrangement::PreLn => Some(NormSpec::layer(self.layer_norm_eps)),
        }
    }

    /// Layer `l` as wiring.
    pub fn layer(&self, _l: usize) -> LayerSpec {
        let norm = NormSpec::layer(self.layer_norm_eps);
        let attention = AttentionSpec::new(self.n_heads, self.d_head());
        let band = match self.causal {
            true => Band::CAUSAL,
            false => Band::ALL,
        };
        let cross = self
            .cross_attention
            .then(|| Sublayer::CrossAttention(attention.clone()));
        let plain = PlainSpec::new(self.d_ff, self.activation);
        let sublayers = [Some(Sublayer::Attention(AttentionSpec {
            band,
            ..attention
        }))]
        .into_iter()
        .chain([
            cross,
            Some(Sublayer::FeedForward(FeedForwardSpec::Plain(plain))),
        ])
        .flatten();
        match self.arrangement {
            Arrangement::PostLn => LayerSpec::post_norm(norm, sublayers),
            Arrangement::PreLn => LayerSpec::pre_norm(norm, sublayers),
        }
    }
}

/// Where the vectors come from that tell positions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Positions {
    /// A table among the parameters.
    Learned,
    /// sin(t / 10000^(2k/d)) for the first half of the width, cos for the
    /// second; k counts within the half. No parameter (Marian).
    Sinusoidal,
}

/// Where a layer's normalizations stand.
///
/// Exhaustive on purpose: a new arrangement must not compile before every
/// crate has said what it does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arrangement {
    /// Behind each residual connection: ATTN, RES, LN, FF, RES, LN (BERT, RoBERTa, Marian, BART).
    PostLn,
    /// Before each sublayer: LN, ATTN, RES, LN, FF, RES (GPT-2, OPT, mBART).
    PreLn,
}

/// A group of models whose checkpoints name their tensors alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// `bert`.
    Bert,
    /// `roberta`, `xlm-roberta`, `camembert`: positions start behind the padding token's.
    Roberta,
    /// `distilbert`: no token types, names of its own.
    DistilBert,
    /// `electra`: embeddings may be narrower than the hidden states.
    Electra,
    /// `gpt2`: matrices stored transposed, query, key and value in one.
    Gpt2,
    /// `opt`: positions start at row 2.
    Opt,
    /// `marian`: Opus-MT translation models, sinusoidal positions.
    Marian,
    /// `bart`: learned positions from row 2, embeddings normalized.
    Bart,
    /// `mbart`: BART with the normalizations before the sublayers.
    Mbart,
}

/// An elementwise nonlinearity g.
///
/// Exhaustive on purpose: a new one must not compile before it has a value and
/// a slope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// x Φ(x), with Φ the normal distribution function (`gelu`).
    Gelu,
    /// 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))) (`gelu_new`, `gelu_pytorch_tanh`, `gelu_fast`).
    GeluTanh,
    /// x σ(1.702 x) (`quick_gelu`).
    QuickGelu,
    /// max(x, 0) (`relu`).
    Relu,
    /// x σ(x) (`silu`, `swish`).
    Silu,
    /// tanh x (`tanh`).
    Tanh,
}

impl Activation {
    /// Every name that a configuration may use.
    const NAMES: [(&str, Self); 10] = [
        ("gelu", Self::Gelu),
        ("gelu_python", Self::Gelu),
        ("gelu_new", Self::GeluTanh),
        ("gelu_pytorch_tanh", Self::GeluTanh),
        ("gelu_fast", Self::GeluTanh),
        ("quick_gelu", Self::QuickGelu),
        ("relu", Self::Relu),
        ("silu", Self::Silu),
        ("swish", Self::Silu),
        ("tanh", Self::Tanh),
    ];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|&(_, activation)| activation)
    }

    /// The names, for an error message.
    pub(crate) fn names() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }
}
