//! DistilBERT: names and configuration fields of its own, no token types.

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
    model_types: &["distilbert"],
    prefixes: &["distilbert.", ""],
    read: |config, model_type| Ok(Read::Stack(architecture(config, model_type)?)),
    names: &[Names {
        canonical: "",
        layers: "transformer.layer.",
        modules: &[MODULES],
        place: None,
    }],
    tied: &["vocab_projector.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

const MODULES: &[Module] = &[
    Module(Slot::Word, "embeddings.word_embeddings", Whole),
    Module(Slot::Position, "embeddings.position_embeddings", Whole),
    Module(Slot::EmbeddingNorm, "embeddings.LayerNorm", Whole),
    Module(Query(Attention), "attention.q_lin", Whole),
    Module(Key(Attention), "attention.k_lin", Whole),
    Module(Value(Attention), "attention.v_lin", Whole),
    Module(Output(Attention), "attention.out_lin", Whole),
    Module(Norm(Attention, Behind), "sa_layer_norm", Whole),
    Module(Slot::Up, "ffn.lin1", Whole),
    Module(Slot::Down, "ffn.lin2", Whole),
    Module(Norm(FeedForward, Behind), "output_layer_norm", Whole),
];

fn architecture(config: &Config, model_type: &str) -> Result<Architecture, Error> {
    let d_model = config.size("dim")?;
    // Fixed in the model's code, not in its configuration.
    let norm = NormSpec::layer(1e-12);
    let d_ff = config.size("hidden_dim")?;
    let feed_forward = PlainSpec::new(d_ff, config.activation("activation")?);
    let n_layers = config.size("n_layers")?;
    let attention = AttentionSpec::of_width(d_model, config.size("n_heads")?)?;
    let sublayers = [
        Sublayer::Attention(attention),
        Sublayer::FeedForward(FeedForwardSpec::Plain(feed_forward)),
    ];
    let wiring = Wiring {
        embeddings: EmbeddingSpec {
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
