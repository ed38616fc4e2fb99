//! GPT-Neo: GPT-2 with linear layers, scores that are not scaled, and windows in every other layer.

use serde_json::Value as Json;

use super::names::Stored::Whole;
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::config::Config;
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Before;
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::wiring::{
    AttentionSpec, Band, EmbeddingSpec, FeedForwardSpec, HeadSpec, LayerSpec, Layers, NormSpec,
    Pattern, PlainSpec, Sublayer, Wiring,
};
use crate::{Architecture, Error};

pub(super) static FAMILY: Family = Family {
    model_types: &["gpt_neo"],
    prefixes: &["transformer.", ""],
    read: |config, model_type| {
        let d_model = config.size("hidden_size")?;
        let attention = AttentionSpec::of_width(d_model, config.size("num_heads")?)?;
        let d_ff = config.size_if_given("intermediate_size")?;
        let d_ff = d_ff.unwrap_or(d_model.saturating_mul(4));
        let feed_forward = PlainSpec::new(d_ff, config.activation("activation_function")?);
        let norm = NormSpec::layer(config.epsilon("layer_norm_epsilon")?);
        let layer = |band| {
            let attention = AttentionSpec {
                band,
                scale: 1.0,
                biases: [false, false, false, true],
                ..attention.clone()
            };
            let sublayers = [
                Sublayer::Attention(attention),
                Sublayer::FeedForward(FeedForwardSpec::Plain(feed_forward)),
            ];
            LayerSpec::pre_norm(norm, sublayers)
        };
        let window = config.size("window_size")?;
        let positions = config.size("max_position_embeddings")?;
        let wiring = Wiring {
            embeddings: EmbeddingSpec::learned(d_model, positions, 0),
            layers: Layers {
                number: config.size("num_layers")?,
                kinds: vec![layer(Band::CAUSAL), layer(Band::causal_window(window))],
                pattern: pattern(config)?,
                scale_by_number: false,
            },
            final_norm: Some(norm),
            head: Some(HeadSpec::product(
                config.switch("tie_word_embeddings", true)?,
            )),
        };
        let sizes = [config.size("vocab_size")?, d_model];
        // Padding is masked, so any token serves.
        Ok(Read::Stack(Architecture::new(model_type, sizes, 0, wiring)))
    },
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
    Module(Slot::FinalNorm, "ln_f", Whole),
    Module(Slot::Head, "lm_head", super::names::Stored::Head),
    Module(Norm(Attention, Before), "ln_1", Whole),
    Module(Query(Attention), "attn.attention.q_proj", Whole),
    Module(Key(Attention), "attn.attention.k_proj", Whole),
    Module(Value(Attention), "attn.attention.v_proj", Whole),
    Module(Output(Attention), "attn.attention.out_proj", Whole),
    Module(Norm(FeedForward, Before), "ln_2", Whole),
    Module(Slot::Up, "mlp.c_fc", Whole),
    Module(Slot::Down, "mlp.c_proj", Whole),
];

/// Kind 0 sees all before it, kind 1 a window: `attention_layers` lists them, or `attention_types`
/// says how often which sequence of them comes.
fn pattern(config: &Config) -> Result<Pattern, Error> {
    const TYPES: &str = "attention_types";
    const LAYERS: &str = "attention_layers";
    let number = config.size("num_layers")?;
    let wrong = |field| Error::InvalidField {
        field,
        value: "another list".into(),
        expected: "global or local for each layer",
    };
    let kind = |name: &Json| match name.as_str() {
        Some("global") => Some(0),
        Some("local") => Some(1),
        _ => None,
    };
    let kinds = |names: &[Json]| names.iter().map(kind).collect::<Option<Vec<u8>>>();
    let listed = match config.list_in_file(LAYERS)? {
        Some(names) => Some(kinds(names).ok_or_else(|| wrong(LAYERS))?),
        None => None,
    };
    let expanded = match config.list_in_file(TYPES)? {
        Some(types) => {
            let mut all = Vec::new();
            for entry in types {
                let names = entry.get(0).and_then(Json::as_array).map(Vec::as_slice);
                let names = names.and_then(kinds).ok_or_else(|| wrong(TYPES))?;
                let times = entry
                    .get(1)
                    .and_then(Json::as_u64)
                    .ok_or_else(|| wrong(TYPES))?;
                // More than there are layers is as wrong as much more.
                for _ in 0..times.min(1 + number as u64) {
                    if all.len() > number {
                        break;
                    }
                    all.extend_from_slice(&names);
                }
            }
            Some(all)
        }
        None => None,
    };
    if let (Some(listed), Some(expanded)) = (&listed, &expanded)
        && listed != expanded
    {
        return Err(wrong(LAYERS));
    }
    match listed.or(expanded) {
        Some(kinds) if kinds.len() == number => Ok(Pattern::Listed(kinds)),
        Some(_) => Err(wrong(TYPES)),
        // The class's: global and local in turns.
        None => Ok(Pattern::Every { period: 2, at: 1 }),
    }
}
