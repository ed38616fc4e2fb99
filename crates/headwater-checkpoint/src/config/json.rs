//! JSON files as Python writes them: of bounded size, and with `NaN` where a number is missing.

use std::fs;
use std::path::Path;

use serde::de::{DeserializeOwned, Error as _};

use crate::Error;

/// No configuration or index comes near this size.
const MAX_JSON_BYTES: u64 = 32_000_000;

/// How much of a key an error shows.
const MAX_KEY_CHARS: usize = 60;

/// What Python writes for numbers that JSON does not have, the longest first.
const NO_NUMBERS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// Parses a JSON file of bounded size.
pub(crate) fn read_json<T: DeserializeOwned>(
    path: &Path,
    malformed: impl FnOnce(&Path, serde_json::Error) -> Error,
) -> Result<T, Error> {
    parse(&read_small(path)?).map_err(|source| malformed(path, source))
}

/// A file that is no larger than any configuration or index.
pub(super) fn read_small(path: &Path) -> Result<Vec<u8>, Error> {
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

/// Parses JSON, in which `NaN`, `Infinity` and `-Infinity` become texts: no field
/// that is read can have one, and the others may. An error names the last key
/// before it.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| {
        let Some(quoted) = quote_no_numbers(bytes) else {
            return Err(with_key(bytes, error));
        };
        serde_json::from_slice(&quoted).map_err(|error| with_key(&quoted, error))
    })
}

/// The same with what is no number in quotes; `None` where there is none.
fn quote_no_numbers(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut quoted = Vec::with_capacity(bytes.len());
    let mut found = false;
    let mut rest = bytes;
    while let Some(&byte) = rest.first() {
        let text = text_length(rest);
        let word = NO_NUMBERS.iter().find(|word| rest.starts_with(word));
        match (text, word) {
            (Some(length), _) => {
                quoted.extend_from_slice(&rest[..length]);
                rest = &rest[length..];
            }
            (None, Some(word)) => {
                found = true;
                quoted.push(b'"');
                quoted.extend_from_slice(word);
                quoted.push(b'"');
                rest = &rest[word.len()..];
            }
            (None, None) => {
                quoted.push(byte);
                rest = &rest[1..];
            }
        }
    }
    found.then_some(quoted)
}

/// How many bytes the text takes that begins here, quotes included.
fn text_length(bytes: &[u8]) -> Option<usize> {
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut escaped = false;
    for (index, &byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index + 1),
            _ => (),
        }
    }
    Some(bytes.len())
}

/// The error with the last key in front of where the parser stopped.
fn with_key(bytes: &[u8], error: serde_json::Error) -> serde_json::Error {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let end = (before + error.column()).min(bytes.len());
    match last_key(&bytes[..end]) {
        Some(key) => {
            let shown: String = key.chars().take(MAX_KEY_CHARS).collect();
            serde_json::Error::custom(format!("{error}, at the key {shown:?}"))
        }
        None => error,
    }
}

/// The last text that a colon follows.
fn last_key(bytes: &[u8]) -> Option<String> {
    let mut key = None;
    let mut text: Option<&[u8]> = None;
    let mut rest = bytes;
    while let Some(&byte) = rest.first() {
        let length = text_length(rest);
        match (length, byte) {
            (Some(_), _) => text = length.map(|length| &rest[..length]),
            (None, b':') => key = text.take().or(key),
            (None, _) if byte.is_ascii_whitespace() => (),
            (None, _) => text = None,
        }
        rest = &rest[length.unwrap_or(1)..];
    }
    let quoted = String::from_utf8_lossy(key?);
    Some(quoted.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn what_is_no_number_becomes_a_text() {
        let text = br#"{"a": NaN, "b NaN": "NaN \" Infinity", "c": [-Infinity, Infinity, 1]}"#;
        let parsed: Value = parse(text).unwrap();
        let expected = serde_json::json!({
            "a": "NaN", "b NaN": "NaN \" Infinity", "c": ["-Infinity", "Infinity", 1]
        });
        assert_eq!(parsed, expected);
    }

    #[test]
    fn errors_name_the_key() {
        for (text, key) in [
            ("{\n \"hidden_size\": 32\n \"dim\": 3}", "hidden_size"),
            ("{\"a\": 1, \"b\": NaM}", "b"),
            ("{\"a\": {\"c\": \"x:y\", \"d\": tru}}", "d"),
            ("{\"a\": NaN, \"b\": ,}", "b"),
            ("{\"a\": [1, 2", "a"),
        ] {
            let error = parse::<Map<String, Value>>(text.as_bytes()).unwrap_err();
            let end = format!(", at the key {key:?}");
            assert!(error.to_string().ends_with(&end), "{error}");
        }
        // Where there is none the parser's own message has to do.
        let error = parse::<Map<String, Value>>(b"[]").unwrap_err();
        assert!(!error.to_string().contains("key"), "{error}");
    }
}
