use burn::tensor::{Device, Int, Tensor, TensorData};
use headwater_checkpoint::{Architecture, Family};

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
        if tokens > architecture.max_positions {
            return Err(Error::TooLong {
                tokens,
                max_positions: architecture.max_positions,
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
        let token_types = architecture.token_types.max(1);
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
    /// Added to the attention scores: 0 for visible sources, a very negative
    /// number for padding and, in causal models, for what comes later.
    /// `[batch, 1, 1, source]`, or `[batch, 1, target, source]` if causal.
    pub(crate) score_bias: Option<Tensor<4>>,
    lengths: Vec<usize>,
    longest: usize,
}

/// Low enough that its exponential is exactly zero beside any real score, in
/// float32 and in float64, and high enough to stay finite in both.
const MASKED_SCORE: f64 = -1e30;

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
        let position_ids = padded(&|s| position_ids(&s.input_ids, architecture), 0);

        let score_bias =
            score_bias(&lengths, longest, architecture.causal).map(|(shape, values)| {
                Tensor::from_data(TensorData::new(values, shape), (device, precision.dtype()))
            });
        Ok(Self {
            input_ids,
            token_type_ids,
            position_ids,
            score_bias,
            lengths,
            longest,
        })
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

/// What hides padded and, if causal, later sources; nothing where all are visible.
fn score_bias(lengths: &[usize], longest: usize, causal: bool) -> Option<([usize; 4], Vec<f32>)> {
    if !causal && lengths.iter().all(|&length| length == longest) {
        return None;
    }
    let targets = if causal { longest } else { 1 };
    let mut values = Vec::with_capacity(lengths.len() * targets * longest);
    for &length in lengths {
        for target in 0..targets {
            values.extend((0..longest).map(|source| {
                // A padded target sees itself, so that its row stays finite.
                let visible = (source < length || (causal && source == target))
                    && !(causal && source > target);
                if visible { 0.0 } else { MASKED_SCORE as f32 }
            }));
        }
    }
    Some(([lengths.len(), 1, targets, longest], values))
}

/// Rows of the position table for one sequence.
///
/// RoBERTa counts only tokens that are not padding and starts behind the
/// padding id; a padding id inside a text gets the padding row.
fn position_ids(input_ids: &[u32], architecture: &Architecture) -> Vec<u32> {
    match architecture.family {
        Family::Roberta => {
            let padding = architecture.pad_token_id;
            let mut position = padding;
            input_ids
                .iter()
                .map(|&id| {
                    if id == padding {
                        padding
                    } else {
                        position += 1;
                        position
                    }
                })
                .collect()
        }
        _ => (0..input_ids.len() as u32)
            .map(|i| i + architecture.position_offset as u32)
            .collect(),
    }
}
