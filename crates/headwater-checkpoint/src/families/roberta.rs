//! RoBERTa, XLM-RoBERTa and CamemBERT: BERT's names behind another prefix.

use super::{Family, Read, TOKENIZER, bert};
use crate::config::Config;
use crate::wiring::{Counting, Positions};
use crate::{Architecture, Error};

pub(super) static FAMILY: Family = Family {
    model_types: &["roberta", "xlm-roberta", "camembert"],
    prefixes: &["roberta.", ""],
    read: |config, model_type| Ok(Read::Stack(architecture(config, model_type)?)),
    names: &[bert::NAMES],
    tied: &["lm_head.decoder.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

/// The rows of the position table up to the padding token's are never used by a real token.
pub(super) fn architecture(config: &Config, model_type: &str) -> Result<Architecture, Error> {
    let mut roberta = bert::architecture(config, model_type)?;
    roberta.pad_token_id = config.pad_token_id(1)?;
    let first = roberta.pad_token_id as usize + 1;
    let rows = config.size("max_position_embeddings")?;
    if rows <= first {
        return Err(Error::InvalidField {
            field: "max_position_embeddings",
            value: rows.to_string(),
            expected: "more than pad_token_id + 1, where the positions of this model type start",
        });
    }
    roberta.wiring.embeddings.positions = Positions::Learned {
        rows,
        first,
        counting: Counting::Unpadded,
    };
    roberta.max_positions = rows - first;
    Ok(roberta)
}
