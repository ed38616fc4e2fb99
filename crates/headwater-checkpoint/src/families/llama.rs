//! Llama, and what is saved as one: RMS norms before gated blocks, rotary positions, heads in groups.

use super::names::Stored::{Head, Whole};
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::config::{Config, RopeKeys};
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Before;
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::wiring::{
    AttentionSpec, Band, EmbeddingSpec, FeedForwardSpec, GatedSpec, HeadSpec, LayerSpec, Layers,
    NormSpec, Sublayer, Wiring,
};
use crate::{Architecture, Error};

pub(super) static FAMILY: Family = Family {
    model_types: &["llama"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let mut attention = attention(config)?;
        attention.biases = [config.switch("attention_bias", false)?; 4];
        attention.rope = Some(config.rope(RopeKeys::PLAIN, attention.d_head)?);
        let mut feed_forward = gated(config, "hidden_act")?;
        feed_forward.biases = [config.switch("mlp_bias", false)?; 3];
        let norm = NormSpec::rms(config.epsilon("rms_norm_eps")?);
        let layer = LayerSpec::pre_norm(norm, sublayers(attention, feed_forward));
        let layers = Layers::alike(config.size("num_hidden_layers")?, layer);
        Ok(Read::Stack(decoder(config, model_type, layers, norm)?))
    },
    names: &[NAMES],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

/// A model without a head drops the first component.
pub(super) const PREFIXES: &[&str] = &["model.", ""];

pub(super) const TIED: &[&str] = &["lm_head.weight"];

pub(super) const NAMES: Names = Names {
    canonical: "",
    layers: "layers.",
    modules: &[AROUND, PROJECTIONS, NORMS, GATED],
    place: None,
};

pub(super) const AROUND: &[Module] = &[
    Module(Slot::Word, "embed_tokens", Whole),
    Module(Slot::FinalNorm, "norm", Whole),
    Module(Slot::Head, "lm_head", Head),
];

pub(super) const PROJECTIONS: &[Module] = &[
    Module(Query(Attention), "self_attn.q_proj", Whole),
    Module(Key(Attention), "self_attn.k_proj", Whole),
    Module(Value(Attention), "self_attn.v_proj", Whole),
    Module(Output(Attention), "self_attn.o_proj", Whole),
];

pub(super) const NORMS: &[Module] = &[
    Module(Norm(Attention, Before), "input_layernorm", Whole),
    Module(Norm(FeedForward, Before), "post_attention_layernorm", Whole),
];

pub(super) const GATED: &[Module] = &[
    Module(Slot::Gate, "mlp.gate_proj", Whole),
    Module(Slot::Up, "mlp.up_proj", Whole),
    Module(Slot::Down, "mlp.down_proj", Whole),
];

/// Causal attention with heads in groups, without biases and positions.
pub(super) fn attention(config: &Config) -> Result<AttentionSpec, Error> {
    let d_model = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let groups = config
        .size_if_given("num_key_value_heads")?
        .unwrap_or(heads);
    if heads % groups != 0 {
        return Err(Error::InvalidField {
            field: "num_key_value_heads",
            value: groups.to_string(),
            expected: "a divisor of num_attention_heads",
        });
    }
    let d_head = match config.size_if_given("head_dim")? {
        Some(d_head) => d_head,
        None => AttentionSpec::of_width(d_model, heads)?.d_head,
    };
    Ok(AttentionSpec {
        groups,
        biases: [false; 4],
        band: Band::CAUSAL,
        ..AttentionSpec::new(heads, d_head)
    })
}

/// A gated block without biases.
pub(super) fn gated(config: &Config, activation: &'static str) -> Result<GatedSpec, Error> {
    let d_ff = config.size("intermediate_size")?;
    Ok(GatedSpec::new(d_ff, config.activation(activation)?))
}

/// The two sublayers of a layer.
pub(super) fn sublayers(attention: AttentionSpec, feed_forward: GatedSpec) -> [Sublayer; 2] {
    [
        Sublayer::Attention(attention),
        Sublayer::FeedForward(FeedForwardSpec::Gated(feed_forward)),
    ]
}

/// A decoder whose words have no positions, with a final norm and a head.
pub(super) fn decoder(
    config: &Config,
    model_type: &str,
    layers: Layers,
    norm: NormSpec,
) -> Result<Architecture, Error> {
    let d_model = config.size("hidden_size")?;
    let wiring = Wiring {
        embeddings: EmbeddingSpec::words(d_model),
        layers,
        final_norm: Some(norm),
        head: Some(HeadSpec::product(
            config.switch("tie_word_embeddings", true)?,
        )),
    };
    let sizes = [config.size("vocab_size")?, d_model];
    // Padding is masked, so any token serves.
    Ok(Architecture {
        max_positions: config.size("max_position_embeddings")?,
        ..Architecture::new(model_type, sizes, 0, wiring)
    })
}
