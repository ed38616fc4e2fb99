//! One line of JSON: an object whose keys are known, each of its own type.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::failure::BadInput;

/// The keys of a line and their values; a null counts as absent.
#[derive(Debug)]
pub(crate) struct Object(Vec<(String, Value)>);

impl Object {
    /// Reads a line that may have these keys.
    ///
    /// # Errors
    /// What is wrong with the line, and at which column; a key that is none of
    /// these: one that was misspelt would change what is computed.
    pub(crate) fn parse(line: &[u8], known: &[&str]) -> Result<Self, BadInput> {
        if line.trim_ascii_start().first() != Some(&b'{') {
            let message = "the line is not a JSON object in braces";
            return Err(BadInput(message.to_owned()));
        }
        let object: Self = serde_json::from_slice(line)
            .map_err(|error| BadInput(format!("not a valid line of JSON: {}", place(&error))))?;
        match object.0.iter().find(|(key, _)| !known.contains(&&**key)) {
            Some((key, _)) => Err(unknown(key, known)),
            None => Ok(object),
        }
    }

    /// # Errors
    /// The value is no text.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>, BadInput> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(mistyped(key, &other, "one text in double quotes")),
        }
    }

    /// A text, or a whole number as its digits.
    ///
    /// # Errors
    /// The value is neither.
    pub(crate) fn name(&mut self, key: &str) -> Result<Option<String>, BadInput> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
            Some(other) => Err(mistyped(key, &other, "a text or a whole number")),
        }
    }

    /// A list of token ids that are not none.
    ///
    /// # Errors
    /// The value is no list of them.
    pub(crate) fn ids(&mut self, key: &str) -> Result<Option<Vec<u32>>, BadInput> {
        let expected = "a list of token ids such as [101, 7592, 102]";
        let list = match self.take(key) {
            None => return Ok(None),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(mistyped(key, &other, expected)),
        };
        if list.is_empty() {
            let message = format!("{key} is an empty list; give at least one token id");
            return Err(BadInput(message));
        }
        let ids = list.iter().enumerate().map(|(position, value)| {
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| {
                BadInput(format!(
                    "{key} has {} at position {position}, which is no token id; give {expected}",
                    described(value)
                ))
            })
        });
        ids.collect::<Result<_, _>>().map(Some)
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(found, _)| found == key)?;
        let (_, value) = self.0.swap_remove(at);
        (!value.is_null()).then_some(value)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries: Vec<(String, Value)> = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if entries.iter().any(|(found, _)| *found == key) {
                        let message = format!("the key {key:?} is there twice");
                        return Err(A::Error::custom(message));
                    }
                    entries.push((key, map.next_value()?));
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// The key that was meant, or all that there are.
fn unknown(key: &str, known: &[&str]) -> BadInput {
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .filter(|(edits, known)| *edits <= 1 + known.len() / 4)
        .min();
    BadInput(match near {
        Some((_, known)) => format!("unknown key {key:?}; did you mean {known}?"),
        None => format!("unknown key {key:?}; the keys are {}", known.join(", ")),
    })
}

fn mistyped(key: &str, value: &Value, expected: &str) -> BadInput {
    let described = described(value);
    BadInput(format!("{key} is {described}; give {expected}"))
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// serde_json's message, whose line is always 1 here, with the column only.
fn place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rsplit_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", error.column()),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["id", "text", "text_pair", "input_ids"];

    fn parse(line: &str) -> Object {
        Object::parse(line.as_bytes(), &KNOWN).unwrap()
    }

    fn refusal(line: &str) -> String {
        Object::parse(line.as_bytes(), &KNOWN).unwrap_err().0
    }

    #[test]
    fn keys_are_known_and_come_once() {
        for (key, meant) in [
            ("text_pari", "text_pair"),
            ("textpair", "text_pair"),
            ("Text", "text"),
            ("input_id", "input_ids"),
            ("ID", "the keys are id, text, text_pair, input_ids"),
            ("label", "the keys are"),
            ("text ", "text"),
        ] {
            let message = refusal(&format!(r#"{{"text": "a", "{key}": 1}}"#));
            assert!(
                message.contains(&format!("unknown key \"{key}\"")),
                "{message}"
            );
            assert!(message.contains(meant), "{message}");
        }
        let message = refusal(r#"{"text": "a", "text": "b"}"#);
        assert!(message.contains("the key \"text\" is there twice at column"));
        // Not even nothing: it was meant to be something.
        assert!(refusal(r#"{"text": "a", "text_pari": null}"#).contains("text_pair"));
    }

    #[test]
    fn values_have_the_type_of_their_key() {
        let mut object = parse(r#"{"id": 7, "text": null, "input_ids": [0, 4294967295]}"#);
        assert_eq!(object.name("id").unwrap().as_deref(), Some("7"));
        assert_eq!(object.text("text").unwrap(), None);
        assert_eq!(object.text("text_pair").unwrap(), None);
        assert_eq!(object.ids("input_ids").unwrap(), Some(vec![0, u32::MAX]));
        assert_eq!(
            parse(r#"{"id": -7}"#).name("id").unwrap().as_deref(),
            Some("-7")
        );
        for (value, found) in [
            (r#"["one", "two"]"#, "text is a list; give one text"),
            ("5", "text is the number 5; give one text"),
            ("{}", "text is an object; give one text"),
            ("true", "text is true; give one text"),
        ] {
            let mut object = parse(&format!(r#"{{"text": {value}}}"#));
            let message = object.text("text").unwrap_err().0;
            assert!(message.starts_with(found), "{message}");
        }
        for value in ["1.5", "1e3", "18446744073709551616", "[1]", "false"] {
            let mut object = parse(&format!(r#"{{"id": {value}}}"#));
            let message = object.name("id").unwrap_err().0;
            assert!(
                message.starts_with("id is ") && message.ends_with("whole number"),
                "{message}"
            );
        }
        for (value, found) in [
            ("\"101\"", "input_ids is a text; give a list of token ids"),
            ("[]", "input_ids is an empty list; give at least one"),
            ("[1.5]", "input_ids has the number 1.5 at position 0"),
            ("[7, -1]", "input_ids has the number -1 at position 1"),
            ("[4294967296]", "input_ids has the number 4294967296"),
            ("[\"7\"]", "input_ids has a text at position 0"),
            ("[[7]]", "input_ids has a list at position 0"),
            ("[null]", "input_ids has null at position 0"),
        ] {
            let mut object = parse(&format!(r#"{{"input_ids": {value}}}"#));
            let message = object.ids("input_ids").unwrap_err().0;
            assert!(message.starts_with(found), "{message}");
        }
    }
}
