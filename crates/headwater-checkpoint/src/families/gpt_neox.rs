//! GPT-NeoX (Pythia): blocks side by side, rotary positions in a part of each head.

use super::names::Stored::{ByHead, Head, Whole};
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::config::RopeKeys;
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Before;
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::wiring::{
    AttentionSpec, Band, BlockSpec, EmbeddingSpec, FeedForwardSpec, HeadSpec, LayerSpec, Layers,
    NormSpec, PlainSpec, Reads, Sublayer, Wiring,
};
use crate::{Architecture, Error};

pub(super) static FAMILY: Family = Family {
    model_types: &["gpt_neox"],
    prefixes: &["gpt_neox.", ""],
    read: |config, model_type| {
        let d_model = config.size("hidden_size")?;
        let heads = config.size("num_attention_heads")?;
        let mut attention = AttentionSpec::of_width(d_model, heads)?;
        attention.band = Band::CAUSAL;
        attention.biases = [config.switch("attention_bias", true)?; 4];
        let rope = config.rope(ROPE, attention.d_head)?;
        // Version 5 passes it over where it stands alone.
        if let Some(theta) = config.given_number("rope_theta")?
            && theta != rope.theta
        {
            return Err(Error::UnsupportedVariant {
                field: "rope_theta",
                value: theta.to_string(),
                reason: "the base is rotary_emb_base's or that of rope_parameters, which is another",
            });
        }
        attention.rope = Some(rope);
        let feed_forward = PlainSpec::new(
            config.size("intermediate_size")?,
            config.activation("hidden_act")?,
        );
        let norm = NormSpec::layer(config.epsilon("layer_norm_eps")?);
        let reads = match config.switch("use_parallel_residual", true)? {
            true => Reads::LayerInput,
            false => Reads::Previous,
        };
        let feed_forward = Sublayer::FeedForward(FeedForwardSpec::Plain(feed_forward));
        let layer = LayerSpec {
            blocks: vec![
                BlockSpec::new(Sublayer::Attention(attention)).before(norm),
                BlockSpec::new(feed_forward).before(norm).reading(reads),
            ],
        };
        let tied = config.switch("tie_word_embeddings", false)?;
        let wiring = Wiring {
            embeddings: EmbeddingSpec::words(d_model),
            layers: Layers::alike(config.size("num_hidden_layers")?, layer),
            final_norm: Some(norm),
            head: Some(HeadSpec::product(tied)),
        };
        let sizes = [config.size("vocab_size")?, d_model];
        Ok(Read::Stack(Architecture {
            max_positions: config.size("max_position_embeddings")?,
            // Padding is masked, so any token serves.
            ..Architecture::new(model_type, sizes, 0, wiring)
        }))
    },
    names: &[Names {
        canonical: "",
        layers: "layers.",
        modules: &[MODULES],
        place: None,
    }],
    tied: &["embed_out.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

const ROPE: RopeKeys = RopeKeys {
    theta: &["rotary_emb_base"],
    share: &["rotary_pct", "partial_rotary_factor"],
    default_share: 0.25,
    ..RopeKeys::PLAIN
};

const MODULES: &[Module] = &[
    Module(Slot::Word, "embed_in", Whole),
    Module(Slot::FinalNorm, "final_layer_norm", Whole),
    Module(Slot::Head, "embed_out", Head),
    Module(Norm(Attention, Before), "input_layernorm", Whole),
    Module(Query(Attention), "attention.query_key_value", ByHead(0, 3)),
    Module(Key(Attention), "attention.query_key_value", ByHead(1, 3)),
    Module(Value(Attention), "attention.query_key_value", ByHead(2, 3)),
    Module(Output(Attention), "attention.dense", Whole),
    Module(Norm(FeedForward, Before), "post_attention_layernorm", Whole),
    Module(Slot::Up, "mlp.dense_h_to_4h", Whole),
    Module(Slot::Down, "mlp.dense_4h_to_h", Whole),
];
