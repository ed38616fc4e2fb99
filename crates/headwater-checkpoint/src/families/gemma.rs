//! Gemma 1, 2 and 3 (text): RMS norms with 1 + weight, words times √D; from 2 on norms on both sides
//! of a sublayer, and windows.

use super::llama::{self, AROUND, GATED, NAMES, PREFIXES, PROJECTIONS, TIED};
use super::names::Stored::Whole;
use super::names::{Module, Names};
use super::qwen::QK_NORMS;
use super::{Family, Read, TOKENIZER};
use crate::config::{Config, LayerType, RopeKeys};
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::{Before, Output};
use crate::wiring::tensors::Slot::Norm;
use crate::wiring::{
    AttentionSpec, BlockSpec, GatedSpec, LayerSpec, Layers, NormSpec, Over, Pattern,
};
use crate::{Activation, Architecture, Error};

pub(super) static ONE: Family = Family {
    model_types: &["gemma"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let mut attention = attention(config)?;
        attention.rope = Some(config.rope(RopeKeys::PLAIN, attention.d_head)?);
        let mut feed_forward = llama::gated(config, "hidden_act")?;
        feed_forward.activation = first_activation(config, feed_forward)?;
        let norm = norm(config)?;
        let layer = LayerSpec::pre_norm(norm, llama::sublayers(attention, feed_forward));
        let layers = Layers::alike(config.size("num_hidden_layers")?, layer);
        Ok(Read::Stack(decoder(config, model_type, layers, norm)?))
    },
    names: &[NAMES],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

pub(super) static TWO: Family = Family {
    model_types: &["gemma2"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let mut attention = attention(config)?;
        attention.scale = config.number("query_pre_attn_scalar")?.powf(-0.5);
        attention.soft_cap = config.number_if_given("attn_logit_softcapping")?;
        let rope = config.rope(RopeKeys::PLAIN, attention.d_head)?;
        // The first layer slides, the second does not, and so on.
        let pattern = Pattern::Every { period: 2, at: 1 };
        let norm = norm(config)?;
        let feed_forward = llama::gated(config, "hidden_activation")?;
        let number = config.size("num_hidden_layers")?;
        let window = config.size_if_given("sliding_window")?;
        let layers =
            config.layers_by_type(number, window, (LayerType::Sliding, pattern), |_, band| {
                let attention = AttentionSpec {
                    band,
                    rope: Some(rope.clone()),
                    ..attention.clone()
                };
                Ok(sandwich(norm, attention, feed_forward))
            })?;
        let mut gemma = decoder(config, model_type, layers, norm)?;
        cap_logits(config, &mut gemma)?;
        Ok(Read::Stack(gemma))
    },
    names: &[Names {
        modules: &[AROUND, PROJECTIONS, FOUR_NORMS, GATED],
        ..NAMES
    }],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

pub(super) static THREE: Family = Family {
    model_types: &["gemma3_text"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let norm = norm(config)?;
        let mut attention = attention(config)?;
        attention.scale = config.number("query_pre_attn_scalar")?.powf(-0.5);
        attention.qk_norm = Some((Over::Head, norm));
        // The attention of version 3 passes it over.
        config.number_if_given("attn_logit_softcapping")?;
        let period = config.size_if_given("sliding_window_pattern")?.unwrap_or(6);
        let pattern = Pattern::Every {
            period,
            at: period - 1,
        };
        let feed_forward = llama::gated(config, "hidden_activation")?;
        let number = config.size("num_hidden_layers")?;
        let window = config.size_if_given("sliding_window")?;
        let full = config.rope(FULL, attention.d_head)?;
        let sliding = config.rope(SLIDING, attention.d_head)?;
        let layers = config.layers_by_type(
            number,
            window,
            (LayerType::Sliding, pattern),
            |kind, band| {
                let rope = match kind {
                    LayerType::Full => full.clone(),
                    LayerType::Sliding => sliding.clone(),
                };
                let attention = AttentionSpec {
                    band,
                    rope: Some(rope),
                    ..attention.clone()
                };
                Ok(sandwich(norm, attention, feed_forward))
            },
        )?;
        let mut gemma = decoder(config, model_type, layers, norm)?;
        cap_logits(config, &mut gemma)?;
        Ok(Read::Stack(gemma))
    },
    names: &[Names {
        modules: &[AROUND, PROJECTIONS, QK_NORMS, FOUR_NORMS, GATED],
        ..NAMES
    }],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

const FULL: RopeKeys = RopeKeys {
    default_theta: 1e6,
    nested: Some("full_attention"),
    ..RopeKeys::PLAIN
};

/// Version 4's `rope_scaling` is for full layers only.
const SLIDING: RopeKeys = RopeKeys {
    theta: &["rope_local_base_freq"],
    nested: Some("sliding_attention"),
    takes_scaling: false,
    ..RopeKeys::PLAIN
};

/// `post_attention_layernorm` is here the norm on the output, in Llama the one before feed-forward.
const FOUR_NORMS: &[Module] = &[
    Module(Norm(Attention, Before), "input_layernorm", Whole),
    Module(Norm(Attention, Output), "post_attention_layernorm", Whole),
    Module(
        Norm(FeedForward, Before),
        "pre_feedforward_layernorm",
        Whole,
    ),
    Module(
        Norm(FeedForward, Output),
        "post_feedforward_layernorm",
        Whole,
    ),
];

fn norm(config: &Config) -> Result<NormSpec, Error> {
    Ok(NormSpec::rms(config.epsilon("rms_norm_eps")?).plus_one())
}

fn attention(config: &Config) -> Result<AttentionSpec, Error> {
    config.require(
        "use_bidirectional_attention",
        false,
        "a Gemma that looks both ways is not supported",
    )?;
    Ok(AttentionSpec {
        biases: [config.switch("attention_bias", false)?; 4],
        ..llama::attention(config)?
    })
}

/// `gelu` is what early files say for the tanh form: version 5 takes it so, version 4 does not.
/// `hidden_activation`, which version 4 knows beside `hidden_act`, may say the same only.
fn first_activation(config: &Config, feed_forward: GatedSpec) -> Result<Activation, Error> {
    let activation = match feed_forward.activation {
        Activation::Gelu => Activation::GeluTanh,
        other => other,
    };
    const OTHER: &str = "hidden_activation";
    if config.text(OTHER)?.is_some() && config.activation(OTHER)? != activation {
        return Err(Error::UnsupportedVariant {
            field: OTHER,
            value: format!("{:?}", config.text(OTHER)?.unwrap_or_default()),
            reason: "hidden_act, which counts, is another",
        });
    }
    Ok(activation)
}

fn sandwich(norm: NormSpec, attention: AttentionSpec, feed_forward: GatedSpec) -> LayerSpec {
    let sublayers = llama::sublayers(attention, feed_forward);
    LayerSpec {
        blocks: sublayers
            .map(|sublayer| BlockSpec::new(sublayer).before(norm).output(norm))
            .into(),
    }
}

fn decoder(
    config: &Config,
    model_type: &str,
    layers: Layers,
    norm: NormSpec,
) -> Result<Architecture, Error> {
    let mut gemma = llama::decoder(config, model_type, layers, norm)?;
    gemma.wiring.embeddings.scale = (gemma.d_model as f64).sqrt();
    Ok(gemma)
}

fn cap_logits(config: &Config, gemma: &mut Architecture) -> Result<(), Error> {
    if let Some(head) = &mut gemma.wiring.head {
        head.soft_cap = config.number_if_given("final_logit_softcapping")?;
    }
    Ok(())
}
