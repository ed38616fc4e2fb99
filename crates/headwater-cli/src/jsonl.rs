//! Inputs as JSON lines.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use headwater::Input;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::BadInput;
use crate::lines::{Line, Lines};
use crate::subject::Given;

/// Leaves room for `.safetensors` and a temporary suffix in 255 bytes.
const MAX_ID_BYTES: usize = 200;

/// One line that can be analyzed.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) given: Given,
}

/// The fields of a line; others are ignored.
#[derive(Debug, Deserialize)]
struct Fields {
    id: Option<String>,
    text: Option<String>,
    text_pair: Option<String>,
    input_ids: Option<Vec<u32>>,
    token_type_ids: Option<Vec<u32>>,
    target: Option<String>,
    decoder_input_ids: Option<Vec<u32>>,
}

/// Reads a file of JSON lines.
pub(crate) struct Items {
    pub(crate) lines: Lines,
    /// The line that used an id, by the id in lower case: file systems that
    /// do not tell cases apart would write both to one file.
    used: HashMap<String, u64>,
}

impl Items {
    /// Opens a file, or standard input if the path is `-`.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::new(Lines::open("--input", path)?))
    }

    fn new(lines: Lines) -> Self {
        Self {
            lines,
            used: HashMap::new(),
        }
    }

    /// The next line that is not blank, with its number from 1: an item, or
    /// what is wrong with it. `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub(crate) fn next_item(&mut self) -> io::Result<Option<(u64, Result<Item, BadInput>)>> {
        let Some((number, line)) = next_value(&mut self.lines)? else {
            return Ok(None);
        };
        let item = line.and_then(|line| self.item(number, &line));
        Ok(Some((number, item)))
    }

    fn item(&mut self, number: u64, line: &[u8]) -> Result<Item, BadInput> {
        let fields: Fields = object(line)?;
        let id = fields.id.clone().unwrap_or_else(|| number.to_string());
        check_id(&id)?;
        if let Some(first) = self.used.get(&id.to_lowercase()) {
            return Err(BadInput(format!(
                "the id \"{id}\" was used by line {first} already (upper and lower case count as the same); give each line its own"
            )));
        }
        self.used.insert(id.to_lowercase(), number);
        let given = fields.into_given()?;
        Ok(Item { id, given })
    }
}

impl Fields {
    fn into_given(mut self) -> Result<Given, BadInput> {
        let target = match (self.target.take(), self.decoder_input_ids.take()) {
            (Some(_), Some(_)) => {
                let message = "both target and decoder_input_ids are given; keep one";
                return Err(BadInput(message.to_owned()));
            }
            (Some(text), None) => Some(Input::from(text)),
            (None, Some(ids)) => Some(Input::from(ids)),
            (None, None) => None,
        };
        let input = self.into_input()?;
        Ok(Given { input, target })
    }

    fn into_input(self) -> Result<Input, BadInput> {
        let refuse = |message: &str| Err(BadInput(message.to_owned()));
        match (self.text, self.input_ids) {
            (Some(_), Some(_)) => refuse("both text and input_ids are given; keep one"),
            (None, None) => refuse("neither text nor input_ids is given"),
            (Some(_), None) if self.token_type_ids.is_some() => {
                refuse("token_type_ids go with input_ids, not with text")
            }
            (None, Some(_)) if self.text_pair.is_some() => {
                refuse("text_pair goes with text, not with input_ids")
            }
            (Some(text), None) => Ok(match self.text_pair {
                Some(pair) => Input::Pair(text, pair),
                None => Input::Text(text),
            }),
            (None, Some(input_ids)) => Ok(Input::Ids {
                input_ids,
                token_type_ids: self.token_type_ids,
            }),
        }
    }
}

/// The next line that is not blank.
///
/// # Errors
/// The file cannot be read on.
pub(crate) fn next_value(lines: &mut Lines) -> io::Result<Option<Line>> {
    while let Some((number, line)) = lines.next_line()? {
        if !matches!(&line, Ok(line) if line.trim_ascii().is_empty()) {
            return Ok(Some((number, line)));
        }
    }
    Ok(None)
}

/// Reads the fields of a line's object.
///
/// # Errors
/// What is wrong with the line, and at which column.
pub(crate) fn object<T: DeserializeOwned>(line: &[u8]) -> Result<T, BadInput> {
    // serde would also take an array of the values.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(BadInput(
            "the line is not a JSON object in braces".to_owned(),
        ));
    }
    serde_json::from_slice(line)
        .map_err(|error| BadInput(format!("not a valid line of JSON: {}", place(&error))))
}

/// serde_json's message, whose line is always 1 here, with the column only.
fn place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rsplit_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", error.column()),
        None => message,
    }
}

/// Checks that `{id}.safetensors` is the name of a file in the folder.
fn check_id(id: &str) -> Result<(), BadInput> {
    let wrong = if id.is_empty() {
        "is empty"
    } else if id.contains(['/', '\\']) {
        "has a path separator in it"
    } else if id == "." || id == ".." {
        "names a directory"
    } else if id.chars().any(char::is_control) {
        "has a control character in it"
    } else if id.len() > MAX_ID_BYTES {
        return Err(BadInput(format!(
            "the id is {} bytes long, the limit is {MAX_ID_BYTES}; it becomes a file name",
            id.len()
        )));
    } else {
        return Ok(());
    };
    Err(BadInput(format!(
        "the id {id:?} {wrong}; it becomes a file name, choose another"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(u64, Result<String, String>)> {
        let text = io::Cursor::new(text.as_bytes().to_vec());
        let mut items = Items::new(Lines::new(Box::new(text), None));
        std::iter::from_fn(|| items.next_item().unwrap())
            .map(|(number, item)| (number, item.map(|item| item.id).map_err(|error| error.0)))
            .collect()
    }

    fn refusal(line: &str) -> String {
        read(line).remove(0).1.unwrap_err()
    }

    #[test]
    fn blank_lines_count_but_are_no_items() {
        let items = read("\u{feff}{\"text\": \"a\"}\r\n\n  \n{\"text\": \"b\", \"id\": null}");
        assert_eq!(items, [(1, Ok("1".to_owned())), (4, Ok("4".to_owned()))]);
    }

    #[test]
    fn a_bad_line_does_not_stop_the_next() {
        let items = read("{\n[\"a\", \"b\"]\n{\"text\": \"a\", \"extra\": [1]}\n");
        assert!(items[0].1.is_err() && items[1].1.is_err());
        assert_eq!(items[2], (3, Ok("3".to_owned())));
    }

    #[test]
    fn types_and_combinations_are_checked() {
        for line in [
            r#"{"id": 7, "text": "a"}"#,
            r#"{"text": ["a"]}"#,
            r#"{"text": "a", "text": "b"}"#,
            r#"{"input_ids": [1.5]}"#,
            r#"{"input_ids": [-1]}"#,
            r#"{"input_ids": [4294967296]}"#,
            r#"{"input_ids": "101"}"#,
            r#"{"text": "a"} {"text": "b"}"#,
            r#"{"text": "a"#,
            "{\"text\": \"\u{1}\"}",
        ] {
            let message = refusal(line);
            assert!(
                message.starts_with("not a valid line of JSON: "),
                "{line}: {message}"
            );
            assert!(message.contains(" at column "), "{line}: {message}");
        }
        assert!(refusal(r#"{"id": "a"}"#).contains("neither"));
        assert!(refusal(r#"{"text": "a", "input_ids": [1]}"#).contains("both"));
        assert!(refusal(r#"{"text": "a", "token_type_ids": [1]}"#).contains("token_type_ids"));
        assert!(refusal(r#"{"input_ids": [1], "text_pair": "a"}"#).contains("text_pair"));
        let both = r#"{"text": "a", "target": "b", "decoder_input_ids": [1]}"#;
        assert!(refusal(both).contains("both target"));
    }

    #[test]
    fn ids_cannot_leave_the_folder() {
        for id in [
            "", ".", "..", "../a", "/etc/a", "a\\\\b", "a\\u0000", "a\\nb", "a\\u0085",
        ] {
            let message = refusal(&format!(r#"{{"id": "{id}", "text": "a"}}"#));
            assert!(message.contains("becomes a file name"), "{id:?}: {message}");
            assert!(!message.contains('\n'));
        }
        let long = "é".repeat(101);
        assert!(refusal(&format!(r#"{{"id": "{long}", "text": "a"}}"#)).contains("202 bytes"));
        assert_eq!(
            read(r#"{"id": "..a b.c", "text": "a"}"#)[0].1,
            Ok("..a b.c".to_owned())
        );
    }

    #[test]
    fn an_id_is_used_once() {
        let items = read(
            "{\"id\": \"Ä\", \"text\": \"a\"}\n{\"id\": \"3\", \"text\": \"a\"}\n{\"text\": \"a\"}\n{\"id\": \"ä\", \"text\": \"a\"}",
        );
        assert!(items[0].1.is_ok() && items[1].1.is_ok());
        assert!(items[2].1.as_ref().unwrap_err().contains("line 2"));
        assert!(items[3].1.as_ref().unwrap_err().contains("line 1"));
    }
}
