//! OLMo2 and Olmo3: norms on the outputs of sublayers, and of all queries and keys together.

use super::llama::{self, AROUND, GATED, NAMES, PREFIXES, PROJECTIONS, TIED};
use super::names::Stored::Whole;
use super::names::{Module, Names};
use super::qwen::QK_NORMS;
use super::{Family, Read, TOKENIZER};
use crate::Error;
use crate::config::{Config, LayerType, RopeKeys};
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Output;
use crate::wiring::tensors::Slot::Norm;
use crate::wiring::{
    AttentionSpec, BlockSpec, GatedSpec, LayerSpec, Layers, NormSpec, Over, Pattern,
};

pub(super) static TWO: Family = Family {
    model_types: &["olmo2"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let (norm, mut attention) = attention(config)?;
        attention.rope = Some(config.rope(RopeKeys::PLAIN, attention.d_head)?);
        let layer = layer(norm, attention, llama::gated(config, "hidden_act")?);
        let layers = Layers::alike(config.size("num_hidden_layers")?, layer);
        let decoder = llama::decoder(config, model_type, layers, norm)?;
        Ok(Read::Stack(decoder))
    },
    names: OLMO,
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

pub(super) static THREE: Family = Family {
    model_types: &["olmo3"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let (norm, attention) = attention(config)?;
        let full = config.rope(keys("full_attention"), attention.d_head)?;
        let sliding = config.rope(keys("sliding_attention"), attention.d_head)?;
        // One base for all in a file of version 4; of it version 5 makes 500000 in sliding layers.
        if let Some(theta) = config.given_number("rope_theta")?
            && theta != DEFAULT_THETA
        {
            return Err(Error::UnsupportedVariant {
                field: "rope_theta",
                value: theta.to_string(),
                reason: "versions 4 and 5 of transformers read another base than 500000 differently; \
                         say with rope_parameters which layers have it",
            });
        }
        let feed_forward = llama::gated(config, "hidden_act")?;
        let number = config.size("num_hidden_layers")?;
        let window = config.size_if_given("sliding_window")?;
        let pattern = Pattern::Every { period: 4, at: 3 };
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
                Ok(layer(norm, attention, feed_forward))
            },
        )?;
        let decoder = llama::decoder(config, model_type, layers, norm)?;
        Ok(Read::Stack(decoder))
    },
    names: OLMO,
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

const OLMO: &[Names] = &[Names {
    modules: &[AROUND, PROJECTIONS, QK_NORMS, OUTPUT_NORMS, GATED],
    ..NAMES
}];

const OUTPUT_NORMS: &[Module] = &[
    Module(Norm(Attention, Output), "post_attention_layernorm", Whole),
    Module(
        Norm(FeedForward, Output),
        "post_feedforward_layernorm",
        Whole,
    ),
];

/// Version 5's base, for both types of layers.
const DEFAULT_THETA: f64 = 500_000.0;

fn keys(layers: &'static str) -> RopeKeys {
    RopeKeys {
        default_theta: DEFAULT_THETA,
        nested: Some(layers),
        // For full layers only.
        takes_scaling: layers == "full_attention",
        ..RopeKeys::PLAIN
    }
}

fn attention(config: &Config) -> Result<(NormSpec, AttentionSpec), Error> {
    let norm = NormSpec::rms(config.epsilon("rms_norm_eps")?);
    let attention = AttentionSpec {
        biases: [config.switch("attention_bias", false)?; 4],
        qk_norm: Some((Over::Projection, norm)),
        ..llama::attention(config)?
    };
    Ok((norm, attention))
}

fn layer(norm: NormSpec, attention: AttentionSpec, feed_forward: GatedSpec) -> LayerSpec {
    let sublayers = llama::sublayers(attention, feed_forward);
    LayerSpec {
        blocks: sublayers
            .map(|sublayer| BlockSpec::new(sublayer).output(norm))
            .into(),
    }
}
