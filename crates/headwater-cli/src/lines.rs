//! Files of lines: read one by one, so that a file may be of any length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;

use crate::failure::BadInput;

/// No text that a model can take comes near; a file without line breaks must
/// not fill the memory.
const MAX_LINE_BYTES: u64 = 16 << 20;

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
            return Ok(Self::new(Box::new(BufReader::new(io::stdin())), None));
        }
        let unreadable = || BadInput(format!("cannot read {option} {}", path.display()));
        let file = File::open(path).with_context(unreadable)?;
        let metadata = file.metadata().with_context(unreadable)?;
        if metadata.is_dir() {
            let message = format!("{option} {} is a directory; give a file", path.display());
            return Err(BadInput(message).into());
        }
        let total = metadata.is_file().then_some(metadata.len());
        Ok(Self::new(Box::new(BufReader::new(file)), total))
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

#[cfg(test)]
mod tests {
    use super::*;

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
