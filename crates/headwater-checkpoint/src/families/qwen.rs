//! Qwen2, which has biases at queries, keys and values, and Qwen3, which normalizes queries and keys.

use super::llama::{self, AROUND, GATED, NAMES, NORMS, PREFIXES, PROJECTIONS, TIED};
use super::names::Stored::Whole;
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::config::{Config, LayerType, RopeKeys};
use crate::wiring::tensors::Slot;
use crate::wiring::{AttentionSpec, LayerSpec, Layers, NormSpec, Over, Pattern};
use crate::{Architecture, Error};

pub(super) static TWO: Family = Family {
    model_types: &["qwen2"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let mut attention = llama::attention(config)?;
        // Fixed in the class: no key says so.
        attention.biases = [true, true, true, false];
        let norm = NormSpec::rms(config.epsilon("rms_norm_eps")?);
        Ok(Read::Stack(decoder(config, model_type, attention, norm)?))
    },
    names: &[NAMES],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

pub(super) static THREE: Family = Family {
    model_types: &["qwen3"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let mut attention = llama::attention(config)?;
        attention.biases = [config.switch("attention_bias", false)?; 4];
        let norm = NormSpec::rms(config.epsilon("rms_norm_eps")?);
        attention.qk_norm = Some((Over::Head, norm));
        Ok(Read::Stack(decoder(config, model_type, attention, norm)?))
    },
    names: &[Names {
        modules: &[AROUND, PROJECTIONS, QK_NORMS, NORMS, GATED],
        ..NAMES
    }],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

/// The norms of queries and keys; Gemma 3 and OLMo2 have the same names.
pub(super) const QK_NORMS: &[Module] = &[
    Module(Slot::QueryNorm, "self_attn.q_norm", Whole),
    Module(Slot::KeyNorm, "self_attn.k_norm", Whole),
];

/// Layers of which some may have a window.
fn decoder(
    config: &Config,
    model_type: &str,
    mut attention: AttentionSpec,
    norm: NormSpec,
) -> Result<Architecture, Error> {
    attention.rope = Some(config.rope(RopeKeys::PLAIN, attention.d_head)?);
    let feed_forward = llama::gated(config, "hidden_act")?;
    let slides = config.switch("use_sliding_window", false)?;
    let window = config.size_if_given("sliding_window")?.filter(|_| slides);
    let from = config.count("max_window_layers")?;
    let pattern = match window {
        Some(_) => Pattern::From(from),
        None => Pattern::One,
    };
    let number = config.size("num_hidden_layers")?;
    let layers: Layers =
        config.layers_by_type(number, window, (LayerType::Full, pattern), |_, band| {
            let attention = AttentionSpec {
                band,
                ..attention.clone()
            };
            let sublayers = llama::sublayers(attention, feed_forward);
            Ok(LayerSpec::pre_norm(norm, sublayers))
        })?;
    llama::decoder(config, model_type, layers, norm)
}
