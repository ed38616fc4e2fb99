//! `config.json`: typed access to its fields, with the names and defaults of its class in
//! transformers, and the checks that all families share.

mod classes;
mod json;
mod layers;
mod leftover;
mod rope;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use self::classes::Class;
pub(crate) use self::json::read_json;
pub(crate) use self::layers::LayerType;
pub(crate) use self::rope::RopeKeys;
use crate::{Activation, Error, checksum};

/// The file that says that what lies beside it is added to another model's weights.
pub(crate) const ADAPTER: &str = "adapter_config.json";

/// How much of a value an error shows.
const MAX_VALUE_CHARS: usize = 80;

/// A JSON object with errors that name the field.
///
/// A field that is absent has the default of its class, and may go by another name that the class
/// has for it.
pub(crate) struct Config {
    fields: Map<String, Value>,
    class: Class,
    /// Fields that were asked for.
    read: RefCell<BTreeSet<&'static str>>,
    /// Those of them that are sizes.
    sizes: RefCell<BTreeSet<&'static str>>,
    /// Of the file, in hexadecimal.
    pub(crate) sha256: String,
}

impl Config {
    /// Reads `config.json` of `directory`.
    pub(crate) fn read(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("config.json");
        if !path.is_file() {
            let directory = directory.to_owned();
            return Err(match directory.join(ADAPTER).is_file() {
                true => Error::AdapterFolder { directory },
                false => Error::MissingConfig { directory },
            });
        }
        let bytes = json::read_small(&path)?;
        let mut fields: Map<String, Value> =
            json::parse(&bytes).map_err(|source| Error::MalformedConfig { path, source })?;
        let class = Class::of(fields.get("model_type").and_then(Value::as_str));
        rename_aliases(&mut fields, class)?;
        Ok(Self {
            fields,
            class,
            read: RefCell::default(),
            sizes: RefCell::default(),
            sha256: checksum::of_bytes(&bytes),
        })
    }

    /// The field's value in the file.
    fn in_file(&self, field: &'static str) -> Option<&Value> {
        self.read.borrow_mut().insert(field);
        self.fields.get(field)
    }

    /// Whether the file has the field, and not as null.
    pub(crate) fn has(&self, field: &'static str) -> bool {
        self.in_file(field).is_some_and(|value| !value.is_null())
    }

    /// The field's value, or its class's default; a JSON null counts as absent.
    fn value(&self, field: &'static str) -> Option<&Value> {
        let default = || self.class.defaults(field)?.first();
        let value = self.in_file(field).or_else(default);
        value.filter(|value| !value.is_null())
    }

    /// Sizes that were asked for and that the file lacks, so that defaults stand for them.
    pub(crate) fn default_sizes(&self) -> Vec<&'static str> {
        let sizes = self.sizes.borrow();
        let is_default = |size: &&&str| {
            let default = || self.class.defaults(size)?.first();
            !self.fields.contains_key(**size) && default().is_some_and(|value| !value.is_null())
        };
        sizes.iter().filter(is_default).copied().collect()
    }

    /// The name of the model's class.
    pub(crate) fn class_name(&self) -> Option<&str> {
        self.value("architectures")?.get(0)?.as_str()
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
                value: shown(value),
                expected,
            }),
        }
    }

    /// A size, which has to be there or to have a default, at least 1.
    pub(crate) fn size(&self, field: &'static str) -> Result<usize, Error> {
        self.size_if_given(field)?
            .ok_or(Error::MissingField { field })
    }

    /// A size that may be left out, at least 1.
    pub(crate) fn size_if_given(&self, field: &'static str) -> Result<Option<usize>, Error> {
        self.sizes.borrow_mut().insert(field);
        self.optional(field, "a whole number above 0", |value| {
            usize::try_from(value.as_u64()?)
                .ok()
                .filter(|&size| size > 0)
        })
    }

    /// A number of things, which may be 0, and has to be there or to have a default.
    pub(crate) fn count(&self, field: &'static str) -> Result<usize, Error> {
        let count = self.optional(field, "a whole number", |value| {
            usize::try_from(value.as_u64()?).ok()
        })?;
        count.ok_or(Error::MissingField { field })
    }

    /// Numbers that may be left out.
    pub(crate) fn numbers(&self, field: &'static str) -> Result<Option<Vec<f64>>, Error> {
        self.optional(field, "a list of numbers", |value| {
            value.as_array()?.iter().map(Value::as_f64).collect()
        })
    }

    /// A list that the file has.
    pub(crate) fn list_in_file(&self, field: &'static str) -> Result<Option<&[Value]>, Error> {
        match self.in_file(field) {
            Some(_) => self.optional(field, "a list", |value| Some(value.as_array()?.as_slice())),
            None => Ok(None),
        }
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

    /// The nonlinearity that `field` names.
    pub(crate) fn activation(&self, field: &'static str) -> Result<Activation, Error> {
        let name = self.text(field)?.ok_or(Error::MissingField { field })?;
        Activation::from_name(name).ok_or_else(|| Error::UnsupportedActivation {
            activation: name.into(),
        })
    }

    /// ε of the normalizations.
    pub(crate) fn epsilon(&self, field: &'static str) -> Result<f64, Error> {
        self.number(field)
    }

    /// A number above 0, which has to be there or to have a default.
    pub(crate) fn number(&self, field: &'static str) -> Result<f64, Error> {
        self.number_if_given(field)?
            .ok_or(Error::MissingField { field })
    }

    /// A number above 0 that may be left out.
    pub(crate) fn number_if_given(&self, field: &'static str) -> Result<Option<f64>, Error> {
        self.optional(field, "a number above 0", |value| {
            value.as_f64().filter(|&number| number > 0.0)
        })
    }

    /// The same, without the default of its class.
    pub(crate) fn given_number(&self, field: &'static str) -> Result<Option<f64>, Error> {
        match self.in_file(field) {
            Some(_) => self.number_if_given(field),
            None => Ok(None),
        }
    }

    /// A switch; `default` where the file lacks it and no class states another.
    ///
    /// A JSON null counts as false, because the models' own code takes it so.
    pub(crate) fn switch(&self, field: &'static str, default: bool) -> Result<bool, Error> {
        if self.in_file(field).is_some_and(Value::is_null) {
            return Ok(false);
        }
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
        refuse(field, self.in_file(field), accepts, reason)
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
            value: shown(value),
            reason,
        }),
        None => Ok(()),
    }
}

/// Gives fields that go by another name of theirs the one that is read.
fn rename_aliases(fields: &mut Map<String, Value>, class: Class) -> Result<(), Error> {
    for (alias, field) in class.aliases() {
        let Some(value) = fields.remove(alias) else {
            continue;
        };
        match fields.get(field) {
            Some(other) if *other != value => {
                return Err(Error::ContradictoryFields {
                    field,
                    value: shown(other),
                    alias,
                    other: shown(&value),
                });
            }
            Some(_) => (),
            None => drop(fields.insert(field.to_owned(), value)),
        }
    }
    Ok(())
}

/// A value for an error message, cut where it is long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
