//! Cohere (Command-R): Llama's names; both blocks read one layer norm without β, neighbouring
//! channels turn, logits are scaled.

use super::llama::{self, AROUND, GATED, NAMES, PREFIXES, PROJECTIONS, TIED};
use super::names::Stored::Whole;
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::config::RopeKeys;
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Before;
use crate::wiring::tensors::Slot::Norm;
use crate::wiring::{BlockSpec, LayerSpec, Layers, NormSpec, Pairs, Reads};

pub(super) static FAMILY: Family = Family {
    model_types: &["cohere"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        config.require(
            "use_qk_norm",
            false,
            "norms of queries and keys are not supported here",
        )?;
        let mut attention = llama::attention(config)?;
        attention.biases = [config.switch("attention_bias", false)?; 4];
        attention.rope = Some(config.rope(ROPE, attention.d_head)?);
        let norm = NormSpec::layer(config.epsilon("layer_norm_eps")?).with_bias(false);
        let feed_forward = llama::gated(config, "hidden_act")?;
        let [attention, feed_forward] = llama::sublayers(attention, feed_forward);
        let layer = LayerSpec {
            blocks: vec![
                BlockSpec::new(attention).before(norm),
                BlockSpec::new(feed_forward)
                    .before(norm)
                    .reading(Reads::LayerInput),
            ],
        };
        let layers = Layers::alike(config.size("num_hidden_layers")?, layer);
        let mut cohere = llama::decoder(config, model_type, layers, norm)?;
        if let Some(head) = &mut cohere.wiring.head {
            head.factor = config.number("logit_scale")?;
        }
        Ok(Read::Stack(cohere))
    },
    names: &[Names {
        modules: &[AROUND, PROJECTIONS, ONE_NORM, GATED],
        ..NAMES
    }],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

/// Version 5's base; version 4, which says 10000 where a file has none, wrote it into all of its.
const ROPE: RopeKeys = RopeKeys {
    default_theta: 500_000.0,
    pairs: Pairs::Neighbours,
    ..RopeKeys::PLAIN
};

const ONE_NORM: &[Module] = &[
    Module(Norm(Attention, Before), "input_layernorm", Whole),
    Module(Norm(FeedForward, Before), "input_layernorm", Whole),
];
