//! GPT-2: matrices stored transposed, with query, key and value side by side in one.

use super::Kind::{Fused, Lookup, Norm, Transposed};
use super::Size::{Embedding, FeedForward, Model, PositionRows, Vocab};
use super::{Module, Table};
use crate::config::Config;
use crate::{Architecture, Arrangement, Error, Family, Positions};

pub(super) static TABLE: [Table; 1] = [Table {
    canonical: "",
    prefixes: &["transformer.", ""],
    embeddings: &[
        Module("embeddings.word", "wte", Lookup(Vocab, Embedding)),
        Module(
            "embeddings.position",
            "wpe",
            Lookup(PositionRows, Embedding),
        ),
    ],
    layer_prefix: "h.",
    layer: &[&[
        Module("attention_norm", "ln_1", Norm(Model)),
        Module("attention.query", "attn.c_attn", Fused(0, 3, Model, Model)),
        Module("attention.key", "attn.c_attn", Fused(1, 3, Model, Model)),
        Module("attention.value", "attn.c_attn", Fused(2, 3, Model, Model)),
        Module("attention.output", "attn.c_proj", Transposed(Model, Model)),
        Module("feed_forward_norm", "ln_2", Norm(Model)),
        Module(
            "feed_forward.up",
            "mlp.c_fc",
            Transposed(FeedForward, Model),
        ),
        Module(
            "feed_forward.down",
            "mlp.c_proj",
            Transposed(Model, FeedForward),
        ),
    ]],
    end: &[Module("final_norm", "ln_f", Norm(Model))],
    tied: &["lm_head.weight"],
}];

pub(super) fn architecture(config: &Config, model_type: String) -> Result<Architecture, Error> {
    config.require(
        "scale_attn_weights",
        true,
        "attention scores that are not divided by the root of a head's width are not supported",
    )?;
    config.require(
        "scale_attn_by_inverse_layer_idx",
        false,
        "attention scores that are divided by the layer's number are not supported",
    )?;
    let d_model = config.size("n_embd")?;
    let d_ff = config.size_if_given("n_inner")?;
    Ok(Architecture {
        family: Family::Gpt2,
        model_type,
        vocab_size: config.size("vocab_size")?,
        d_model,
        d_embedding: d_model,
        n_layers: config.size("n_layer")?,
        n_heads: config.size("n_head")?,
        d_ff: d_ff.unwrap_or(d_model.saturating_mul(4)),
        max_positions: config.size("n_positions")?,
        position_offset: 0,
        positions: Positions::Learned,
        embedding_scale: 1.0,
        token_types: 0,
        arrangement: Arrangement::PreLn,
        causal: true,
        cross_attention: false,
        layer_norm_eps: config.epsilon("layer_norm_epsilon")?,
        activation: config.activation("activation_function")?,
        // There is no padding token, and one that a configuration adds need not
        // be in the table. Padding is masked, so any token serves.
        pad_token_id: 0,
    })
}
