use std::fmt;
use std::str::FromStr;

use crate::{Error, LayerArray, Scope};

/// What a mixing ratio is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MixingMeasure {
    /// `attn_w`: attention weights alone, 1 − A_ii with A the mean over heads (ATTN-W of 2021).
    AttentionWeights,
    /// `attn_res_w`: attention weights and an identity matrix for the
    /// residual, (1 − A_ii)/2 (Abnar and Zuidema 2020; ATTNRES-W of 2021).
    AttentionWeightsResidual,
    /// The decomposition at a scope.
    Scope(Scope),
}

impl MixingMeasure {
    /// The name in files: `attn_w`, `attn_res_w` or the scope's slug.
    pub fn slug(self) -> &'static str {
        match self {
            MixingMeasure::AttentionWeights => "attn_w",
            MixingMeasure::AttentionWeightsResidual => "attn_res_w",
            MixingMeasure::Scope(scope) => scope.slug(),
        }
    }
}

impl From<Scope> for MixingMeasure {
    fn from(scope: Scope) -> Self {
        MixingMeasure::Scope(scope)
    }
}

/// One of a model's stacks of layers. A model has one, or an encoder and a
/// decoder; there is no third kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stack {
    /// The only one.
    Only,
    /// The encoder of a translation model.
    Encoder,
    /// The decoder of a translation model.
    Decoder,
}

impl Stack {
    /// What stands before the keys of its arrays: nothing, `encoder.` or `decoder.`.
    pub fn prefix(self) -> &'static str {
        match self {
            Stack::Only => "",
            Stack::Encoder => "encoder.",
            Stack::Decoder => "decoder.",
        }
    }

    /// What stands before a word of it in a sentence: nothing, `encoder ` or `decoder `.
    pub fn words(self) -> &'static str {
        match self {
            Stack::Only => "",
            Stack::Encoder => "encoder ",
            Stack::Decoder => "decoder ",
        }
    }
}

/// A layer of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The stack of layers.
    pub stack: Stack,
    /// The layer, from 0.
    pub layer: usize,
}

/// `layer 3`, `encoder layer 3` or `decoder layer 3`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}layer {}", self.stack.words(), self.layer)
    }
}

/// The name of an array of an analysis; displayed as its key in an analysis file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ArrayKey {
    /// Index 0 is the embedding output, l + 1 the output of layer l. `[token, d_model]`.
    HiddenStates {
        /// The stack of layers.
        stack: Stack,
        /// From 0 to the number of layers.
        index: usize,
    },
    /// An array of a layer.
    Layer {
        /// The stack of layers.
        stack: Stack,
        /// The layer, from 0.
        layer: usize,
        /// Which array.
        array: LayerArray,
    },
}

impl ArrayKey {
    /// The stack of layers it belongs to.
    pub fn stack(&self) -> Stack {
        match *self {
            ArrayKey::HiddenStates { stack, .. } | ArrayKey::Layer { stack, .. } => stack,
        }
    }

    /// The layer it belongs to; hidden states lie between layers.
    pub fn layer(&self) -> Option<usize> {
        Some(self.place()?.layer)
    }

    /// The layer it belongs to and that layer's stack; hidden states lie
    /// between layers.
    pub fn place(&self) -> Option<Place> {
        match *self {
            ArrayKey::HiddenStates { .. } => None,
            ArrayKey::Layer { stack, layer, .. } => Some(Place { stack, layer }),
        }
    }

    /// Which array of its layer it is.
    pub fn array(&self) -> Option<LayerArray> {
        match *self {
            ArrayKey::HiddenStates { .. } => None,
            ArrayKey::Layer { array, .. } => Some(array),
        }
    }
}

impl fmt::Display for ArrayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stack().prefix())?;
        match self {
            ArrayKey::HiddenStates { index, .. } => write!(f, "hidden_states.{index}"),
            ArrayKey::Layer { layer, array, .. } => write!(f, "layers.{layer}.{array}"),
        }
    }
}

impl FromStr for ArrayKey {
    type Err = Error;

    /// The inverse of its display.
    fn from_str(name: &str) -> Result<Self, Error> {
        let (stack, rest) = [Stack::Encoder, Stack::Decoder]
            .into_iter()
            .find_map(|stack| Some((stack, name.strip_prefix(stack.prefix())?)))
            .unwrap_or((Stack::Only, name));
        let key = match rest.split_once('.') {
            Some(("hidden_states", index)) => {
                number(index).map(|index| ArrayKey::HiddenStates { stack, index })
            }
            Some(("layers", rest)) => rest.split_once('.').and_then(|(layer, array)| {
                Some(LayerArray::named(array)?.of(stack, number(layer)?))
            }),
            _ => None,
        };
        key.ok_or_else(|| Error::UnknownArray {
            name: name.to_owned(),
        })
    }
}

/// A number as it is displayed: with no sign and no zero before it.
fn number(text: &str) -> Option<usize> {
    let number: usize = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_as_it_is_written() {
        let mut keys = Vec::new();
        for stack in [Stack::Only, Stack::Encoder, Stack::Decoder] {
            keys.extend([0, 7, 123].map(|index| ArrayKey::HiddenStates { stack, index }));
            for layer in [0, 11, 100] {
                let arrays = LayerArray::all(&Scope::ALL).into_iter();
                keys.extend(arrays.map(|array| array.of(stack, layer)));
            }
        }
        for key in keys {
            assert_eq!(key.to_string().parse::<ArrayKey>().unwrap(), key);
        }
    }

    #[test]
    fn other_names_are_no_keys() {
        for name in [
            "",
            "input_ids",
            "layers.0",
            "layers.0.norms",
            "layers.0.attention_weights.attn",
            "layers.00.attention_weights",
            "layers.0.norms.nothing",
            "layers.0.norms.attn_w",
            "layers.0.norms.attn.",
            "layers.-1.norms.attn",
            "layers.18446744073709551616.norms.attn",
            "hidden_states.+1",
            "encoder.decoder.layers.0.norms.attn",
        ] {
            assert!(name.parse::<ArrayKey>().is_err(), "{name:?}");
        }
    }
}
