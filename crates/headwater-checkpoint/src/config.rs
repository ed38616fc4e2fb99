//! `config.json`: typed access to its fields, and the checks that all families share.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Activation, Error};

/// No configuration or index comes near this size.
const MAX_JSON_BYTES: u64 = 32_000_000;

/// A JSON object with errors that name the field.
pub(crate) struct Config {
    fields: Map<String, Value>,
}

impl Config {
    /// Reads `config.json` of `directory`.
    pub(crate) fn read(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("config.json");
        if !path.is_file() {
            let directory = directory.to_owned();
            return Err(Error::MissingConfig { directory });
        }
        let fields = read_json(&path, |path, source| Error::MalformedConfig {
            path: path.into(),
            source,
        })?;
        Ok(Self { fields })
    }

    /// The field's value; a JSON null counts as absent.
    fn value(&self, field: &'static str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn optional<'a, T>(
        &'a self,
        field: &'static str,
        expected: &'static str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        match convert(value) {
            Some(converted) => Ok(Some(converted)),
            None => Err(Error::InvalidField {
                field,
                value: value.to_string(),
                expected,
            }),
        }
    }

    /// A size, which has to be there and at least 1.
    pub(crate) fn size(&self, field: &'static str) -> Result<usize, Error> {
        self.size_if_given(field)?
            .ok_or(Error::MissingField { field })
    }

    /// A size that may be left out, at least 1.
    pub(crate) fn size_if_given(&self, field: &'static str) -> Result<Option<usize>, Error> {
        self.optional(field, "a whole number above 0", |value| {
            usize::try_from(value.as_u64()?)
                .ok()
                .filter(|&size| size > 0)
        })
    }

    /// A text that may be left out.
    pub(crate) fn text(&self, field: &'static str) -> Result<Option<&str>, Error> {
        self.optional(field, "a text", Value::as_str)
    }

    /// The padding token, or `default` where none is given.
    pub(crate) fn pad_token_id(&self, default: u32) -> Result<u32, Error> {
        let id = self.optional("pad_token_id", "a token id", |value| {
            u32::try_from(value.as_u64()?).ok()
        })?;
        Ok(id.unwrap_or(default))
    }

    /// The nonlinearity that `field` names; GELU where it names none.
    pub(crate) fn activation(&self, field: &'static str) -> Result<Activation, Error> {
        let name = self.text(field)?.unwrap_or("gelu");
        Activation::from_name(name).ok_or_else(|| Error::UnsupportedActivation {
            activation: name.into(),
        })
    }

    /// ε of the layer normalizations; 1e-12 where none is given.
    pub(crate) fn layer_norm_eps(&self) -> Result<f64, Error> {
        let eps = self.optional("layer_norm_eps", "a number above 0", |value| {
            value.as_f64().filter(|&eps| eps > 0.0)
        })?;
        Ok(eps.unwrap_or(1e-12))
    }

    /// Refuses variants that a plain encoder would compute wrongly.
    pub(crate) fn refuse_variants(&self) -> Result<(), Error> {
        type Accepts = fn(&Value) -> bool;
        let is_false: Accepts = |value| value == &Value::Bool(false);
        let is_empty: Accepts = |value| {
            value.as_object().is_some_and(Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty)
        };
        let checks: [(&'static str, Accepts, &'static str); 4] = [
            (
                "position_embedding_type",
                |value| value == "absolute",
                "only absolute position embeddings are supported",
            ),
            ("is_decoder", is_false, "only encoders are supported"),
            (
                "add_cross_attention",
                is_false,
                "cross-attention is not supported",
            ),
            (
                "pruned_heads",
                is_empty,
                "models with pruned heads are not supported",
            ),
        ];
        for (field, accepts, reason) in checks {
            if let Some(value) = self.value(field).filter(|value| !accepts(value)) {
                return Err(Error::UnsupportedVariant {
                    field,
                    value: value.to_string(),
                    reason,
                });
            }
        }
        Ok(())
    }
}

/// Parses a JSON file of bounded size.
pub(crate) fn read_json<T: DeserializeOwned>(
    path: &Path,
    malformed: impl FnOnce(&Path, serde_json::Error) -> Error,
) -> Result<T, Error> {
    let size = fs::metadata(path).map_err(Error::io(path))?.len();
    if size > MAX_JSON_BYTES {
        let path = path.to_owned();
        return Err(Error::FileTooLarge {
            path,
            limit: MAX_JSON_BYTES,
        });
    }
    let bytes = fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&bytes).map_err(|source| malformed(path, source))
}
