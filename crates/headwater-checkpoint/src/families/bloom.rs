//! BLOOM: ALiBi, embeddings that are normalized, queries, keys and values by head.

use super::names::Stored::{ByHead, Head, Whole};
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Before;
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::wiring::{
    AttentionSpec, Band, BlockSpec, EmbeddingSpec, FeedForwardSpec, HeadSpec, LayerSpec, Layers,
    NormSpec, PlainSpec, PositionScores, Residual, Sublayer, Wiring,
};
use crate::{Activation, Architecture};

pub(super) static FAMILY: Family = Family {
    model_types: &["bloom"],
    prefixes: &["transformer.", ""],
    read: |config, model_type| {
        let d_model = match config.size_if_given("n_embed")? {
            Some(d_model) => d_model,
            None => config.size("hidden_size")?,
        };
        let heads = config.size("n_head")?;
        let mut attention = AttentionSpec::of_width(d_model, heads)?;
        attention.band = Band::CAUSAL;
        attention.position = PositionScores::Alibi {
            slopes: super::slopes(heads, "n_head")?,
            scaled: false,
            bfloat16: false,
        };
        // Both fixed in the model's code.
        let feed_forward = PlainSpec::new(d_model.saturating_mul(4), Activation::BloomGelu);
        let norm = NormSpec::layer(config.epsilon("layer_norm_epsilon")?);
        let residual = match config.switch("apply_residual_connection_post_layernorm", false)? {
            true => Residual::Normed,
            false => Residual::Input,
        };
        let sublayers = [
            Sublayer::Attention(attention),
            Sublayer::FeedForward(FeedForwardSpec::Plain(feed_forward)),
        ];
        let layer = LayerSpec {
            blocks: sublayers
                .map(|sublayer| BlockSpec::new(sublayer).before(norm).adding(residual))
                .into(),
        };
        let wiring = Wiring {
            embeddings: EmbeddingSpec {
                norm: Some(norm),
                ..EmbeddingSpec::words(d_model)
            },
            layers: Layers::alike(config.size("n_layer")?, layer),
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
        modules: &[AROUND, LAYER],
        place: None,
    }],
    tied: &["lm_head.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

const AROUND: &[Module] = &[
    Module(Slot::Word, "word_embeddings", Whole),
    Module(Slot::EmbeddingNorm, "word_embeddings_layernorm", Whole),
    Module(Slot::FinalNorm, "ln_f", Whole),
    Module(Slot::Head, "lm_head", Head),
];

const QKV: &str = "self_attention.query_key_value";

const LAYER: &[Module] = &[
    Module(Norm(Attention, Before), "input_layernorm", Whole),
    Module(Query(Attention), QKV, ByHead(0, 3)),
    Module(Key(Attention), QKV, ByHead(1, 3)),
    Module(Value(Attention), QKV, ByHead(2, 3)),
    Module(Output(Attention), "self_attention.dense", Whole),
    Module(Norm(FeedForward, Before), "post_attention_layernorm", Whole),
    Module(Slot::Up, "mlp.dense_h_to_4h", Whole),
    Module(Slot::Down, "mlp.dense_4h_to_h", Whole),
];
