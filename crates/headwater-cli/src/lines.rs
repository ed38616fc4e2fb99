//! Files of lines: read one by one, so that a file may be of any length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;

use crate::failure::BadInput;

/// No text that a model can take comes near; a file without line breaks must
/// not fill the memory.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// How files begin that are no UTF-8 text, what they are and what makes them one.
const FOREIGN: [(&[u8], &str, &str); 11] = [
    (b"\xff\xfe\0\0", "in UTF-32", "iconv -f UTF-32 -t UTF-8"),
    (b"\0\0\xfe\xff", "in UTF-32", "iconv -f UTF-32 -t UTF-8"),
    (b"\xff\xfe", "in UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "in UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (b"\x1f\x8b", "compressed with gzip", "gzip -dc"),
    (b"BZh91AY&", "compressed with bzip2", "bzip2 -dc"),
    (b"\xfd7zXZ\0", "compressed with xz", "xz -dc"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "zstd -dc"),
    (b"PK\x03\x04", "a zip archive", "unzip -p"),
    (b"\x89HDF", "an HDF5 file", "the program that made it"),
    (b"PAR1", "a Parquet file", "the program that made it"),
];
/// Bytes at the beginning that are looked at.
const LOOKED_AT: u64 = 8;

/// A line's number from 1, and its bytes or that it is too long.
pub(crate) type Line = (u64, Result<Vec<u8>, BadInput>);

/// Reads a file line by line.
pub(crate) struct Lines {
    reader: Box<dyn BufRead>,
    /// Size of the file, where it is known.
    pub(crate) total_bytes: Option<u64>,
    pub(crate) bytes_read: u64,
    number: u64,
}

impl Lines {
    /// Opens the file that an option names, or standard input if the path is `-`.
    pub(crate) fn open(option: &str, path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Self::checked(option, path, BufReader::new(io::stdin()), None);
        }
        let unreadable = || BadInput(format!("cannot read {option} {}", path.display()));
        let file = File::open(path).with_context(unreadable)?;
        let metadata = file.metadata().with_context(unreadable)?;
        if metadata.is_dir() {
            let message = format!("{option} {} is a directory; give a file", path.display());
            return Err(BadInput(message).into());
        }
        let total = metadata.is_file().then_some(metadata.len());
        Self::checked(option, path, BufReader::new(file), total)
    }

    /// Refuses what is no text once, and not line by line.
    fn checked(
        option: &str,
        path: &Path,
        mut reader: impl BufRead + 'static,
        total_bytes: Option<u64>,
    ) -> anyhow::Result<Self> {
        let mut beginning = Vec::new();
        reader
            .by_ref()
            .take(LOOKED_AT)
            .read_to_end(&mut beginning)
            .with_context(|| format!("cannot read {option} {}", path.display()))?;
        if let Some((what, mend)) = foreign(&beginning) {
            let name = path.display();
            let message = format!(
                "{option} {name} is {what} and not text in UTF-8; turn it into one: {mend}"
            );
            return Err(BadInput(message).into());
        }
        let reader = io::Cursor::new(beginning).chain(reader);
        Ok(Self::new(Box::new(reader), total_bytes))
    }

    pub(crate) fn new(reader: Box<dyn BufRead>, total_bytes: Option<u64>) -> Self {
        Self {
            reader,
            total_bytes,
            bytes_read: 0,
            number: 0,
        }
    }

    /// The next line without its end; `None` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let taken = self
            .reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)? as u64;
        if taken == 0 {
            return Ok(None);
        }
        self.bytes_read += taken;
        self.number += 1;
        if taken == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
            self.skip_line()?;
            let limit = MAX_LINE_BYTES >> 20;
            let message = format!("the line is longer than {limit} MiB; split the text");
            return Ok(Some((self.number, Err(BadInput(message)))));
        }
        for end in [b'\n', b'\r'] {
            if line.last() == Some(&end) {
                line.pop();
            }
        }
        if self.number == 1 {
            // The byte order mark of some editors.
            if let Some(rest) = line.strip_prefix(b"\xef\xbb\xbf") {
                line = rest.to_vec();
            }
        }
        Ok(Some((self.number, Ok(line))))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let available = self.reader.fill_buf()?;
            let (used, done) = match available.iter().position(|&byte| byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (available.len(), available.is_empty()),
            };
            self.reader.consume(used);
            self.bytes_read += used as u64;
            if done {
                return Ok(());
            }
        }
    }
}

/// What a file is that begins so and is not in UTF-8, and what mends it.
fn foreign(beginning: &[u8]) -> Option<(&'static str, &'static str)> {
    let known = FOREIGN
        .iter()
        .find(|(magic, ..)| beginning.starts_with(magic));
    if let Some((_, what, mend)) = known {
        return Some((what, mend));
    }
    // Without a mark: every other byte of Latin letters is zero.
    match beginning {
        [0, 1..=u8::MAX, ..] => Some(("in UTF-16", "iconv -f UTF-16BE -t UTF-8")),
        [1..=u8::MAX, 0, ..] => Some(("in UTF-16", "iconv -f UTF-16LE -t UTF-8")),
        _ => None,
    }
}

/// The text of a line.
///
/// # Errors
/// The line is too long, or not in UTF-8.
pub(crate) fn text(line: Result<Vec<u8>, BadInput>) -> Result<String, BadInput> {
    String::from_utf8(line?)
        .map_err(|_| BadInput("not UTF-8; convert the file to UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_known_by_its_beginning() {
        let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        for (bytes, what) in [
            (utf16("\u{feff}{\"text\"", u16::to_le_bytes), "UTF-16"),
            (utf16("\u{feff}{\"text\"", u16::to_be_bytes), "UTF-16"),
            (utf16("{\"text\"", u16::to_le_bytes), "UTF-16"),
            (utf16("{\"text\"", u16::to_be_bytes), "UTF-16"),
            (b"\x1f\x8b\x08\0".to_vec(), "gzip"),
            (b"BZh91AY&SY".to_vec(), "bzip2"),
            (b"\x28\xb5\x2f\xfd\x04".to_vec(), "zstd"),
        ] {
            let (found, mend) = foreign(&bytes).unwrap();
            assert!(found.contains(what) && mend.contains('-'), "{found} {mend}");
        }
        for text in [
            "",
            "a",
            "\u{feff}text",
            "BZhukov",
            "BZh",
            "ÿþ",
            "PKW",
            "\u{1f}",
        ] {
            assert_eq!(foreign(text.as_bytes()), None, "{text:?}");
        }
    }

    fn read(text: &[u8]) -> Vec<(u64, Result<Vec<u8>, String>)> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(text.to_vec())), None);
        std::iter::from_fn(|| lines.next_line().unwrap())
            .map(|(number, line)| (number, line.map_err(|error| error.0)))
            .collect()
    }

    #[test]
    fn lines_end_in_several_ways() {
        let lines = read(b"\xef\xbb\xbfa\r\n\n b \nc");
        let expected = [&b"a"[..], b"", b" b ", b"c"].map(|line| Ok(line.to_vec()));
        assert_eq!(lines, (1..).zip(expected).collect::<Vec<_>>());
        assert_eq!(read(b""), []);
    }

    #[test]
    fn endless_lines_are_skipped() {
        let mut text = vec![b'x'; MAX_LINE_BYTES as usize + 5];
        text.extend(b"\na");
        let lines = read(&text);
        assert!(lines[0].1.as_ref().unwrap_err().contains("16 MiB"));
        assert_eq!(lines[1..], [(2, Ok(b"a".to_vec()))]);
    }
}
