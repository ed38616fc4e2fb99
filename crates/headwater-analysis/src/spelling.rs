use std::fmt;
use std::str::FromStr;

/// How a vocabulary spells the text that its tokens stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Spelling {
    /// In characters of the text, with marks of words: WordPiece, SentencePiece.
    #[default]
    Text,
    /// In one printable character a byte of the UTF-8 text: GPT-2, RoBERTa,
    /// OPT, BART. `Ġ` is a space, `Ċ` a line feed, `Ã¤` the letter ä.
    ByteLevel,
}

impl Spelling {
    /// The key of an analysis file's metadata that names it; without the key it
    /// is [`Spelling::Text`].
    pub const METADATA_KEY: &'static str = "token_spelling";

    /// A token as people read it: the characters that its bytes are, where they
    /// are whole characters, and `�` for each piece of one.
    ///
    /// A space is `▁` and white space of other kinds is escaped (`\n`), so that
    /// nothing is invisible. Tokens that are not made of bytes, such as `<s>` or
    /// an added one with a space in it, stay as they are.
    pub fn readable(self, token: &str) -> String {
        match self {
            Self::Text => token.to_owned(),
            Self::ByteLevel => match token.chars().map(byte_of).collect::<Option<Vec<u8>>>() {
                Some(bytes) => String::from_utf8_lossy(&bytes)
                    .chars()
                    .map(visible)
                    .collect(),
                None => token.to_owned(),
            },
        }
    }
}

impl fmt::Display for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::ByteLevel => "byte_level",
        })
    }
}

impl FromStr for Spelling {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "text" => Ok(Self::Text),
            "byte_level" => Ok(Self::ByteLevel),
            _ => Err(()),
        }
    }
}

/// The byte that a character of GPT-2's alphabet stands for: printable
/// characters of Latin-1 for themselves, those from U+0100 on for the others in
/// their order.
fn byte_of(character: char) -> Option<u8> {
    /// Bytes below 0x21, 0x7F to 0xA0, and 0xAD.
    const OTHERS: u32 = 0x21 + 0x22 + 1;
    let code = u32::from(character);
    match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => u8::try_from(code).ok(),
        0x100.. if code < 0x100 + OTHERS => {
            let place = u8::try_from(code - 0x100).ok()?;
            Some(match place {
                0..=0x20 => place,
                0x21..=0x42 => place - 0x21 + 0x7F,
                _ => 0xAD,
            })
        }
        _ => None,
    }
}

fn visible(character: char) -> String {
    match character {
        ' ' => "▁".to_owned(),
        c if c.is_control() || c.is_whitespace() => c.escape_default().to_string(),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The alphabet as GPT-2's program makes it.
    fn alphabet() -> Vec<char> {
        let printable = |byte: &u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
        let mut next = 0x100;
        let character = |byte: u8| {
            if printable(&byte) {
                return char::from(byte);
            }
            let character = char::from_u32(next).unwrap();
            next += 1;
            character
        };
        (0..=u8::MAX).map(character).collect()
    }

    #[test]
    fn every_byte_is_read_back() {
        for (byte, character) in (0..=u8::MAX).zip(alphabet()) {
            assert_eq!(byte_of(character), Some(byte), "{character}");
        }
        assert_eq!(['▁', '\u{144}', ' ', '漢'].map(byte_of), [None; 4]);
    }

    #[test]
    fn whole_characters_are_shown_and_pieces_are_marked() {
        let readable = |token| Spelling::ByteLevel.readable(token);
        assert_eq!(readable("Ã¤"), "ä");
        assert_eq!(readable("×©"), "ש");
        assert_eq!(readable("Ċ"), "\\n");
        assert_eq!(readable("Ġgirl"), "▁girl");
        assert_eq!(readable("ĠĠ"), "▁▁");
        assert_eq!(readable("æ¼¢"), "漢");
        // Of the three bytes of 漢, two and one.
        assert_eq!(readable("æ¼"), "\u{FFFD}");
        assert_eq!(readable("a¢"), "a\u{FFFD}");
        assert_eq!(readable("ÂłSee"), "\\u{a0}See");
        assert_eq!(readable("<|endoftext|>"), "<|endoftext|>");
        assert_eq!(readable("two words"), "two words");
        assert_eq!(Spelling::Text.readable("Ã¤"), "Ã¤");
    }
}
