//! Marian, BART and mBART: an encoder and a decoder whose layers have a second
//! attention block, with one set of names.

use super::names::Stored::{Head, RowHead, Whole};
use super::names::{Module, Names};
use super::{Family, HEAD, Read};
use crate::config::Config;
use crate::wiring::tensors::In::{Attention, CrossAttention, FeedForward};
use crate::wiring::tensors::Place::{Before, Behind};
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::wiring::{
    AttentionSpec, Band, EmbeddingSpec, FeedForwardSpec, HeadSpec, LayerSpec, Layers, NormSpec,
    PlainSpec, Positions, Sinusoids, Sublayer, Wiring,
};
use crate::{Architecture, Error};

/// The names of a model without a head have no prefix.
const PREFIXES: &[&str] = &["model.", ""];

pub(super) static MARIAN: Family = Family {
    model_types: &["marian"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        refuse_variants(config, false, false)?;
        config.require(
            "static_position_embeddings",
            true,
            "a Marian model with learned positions is not supported",
        )?;
        let mut stacks = stacks(config, model_type, Order::Behind)?;
        let limit = config.size("max_position_embeddings")?;
        for stack in &mut stacks {
            stack.wiring.embeddings.norm = None;
            stack.wiring.embeddings.positions = Positions::Sinusoidal {
                limit,
                first: 0,
                frequencies: Sinusoids::ByWidth,
            };
        }
        // Where the two share a table nothing is made of the decoder's own size.
        let own_size = config.size_if_given("decoder_vocab_size")?;
        if let (Some(size), false) = (own_size, shares_embeddings(config)?) {
            stacks[1].vocab_size = size;
        }
        Ok(Read::EncoderDecoder(Box::new(stacks)))
    },
    names: NAMES,
    tied: &[HEAD],
    files: &[
        "tokenizer.json",
        "source.spm",
        "target.spm",
        "vocab.json",
        "target_vocab.json",
        "tokenizer_config.json",
        "generation_config.json",
    ],
    begins_with_last: false,
};

pub(super) static BART: Family = Family {
    model_types: &["bart"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        refuse_variants(config, false, true)?;
        refuse_sinusoids(config)?;
        let stacks = stacks(config, model_type, Order::Behind)?;
        Ok(Read::EncoderDecoder(Box::new(stacks)))
    },
    names: NAMES,
    tied: &[HEAD],
    files: FILES,
    begins_with_last: false,
};

pub(super) static MBART: Family = Family {
    model_types: &["mbart"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        refuse_variants(config, true, true)?;
        refuse_sinusoids(config)?;
        let stacks = stacks(config, model_type, Order::Before)?;
        Ok(Read::EncoderDecoder(Box::new(stacks)))
    },
    names: NAMES,
    tied: &[HEAD],
    files: FILES,
    begins_with_last: true,
};

const FILES: &[&str] = &[
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
];

const NAMES: &[Names] = &[
    Names {
        canonical: "encoder.",
        layers: "encoder.layers.",
        modules: &[ENCODER, SELF_ATTENTION, FEED_FORWARD],
        place: None,
    },
    Names {
        canonical: "decoder.",
        layers: "decoder.layers.",
        modules: &[DECODER, SELF_ATTENTION, CROSS_ATTENTION, FEED_FORWARD],
        place: None,
    },
];

const ENCODER: &[Module] = &[
    Module(Slot::Word, "shared", Whole),
    Module(Slot::Word, "encoder.embed_tokens", Whole),
    Module(Slot::Position, "encoder.embed_positions", Whole),
    Module(Slot::EmbeddingNorm, "encoder.layernorm_embedding", Whole),
    Module(Slot::FinalNorm, "encoder.layer_norm", Whole),
];

const DECODER: &[Module] = &[
    Module(Slot::Word, "shared", Whole),
    Module(Slot::Word, "decoder.embed_tokens", Whole),
    Module(Slot::Position, "decoder.embed_positions", Whole),
    Module(Slot::EmbeddingNorm, "decoder.layernorm_embedding", Whole),
    Module(Slot::FinalNorm, "decoder.layer_norm", Whole),
    Module(Slot::Head, "lm_head", Head),
    Module(Slot::HeadBias, "final_logits_bias", RowHead),
];

/// The self-attention block, with its norm on either side; OPT has the same names.
pub(super) const SELF_ATTENTION: &[Module] = &[
    Module(Query(Attention), "self_attn.q_proj", Whole),
    Module(Key(Attention), "self_attn.k_proj", Whole),
    Module(Value(Attention), "self_attn.v_proj", Whole),
    Module(Output(Attention), "self_attn.out_proj", Whole),
    Module(Norm(Attention, Before), "self_attn_layer_norm", Whole),
    Module(Norm(Attention, Behind), "self_attn_layer_norm", Whole),
];

const CROSS_ATTENTION: &[Module] = &[
    Module(Query(CrossAttention), "encoder_attn.q_proj", Whole),
    Module(Key(CrossAttention), "encoder_attn.k_proj", Whole),
    Module(Value(CrossAttention), "encoder_attn.v_proj", Whole),
    Module(Output(CrossAttention), "encoder_attn.out_proj", Whole),
    Module(
        Norm(CrossAttention, Before),
        "encoder_attn_layer_norm",
        Whole,
    ),
    Module(
        Norm(CrossAttention, Behind),
        "encoder_attn_layer_norm",
        Whole,
    ),
];

/// The feed-forward block; OPT has the same names.
pub(super) const FEED_FORWARD: &[Module] = &[
    Module(Slot::Up, "fc1", Whole),
    Module(Slot::Down, "fc2", Whole),
    Module(Norm(FeedForward, Before), "final_layer_norm", Whole),
    Module(Norm(FeedForward, Behind), "final_layer_norm", Whole),
];

/// On which side of a sublayer its norm stands.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Before,
    Behind,
}

/// Whether encoder and decoder have one vocabulary, so that they may share their
/// word embeddings; only Marian models may have two.
pub(super) fn shares_embeddings(config: &Config) -> Result<bool, Error> {
    config.switch("share_encoder_decoder_embeddings", true)
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

/// Encoder and decoder with learned positions and normalized embeddings.
fn stacks(config: &Config, model_type: &str, order: Order) -> Result<[Architecture; 2], Error> {
    let d_model = config.size("d_model")?;
    let scaled = config.switch("scale_embedding", false)?;
    let activation = config.activation("activation_function")?;
    let tied = config.switch("tie_word_embeddings", true)?;
    let rows = config.size("max_position_embeddings")?;
    // Fixed in the models' code, not in their configuration.
    let norm = NormSpec::layer(1e-5);
    let layer = |sublayers: Vec<Sublayer>| match order {
        Order::Before => LayerSpec::pre_norm(norm, sublayers),
        Order::Behind => LayerSpec::post_norm(norm, sublayers),
    };
    let feed_forward =
        |d_ff| Sublayer::FeedForward(FeedForwardSpec::Plain(PlainSpec::new(d_ff, activation)));

    let attention = AttentionSpec::of_width(d_model, config.size("encoder_attention_heads")?)?;
    let sublayers = vec![
        Sublayer::Attention(attention),
        feed_forward(config.size("encoder_ffn_dim")?),
    ];
    let encoder = Wiring {
        embeddings: EmbeddingSpec {
            scale: if scaled { (d_model as f64).sqrt() } else { 1.0 },
            norm: Some(norm),
            // The first row is the third, whatever the padding token is.
            ..EmbeddingSpec::learned(d_model, rows, 2)
        },
        layers: Layers::alike(config.size("encoder_layers")?, layer(sublayers)),
        final_norm: (order == Order::Before).then_some(norm),
        head: None,
    };
    let attention = AttentionSpec::of_width(d_model, config.size("decoder_attention_heads")?)?;
    let sublayers = vec![
        Sublayer::Attention(AttentionSpec {
            band: Band::CAUSAL,
            ..attention.clone()
        }),
        Sublayer::CrossAttention(attention),
        feed_forward(config.size("decoder_ffn_dim")?),
    ];
    let decoder = Wiring {
        layers: Layers::alike(config.size("decoder_layers")?, layer(sublayers)),
        head: Some(HeadSpec {
            bias: true,
            ..HeadSpec::product(tied)
        }),
        ..encoder.clone()
    };
    let sizes = [config.size("vocab_size")?, d_model];
    let pad_token_id = config.pad_token_id(1)?;
    Ok([encoder, decoder].map(|wiring| Architecture::new(model_type, sizes, pad_token_id, wiring)))
}
