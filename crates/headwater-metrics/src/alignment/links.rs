//! Links between words, and the texts that they are kept in.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use crate::MetricsError;

/// A source word and a target word that belong together, counted from 0.
///
/// As text `source-target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link {
    /// The source word.
    pub source: usize,
    /// The target word.
    pub target: usize,
}

impl Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.source, self.target)
    }
}

/// The links of one sentence pair: each at most once, ordered by source word,
/// then target word.
///
/// As text in the Pharaoh format, which counts words from 0: `0-0 1-2 2-1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(BTreeSet<Link>);

impl Links {
    /// Reads a line of `source-target` pairs. A line without any is a sentence
    /// pair without links.
    ///
    /// # Errors
    ///
    /// [`MetricsError::LinkSyntax`], [`MetricsError::LinkOutside`].
    pub fn parse(text: &str, line: LinkLine) -> Result<Self, MetricsError> {
        let links = text
            .split_whitespace()
            .map(|token| Ok(line.link(token, &['-'], "source-target, such as 3-4")?.0));
        links.collect()
    }

    /// The links in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Link> + Clone {
        self.0.iter().copied()
    }

    /// Whether the link is one of these.
    pub fn contains(&self, link: Link) -> bool {
        self.0.contains(&link)
    }

    /// How many links there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no link.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same links with source and target exchanged, for a model that
    /// translates in the other direction.
    pub fn transposed(&self) -> Self {
        let turned = |link: Link| Link {
            source: link.target,
            target: link.source,
        };
        self.iter().map(turned).collect()
    }

    /// The links that both have.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }

    /// The links that either has.
    pub fn union(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }
}

impl FromIterator<Link> for Links {
    fn from_iter<I: IntoIterator<Item = Link>>(links: I) -> Self {
        Self(links.into_iter().collect())
    }
}

impl Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, link) in self.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(f, "{space}{link}")?;
        }
        Ok(())
    }
}

/// The links that people drew for one sentence pair.
///
/// An annotator is sure of some links; others are possible, where a phrase
/// matches a phrase and no word a word. What is sure is also possible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoldLinks {
    sure: Links,
    possible: Links,
}

impl GoldLinks {
    /// Sure links, and further ones that are possible.
    pub fn new(sure: Links, possible: Links) -> Self {
        let possible = possible.union(&sure);
        Self { sure, possible }
    }

    /// Reads a line of sure links `1-1` or `1s1` and possible links `1p1` or `1?1`.
    ///
    /// A link that stands there as both is sure. A line without any is a
    /// sentence pair without links.
    ///
    /// ```
    /// use headwater_metrics::{GoldLinks, LinkLine, Numbering};
    ///
    /// let line = LinkLine { number: 1, numbering: Numbering::FromOne, words: Some((3, 2)) };
    /// let gold = GoldLinks::parse("1-1 2s2 3p2", line)?;
    /// assert_eq!(gold.sure().to_string(), "0-0 1-1");
    /// assert_eq!(gold.possible().to_string(), "0-0 1-1 2-1");
    ///
    /// let error = GoldLinks::parse("1-1 4p2", line).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "line 1: link \"4p2\" names source word 4, counted from 1, but the sentence has 3 words"
    /// );
    /// # Ok::<(), headwater_metrics::MetricsError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`MetricsError::LinkSyntax`], [`MetricsError::LinkOutside`].
    pub fn parse(text: &str, line: LinkLine) -> Result<Self, MetricsError> {
        let (mut sure, mut possible) = (BTreeSet::new(), BTreeSet::new());
        for token in text.split_whitespace() {
            let expected = "3-4 or 3s4 for a sure link, 3p4 or 3?4 for a possible one";
            let (link, separator) = line.link(token, &['-', 's', 'p', '?'], expected)?;
            if matches!(separator, 'p' | '?') {
                possible.insert(link);
            } else {
                sure.insert(link);
            }
        }
        Ok(Self::new(Links(sure), Links(possible)))
    }

    /// The sure links.
    pub fn sure(&self) -> &Links {
        &self.sure
    }

    /// The possible links, the sure ones included.
    pub fn possible(&self) -> &Links {
        &self.possible
    }
}

impl Display for GoldLinks {
    /// Sure links as `0-0`, possible ones as `0p0`, counted from 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, link) in self.possible.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            let separator = if self.sure.contains(link) { '-' } else { 'p' };
            write!(f, "{space}{}{separator}{}", link.source, link.target)?;
        }
        Ok(())
    }
}

/// How a file of links counts words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbering {
    /// The first word is 0: the Pharaoh format.
    #[default]
    FromZero,
    /// The first word is 1: most gold files.
    FromOne,
}

impl Numbering {
    fn first(self) -> usize {
        match self {
            Self::FromZero => 0,
            Self::FromOne => 1,
        }
    }
}

/// What a line of links has to agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLine {
    /// The number of the line, from 1, for errors.
    pub number: usize,
    /// How the file counts words.
    pub numbering: Numbering,
    /// How many words the source and the target sentence have; `None` accepts
    /// any word.
    pub words: Option<(usize, usize)>,
}

impl LinkLine {
    /// A link and what separates its numbers.
    fn link(
        &self,
        token: &str,
        separators: &[char],
        expected: &'static str,
    ) -> Result<(Link, char), MetricsError> {
        let first = self.numbering.first();
        let parts = || {
            let at = token.find(|c: char| !c.is_ascii_digit())?;
            let separator = separators.iter().find(|&&s| token[at..].starts_with(s))?;
            let word = |digits: &str| {
                let bare = digits.bytes().all(|byte| byte.is_ascii_digit());
                let number: usize = bare.then(|| digits.parse().ok())??;
                number.checked_sub(first)
            };
            let (source, target) = (word(&token[..at])?, word(&token[at + 1..])?);
            Some((Link { source, target }, *separator))
        };
        let (link, separator) = parts().ok_or_else(|| MetricsError::LinkSyntax {
            line: self.number,
            token: token.to_owned(),
            expected,
            first,
        })?;
        self.check(link, token)?;
        Ok((link, separator))
    }

    /// Checks that the sentences have the words of a link.
    pub(super) fn check(&self, link: Link, token: &str) -> Result<(), MetricsError> {
        let first = self.numbering.first();
        let (source_words, target_words) = self.words.unwrap_or((usize::MAX, usize::MAX));
        for (side, word, words) in [
            ("source", link.source, source_words),
            ("target", link.target, target_words),
        ] {
            if word >= words {
                return Err(MetricsError::LinkOutside {
                    line: self.number,
                    token: token.to_owned(),
                    side,
                    word: word.saturating_add(first),
                    first,
                    words,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(numbering: Numbering) -> LinkLine {
        LinkLine {
            number: 7,
            numbering,
            words: Some((3, 4)),
        }
    }

    #[test]
    fn pharaoh() {
        let read = |text| Links::parse(text, line(Numbering::FromZero));
        let links = read(" 2-3\t0-1 0-0  2-3\n").unwrap();
        assert_eq!(links.to_string(), "0-0 0-1 2-3");
        assert_eq!(links.transposed().to_string(), "0-0 1-0 3-2");
        assert_eq!(read("").unwrap(), Links::default());
        assert_eq!(Links::default().to_string(), "");
    }

    #[test]
    fn gold() {
        let read = |text| GoldLinks::parse(text, line(Numbering::FromOne));
        let gold = read("1-1 2s2 2?3 3p4 3s4").unwrap();
        assert_eq!(gold.sure().to_string(), "0-0 1-1 2-3");
        assert_eq!(gold.to_string(), "0-0 1-1 1p2 2-3");
        assert_eq!(read("  ").unwrap(), GoldLinks::default());
    }

    #[test]
    fn broken_links_are_quoted_with_their_line() {
        for token in [
            "1",
            "1-",
            "-1",
            "1-2-3",
            "1:2",
            "+1-1",
            "1-+1",
            "1--1",
            "a-b",
            "1s",
            "1-1,",
            "1–1",
            "99999999999999999999-1",
            "1-٣",
        ] {
            let text = format!("0-0 {token}");
            for error in [
                Links::parse(&text, line(Numbering::FromZero)).unwrap_err(),
                GoldLinks::parse(&text, line(Numbering::FromZero)).unwrap_err(),
            ] {
                assert!(
                    matches!(&error, MetricsError::LinkSyntax { line: 7, token: found, first: 0, .. } if found == token),
                    "{error}"
                );
            }
        }
        // Links that a program found are neither sure nor possible.
        let error = Links::parse("1p2", line(Numbering::FromZero)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 7: \"1p2\" is no link; write source-target, such as 3-4, with words counted from 0"
        );
        let error = GoldLinks::parse("1-0", line(Numbering::FromOne)).unwrap_err();
        assert!(error.to_string().ends_with("with words counted from 1"));
    }

    #[test]
    fn words_that_the_sentence_does_not_have() {
        let outside = |token: &str, side, word, words| MetricsError::LinkOutside {
            line: 7,
            token: token.to_owned(),
            side,
            word,
            first: 0,
            words,
        };
        let read = |token| Links::parse(token, line(Numbering::FromZero)).unwrap_err();
        assert_eq!(read("3-0"), outside("3-0", "source", 3, 3));
        assert_eq!(read("2-4"), outside("2-4", "target", 4, 4));
        let any = LinkLine {
            words: None,
            ..line(Numbering::FromZero)
        };
        assert_eq!(Links::parse("300-400", any).unwrap().len(), 1);
    }
}
