use burn::tensor::{Device, Int, Tensor, TensorData};
use headwater_checkpoint::Architecture;
use headwater_checkpoint::wiring::{Counting, Positions};

use crate::scores::ScoreTables;
use crate::{Error, Precision};

/// One sequence of token ids, special tokens included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSequence {
    /// Ids of the vocabulary.
    pub input_ids: Vec<u32>,
    /// One a token; models without token types take zeros.
    pub token_type_ids: Vec<u32>,
}

impl TokenSequence {
    /// A sequence whose tokens are all of type 0.
    pub fn new(input_ids: Vec<u32>) -> Self {
        let token_type_ids = vec![0; input_ids.len()];
        Self {
            input_ids,
            token_type_ids,
        }
    }

    /// Checks the sequence against a model.
    ///
    /// # Errors
    /// No tokens, more tokens than positions, an id outside the vocabulary or the token types.
    pub fn validate(&self, architecture: &Architecture, index: usize) -> Result<(), Error> {
        let tokens = self.input_ids.len();
        if tokens == 0 {
            return Err(Error::EmptySequence { index });
        }
        let embeddings = architecture.embeddings();
        if let Some(max_positions) = embeddings.limit().filter(|&limit| tokens > limit) {
            return Err(Error::TooLong {
                tokens,
                max_positions,
            });
        }
        if self.token_type_ids.len() != tokens {
            return Err(Error::TokenTypesLength {
                tokens,
                token_types: self.token_type_ids.len(),
            });
        }
        for (position, &id) in self.input_ids.iter().enumerate() {
            if id as usize >= architecture.vocab_size {
                return Err(Error::TokenOutOfVocabulary {
                    id,
                    position,
                    vocab_size: architecture.vocab_size,
                });
            }
        }
        let token_types = embeddings.token_types.max(1);
        for (position, &id) in self.token_type_ids.iter().enumerate() {
            if id as usize >= token_types {
                return Err(Error::TokenTypeOutOfRange {
                    id,
                    position,
                    token_types,
                });
            }
        }
        Ok(())
    }
}

/// Sequences padded to one length, on a device.
///
/// Padded positions are masked out as sources; as targets they hold finite
/// values that mean nothing. [`TokenBatch::lengths`] says where they start.
#[derive(Debug, Clone)]
pub struct TokenBatch {
    pub(crate) input_ids: Tensor<2, Int>,
    pub(crate) token_type_ids: Tensor<2, Int>,
    pub(crate) position_ids: Tensor<2, Int>,
    /// What the texts add to attention scores.
    pub(crate) tables: ScoreTables,
    lengths: Vec<usize>,
    longest: usize,
}

impl TokenBatch {
    /// Validates and pads sequences.
    ///
    /// # Errors
    /// An empty batch and whatever [`TokenSequence::validate`] refuses.
    pub fn new(
        sequences: &[TokenSequence],
        architecture: &Architecture,
        device: &Device,
        precision: Precision,
    ) -> Result<Self, Error> {
        let batch = sequences.len();
        if batch == 0 {
            return Err(Error::EmptySequence { index: 0 });
        }
        for (index, sequence) in sequences.iter().enumerate() {
            sequence.validate(architecture, index)?;
        }
        let lengths: Vec<usize> = sequences.iter().map(|s| s.input_ids.len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);

        let padded = |row: &dyn Fn(&TokenSequence) -> Vec<u32>, fill: u32| -> Tensor<2, Int> {
            let mut values = Vec::with_capacity(batch * longest);
            for sequence in sequences {
                let row = row(sequence);
                values.extend(row.iter().map(|&id| id as i32));
                values.extend(std::iter::repeat_n(fill as i32, longest - row.len()));
            }
            Tensor::from_data(TensorData::new(values, [batch, longest]), device)
        };
        let input_ids = padded(&|s| s.input_ids.clone(), architecture.pad_token_id);
        let token_type_ids = padded(&|s| s.token_type_ids.clone(), 0);
        let positions = architecture.embeddings().positions;
        let position_ids = padded(
            &|s| position_ids(&s.input_ids, architecture.pad_token_id, positions),
            0,
        );

        let tables = ScoreTables::new(&lengths, longest, device, precision);
        Ok(Self {
            input_ids,
            token_type_ids,
            position_ids,
            tables,
            lengths,
            longest,
        })
    }

    /// What the texts add to attention scores.
    pub fn tables(&self) -> &ScoreTables {
        &self.tables
    }

    /// Real tokens of each sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Tokens of the longest sequence: the padded length.
    pub fn longest(&self) -> usize {
        self.longest
    }
}

/// Rows of the position table for one sequence; none are looked at where there is no table.
///
/// RoBERTa counts only tokens that are not padding and starts behind the
/// padding id; a padding id inside a text gets the padding row.
fn position_ids(input_ids: &[u32], padding: u32, positions: Positions) -> Vec<u32> {
    let from = |first: usize| (0..input_ids.len()).map(move |i| (i + first) as u32);
    match positions {
        Positions::None => vec![0; input_ids.len()],
        Positions::Learned {
            first,
            counting: Counting::All,
            ..
        }
        | Positions::Sinusoidal { first, .. } => from(first).collect(),
        Positions::Learned {
            first,
            counting: Counting::Unpadded,
            ..
        } => {
            let mut next = first as u32;
            let row = |&id: &u32| {
                if id == padding {
                    return padding;
                }
                next += 1;
                next - 1
            };
            input_ids.iter().map(row).collect()
        }
    }
}
