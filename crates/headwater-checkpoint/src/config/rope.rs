//! Rotary positions, in all spellings of them.

use serde_json::{Map, Value};

use super::{Config, shown};
use crate::Error;
use crate::wiring::{Pairs, RopeKind, RopeSpec};

const NEW: &str = "rope_parameters";
const OLD: &str = "rope_scaling";

/// Keys that stand in either of the two objects.
const KNOWN: [&str; 17] = [
    "rope_type",
    "type",
    "rope_theta",
    "partial_rotary_factor",
    "factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "short_factor",
    "long_factor",
    "low_freq_factor",
    "high_freq_factor",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "finetuned",
];

/// What a family says of its rotary positions.
#[derive(Clone, Copy)]
pub(crate) struct RopeKeys {
    /// Keys of the base beside the two objects, the first that is there counts.
    pub(crate) theta: &'static [&'static str],
    /// The base where none is there: version 5's.
    pub(crate) default_theta: f64,
    /// Keys of the share of a head's width that is turned.
    pub(crate) share: &'static [&'static str],
    /// The share where none is there.
    pub(crate) default_share: f64,
    /// Which channels are pairs.
    pub(crate) pairs: Pairs,
    /// The layer type whose parameters are wanted, where the class nests them by it.
    pub(crate) nested: Option<&'static str>,
    /// Whether version 4's `rope_scaling` is for these layers.
    pub(crate) takes_scaling: bool,
}

impl RopeKeys {
    /// One base for all layers, whole heads turned in halves.
    pub(crate) const PLAIN: Self = Self {
        theta: &["rope_theta"],
        default_theta: 10_000.0,
        share: &["partial_rotary_factor"],
        default_share: 1.0,
        pairs: Pairs::Halves,
        nested: None,
        takes_scaling: true,
    };
}

/// One of the two objects, with errors that name it.
struct Parameters<'a> {
    field: &'static str,
    object: &'a Map<String, Value>,
}

impl Parameters<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, expected: &'static str) -> Error {
        Error::InvalidField {
            field: self.field,
            value: shown(&Value::Object(self.object.clone())),
            expected,
        }
    }

    /// A number above 0.
    fn number(&self, key: &str, expected: &'static str) -> Result<Option<f64>, Error> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match value
            .as_f64()
            .filter(|&number| number > 0.0 && number.is_finite())
        {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(expected)),
        }
    }

    fn needed(&self, key: &str, expected: &'static str) -> Result<f64, Error> {
        self.number(key, expected)?
            .ok_or_else(|| self.wrong(expected))
    }

    fn factors(&self, key: &str, expected: &'static str) -> Result<Vec<f64>, Error> {
        let numbers = self.value(key).and_then(Value::as_array);
        let numbers = numbers.and_then(|all| all.iter().map(Value::as_f64).collect());
        numbers.ok_or_else(|| self.wrong(expected))
    }
}

impl Config {
    /// Rotary positions of heads of this width.
    pub(crate) fn rope(&self, keys: RopeKeys, d_head: usize) -> Result<RopeSpec, Error> {
        let parameters = self.rope_object(keys)?;
        let parameters = parameters.as_ref();
        if let Some(parameters) = parameters {
            let is_unknown = |(key, value): &(&String, &Value)| {
                !value.is_null() && !KNOWN.contains(&key.as_str())
            };
            if parameters.object.iter().any(|pair| is_unknown(&pair)) {
                return Err(parameters.wrong("an object of known keys"));
            }
        }
        let inside = |key, expected| match parameters {
            Some(parameters) => parameters.number(key, expected),
            None => Ok(None),
        };
        let theta = match inside("rope_theta", "an object with a base above 0")? {
            Some(theta) => theta,
            None => self.first_number(keys.theta)?.unwrap_or(keys.default_theta),
        };
        let share = match inside("partial_rotary_factor", "an object with a share of 0 to 1")? {
            Some(share) => share,
            None => self.first_number(keys.share)?.unwrap_or(keys.default_share),
        };
        let width = (d_head as f64 * share) as usize;
        if !(2..=d_head).contains(&width) || !width.is_multiple_of(2) {
            return Err(Error::UnsupportedVariant {
                field: keys.share.first().copied().unwrap_or(NEW),
                value: share.to_string(),
                reason: "rotary positions of an odd width, of none, or of more than a head are not supported",
            });
        }
        Ok(RopeSpec {
            theta,
            width,
            pairs: keys.pairs,
            kind: match parameters {
                Some(parameters) => self.rope_kind(parameters, width, keys.nested.is_some())?,
                None => RopeKind::Default,
            },
        })
    }

    /// The object that says how these layers turn: `rope_parameters`, in version 5, or
    /// `rope_scaling`. Version 5 goes by the latter where both are there, version 4 knows no other.
    fn rope_object(&self, keys: RopeKeys) -> Result<Option<Parameters<'_>>, Error> {
        // Of the file alone: a class may have a default for either.
        let object = |field: &'static str| {
            if self.in_file(field).is_none() {
                return Ok(None);
            }
            let object = self.optional(field, "an object", Value::as_object)?;
            // Some files say with an empty one that there is none.
            let object = object.filter(|object| !object.is_empty());
            Ok::<_, Error>(object.map(|object| Parameters { field, object }))
        };
        let (new, old) = (object(NEW)?, object(OLD)?);
        if let (Some(new), Some(old)) = (&new, &old) {
            return Err(Error::ContradictoryFields {
                field: new.field,
                value: shown(&Value::Object(new.object.clone())),
                alias: old.field,
                other: shown(&Value::Object(old.object.clone())),
            });
        }
        let Some(new) = new else {
            return Ok(old.filter(|_| keys.takes_scaling));
        };
        let is_nested = new.object.values().any(Value::is_object);
        match (keys.nested, is_nested) {
            (None, false) => Ok(Some(new)),
            (Some(layers), true) => match new.object.get(layers) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::Object(object)) => Ok(Some(Parameters { object, ..new })),
                Some(_) => Err(new.wrong("an object of objects")),
            },
            // Version 5 passes it over and takes the class's defaults.
            (Some(_), false) => Err(new.wrong("an object for each type of layer")),
            (None, true) => Err(new.wrong("one object for all layers")),
        }
    }

    /// The first of some numbers that is there.
    fn first_number(&self, fields: &'static [&'static str]) -> Result<Option<f64>, Error> {
        let mut found = None;
        for field in fields {
            let Some(number) = self.given_number(field)? else {
                continue;
            };
            match found {
                None => found = Some((*field, number)),
                Some((first, other)) if other != number => {
                    return Err(Error::ContradictoryFields {
                        field: first,
                        value: other.to_string(),
                        alias: field,
                        other: number.to_string(),
                    });
                }
                Some(_) => (),
            }
        }
        Ok(found.map(|(_, number)| number))
    }

    fn rope_kind(
        &self,
        parameters: &Parameters<'_>,
        width: usize,
        is_nested: bool,
    ) -> Result<RopeKind, Error> {
        const FACTOR: &str = "an object with a factor above 0";
        let name = |key| parameters.value(key).map(|value| value.as_str());
        let kind = match name("rope_type").or(name("type")) {
            None => "default",
            Some(Some(kind)) => kind,
            Some(None) => return Err(parameters.wrong("an object with the name of a rope_type")),
        };
        let longest = || self.size("max_position_embeddings");
        let original = || match self.size_if_given("original_max_position_embeddings")? {
            Some(original) => Ok(original as f64),
            None => match parameters.number(
                "original_max_position_embeddings",
                "an object with an original length above 0",
            )? {
                Some(original) => Ok(original),
                None => Ok(longest()? as f64),
            },
        };
        let attention = || {
            parameters.number(
                "attention_factor",
                "an object with an attention_factor above 0",
            )
        };
        match kind {
            "default" => Ok(RopeKind::Default),
            "linear" => Ok(RopeKind::Linear {
                factor: parameters.needed("factor", FACTOR)?,
            }),
            "dynamic" => Ok(RopeKind::Dynamic {
                factor: parameters.needed("factor", FACTOR)?,
                max_positions: longest()?,
            }),
            "llama3" => Ok(RopeKind::Llama3 {
                factor: parameters.needed("factor", FACTOR)?,
                low: parameters.needed("low_freq_factor", "an object with a low_freq_factor")?,
                high: parameters.needed("high_freq_factor", "an object with a high_freq_factor")?,
                original: original()?,
            }),
            // Phi-3 has one kind, which early files call by two other names.
            "longrope" | "su" => self.longrope(parameters, width, original()?, attention()?),
            "yarn" if parameters.value("short_factor").is_some() => {
                self.longrope(parameters, width, original()?, attention()?)
            }
            "yarn" => {
                let original = original()?;
                let factor = match parameters.number("factor", FACTOR)? {
                    Some(factor) => factor,
                    None => longest()? as f64 / original,
                };
                let grown = |m: f64| match factor > 1.0 {
                    true => 0.1 * m * factor.ln() + 1.0,
                    false => 1.0,
                };
                let m = parameters.number("mscale", "an object with an mscale above 0")?;
                let all = parameters.number("mscale_all_dim", "an object with mscale_all_dim")?;
                let usual = match (m, all) {
                    (Some(m), Some(all)) => grown(m) / grown(all),
                    _ => grown(1.0),
                };
                let truncate = parameters.value("truncate").map(Value::as_bool);
                let truncate = match truncate {
                    None => true,
                    // Nested, the key is looked for where it is not.
                    Some(Some(truncate)) if truncate || !is_nested => truncate,
                    Some(_) => return Err(parameters.wrong("an object with truncate true")),
                };
                Ok(RopeKind::Yarn {
                    factor,
                    original,
                    fast: parameters
                        .number("beta_fast", "an object with beta_fast above 0")?
                        .unwrap_or(32.0),
                    slow: parameters
                        .number("beta_slow", "an object with beta_slow above 0")?
                        .unwrap_or(1.0),
                    truncate,
                    attention_factor: attention()?.unwrap_or(usual),
                })
            }
            _ => Err(Error::UnsupportedVariant {
                field: parameters.field,
                value: shown(&Value::Object(parameters.object.clone())),
                reason: "this rope_type is not supported; supported are default, linear, dynamic, llama3, yarn, longrope",
            }),
        }
    }

    fn longrope(
        &self,
        parameters: &Parameters<'_>,
        width: usize,
        original: f64,
        attention_factor: Option<f64>,
    ) -> Result<RopeKind, Error> {
        const NUMBER: &str = "an object with half a head's rotary width of short and long factors";
        let [short, long] = [
            parameters.factors("short_factor", NUMBER)?,
            parameters.factors("long_factor", NUMBER)?,
        ];
        if short.len() != width / 2 || long.len() != width / 2 {
            return Err(parameters.wrong(NUMBER));
        }
        let factor = match parameters.number("factor", "an object with a factor above 0")? {
            Some(factor) => factor,
            None => self.size("max_position_embeddings")? as f64 / original,
        };
        let usual = match factor > 1.0 {
            true => (1.0 + factor.ln() / original.ln()).sqrt(),
            false => 1.0,
        };
        Ok(RopeKind::LongRope {
            short,
            long,
            original: original as usize,
            attention_factor: attention_factor.unwrap_or(usual),
        })
    }
}
