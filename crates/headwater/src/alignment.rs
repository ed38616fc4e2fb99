//! Word alignment read off cross-attention.

use std::fmt;
use std::str::FromStr;

use crate::decomposition::Scope;
use crate::metrics::{AlignmentSetting, Links, Symmetrization, WordGroups, WordMap};
use crate::{Analysis, Array, Error, LayerArray, Quantity, Request, Stack, TokenizedPair};

/// A text and its translation as a model sees them, with the words that the
/// tokens make up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParallelText {
    /// The tokens.
    pub tokens: TokenizedPair,
    /// Tokens of each word of the source; end mark and language codes are in none.
    pub source_words: WordGroups,
    /// Tokens of each word of the target, counted without the decoder's start token.
    pub target_words: WordGroups,
}

/// What a target takes from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlignmentMeasure {
    /// `weights`: α; of all heads their mean.
    Weights,
    /// `norm`: ‖α f^h(x_j)‖; of all heads ‖Σ_h α f^h(x_j)‖.
    Norm,
}

impl AlignmentMeasure {
    /// Both measures.
    pub const ALL: [Self; 2] = [Self::Weights, Self::Norm];
}

impl fmt::Display for AlignmentMeasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AlignmentMeasure::Weights => "weights",
            AlignmentMeasure::Norm => "norm",
        })
    }
}

impl FromStr for AlignmentMeasure {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|measure| measure.to_string() == name)
            .ok_or_else(|| Error::UnknownAlignmentMeasure {
                name: name.to_owned(),
            })
    }
}

/// Which of a model's cross-attention maps aligns words.
///
/// # Source
/// Kobayashi et al. 2020, word alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aligner {
    /// The decoder's layer, from 0.
    pub layer: usize,
    /// One head, or `None` for all of them together.
    pub head: Option<usize>,
    /// What is measured.
    pub measure: AlignmentMeasure,
    /// Which row belongs to a target token.
    pub setting: AlignmentSetting,
}

impl Aligner {
    /// What an analysis has to contain for every aligner of these layers;
    /// `None` is all of them.
    pub fn request(layers: Option<Vec<usize>>) -> Request {
        Request {
            scopes: Some(vec![Scope::CrossAttn]),
            layers,
            quantities: [
                Quantity::AttentionWeights,
                Quantity::WeightedNorms,
                Quantity::Norms,
            ]
            .into_iter()
            .collect(),
            ..Request::default()
        }
    }

    /// The map over tokens, `[target, source]`.
    ///
    /// # Errors
    /// The analysis lacks the layer or the head.
    pub fn token_map(&self, analysis: &Analysis) -> Result<ndarray::Array2<f64>, Error> {
        let array = |array: LayerArray| -> Result<&Array, Error> {
            let key = array.of(Stack::Decoder, self.layer);
            analysis.array(&key).ok_or_else(|| Error::NotAnalysed {
                key: key.to_string(),
            })
        };
        let map = match (self.measure, self.head) {
            (AlignmentMeasure::Norm, None) => array(LayerArray::Norms(Scope::CrossAttn))?.to_f64(),
            (measure, head) => {
                let by_head = array(match measure {
                    AlignmentMeasure::Weights => LayerArray::CrossAttentionWeights,
                    AlignmentMeasure::Norm => LayerArray::CrossWeightedNorms,
                })?;
                let n_heads = by_head.shape()[0];
                let by_head = by_head.to_f64();
                match head {
                    Some(head) if head < n_heads => by_head.index_axis_move(ndarray::Axis(0), head),
                    Some(head) => return Err(Error::NoSuchHead { head, n_heads }),
                    None => by_head
                        .mean_axis(ndarray::Axis(0))
                        .expect("a model has a head"),
                }
            }
        };
        Ok(map.into_dimensionality().expect("one row a target"))
    }

    /// What each target word takes from each source word.
    ///
    /// # Errors
    /// The analysis lacks the layer or the head, or is one of other texts.
    pub fn word_map(&self, analysis: &Analysis, texts: &ParallelText) -> Result<WordMap, Error> {
        let map = self.token_map(analysis)?;
        let (source, target) = (&texts.source_words, &texts.target_words);
        Ok(WordMap::new(map.view(), source, target, self.setting)?)
    }

    /// The links between words: each target word's, or those of both directions combined.
    ///
    /// # Errors
    /// As [`Aligner::word_map`].
    pub fn links(
        &self,
        analysis: &Analysis,
        texts: &ParallelText,
        symmetrization: Option<Symmetrization>,
    ) -> Result<Links, Error> {
        let words = self.word_map(analysis, texts)?;
        Ok(links(&words, symmetrization))
    }
}

/// The links of a map over words.
pub(crate) fn links(words: &WordMap, symmetrization: Option<Symmetrization>) -> Links {
    let forward = words.target_links();
    match symmetrization {
        None => forward,
        Some(symmetrization) => symmetrization.combine(&forward, &words.source_links()),
    }
}
