//! The files beside `tokenizer.json`, as they stand.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use tokenizers::AddedToken;

use crate::Error;
use crate::config::read_json;

pub(super) const SETTINGS: &str = "tokenizer_config.json";
pub(super) const MAP: &str = "special_tokens_map.json";
pub(super) const ADDED: &str = "added_tokens.json";

/// A JSON object in the order of the file, in which tokens are numbered.
#[derive(Default)]
struct Ordered(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Ordered;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut pairs: Vec<(String, Value)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    // As in Python, the last of equal keys counts.
                    pairs.retain(|(other, _)| *other != key);
                    pairs.push((key, value));
                }
                Ok(Ordered(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// What the files beside `tokenizer.json` say; empty where they are not there.
pub(super) struct Settings {
    fields: Ordered,
    map: Ordered,
    added: BTreeMap<u32, String>,
}

impl Settings {
    pub(super) fn read(directory: &Path) -> Result<Self, Error> {
        let added: BTreeMap<String, u32> = read(directory, ADDED)?.unwrap_or_default();
        let settings = Self {
            fields: read(directory, SETTINGS)?.unwrap_or_default(),
            map: read(directory, MAP)?.unwrap_or_default(),
            added: added.into_iter().map(|(token, id)| (id, token)).collect(),
        };
        settings.refuse_unread()?;
        Ok(settings)
    }

    /// Settings that put something in the place of `tokenizer.json`.
    fn refuse_unread(&self) -> Result<(), Error> {
        let custom = match self.value("auto_map") {
            Some(Value::Object(map)) => map.get("AutoTokenizer").is_some_and(|v| !v.is_null()),
            Some(Value::Array(list)) => !list.is_empty(),
            _ => false,
        };
        if custom {
            return Err(Error::CustomTokenizer);
        }
        if let Some(files) = self.value("fast_tokenizer_files") {
            let plain = |file: &Value| file == "tokenizer.json";
            if !files.as_array().is_some_and(|f| f.iter().all(plain)) {
                return Err(invalid(
                    "fast_tokenizer_files",
                    files,
                    "[\"tokenizer.json\"]",
                ));
            }
        }
        Ok(())
    }

    /// A field's value; JSON's null counts as absent.
    fn value(&self, field: &str) -> Option<&Value> {
        find(&self.fields, field).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, field: &'static str) -> Result<Option<&str>, Error> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let text = value.as_str();
        text.map(Some)
            .ok_or_else(|| invalid(field, value, "a text"))
    }

    pub(super) fn switch(&self, field: &'static str) -> Result<Option<bool>, Error> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let switch = value.as_bool();
        switch
            .map(Some)
            .ok_or_else(|| invalid(field, value, "true or false"))
    }

    /// Whether `model_input_names` has the tokens' types.
    pub(super) fn token_types(&self) -> Result<Option<bool>, Error> {
        let field = "model_input_names";
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let names = value.as_array();
        let names = names.ok_or_else(|| invalid(field, value, "a list of names"))?;
        Ok(Some(names.iter().any(|name| name == "token_type_ids")))
    }

    /// The table of added tokens by id, where there is one: then the two older
    /// files are not read.
    pub(super) fn table(&self) -> Result<Option<BTreeMap<u32, AddedToken>>, Error> {
        let field = "added_tokens_decoder";
        let Some(value) = find(&self.fields, field) else {
            return Ok(None);
        };
        let entries = value.as_object().and_then(|entries| {
            let entry =
                |(id, token): (&String, &Value)| Some((id.parse().ok()?, described(token, false)?));
            entries.iter().map(entry).collect::<Option<_>>()
        });
        let expected = "a map from ids to descriptions of tokens";
        entries
            .map(Some)
            .ok_or_else(|| invalid(field, value, expected))
    }

    /// `added_tokens.json`, by id.
    pub(super) fn added(&self) -> &BTreeMap<u32, String> {
        &self.added
    }

    /// The token of a name like `mask_token`: that of special_tokens_map.json
    /// where it is read. `Some(None)` where it is null, which is no token.
    pub(super) fn named(&self, name: &str) -> Result<Option<Option<Token>>, Error> {
        let (file, value) = match find(&self.map, name) {
            Some(value) if self.reads_map() => (MAP, Some(value)),
            _ => (SETTINGS, find(&self.fields, name)),
        };
        match value {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => match Token::of(value, file == MAP) {
                Some(token) => Ok(Some(Some(token))),
                None => Err(Error::InvalidTokenizerSetting {
                    file,
                    field: name.to_owned(),
                    value: value.to_string(),
                    expected: "a token",
                }),
            },
        }
    }

    /// special_tokens_map.json is older than the table, and not read beside it.
    fn reads_map(&self) -> bool {
        find(&self.fields, "added_tokens_decoder").is_none()
    }

    /// Tokens of further names that end in `_token`, in the order of the files.
    pub(super) fn own_names(&self, standard: &[&str]) -> Result<Vec<Token>, Error> {
        let own = |(name, _): &&(String, Value)| {
            name.ends_with("_token") && !standard.contains(&name.as_str())
        };
        let map = self.map.0.iter().filter(|_| self.reads_map());
        let mut names: Vec<&str> = Vec::new();
        for (name, value) in self.fields.0.iter().chain(map).filter(own) {
            let token = value.is_string() || value.is_object();
            if token && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let mut found = Vec::new();
        for name in names {
            found.extend(self.named(name)?.flatten());
        }
        for (file, list) in [(SETTINGS, &self.fields), (MAP, &self.map)] {
            if file == MAP && !self.reads_map() {
                continue;
            }
            if let Some(Value::Object(named)) = find(list, EXTRA) {
                let tokens = named.values().map(|value| Token::of(value, file == MAP));
                let tokens: Option<Vec<_>> = tokens.collect();
                found.extend(tokens.ok_or_else(|| not_tokens(file, EXTRA, named))?);
            }
        }
        Ok(found)
    }

    /// The further special tokens of a list; `None` where no file has one.
    pub(super) fn further(&self) -> Result<Option<Further>, Error> {
        let mut found: Vec<(&'static str, Further)> = Vec::new();
        let lists = [(SETTINGS, &self.fields), (MAP, &self.map)];
        for (file, list) in lists {
            if file == MAP && !self.reads_map() {
                continue;
            }
            for field in [EXTRA, ADDITIONAL] {
                let Some(value) = find(list, field) else {
                    continue;
                };
                let Some(tokens) = value.as_array() else {
                    if value.is_object() && field == EXTRA || value.is_null() {
                        continue;
                    }
                    return Err(not_tokens(file, field, value));
                };
                let tokens = tokens.iter().map(|value| Token::of(value, false));
                let tokens: Option<Vec<_>> = tokens.collect();
                let tokens = tokens.ok_or_else(|| not_tokens(file, field, value))?;
                if !tokens.is_empty() {
                    let counted = file == SETTINGS || field == EXTRA;
                    found.push((file, Further { tokens, counted }));
                }
            }
        }
        let Some((first, further)) = found.first() else {
            return Ok(None);
        };
        // The versions of transformers have different ideas of which list wins.
        let names = |further: &Further| {
            let tokens = further.tokens.iter();
            let mut names: Vec<_> = tokens.map(|token| token.content().to_owned()).collect();
            names.sort();
            names
        };
        for (other, others) in &found[1..] {
            if names(others) != names(further) {
                return Err(Error::ContradictoryTokenizer {
                    what: format!(
                        "{first} and {other} list different special tokens under \"{EXTRA}\" and \
                         \"{ADDITIONAL}\""
                    ),
                    remedy: "keep one of the lists",
                });
            }
        }
        Ok(found.into_iter().next().map(|(_, further)| further))
    }
}

const EXTRA: &str = "extra_special_tokens";
const ADDITIONAL: &str = "additional_special_tokens";

/// Special tokens without a name of their own.
pub(super) struct Further {
    pub(super) tokens: Vec<Token>,
    /// Whether they count as special where `added_tokens.json` has them too.
    pub(super) counted: bool,
}

/// A token as a setting gives it.
#[derive(Clone, Debug)]
pub(super) enum Token {
    /// By its spelling.
    Spelt(String),
    /// With what may stand around it.
    Described(AddedToken),
}

impl Token {
    fn of(value: &Value, special: bool) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Spelt(text.clone())),
            Value::Object(_) => Some(Self::Described(described(value, special)?)),
            _ => None,
        }
    }

    pub(super) fn content(&self) -> &str {
        match self {
            Self::Spelt(content) => content,
            Self::Described(token) => &token.content,
        }
    }
}

/// The token that an object describes; what is left out is off, and a token
/// that is not special is matched in normalized text.
fn described(value: &Value, special: bool) -> Option<AddedToken> {
    let fields = value.as_object()?;
    let flag = |name: &str| match fields.get(name) {
        None => Some(None),
        Some(value) => value.as_bool().map(Some),
    };
    let special = special || flag("special")?.unwrap_or(false);
    let token = AddedToken::from(fields.get("content")?.as_str()?, special)
        .single_word(flag("single_word")?.unwrap_or(false))
        .lstrip(flag("lstrip")?.unwrap_or(false))
        .rstrip(flag("rstrip")?.unwrap_or(false));
    Some(match flag("normalized")? {
        Some(normalized) => token.normalized(normalized),
        None => token,
    })
}

fn find<'a>(object: &'a Ordered, field: &str) -> Option<&'a Value> {
    let pair = object.0.iter().find(|(name, _)| name == field);
    pair.map(|(_, value)| value)
}

fn read<T: serde::de::DeserializeOwned>(
    directory: &Path,
    file: &'static str,
) -> Result<Option<T>, Error> {
    let path = directory.join(file);
    if !path.is_file() {
        return Ok(None);
    }
    let malformed = |path: &Path, source| Error::MalformedConfig {
        path: path.to_owned(),
        source,
    };
    read_json(&path, malformed).map(Some)
}

fn invalid(field: &str, value: &Value, expected: &'static str) -> Error {
    Error::InvalidTokenizerSetting {
        file: SETTINGS,
        field: field.to_owned(),
        value: value.to_string(),
        expected,
    }
}

fn not_tokens(file: &'static str, field: &str, value: impl serde::Serialize) -> Error {
    Error::InvalidTokenizerSetting {
        file,
        field: field.to_owned(),
        value: serde_json::to_string(&value).unwrap_or_default(),
        expected: "a list of tokens",
    }
}
