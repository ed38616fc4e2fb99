//! Inputs as JSON lines.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use headwater::Input;

use crate::failure::BadInput;
use crate::lines::{Line, Lines};
use crate::object::Object;
use crate::subject::Given;

/// Leaves room for `.safetensors` and a temporary suffix in 255 bytes.
const MAX_ID_BYTES: usize = 200;

/// One line that can be analyzed.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) given: Given,
}

/// The keys of a line.
const KEYS: [&str; 7] = [
    "id",
    "text",
    "text_pair",
    "input_ids",
    "token_type_ids",
    "target",
    "decoder_input_ids",
];

/// What is to be analyzed.
#[derive(Debug)]
struct Fields {
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
        let mut object = Object::parse(line, &KEYS)?;
        let id = object.name("id")?.unwrap_or_else(|| number.to_string());
        check_id(&id)?;
        if let Some(first) = self.used.get(&id.to_lowercase()) {
            return Err(BadInput(format!(
                "the id \"{id}\" was used by line {first} already (upper and lower case count as the same); give each line its own"
            )));
        }
        self.used.insert(id.to_lowercase(), number);
        let given = Fields::of(object)?.into_given()?;
        Ok(Item { id, given })
    }
}

impl Fields {
    fn of(mut object: Object) -> Result<Self, BadInput> {
        Ok(Self {
            text: object.text("text")?,
            text_pair: object.text("text_pair")?,
            input_ids: object.ids("input_ids")?,
            token_type_ids: object.ids("token_type_ids")?,
            target: object.text("target")?,
            decoder_input_ids: object.ids("decoder_input_ids")?,
        })
    }

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
        let items = read("{\n[\"a\", \"b\"]\n{\"text\": \"a\"}\n");
        assert!(items[0].1.is_err() && items[1].1.is_err());
        assert_eq!(items[2], (3, Ok("3".to_owned())));
    }

    #[test]
    fn types_and_combinations_are_checked() {
        for line in [
            r#"{"text": "a", "text": "b"}"#,
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
        for (line, words) in [
            (r#"{"text": ["a"]}"#, "text is a list"),
            (r#"{"id": [7], "text": "a"}"#, "id is a list"),
            (r#"{"input_ids": [1.5]}"#, "input_ids has the number 1.5"),
            (r#"{"input_ids": []}"#, "input_ids is an empty list"),
            (
                r#"{"text": "a", "text_piar": "b"}"#,
                "did you mean text_pair?",
            ),
            (r#"{"text": "a", "extra": [1]}"#, "unknown key \"extra\""),
        ] {
            assert!(refusal(line).contains(words), "{}", refusal(line));
        }
        let items = read("{\"id\": 7, \"text\": \"a\"}\n{\"id\": \"7\", \"text\": \"a\"}");
        assert_eq!(items[0].1, Ok("7".to_owned()));
        assert!(items[1].1.as_ref().unwrap_err().contains("line 1"));
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
