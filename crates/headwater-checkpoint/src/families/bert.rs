//! BERT: the names that RoBERTa and ELECTRA inherit.

use super::names::Stored::Whole;
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::config::Config;
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Behind;
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::wiring::{
    AttentionSpec, EmbeddingSpec, FeedForwardSpec, LayerSpec, Layers, NormSpec, PlainSpec,
    Sublayer, Wiring,
};
use crate::{Architecture, Error};

pub(super) static FAMILY: Family = Family {
    model_types: &["bert"],
    prefixes: &["bert.", ""],
    read: |config, model_type| Ok(Read::Stack(architecture(config, model_type)?)),
    names: &[NAMES],
    tied: &["cls.predictions.decoder.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

pub(super) const NAMES: Names = Names {
    canonical: "",
    layers: "encoder.layer.",
    modules: &[EMBEDDINGS, LAYER],
    place: None,
};

pub(super) const EMBEDDINGS: &[Module] = &[
    Module(Slot::Word, "embeddings.word_embeddings", Whole),
    Module(Slot::Position, "embeddings.position_embeddings", Whole),
    Module(Slot::TokenType, "embeddings.token_type_embeddings", Whole),
    Module(Slot::EmbeddingNorm, "embeddings.LayerNorm", Whole),
];

pub(super) const LAYER: &[Module] = &[
    Module(Query(Attention), "attention.self.query", Whole),
    Module(Key(Attention), "attention.self.key", Whole),
    Module(Value(Attention), "attention.self.value", Whole),
    Module(Output(Attention), "attention.output.dense", Whole),
    Module(Norm(Attention, Behind), "attention.output.LayerNorm", Whole),
    Module(Slot::Up, "intermediate.dense", Whole),
    Module(Slot::Down, "output.dense", Whole),
    Module(Norm(FeedForward, Behind), "output.LayerNorm", Whole),
];

/// The field names of BERT, which RoBERTa and ELECTRA share.
pub(super) fn architecture(config: &Config, model_type: &str) -> Result<Architecture, Error> {
    let d_model = config.size("hidden_size")?;
    let norm = NormSpec::layer(config.epsilon("layer_norm_eps")?);
    let d_ff = config.size("intermediate_size")?;
    let feed_forward = PlainSpec::new(d_ff, config.activation("hidden_act")?);
    let n_layers = config.size("num_hidden_layers")?;
    let attention = AttentionSpec::of_width(d_model, config.size("num_attention_heads")?)?;
    let sublayers = [
        Sublayer::Attention(attention),
        Sublayer::FeedForward(FeedForwardSpec::Plain(feed_forward)),
    ];
    let wiring = Wiring {
        embeddings: EmbeddingSpec {
            token_types: config.size_if_given("type_vocab_size")?.unwrap_or(2),
            norm: Some(norm),
            ..EmbeddingSpec::learned(d_model, config.size("max_position_embeddings")?, 0)
        },
        layers: Layers::alike(n_layers, LayerSpec::post_norm(norm, sublayers)),
        final_norm: None,
        head: None,
    };
    let sizes = [config.size("vocab_size")?, d_model];
    Ok(Architecture::new(
        model_type,
        sizes,
        config.pad_token_id(0)?,
        wiring,
    ))
}
