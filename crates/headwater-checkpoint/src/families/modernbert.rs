//! ModernBERT: gated blocks, rotary positions, every third layer without a window.

use super::names::Stored::{Part, Whole};
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::Architecture;
use crate::config::{LayerType, RopeKeys};
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Before;
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::wiring::{
    AttentionSpec, Band, BlockSpec, EmbeddingSpec, FeedForwardSpec, GatedSpec, LayerSpec, Layers,
    NormSpec, Pattern, Sublayer, Wiring,
};

pub(super) static FAMILY: Family = Family {
    model_types: &["modernbert"],
    prefixes: &["model.", ""],
    read: |config, model_type| {
        let d_model = config.size("hidden_size")?;
        let heads = config.size("num_attention_heads")?;
        let mut attention = AttentionSpec::of_width(d_model, heads)?;
        attention.biases = [config.switch("attention_bias", false)?; 4];
        let mut feed_forward = GatedSpec::new(
            config.size("intermediate_size")?,
            config.activation("hidden_activation")?,
        );
        feed_forward.biases = [config.switch("mlp_bias", false)?; 3];
        let bias = config.switch("norm_bias", false)?;
        let norm = NormSpec::layer(config.epsilon("norm_eps")?).with_bias(bias);
        let side = config.size("local_attention")? / 2;
        let full = config.rope(FULL, attention.d_head)?;
        let local = config.rope(LOCAL, attention.d_head)?;
        let layer = |kind, is_first| {
            let (band, rope) = match kind {
                LayerType::Full => (Band::ALL, &full),
                LayerType::Sliding => (Band::window(side), &local),
            };
            let attention = AttentionSpec {
                band,
                rope: Some(rope.clone()),
                ..attention.clone()
            };
            let first = BlockSpec::new(Sublayer::Attention(attention));
            let feed_forward = Sublayer::FeedForward(FeedForwardSpec::Gated(feed_forward));
            LayerSpec {
                blocks: vec![
                    // The embeddings are normalized already.
                    if is_first { first } else { first.before(norm) },
                    BlockSpec::new(feed_forward).before(norm),
                ],
            }
        };
        let number = config.size("num_hidden_layers")?;
        let period = config.size("global_attn_every_n_layers")?;
        let (first, pattern) = match config.layer_types(number)? {
            None => (LayerType::Full, Pattern::FirstAndEvery { period, at: 0 }),
            Some(types) => {
                let kind = |(l, kind): (usize, &LayerType)| match (l, kind) {
                    (0, _) => 2,
                    (_, LayerType::Sliding) => 0,
                    (_, LayerType::Full) => 1,
                };
                let kinds = types.iter().enumerate().map(kind);
                (types[0], Pattern::Listed(kinds.collect()))
            }
        };
        let wiring = Wiring {
            embeddings: EmbeddingSpec {
                norm: Some(norm),
                ..EmbeddingSpec::words(d_model)
            },
            layers: Layers {
                number,
                kinds: vec![
                    layer(LayerType::Sliding, false),
                    layer(LayerType::Full, false),
                    layer(first, true),
                ],
                pattern,
                scale_by_number: false,
            },
            final_norm: Some(norm),
            head: None,
        };
        let sizes = [config.size("vocab_size")?, d_model];
        Ok(Read::Stack(Architecture {
            max_positions: config.size("max_position_embeddings")?,
            ..Architecture::new(model_type, sizes, config.pad_token_id(0)?, wiring)
        }))
    },
    names: &[Names {
        canonical: "",
        layers: "layers.",
        modules: &[MODULES],
        place: None,
    }],
    tied: &["decoder.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

const FULL: RopeKeys = RopeKeys {
    theta: &["global_rope_theta"],
    default_theta: 160_000.0,
    nested: Some("full_attention"),
    ..RopeKeys::PLAIN
};

const LOCAL: RopeKeys = RopeKeys {
    theta: &["local_rope_theta"],
    nested: Some("sliding_attention"),
    ..RopeKeys::PLAIN
};

const MODULES: &[Module] = &[
    Module(Slot::Word, "embeddings.tok_embeddings", Whole),
    Module(Slot::EmbeddingNorm, "embeddings.norm", Whole),
    Module(Slot::FinalNorm, "final_norm", Whole),
    Module(Norm(Attention, Before), "attn_norm", Whole),
    Module(Query(Attention), "attn.Wqkv", Part(0, 3)),
    Module(Key(Attention), "attn.Wqkv", Part(1, 3)),
    Module(Value(Attention), "attn.Wqkv", Part(2, 3)),
    Module(Output(Attention), "attn.Wo", Whole),
    Module(Norm(FeedForward, Before), "mlp_norm", Whole),
    Module(Slot::Gate, "mlp.Wi", Part(0, 2)),
    Module(Slot::Up, "mlp.Wi", Part(1, 2)),
    Module(Slot::Down, "mlp.Wo", Whole),
];
