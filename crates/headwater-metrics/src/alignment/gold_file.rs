//! Files of gold links: a line a sentence pair, or a line a link.

use std::collections::BTreeSet;

use super::links::{GoldLinks, Link, LinkLine, Numbering};
use crate::MetricsError;

/// What a line of the shared task's notation looks like, for errors.
const TRIPLE: &str = "sentence, source word, target word and S for a sure link or P for a \
                      possible one, such as 1 3 4 S";

/// How a file writes links down; its first line that is not blank tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoldNotation {
    /// A line a sentence pair: `1-1 2s2 3p2 3?4`, as [`GoldLinks::parse`] reads it.
    Pairs,
    /// A line a link: `sentence source target S|P`, all of them counted from 1;
    /// without a letter the link is sure.
    ///
    /// # Source
    /// The shared task of Mihalcea and Pedersen 2003, "An Evaluation Exercise for
    /// Word Alignment", §4.2.
    Triples,
}

impl GoldNotation {
    /// The notation of a file; [`GoldNotation::Pairs`] where no line has a link.
    ///
    /// A line of the one begins with a number, a line of the other with a link.
    ///
    /// # Errors
    ///
    /// [`MetricsError::MixedGold`]: lines of both.
    pub fn of<S: AsRef<str>>(lines: &[S]) -> Result<Self, MetricsError> {
        let notations = lines.iter().enumerate().filter_map(|(index, line)| {
            let first = line.as_ref().split_whitespace().next()?;
            let is_number = first.bytes().all(|byte| byte.is_ascii_digit());
            let notation = match is_number {
                true => Self::Triples,
                false => Self::Pairs,
            };
            Some((index + 1, notation))
        });
        let mut notations = notations.peekable();
        let Some(&(first, notation)) = notations.peek() else {
            return Ok(Self::Pairs);
        };
        match notations.find(|&(_, other)| other != notation) {
            Some((line, _)) => Err(MetricsError::MixedGold { line, first }),
            None => Ok(notation),
        }
    }
}

impl GoldLinks {
    /// Reads the lines of a file of [`GoldNotation::Triples`]: the links of each
    /// of these sentence pairs, given how many words its source and target have.
    /// A sentence pair that no line names has no links.
    ///
    /// # Errors
    ///
    /// [`MetricsError::TripleSyntax`], [`MetricsError::NullLink`],
    /// [`MetricsError::NoSuchSentence`], [`MetricsError::LinkOutside`].
    pub fn from_triples<S: AsRef<str>>(
        lines: &[S],
        words: &[(usize, usize)],
    ) -> Result<Vec<Self>, MetricsError> {
        let mut links = vec![(BTreeSet::new(), BTreeSet::new()); words.len()];
        for (index, text) in lines.iter().enumerate() {
            let text = text.as_ref().trim();
            if text.is_empty() {
                continue;
            }
            let number = index + 1;
            let Some((sentence, link, is_sure)) = triple(text) else {
                return Err(MetricsError::TripleSyntax {
                    line: number,
                    text: text.to_owned(),
                    expected: TRIPLE,
                });
            };
            let pair = sentence.checked_sub(1).and_then(|pair| {
                let sizes = words.get(pair)?;
                Some((&mut links[pair], *sizes))
            });
            let Some(((sure, possible), sizes)) = pair else {
                return Err(MetricsError::NoSuchSentence {
                    line: number,
                    sentence,
                    sentences: words.len(),
                });
            };
            let (Some(source), Some(target)) = (link.0.checked_sub(1), link.1.checked_sub(1))
            else {
                return Err(MetricsError::NullLink {
                    line: number,
                    text: text.to_owned(),
                });
            };
            let line = LinkLine {
                number,
                numbering: Numbering::FromOne,
                words: Some(sizes),
            };
            let link = Link { source, target };
            line.check(link, text)?;
            match is_sure {
                true => sure.insert(link),
                false => possible.insert(link),
            };
        }
        let gold = |(sure, possible): (BTreeSet<Link>, BTreeSet<Link>)| {
            Self::new(sure.into_iter().collect(), possible.into_iter().collect())
        };
        Ok(links.into_iter().map(gold).collect())
    }
}

/// Sentence, words and whether the link is sure, as the line counts them.
fn triple(text: &str) -> Option<(usize, (usize, usize), bool)> {
    let mut fields = text.split_whitespace();
    let mut number = || {
        let digits = fields.next()?;
        let bare = digits.bytes().all(|byte| byte.is_ascii_digit());
        bare.then(|| digits.parse().ok())?
    };
    let (sentence, source, target) = (number()?, number()?, number()?);
    let is_sure = match fields.next() {
        None | Some("S") => true,
        Some("P") => false,
        Some(_) => return None,
    };
    fields
        .next()
        .is_none()
        .then_some((sentence, (source, target), is_sure))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [(usize, usize); 3] = [(3, 4), (1, 1), (2, 2)];

    fn read(text: &str) -> Result<Vec<GoldLinks>, MetricsError> {
        let lines: Vec<&str> = text.lines().collect();
        GoldLinks::from_triples(&lines, &WORDS)
    }

    #[test]
    fn a_line_a_link() {
        let gold = read("0001 1 1 S\n1 2 1 P\n\n  0003\t2 2\n1 3 4 P\n1 3 4 S\n").unwrap();
        let lines: Vec<String> = gold.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["0-0 1p0 2-3", "", "1-1"]);
        // Another order of lines, the same links; the same links in the other notation.
        assert_eq!(
            read("1 3 4 S\n3 2 2 S\n1 2 1 P\n1 1 1 S\n1 3 4 P\n").unwrap(),
            gold
        );
        let line = LinkLine {
            number: 1,
            numbering: Numbering::FromOne,
            words: Some(WORDS[0]),
        };
        assert_eq!(GoldLinks::parse("1-1 2?1 3s4", line).unwrap(), gold[0]);
        assert_eq!(read("").unwrap().len(), 3);
    }

    #[test]
    fn what_is_no_triple_is_quoted() {
        for text in [
            "1 1",
            "1 1 1 X",
            "1 1 1 s",
            "1 1 1 S 0.9",
            "1 1-1 S",
            "1 1 a S",
            "+1 1 1 S",
            "1 99999999999999999999 1 S",
        ] {
            let error = read(&format!("1 1 1 S\n{text}\n")).unwrap_err();
            assert!(
                matches!(&error, MetricsError::TripleSyntax { line: 2, text: found, .. } if found == text),
                "{error}"
            );
        }
    }

    #[test]
    fn sentences_and_words_are_there() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(
            error("4 1 1 S").starts_with("line 1: there is no sentence pair 4: the text has 3")
        );
        assert!(error("0 1 1 S").contains("no sentence pair 0"));
        assert!(error("2 1 2 S").contains("names target word 2, counted from 1"));
        // A word without a partner, in the shared task's other kind of file.
        assert!(error("1 0 2 S").contains("no partner"));
    }

    #[test]
    fn notations_are_told_apart_and_not_mixed() {
        let of = |text: &str| GoldNotation::of(&text.lines().collect::<Vec<_>>());
        assert_eq!(of("\n1-1 2-2\n3p1\n"), Ok(GoldNotation::Pairs));
        assert_eq!(of(" \n1 1 1 S\n2 1 1\n"), Ok(GoldNotation::Triples));
        assert_eq!(of("\n\n"), Ok(GoldNotation::Pairs));
        for text in ["1-1\n\n1 1 1 S\n", "1 1 1 S\n\n1-1\n"] {
            let mixed = MetricsError::MixedGold { line: 3, first: 1 };
            assert_eq!(of(text), Err(mixed), "{text}");
        }
    }
}
