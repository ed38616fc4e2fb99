//! `config.json`: typed access to its fields, and the checks that all families share.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Activation, Error, checksum};

/// No configuration or index comes near this size.
const MAX_JSON_BYTES: u64 = 32_000_000;

/// A JSON object with errors that name the field.
pub(crate) struct Config {
    fields: Map<String, Value>,
    /// Of the file, in hexadecimal.
    pub(crate) sha256: String,
}

impl Config {
    /// Reads `config.json` of `directory`.
    pub(crate) fn read(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("config.json");
        if !path.is_file() {
            let directory = directory.to_owned();
            return Err(Error::MissingConfig { directory });
        }
        let bytes = read_small(&path)?;
        let fields = serde_json::from_slice(&bytes)
            .map_err(|source| Error::MalformedConfig { path, source })?;
        let sha256 = checksum::of_bytes(&bytes);
        Ok(Self { fields, sha256 })
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

    /// The nonlinearity that `field` names, or `default` where it names none.
    pub(crate) fn activation(
        &self,
        field: &'static str,
        default: Activation,
    ) -> Result<Activation, Error> {
        let Some(name) = self.text(field)? else {
            return Ok(default);
        };
        Activation::from_name(name).ok_or_else(|| Error::UnsupportedActivation {
            activation: name.into(),
        })
    }

    /// ε of the layer normalizations, or `default` where none is given.
    pub(crate) fn layer_norm_eps(&self, field: &'static str, default: f64) -> Result<f64, Error> {
        let eps = self.optional(field, "a number above 0", |value| {
            value.as_f64().filter(|&eps| eps > 0.0)
        })?;
        Ok(eps.unwrap_or(default))
    }

    /// A switch that may be left out.
    pub(crate) fn switch(&self, field: &'static str, default: bool) -> Result<bool, Error> {
        Ok(self
            .optional(field, "true or false", Value::as_bool)?
            .unwrap_or(default))
    }

    /// Refuses a switch that is set to anything but `supported`, which is also its default.
    ///
    /// A JSON null counts as false, because the models' own code takes it so.
    pub(crate) fn require(
        &self,
        field: &'static str,
        supported: bool,
        reason: &'static str,
    ) -> Result<(), Error> {
        let accepts = |value: &Value| {
            let switch = if value.is_null() {
                Some(false)
            } else {
                value.as_bool()
            };
            switch == Some(supported)
        };
        refuse(field, self.fields.get(field), accepts, reason)
    }

    /// Refuses variants that no family computes.
    pub(crate) fn refuse_variants(&self) -> Result<(), Error> {
        let field = "position_embedding_type";
        refuse(
            field,
            self.value(field),
            |value| value == "absolute",
            "only absolute position embeddings are supported",
        )?;
        let field = "pruned_heads";
        let is_empty = |value: &Value| {
            value.as_object().is_some_and(Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty)
        };
        refuse(
            field,
            self.value(field),
            is_empty,
            "models with pruned heads are not supported",
        )?;
        self.require(
            "add_cross_attention",
            false,
            "cross-attention is not supported",
        )
    }
}

/// An error where the field is there and its value is not accepted.
fn refuse(
    field: &'static str,
    value: Option<&Value>,
    accepts: impl FnOnce(&Value) -> bool,
    reason: &'static str,
) -> Result<(), Error> {
    match value.filter(|value| !accepts(value)) {
        Some(value) => Err(Error::UnsupportedVariant {
            field,
            value: value.to_string(),
            reason,
        }),
        None => Ok(()),
    }
}

/// Parses a JSON file of bounded size.
pub(crate) fn read_json<T: DeserializeOwned>(
    path: &Path,
    malformed: impl FnOnce(&Path, serde_json::Error) -> Error,
) -> Result<T, Error> {
    serde_json::from_slice(&read_small(path)?).map_err(|source| malformed(path, source))
}

/// A file that is no larger than any configuration or index.
fn read_small(path: &Path) -> Result<Vec<u8>, Error> {
    let size = fs::metadata(path).map_err(Error::io(path))?.len();
    if size > MAX_JSON_BYTES {
        let path = path.to_owned();
        return Err(Error::FileTooLarge {
            path,
            limit: MAX_JSON_BYTES,
        });
    }
    fs::read(path).map_err(Error::io(path))
}
