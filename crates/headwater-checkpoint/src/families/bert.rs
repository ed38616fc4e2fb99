//! BERT: the names that RoBERTa and ELECTRA inherit.

use super::Kind::{Linear, Lookup, Norm};
use super::Size::{Embedding, FeedForward, Model, PositionRows, TokenTypes, Vocab};
use super::{Module, Table};
use crate::config::Config;
use crate::{Architecture, Arrangement, Error, Family, Positions};

pub(super) static TABLE: [Table; 1] = [Table {
    canonical: "",
    prefixes: &["bert.", ""],
    embeddings: &EMBEDDINGS,
    layer_prefix: LAYER_PREFIX,
    layer: &[&LAYER],
    end: &[],
    tied: &["cls.predictions.decoder.weight"],
}];

pub(super) static EMBEDDINGS: [Module; 4] = [
    Module(
        "embeddings.word",
        "embeddings.word_embeddings",
        Lookup(Vocab, Embedding),
    ),
    Module(
        "embeddings.position",
        "embeddings.position_embeddings",
        Lookup(PositionRows, Embedding),
    ),
    Module(
        "embeddings.token_type",
        "embeddings.token_type_embeddings",
        Lookup(TokenTypes, Embedding),
    ),
    Module("embeddings.norm", "embeddings.LayerNorm", Norm(Embedding)),
];

pub(super) const LAYER_PREFIX: &str = "encoder.layer.";

pub(super) static LAYER: [Module; 8] = [
    Module(
        "attention.query",
        "attention.self.query",
        Linear(Model, Model),
    ),
    Module("attention.key", "attention.self.key", Linear(Model, Model)),
    Module(
        "attention.value",
        "attention.self.value",
        Linear(Model, Model),
    ),
    Module(
        "attention.output",
        "attention.output.dense",
        Linear(Model, Model),
    ),
    Module("attention_norm", "attention.output.LayerNorm", Norm(Model)),
    Module(
        "feed_forward.up",
        "intermediate.dense",
        Linear(FeedForward, Model),
    ),
    Module(
        "feed_forward.down",
        "output.dense",
        Linear(Model, FeedForward),
    ),
    Module("feed_forward_norm", "output.LayerNorm", Norm(Model)),
];

/// The field names of BERT, which RoBERTa and ELECTRA share.
pub(super) fn architecture(config: &Config, model_type: String) -> Result<Architecture, Error> {
    let d_model = config.size("hidden_size")?;
    Ok(Architecture {
        family: Family::Bert,
        model_type,
        vocab_size: config.size("vocab_size")?,
        d_model,
        d_embedding: d_model,
        n_layers: config.size("num_hidden_layers")?,
        n_heads: config.size("num_attention_heads")?,
        d_ff: config.size("intermediate_size")?,
        max_positions: config.size("max_position_embeddings")?,
        position_offset: 0,
        positions: Positions::Learned,
        embedding_scale: 1.0,
        token_types: config.size_if_given("type_vocab_size")?.unwrap_or(2),
        arrangement: Arrangement::PostLn,
        causal: false,
        cross_attention: false,
        layer_norm_eps: config.epsilon("layer_norm_eps")?,
        activation: config.activation("hidden_act")?,
        pad_token_id: config.pad_token_id(0)?,
    })
}
