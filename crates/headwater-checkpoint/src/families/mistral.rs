//! Mistral: Llama with a window in every layer.

use super::llama::{self, NAMES, PREFIXES, TIED};
use super::{Family, Read, TOKENIZER};
use crate::config::RopeKeys;
use crate::wiring::{Band, LayerSpec, Layers, NormSpec};

pub(super) static FAMILY: Family = Family {
    model_types: &["mistral"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let mut attention = llama::attention(config)?;
        // 4096 where the file lacks it, none where it says null.
        if let Some(window) = config.size_if_given("sliding_window")? {
            attention.band = Band::causal_window(window);
        }
        attention.rope = Some(config.rope(RopeKeys::PLAIN, attention.d_head)?);
        let norm = NormSpec::rms(config.epsilon("rms_norm_eps")?);
        let sublayers = llama::sublayers(attention, llama::gated(config, "hidden_act")?);
        let number = config.size("num_hidden_layers")?;
        let layers = Layers::alike(number, LayerSpec::pre_norm(norm, sublayers));
        let decoder = llama::decoder(config, model_type, layers, norm)?;
        Ok(Read::Stack(decoder))
    },
    names: &[NAMES],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};
