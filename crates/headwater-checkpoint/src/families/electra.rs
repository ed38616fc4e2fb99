//! ELECTRA: BERT's names behind another prefix, and embeddings that may be narrower.

use super::Kind::{Linear, Lookup, Norm};
use super::Size::{Embedding, Model, PositionRows, TokenTypes, Vocab};
use super::{Module, Table, bert};
use crate::config::Config;
use crate::{Architecture, Error, Family};

pub(super) static TABLE: [Table; 1] = [Table {
    canonical: "",
    prefixes: &["electra.", ""],
    embeddings: &[
        Module(
            "embeddings.word",
            "embeddings.word_embeddings",
            Lookup(Vocab, Embedding),
        ),
        Module(
            "embeddings.position",
            "embeddings.position_embeddings",
            Lookup(PositionRows, Embedding),
        ),
        Module(
            "embeddings.token_type",
            "embeddings.token_type_embeddings",
            Lookup(TokenTypes, Embedding),
        ),
        Module("embeddings.norm", "embeddings.LayerNorm", Norm(Embedding)),
        Module(
            "embeddings.projection",
            "embeddings_project",
            Linear(Model, Embedding),
        ),
    ],
    layer_prefix: bert::LAYER_PREFIX,
    layer: &[&bert::LAYER],
    end: &[],
    tied: &["generator_lm_head.weight"],
}];

pub(super) fn architecture(config: &Config, model_type: String) -> Result<Architecture, Error> {
    Ok(Architecture {
        family: Family::Electra,
        d_embedding: config.size_if_given("embedding_size")?.unwrap_or(128),
        ..bert::architecture(config, model_type)?
    })
}
