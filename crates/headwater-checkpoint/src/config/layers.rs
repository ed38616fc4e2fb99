//! Which layer is of which type: full attention, or a window.

use serde_json::Value;

use super::{Config, shown};
use crate::Error;
use crate::wiring::{Band, LayerSpec, Layers, Pattern};

/// How far a layer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayerType {
    /// As far as there are tokens.
    Full,
    /// As far as a window.
    Sliding,
}

impl Config {
    /// The types that `layer_types` lists, where there is such a list.
    pub(crate) fn layer_types(&self, number: usize) -> Result<Option<Vec<LayerType>>, Error> {
        const FIELD: &str = "layer_types";
        let Some(types) = self.optional(FIELD, "a list", Value::as_array)? else {
            return Ok(None);
        };
        if types.len() != number {
            return Err(Error::InvalidField {
                field: FIELD,
                value: format!("a list of {}", types.len()),
                expected: "as long as there are layers",
            });
        }
        let kinds = types.iter().map(|name| match name.as_str() {
            Some("full_attention") => Ok(LayerType::Full),
            Some("sliding_attention") => Ok(LayerType::Sliding),
            _ => Err(Error::UnsupportedVariant {
                field: FIELD,
                value: shown(name),
                reason: "supported are full_attention and sliding_attention",
            }),
        });
        Ok(Some(kinds.collect::<Result<_, _>>()?))
    }

    /// Layers of the two types: as listed, else as `otherwise` says, whose kind 0 is `first`.
    ///
    /// A window is asked for only where a layer slides.
    pub(crate) fn layers_by_type(
        &self,
        number: usize,
        window: Option<usize>,
        (first, otherwise): (LayerType, Pattern),
        layer: impl Fn(LayerType, Band) -> Result<LayerSpec, Error>,
    ) -> Result<Layers, Error> {
        let band = |kind| match (kind, window) {
            (LayerType::Full, _) => Ok(Band::CAUSAL),
            (LayerType::Sliding, Some(window)) => Ok(Band::causal_window(window)),
            (LayerType::Sliding, None) => Err(Error::MissingField {
                field: "sliding_window",
            }),
        };
        let made = |kind| layer(kind, band(kind)?);
        let (kinds, pattern) = match self.layer_types(number)? {
            Some(types) if types.contains(&LayerType::Sliding) => {
                let kinds = vec![made(LayerType::Full)?, made(LayerType::Sliding)?];
                let kind = |kind: &LayerType| u8::from(*kind == LayerType::Sliding);
                (kinds, Pattern::Listed(types.iter().map(kind).collect()))
            }
            Some(_) => (vec![made(LayerType::Full)?], Pattern::One),
            None if otherwise == Pattern::One => (vec![made(first)?], Pattern::One),
            None => {
                let second = match first {
                    LayerType::Full => LayerType::Sliding,
                    LayerType::Sliding => LayerType::Full,
                };
                (vec![made(first)?, made(second)?], otherwise)
            }
        };
        Ok(Layers {
            number,
            kinds,
            pattern,
            scale_by_number: false,
        })
    }
}
