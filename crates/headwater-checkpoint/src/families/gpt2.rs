//! GPT-2: matrices stored transposed, with query, key and value side by side in one.

use super::names::Stored::{Turned, TurnedPart, Whole};
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::config::Config;
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Before;
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::wiring::{
    AttentionSpec, Band, EmbeddingSpec, FeedForwardSpec, LayerSpec, Layers, NormSpec, PlainSpec,
    Sublayer, Wiring,
};
use crate::{Architecture, Error};

pub(super) static FAMILY: Family = Family {
    model_types: &["gpt2"],
    prefixes: &["transformer.", ""],
    read: |config, model_type| Ok(Read::Stack(architecture(config, model_type)?)),
    names: &[Names {
        canonical: "",
        layers: "h.",
        modules: &[MODULES],
        place: None,
    }],
    tied: &["lm_head.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

const MODULES: &[Module] = &[
    Module(Slot::Word, "wte", Whole),
    Module(Slot::Position, "wpe", Whole),
    Module(Norm(Attention, Before), "ln_1", Whole),
    Module(Query(Attention), "attn.c_attn", TurnedPart(0, 3)),
    Module(Key(Attention), "attn.c_attn", TurnedPart(1, 3)),
    Module(Value(Attention), "attn.c_attn", TurnedPart(2, 3)),
    Module(Output(Attention), "attn.c_proj", Turned),
    Module(Norm(FeedForward, Before), "ln_2", Whole),
    Module(Slot::Up, "mlp.c_fc", Turned),
    Module(Slot::Down, "mlp.c_proj", Turned),
    Module(Slot::FinalNorm, "ln_f", Whole),
];

fn architecture(config: &Config, model_type: &str) -> Result<Architecture, Error> {
    let d_model = config.size("n_embd")?;
    let d_ff = config.size_if_given("n_inner")?;
    let d_ff = d_ff.unwrap_or(d_model.saturating_mul(4));
    let norm = NormSpec::layer(config.epsilon("layer_norm_epsilon")?);
    let feed_forward = PlainSpec::new(d_ff, config.activation("activation_function")?);
    let n_layers = config.size("n_layer")?;
    let mut attention = AttentionSpec::of_width(d_model, config.size("n_head")?)?;
    attention.band = Band::CAUSAL;
    if !config.switch("scale_attn_weights", true)? {
        attention.scale = 1.0;
    }
    let sublayers = [
        Sublayer::Attention(attention),
        Sublayer::FeedForward(FeedForwardSpec::Plain(feed_forward)),
    ];
    let wiring = Wiring {
        embeddings: EmbeddingSpec::learned(d_model, config.size("n_positions")?, 0),
        layers: Layers {
            scale_by_number: config.switch("scale_attn_by_inverse_layer_idx", false)?,
            ..Layers::alike(n_layers, LayerSpec::pre_norm(norm, sublayers))
        },
        final_norm: Some(norm),
        head: None,
    };
    let sizes = [config.size("vocab_size")?, d_model];
    // There is no padding token, and one that a configuration adds need not
    // be in the table. Padding is masked, so any token serves.
    Ok(Architecture::new(model_type, sizes, 0, wiring))
}
