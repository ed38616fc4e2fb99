//! ELECTRA: BERT's names behind another prefix, and embeddings that may be narrower.

use super::names::Stored::Whole;
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER, bert};
use crate::wiring::tensors::Slot;

pub(super) static FAMILY: Family = Family {
    model_types: &["electra"],
    prefixes: &["electra.", ""],
    read: |config, model_type| {
        let mut electra = bert::architecture(config, model_type)?;
        electra.d_embedding = config.size("embedding_size")?;
        electra.wiring.embeddings.width = electra.d_embedding;
        Ok(Read::Stack(electra))
    },
    names: &[Names {
        modules: &[bert::EMBEDDINGS, PROJECTION, bert::LAYER],
        ..bert::NAMES
    }],
    tied: &["generator_lm_head.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

const PROJECTION: &[Module] = &[Module(
    Slot::EmbeddingProjection,
    "embeddings_project",
    Whole,
)];
