//! OPT: the position table has two rows in front that no token takes.

use super::Kind::{Lookup, Norm};
use super::Size::{Embedding, Model, PositionRows, Vocab};
use super::encoder_decoder::{FEED_FORWARD, SELF_ATTENTION};
use super::{Module, Table};
use crate::config::Config;
use crate::{Architecture, Arrangement, Error, Family, Positions};

pub(super) static TABLE: [Table; 1] = [Table {
    canonical: "",
    prefixes: &["model.decoder.", "decoder.", ""],
    embeddings: &[
        Module("embeddings.word", "embed_tokens", Lookup(Vocab, Embedding)),
        Module(
            "embeddings.position",
            "embed_positions",
            Lookup(PositionRows, Embedding),
        ),
    ],
    layer_prefix: "layers.",
    layer: &[SELF_ATTENTION, FEED_FORWARD],
    end: &[Module("final_norm", "final_layer_norm", Norm(Model))],
    tied: &["lm_head.weight"],
}];

pub(super) fn architecture(config: &Config, model_type: String) -> Result<Architecture, Error> {
    config.require(
        "do_layer_norm_before",
        true,
        "an OPT that normalizes behind each sublayer, as OPT-350M does, is not supported",
    )?;
    config.require(
        "_remove_final_layer_norm",
        false,
        "an OPT without a normalization behind its last layer is not supported",
    )?;
    config.require(
        "enable_bias",
        true,
        "linear layers without biases are not supported",
    )?;
    config.require(
        "layer_norm_elementwise_affine",
        true,
        "layer normalizations without weights are not supported",
    )?;
    let d_model = config.size("hidden_size")?;
    if let Some(width) = config.size_if_given("word_embed_proj_dim")?
        && width != d_model
    {
        return Err(Error::UnsupportedVariant {
            field: "word_embed_proj_dim",
            value: width.to_string(),
            reason: "an OPT that projects its embeddings to another hidden_size, as OPT-350M does, is not supported",
        });
    }
    Ok(Architecture {
        family: Family::Opt,
        model_type,
        vocab_size: config.size("vocab_size")?,
        d_model,
        d_embedding: d_model,
        n_layers: config.size("num_hidden_layers")?,
        n_heads: config.size("num_attention_heads")?,
        d_ff: config.size("ffn_dim")?,
        max_positions: config.size("max_position_embeddings")?,
        // Whatever the padding token is.
        position_offset: 2,
        positions: Positions::Learned,
        embedding_scale: 1.0,
        token_types: 0,
        arrangement: Arrangement::PreLn,
        causal: true,
        cross_attention: false,
        // Fixed in the model's code, not in its configuration.
        layer_norm_eps: 1e-5,
        activation: config.activation("activation_function")?,
        pad_token_id: config.pad_token_id(1)?,
    })
}
