//! What `config.json` says about a model, in one vocabulary for all families.

use crate::wiring::{EmbeddingSpec, FeedForwardSpec, LayerSpec, NormSpec, Wiring};

/// The sizes and choices that fix the arithmetic of one stack of layers.
///
/// The wiring decides. What else is here is read off its first layer, for those
/// who show a model to people.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// `model_type` as the configuration spells it, for instance `xlm-roberta`.
    pub model_type: String,
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub d_model: usize,
    /// The token that fills up shorter inputs; 0 where there is none (GPT-2).
    pub pad_token_id: u32,
    /// The longest text that the model was made for. Only a table of positions
    /// limits a text ([`EmbeddingSpec::limit`]).
    pub max_positions: usize,
    /// Embeddings, layers, final norm and head.
    pub wiring: Wiring,
    /// Width of the word embeddings.
    pub d_embedding: usize,
    /// Rows of the token type table; 0 where the model has none.
    pub token_types: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Query heads a layer.
    pub n_heads: usize,
    /// Width of the feed-forward block; of an expert, where there are any.
    pub d_ff: usize,
    /// The feed-forward block's nonlinearity.
    pub activation: Activation,
    /// Where the first layer's norms stand.
    pub arrangement: Arrangement,
    /// Whether a token sees only itself and what comes before it.
    pub causal: bool,
    /// Whether each layer has a second attention block whose sources are an encoder's outputs.
    pub cross_attention: bool,
}

impl Architecture {
    /// An architecture of this wiring. The longest text is what its positions
    /// allow.
    ///
    /// # Panics
    /// The wiring has no kind of layer.
    pub fn new(
        model_type: impl Into<String>,
        [vocab_size, d_model]: [usize; 2],
        pad_token_id: u32,
        wiring: Wiring,
    ) -> Self {
        let layer = &wiring.layers.kinds[0];
        let behind = |block: &crate::wiring::BlockSpec| block.behind.is_some();
        Self {
            model_type: model_type.into(),
            vocab_size,
            d_model,
            pad_token_id,
            max_positions: wiring.embeddings.limit().unwrap_or(usize::MAX),
            d_embedding: wiring.embeddings.width,
            token_types: wiring.embeddings.token_types,
            n_layers: wiring.layers.number,
            n_heads: layer.attention().heads,
            d_ff: layer.feed_forward().d_ff(),
            activation: match layer.feed_forward() {
                FeedForwardSpec::Plain(plain) => plain.activation,
                FeedForwardSpec::Gated(gated) => gated.activation,
                FeedForwardSpec::Experts { expert, .. } => expert.activation,
            },
            arrangement: match layer.blocks.iter().all(behind) {
                true => Arrangement::PostLn,
                false => Arrangement::PreLn,
            },
            causal: layer.attention().band.ahead.is_some(),
            cross_attention: layer.cross_attention().is_some(),
            wiring,
        }
    }

    /// Width of one attention head.
    pub fn d_head(&self) -> usize {
        self.wiring.layers.kinds[0].attention().d_head
    }

    /// How token ids become the first layer's input.
    pub fn embeddings(&self) -> EmbeddingSpec {
        self.wiring.embeddings.clone()
    }

    /// The norm behind the last layer.
    pub fn final_norm(&self) -> Option<NormSpec> {
        self.wiring.final_norm
    }

    /// Layer `l` as wiring.
    ///
    /// # Panics
    /// There is no such layer.
    pub fn layer(&self, l: usize) -> LayerSpec {
        self.wiring.layers.get(l)
    }
}

/// Where a layer's normalizations stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arrangement {
    /// Behind each residual connection: ATTN, RES, LN, FF, RES, LN (BERT, RoBERTa, Marian, BART).
    PostLn,
    /// Before each sublayer, or otherwise: LN, ATTN, RES, LN, FF, RES (GPT-2, OPT, mBART).
    PreLn,
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
    /// The same with 0.79788456 for √(2/π), as BLOOM's own code has it: 4e-9 of itself away.
    BloomGelu,
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
