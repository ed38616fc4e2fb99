//! Marian, BART and mBART: an encoder and a decoder whose layers have a second
//! attention block, with one set of names.

use super::Kind::{Computed, Head, Linear, LogitsBias, Lookup, Norm, Shared};
use super::Size::{Embedding, FeedForward, Model, PositionRows, Vocab};
use super::{HEAD, Module, Table};
use crate::config::Config;
use crate::{Architecture, Arrangement, Error, Family, Positions};

/// The names of a model without a head have no prefix.
const PREFIXES: &[&str] = &["model.", ""];

const ENCODER_WORDS: Module = Module(
    "embeddings.word",
    "shared",
    Shared("encoder.embed_tokens", Vocab, Embedding),
);
const ENCODER_POSITIONS: Module = Module(
    "embeddings.position",
    "encoder.embed_positions",
    Lookup(PositionRows, Embedding),
);
const ENCODER_SINUSOIDS: Module = Module(
    "embeddings.position",
    "encoder.embed_positions",
    Computed(PositionRows, Embedding),
);
const ENCODER_EMBEDDING_NORM: Module = Module(
    "embeddings.norm",
    "encoder.layernorm_embedding",
    Norm(Embedding),
);
const DECODER_WORDS: Module = Module(
    "embeddings.word",
    "shared",
    Shared("decoder.embed_tokens", Vocab, Embedding),
);
const DECODER_POSITIONS: Module = Module(
    "embeddings.position",
    "decoder.embed_positions",
    Lookup(PositionRows, Embedding),
);
const DECODER_SINUSOIDS: Module = Module(
    "embeddings.position",
    "decoder.embed_positions",
    Computed(PositionRows, Embedding),
);
const DECODER_EMBEDDING_NORM: Module = Module(
    "embeddings.norm",
    "decoder.layernorm_embedding",
    Norm(Embedding),
);
const ENCODER_NORM: Module = Module("final_norm", "encoder.layer_norm", Norm(Model));
const DECODER_NORM: Module = Module("final_norm", "decoder.layer_norm", Norm(Model));
const LM_HEAD: Module = Module("lm_head", "lm_head", Head(Vocab, Model));
const LOGITS_BIAS: Module = Module("lm_head.bias", "final_logits_bias", LogitsBias(Vocab));

/// The self-attention block; OPT has the same names.
pub(super) const SELF_ATTENTION: &[Module] = &[
    Module("attention.query", "self_attn.q_proj", Linear(Model, Model)),
    Module("attention.key", "self_attn.k_proj", Linear(Model, Model)),
    Module("attention.value", "self_attn.v_proj", Linear(Model, Model)),
    Module(
        "attention.output",
        "self_attn.out_proj",
        Linear(Model, Model),
    ),
    Module("attention_norm", "self_attn_layer_norm", Norm(Model)),
];

const CROSS_ATTENTION: &[Module] = &[
    Module(
        "cross_attention.query",
        "encoder_attn.q_proj",
        Linear(Model, Model),
    ),
    Module(
        "cross_attention.key",
        "encoder_attn.k_proj",
        Linear(Model, Model),
    ),
    Module(
        "cross_attention.value",
        "encoder_attn.v_proj",
        Linear(Model, Model),
    ),
    Module(
        "cross_attention.output",
        "encoder_attn.out_proj",
        Linear(Model, Model),
    ),
    Module(
        "cross_attention_norm",
        "encoder_attn_layer_norm",
        Norm(Model),
    ),
];

/// The feed-forward block; OPT has the same names.
pub(super) const FEED_FORWARD: &[Module] = &[
    Module("feed_forward.up", "fc1", Linear(FeedForward, Model)),
    Module("feed_forward.down", "fc2", Linear(Model, FeedForward)),
    Module("feed_forward_norm", "final_layer_norm", Norm(Model)),
];

const fn encoder(embeddings: &'static [Module], end: &'static [Module]) -> Table {
    Table {
        canonical: "encoder.",
        prefixes: PREFIXES,
        embeddings,
        layer_prefix: "encoder.layers.",
        layer: &[SELF_ATTENTION, FEED_FORWARD],
        end,
        tied: &[],
    }
}

const fn decoder(embeddings: &'static [Module], end: &'static [Module]) -> Table {
    Table {
        canonical: "decoder.",
        prefixes: PREFIXES,
        embeddings,
        layer_prefix: "decoder.layers.",
        layer: &[SELF_ATTENTION, CROSS_ATTENTION, FEED_FORWARD],
        end,
        tied: &[HEAD],
    }
}

pub(super) static MARIAN: [Table; 2] = [
    encoder(&[ENCODER_WORDS, ENCODER_SINUSOIDS], &[]),
    decoder(&[DECODER_WORDS, DECODER_SINUSOIDS], &[LM_HEAD, LOGITS_BIAS]),
];

pub(super) static BART: [Table; 2] = [
    encoder(
        &[ENCODER_WORDS, ENCODER_POSITIONS, ENCODER_EMBEDDING_NORM],
        &[],
    ),
    decoder(
        &[DECODER_WORDS, DECODER_POSITIONS, DECODER_EMBEDDING_NORM],
        &[LM_HEAD, LOGITS_BIAS],
    ),
];

pub(super) static MBART: [Table; 2] = [
    encoder(
        &[ENCODER_WORDS, ENCODER_POSITIONS, ENCODER_EMBEDDING_NORM],
        &[ENCODER_NORM],
    ),
    decoder(
        &[DECODER_WORDS, DECODER_POSITIONS, DECODER_EMBEDDING_NORM],
        &[DECODER_NORM, LM_HEAD, LOGITS_BIAS],
    ),
];

pub(super) fn marian(config: &Config, model_type: String) -> Result<[Architecture; 2], Error> {
    refuse_variants(config, false, false)?;
    config.require(
        "static_position_embeddings",
        true,
        "a Marian model with learned positions is not supported",
    )?;
    let [encoder, decoder] = stacks(config, model_type, Family::Marian, Arrangement::PostLn)?;
    let shares = shares_embeddings(config)?;
    let sinusoidal = |stack| Architecture {
        position_offset: 0,
        positions: Positions::Sinusoidal,
        ..stack
    };
    // Where the two share a table nothing is made of the size.
    let own_size = config.size_if_given("decoder_vocab_size")?;
    let vocab_size = own_size.filter(|_| !shares);
    Ok([
        sinusoidal(encoder),
        Architecture {
            vocab_size: vocab_size.unwrap_or(decoder.vocab_size),
            ..sinusoidal(decoder)
        },
    ])
}

/// Whether encoder and decoder have one vocabulary, so that they may share their
/// word embeddings; only Marian models may have two.
pub(super) fn shares_embeddings(config: &Config) -> Result<bool, Error> {
    config.switch("share_encoder_decoder_embeddings", true)
}

pub(super) fn bart(config: &Config, model_type: String) -> Result<[Architecture; 2], Error> {
    refuse_variants(config, false, true)?;
    refuse_sinusoids(config)?;
    stacks(config, model_type, Family::Bart, Arrangement::PostLn)
}

pub(super) fn mbart(config: &Config, model_type: String) -> Result<[Architecture; 2], Error> {
    refuse_variants(config, true, true)?;
    refuse_sinusoids(config)?;
    stacks(config, model_type, Family::Mbart, Arrangement::PreLn)
}

/// Switches of old configurations: each model type has one setting of them.
fn refuse_variants(config: &Config, before: bool, embeddings: bool) -> Result<(), Error> {
    const REASON: &str = "models of this type are supported with the opposite only";
    config.require("add_bias_logits", false, REASON)?;
    config.require("normalize_before", before, REASON)?;
    config.require("add_final_layer_norm", before, REASON)?;
    config.require("normalize_embedding", embeddings, REASON)
}

/// Positions that are computed stand in no file of these types.
fn refuse_sinusoids(config: &Config) -> Result<(), Error> {
    config.require(
        "static_position_embeddings",
        false,
        "models of this type are supported with learned positions only",
    )
}

fn stacks(
    config: &Config,
    model_type: String,
    family: Family,
    arrangement: Arrangement,
) -> Result<[Architecture; 2], Error> {
    let d_model = config.size("d_model")?;
    let scaled = config.switch("scale_embedding", false)?;
    let encoder = Architecture {
        family,
        model_type,
        vocab_size: config.size("vocab_size")?,
        d_model,
        d_embedding: d_model,
        n_layers: config.size("encoder_layers")?,
        n_heads: config.size("encoder_attention_heads")?,
        d_ff: config.size("encoder_ffn_dim")?,
        max_positions: config.size("max_position_embeddings")?,
        // Whatever the padding token is.
        position_offset: 2,
        positions: Positions::Learned,
        embedding_scale: if scaled { (d_model as f64).sqrt() } else { 1.0 },
        token_types: 0,
        arrangement,
        causal: false,
        cross_attention: false,
        // Fixed in the models' code, not in their configuration.
        layer_norm_eps: 1e-5,
        activation: config.activation("activation_function")?,
        pad_token_id: config.pad_token_id(1)?,
    };
    let decoder = Architecture {
        n_layers: config.size("decoder_layers")?,
        n_heads: config.size("decoder_attention_heads")?,
        d_ff: config.size("decoder_ffn_dim")?,
        causal: true,
        cross_attention: true,
        ..encoder.clone()
    };
    Ok([encoder, decoder])
}
