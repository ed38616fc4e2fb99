//! XLM-RoBERTa-XL: RoBERTa with the norms before its sublayers and one behind its layers.

use super::names::Stored::Whole;
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER, roberta};
use crate::wiring::BlockSpec;
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Before;
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::{Architecture, Arrangement};

pub(super) static FAMILY: Family = Family {
    model_types: &["xlm-roberta-xl"],
    prefixes: &["roberta.", ""],
    read: |config, model_type| {
        let mut xl: Architecture = roberta::architecture(config, model_type)?;
        let norm = xl.wiring.embeddings.norm.take();
        for kind in &mut xl.wiring.layers.kinds {
            for block in &mut kind.blocks {
                *block = BlockSpec {
                    before: block.behind.take(),
                    ..block.clone()
                };
            }
        }
        xl.wiring.final_norm = norm;
        xl.arrangement = Arrangement::PreLn;
        Ok(Read::Stack(xl))
    },
    names: &[Names {
        canonical: "",
        layers: "encoder.layer.",
        modules: &[MODULES],
        place: None,
    }],
    tied: &["lm_head.decoder.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

const MODULES: &[Module] = &[
    Module(Slot::Word, "embeddings.word_embeddings", Whole),
    Module(Slot::Position, "embeddings.position_embeddings", Whole),
    Module(Slot::TokenType, "embeddings.token_type_embeddings", Whole),
    Module(Slot::FinalNorm, "encoder.LayerNorm", Whole),
    Module(
        Norm(Attention, Before),
        "attention.self_attn_layer_norm",
        Whole,
    ),
    Module(Query(Attention), "attention.self.query", Whole),
    Module(Key(Attention), "attention.self.key", Whole),
    Module(Value(Attention), "attention.self.value", Whole),
    Module(Output(Attention), "attention.output.dense", Whole),
    Module(Norm(FeedForward, Before), "LayerNorm", Whole),
    Module(Slot::Up, "intermediate.dense", Whole),
    Module(Slot::Down, "output.dense", Whole),
];
