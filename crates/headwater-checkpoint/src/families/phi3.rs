//! Phi-3: Llama with one tensor for queries, keys and values and one for the gate.

use super::llama::{self, AROUND, NAMES, NORMS, PREFIXES, TIED};
use super::names::Projected::{Keys, Queries, Values};
use super::names::Stored::{Behind, Part, Whole};
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::config::RopeKeys;
use crate::wiring::tensors::In::Attention;
use crate::wiring::tensors::Slot::{self, Key, Output, Query, Value};
use crate::wiring::{Band, LayerSpec, Layers, NormSpec};

pub(super) static FAMILY: Family = Family {
    model_types: &["phi3"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let mut attention = llama::attention(config)?;
        if let Some(window) = config.size_if_given("sliding_window")? {
            attention.band = Band::causal_window(window);
        }
        config.size_if_given("original_max_position_embeddings")?;
        attention.rope = Some(config.rope(RopeKeys::PLAIN, attention.d_head)?);
        let norm = NormSpec::rms(config.epsilon("rms_norm_eps")?);
        let sublayers = llama::sublayers(attention, llama::gated(config, "hidden_act")?);
        let number = config.size("num_hidden_layers")?;
        let layers = Layers::alike(number, LayerSpec::pre_norm(norm, sublayers));
        let decoder = llama::decoder(config, model_type, layers, norm)?;
        Ok(Read::Stack(decoder))
    },
    names: &[Names {
        modules: &[AROUND, NORMS, FUSED],
        ..NAMES
    }],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

const FUSED: &[Module] = &[
    Module(Query(Attention), "self_attn.qkv_proj", Behind(Queries)),
    Module(Key(Attention), "self_attn.qkv_proj", Behind(Keys)),
    Module(Value(Attention), "self_attn.qkv_proj", Behind(Values)),
    Module(Output(Attention), "self_attn.o_proj", Whole),
    Module(Slot::Gate, "mlp.gate_up_proj", Part(0, 2)),
    Module(Slot::Up, "mlp.gate_up_proj", Part(1, 2)),
    Module(Slot::Down, "mlp.down_proj", Whole),
];
