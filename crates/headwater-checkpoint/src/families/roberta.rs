//! RoBERTa, XLM-RoBERTa and CamemBERT: BERT's names behind another prefix.

use super::{Table, bert};
use crate::config::Config;
use crate::{Architecture, Error, Family};

pub(super) static TABLE: [Table; 1] = [Table {
    canonical: "",
    prefixes: &["roberta.", ""],
    embeddings: &bert::EMBEDDINGS,
    layer_prefix: bert::LAYER_PREFIX,
    layer: &[&bert::LAYER],
    end: &[],
    tied: &["lm_head.decoder.weight"],
}];

/// The rows of the position table up to the padding token's are never used by a real token.
pub(super) fn architecture(config: &Config, model_type: String) -> Result<Architecture, Error> {
    let bert = bert::architecture(config, model_type)?;
    let pad_token_id = config.pad_token_id(1)?;
    let position_offset = pad_token_id as usize + 1;
    let rows = bert.max_positions;
    let max_positions = rows
        .checked_sub(position_offset)
        .filter(|&positions| positions > 0);
    Ok(Architecture {
        family: Family::Roberta,
        pad_token_id,
        position_offset,
        max_positions: max_positions.ok_or_else(|| Error::InvalidField {
            field: "max_position_embeddings",
            value: rows.to_string(),
            expected: "more than pad_token_id + 1, where the positions of this model type start",
        })?,
        ..bert
    })
}
