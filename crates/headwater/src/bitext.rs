//! Parallel text files and the alignments that people drew for them.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::metrics::{GoldLinks, GoldNotation, LinkLine, Numbering};

/// Sentences and their translations, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitext {
    source: Vec<String>,
    target: Vec<String>,
}

impl Bitext {
    /// Pairs sentences; `names` are those of the two sides, for errors.
    ///
    /// # Errors
    /// Unequal numbers of lines, a line without a word, no line.
    pub fn new(source: Vec<String>, target: Vec<String>, names: [&Path; 2]) -> Result<Self, Error> {
        let [source_path, target_path] = names.map(Path::to_path_buf);
        if source.len() != target.len() {
            return Err(Error::UnequalLines {
                lines: source.len(),
                path: source_path,
                other_lines: target.len(),
                other_path: target_path,
            });
        }
        if source.is_empty() {
            return Err(Error::NoLines { path: source_path });
        }
        for (path, lines) in [(source_path, &source), (target_path, &target)] {
            if let Some(at) = lines.iter().position(|line| line.trim().is_empty()) {
                return Err(Error::EmptyLine { path, line: at + 1 });
            }
        }
        Ok(Self { source, target })
    }

    /// Reads two text files with one sentence a line.
    ///
    /// # Errors
    /// As [`Bitext::new`], and a file that is not UTF-8 or cannot be read.
    pub fn read(source: &Path, target: &Path) -> Result<Self, Error> {
        Self::new(lines(source)?, lines(target)?, [source, target])
    }

    /// How many pairs there are; at least one.
    #[allow(clippy::len_without_is_empty)] // It never is.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// The pairs in order.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.source
            .iter()
            .zip(&self.target)
            .map(|(source, target)| (source.as_str(), target.as_str()))
    }

    /// Reads gold links for these pairs from a file. Words are what white space
    /// parts.
    ///
    /// # Errors
    /// As [`Bitext::gold`], and a file that is not UTF-8 or cannot be read.
    pub fn read_gold(&self, path: &Path, numbering: Numbering) -> Result<Vec<GoldLinks>, Error> {
        self.gold(&lines(path)?, path, numbering)
    }

    /// Reads gold links for these pairs from the lines of a file, whose name is
    /// for errors: a line a pair, sure `1-2` or `1s2`, possible `1p2` or `1?2`;
    /// or a line a link, `sentence source target S|P`, which counts from 1
    /// whatever `numbering` says ([`GoldNotation`]).
    ///
    /// # Errors
    /// Another number of lines, what is no link, a link outside its sentences,
    /// both notations in one file: each with its line.
    pub fn gold(
        &self,
        gold: &[String],
        path: &Path,
        numbering: Numbering,
    ) -> Result<Vec<GoldLinks>, Error> {
        let words = |text: &str| text.split_whitespace().count();
        let failed = |source| Error::Gold {
            path: path.to_owned(),
            source,
        };
        if GoldNotation::of(gold).map_err(failed)? == GoldNotation::Triples {
            let sizes = self
                .pairs()
                .map(|(source, target)| (words(source), words(target)));
            let sizes: Vec<(usize, usize)> = sizes.collect();
            return GoldLinks::from_triples(gold, &sizes).map_err(failed);
        }
        if gold.len() != self.len() {
            return Err(Error::GoldLines {
                path: path.to_owned(),
                lines: gold.len(),
                pairs: self.len(),
            });
        }
        let pairs = self.pairs().zip(gold).enumerate();
        pairs
            .map(|(index, ((source, target), text))| {
                let line = LinkLine {
                    number: index + 1,
                    numbering,
                    words: Some((words(source), words(target))),
                };
                GoldLinks::parse(text, line).map_err(failed)
            })
            .collect()
    }
}

fn lines(path: &Path) -> Result<Vec<String>, Error> {
    let bytes = std::fs::read(path).map_err(|source| crate::analysis::Error::Io {
        action: crate::analysis::FileAction::Read,
        path: PathBuf::from(path),
        source,
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        Error::NotUtf8 {
            path: PathBuf::from(path),
            line: 1 + good.iter().filter(|&&byte| byte == b'\n').count(),
        }
    })?;
    // Some editors put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitext(source: &[&str], target: &[&str]) -> Result<Bitext, Error> {
        let owned = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
        let names = [Path::new("a.de"), Path::new("a.en")];
        Bitext::new(owned(source), owned(target), names)
    }

    fn gold(text: &str) -> Result<Vec<GoldLinks>, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let bitext = bitext(&["ein Haus", "ja"], &["a house", "yes"]).unwrap();
        bitext.read_gold(file.path(), Numbering::FromOne)
    }

    /// An error and everything behind it, as a program shows it.
    fn causes(error: &dyn std::error::Error) -> String {
        let behind = error.source().map(causes).unwrap_or_default();
        format!("{error}: {behind}")
    }

    #[test]
    fn lines_that_do_not_pair_are_named() {
        let error = bitext(&["a", "b"], &["c"]).unwrap_err().to_string();
        assert_eq!(
            error,
            r#""a.de" has 2 lines and "a.en" 1; each line of one must be the translation of the same line of the other"#
        );
        let error = bitext(&["a", "b"], &["c", " "]).unwrap_err().to_string();
        assert!(error.starts_with(r#"line 2 of "a.en" is empty"#), "{error}");
        let error = bitext(&[], &[]).unwrap_err().to_string();
        assert!(error.starts_with(r#""a.de" has no line"#), "{error}");
    }

    #[test]
    fn files_are_utf8() {
        let folder = tempfile::tempdir().unwrap();
        let [source, target] = ["a", "b"].map(|name| folder.path().join(name));
        std::fs::write(&source, "\u{feff}ein Haus\r\nja").unwrap();
        std::fs::write(&target, "a house\nyes\n").unwrap();
        let read = || Bitext::read(&source, &target);
        let expected = [("ein Haus", "a house"), ("ja", "yes")];
        assert!(read().unwrap().pairs().eq(expected));
        std::fs::write(&target, b"a house\ny\xe9s\n").unwrap();
        let error = read().unwrap_err();
        assert!(
            matches!(error, Error::NotUtf8 { line: 2, .. }) && error.is_bad_input(),
            "{error}"
        );
    }

    #[test]
    fn files_that_are_not_there_are_the_users_to_mend() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        for path in [missing.as_path(), folder.path()] {
            let error = Bitext::read(path, &missing).unwrap_err();
            assert!(
                matches!(error, Error::Analysis(crate::analysis::Error::Io { .. })),
                "{error}"
            );
            assert!(error.is_bad_input(), "{error}");
        }
    }

    #[test]
    fn gold_links_have_to_fit() {
        assert_eq!(gold("1-1 2p2\n1s1\n").unwrap().len(), 2);
        let error = gold("1-1\n").unwrap_err().to_string();
        assert!(error.contains("has 1 line for 2 sentence pairs"), "{error}");
        let error = causes(&gold("1-1\n1-2\n").unwrap_err());
        assert!(error.contains("line 2: link \"1-2\""), "{error}");
        // A line a link needs no line for a pair without links.
        let triples = gold("0001 2 1 P\n0001 1 1 S\n").unwrap();
        let links: Vec<String> = triples.iter().map(ToString::to_string).collect();
        assert_eq!(links, ["0-0 1p0", ""]);
        let error = causes(&gold("1-1\n2 1 1 S\n").unwrap_err());
        assert!(error.contains("line 2 is of another notation"), "{error}");
        let error = causes(&gold("1-1\nx\n").unwrap_err());
        assert!(error.contains("line 2: \"x\" is no link"), "{error}");
    }
}
