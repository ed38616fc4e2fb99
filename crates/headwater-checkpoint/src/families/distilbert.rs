//! DistilBERT: names and configuration fields of its own, no token types.

use super::Kind::{Linear, Lookup, Norm};
use super::Size::{Embedding, FeedForward, Model, PositionRows, Vocab};
use super::{Module, Table};
use crate::config::Config;
use crate::{Architecture, Arrangement, Error, Family, Positions};

pub(super) static TABLE: [Table; 1] = [Table {
    canonical: "",
    prefixes: &["distilbert.", ""],
    embeddings: &[
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
        Module("embeddings.norm", "embeddings.LayerNorm", Norm(Embedding)),
    ],
    layer_prefix: "transformer.layer.",
    layer: &[&[
        Module("attention.query", "attention.q_lin", Linear(Model, Model)),
        Module("attention.key", "attention.k_lin", Linear(Model, Model)),
        Module("attention.value", "attention.v_lin", Linear(Model, Model)),
        Module(
            "attention.output",
            "attention.out_lin",
            Linear(Model, Model),
        ),
        Module("attention_norm", "sa_layer_norm", Norm(Model)),
        Module("feed_forward.up", "ffn.lin1", Linear(FeedForward, Model)),
        Module("feed_forward.down", "ffn.lin2", Linear(Model, FeedForward)),
        Module("feed_forward_norm", "output_layer_norm", Norm(Model)),
    ]],
    end: &[],
    tied: &["vocab_projector.weight"],
}];

pub(super) fn architecture(config: &Config, model_type: String) -> Result<Architecture, Error> {
    let d_model = config.size("dim")?;
    Ok(Architecture {
        family: Family::DistilBert,
        model_type,
        vocab_size: config.size("vocab_size")?,
        d_model,
        d_embedding: d_model,
        n_layers: config.size("n_layers")?,
        n_heads: config.size("n_heads")?,
        d_ff: config.size("hidden_dim")?,
        max_positions: config.size("max_position_embeddings")?,
        position_offset: 0,
        positions: Positions::Learned,
        embedding_scale: 1.0,
        token_types: 0,
        // Fixed in the model's code, not in its configuration.
        arrangement: Arrangement::PostLn,
        causal: false,
        cross_attention: false,
        layer_norm_eps: 1e-12,
        activation: config.activation("activation")?,
        pad_token_id: config.pad_token_id(0)?,
    })
}
