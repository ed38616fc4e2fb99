//! OPT: the position table has two rows in front that no token takes. OPT-350M normalizes behind
//! its sublayers, and its words are narrower than its hidden states.

use super::encoder_decoder::{FEED_FORWARD, SELF_ATTENTION};
use super::names::Stored::Whole;
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::config::Config;
use crate::wiring::tensors::Slot;
use crate::wiring::{
    AttentionSpec, Band, EmbeddingSpec, FeedForwardSpec, LayerSpec, Layers, NormSpec, PlainSpec,
    Projection, Sublayer, Wiring,
};
use crate::{Architecture, Error};

pub(super) static FAMILY: Family = Family {
    model_types: &["opt"],
    prefixes: &["model.decoder.", "decoder.", ""],
    read: |config, model_type| Ok(Read::Stack(architecture(config, model_type)?)),
    names: &[Names {
        canonical: "",
        layers: "layers.",
        modules: &[AROUND, SELF_ATTENTION, FEED_FORWARD],
        place: None,
    }],
    tied: &["lm_head.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

/// `project_out`, the other projection of OPT-350M, belongs to the head.
const AROUND: &[Module] = &[
    Module(Slot::Word, "embed_tokens", Whole),
    Module(Slot::Position, "embed_positions", Whole),
    Module(Slot::EmbeddingProjection, "project_in", Whole),
    Module(Slot::FinalNorm, "final_layer_norm", Whole),
];

fn architecture(config: &Config, model_type: &str) -> Result<Architecture, Error> {
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
    let width = config.size_if_given("word_embed_proj_dim")?;
    // Fixed in the model's code, not in its configuration.
    let norm = NormSpec::layer(1e-5);
    let feed_forward = PlainSpec::new(
        config.size("ffn_dim")?,
        config.activation("activation_function")?,
    );
    let attention = AttentionSpec {
        band: Band::CAUSAL,
        ..AttentionSpec::of_width(d_model, config.size("num_attention_heads")?)?
    };
    let sublayers = [
        Sublayer::Attention(attention),
        Sublayer::FeedForward(FeedForwardSpec::Plain(feed_forward)),
    ];
    let before = config.switch("do_layer_norm_before", true)?;
    let removed = config.switch("_remove_final_layer_norm", false)?;
    let wiring = Wiring {
        embeddings: EmbeddingSpec {
            width: width.unwrap_or(d_model),
            projection: Projection::OfWords,
            // The first row is the third, whatever the padding token is.
            ..EmbeddingSpec::learned(d_model, config.size("max_position_embeddings")?, 2)
        },
        layers: Layers::alike(
            config.size("num_hidden_layers")?,
            match before {
                true => LayerSpec::pre_norm(norm, sublayers),
                false => LayerSpec::post_norm(norm, sublayers),
            },
        ),
        final_norm: (before && !removed).then_some(norm),
        head: None,
    };
    let sizes = [config.size("vocab_size")?, d_model];
    Ok(Architecture::new(
        model_type,
        sizes,
        config.pad_token_id(1)?,
        wiring,
    ))
}
