//! One set of links from those of two directions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::ops::Bound::{Excluded, Unbounded};
use std::str::FromStr;

use super::{Link, Links};
use crate::MetricsError;

/// One set of links from those of two directions.
///
/// As text the names that Moses gives them: `intersection`, `union`,
/// `grow-diag`, `grow-diag-final`, `grow-diag-final-and`.
///
/// Programs that say these names differ. Here they are what Moses' symal does
/// (tested against mosesdecoder at 34452895). fast_align's atools (cab1e9aa)
/// goes through all candidates from the first source word on, again and again,
/// and not from link to link, which gives other links in one pair of ten. NLTK's
/// `grow_diag_final_and` (3.10.4) is the union.
///
/// # Source
///
/// Koehn, Och and Marcu 2003, Statistical Phrase-Based Translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Symmetrization {
    /// The links that both directions have.
    Intersection,
    /// The links that either direction has.
    Union,
    /// The intersection, and again and again those links of the union that
    /// touch a link at hand, diagonally too, if they link a source or a target
    /// word that has no link yet.
    GrowDiag,
    /// [`GrowDiag`](Self::GrowDiag), then every link of the forward direction,
    /// then of the backward one, whose source or target word has no link yet.
    GrowDiagFinal,
    /// As [`GrowDiagFinal`](Self::GrowDiagFinal), but neither word may have a
    /// link yet.
    GrowDiagFinalAnd,
}

impl Symmetrization {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Intersection,
        Self::Union,
        Self::GrowDiag,
        Self::GrowDiagFinal,
        Self::GrowDiagFinalAnd,
    ];

    /// Combines two directions.
    ///
    /// Both speak of the same source and target: links of a model that
    /// translates backward are [transposed](Links::transposed) first. `forward`
    /// is the direction from target words to source words, of which
    /// [`GrowDiagFinal`](Self::GrowDiagFinal) takes what is left first.
    ///
    /// A link counts from the moment when it is added, and links are gone
    /// through by target word, then source word; the neighbours of one in the
    /// same row and column come before the diagonal ones. Every result lies
    /// between the intersection and the union, and
    /// intersection ⊆ grow-diag ⊆ grow-diag-final-and, grow-diag-final ⊆ union.
    ///
    /// ```
    /// use headwater_metrics::{LinkLine, Links, Numbering, Symmetrization};
    ///
    /// let line = LinkLine { number: 1, numbering: Numbering::FromZero, words: None };
    /// let forward = Links::parse("0-0 1-1 2-1 4-3", line)?;
    /// let backward = Links::parse("0-0 1-1 1-2 4-4", line)?;
    /// let links = |how: Symmetrization| how.combine(&forward, &backward).to_string();
    /// assert_eq!(links(Symmetrization::Intersection), "0-0 1-1");
    /// assert_eq!(links(Symmetrization::GrowDiag), "0-0 1-1 1-2 2-1");
    /// assert_eq!(links(Symmetrization::GrowDiagFinal), "0-0 1-1 1-2 2-1 4-3 4-4");
    /// assert_eq!(links(Symmetrization::GrowDiagFinalAnd), "0-0 1-1 1-2 2-1 4-3");
    /// # Ok::<(), headwater_metrics::MetricsError>(())
    /// ```
    pub fn combine(self, forward: &Links, backward: &Links) -> Links {
        let both = forward.intersection(backward);
        let either = forward.union(backward);
        match self {
            Self::Intersection => return both,
            Self::Union => return either,
            Self::GrowDiag | Self::GrowDiagFinal | Self::GrowDiagFinalAnd => (),
        }
        let mut growing = Growing::default();
        both.iter().for_each(|link| growing.add(link));
        growing.grow_diag(&either);
        for direction in [forward, backward] {
            match self {
                Self::GrowDiagFinal => growing.complete(direction, |s, t| s || t),
                Self::GrowDiagFinalAnd => growing.complete(direction, |s, t| s && t),
                _ => (),
            }
        }
        growing.links()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Intersection => "intersection",
            Self::Union => "union",
            Self::GrowDiag => "grow-diag",
            Self::GrowDiagFinal => "grow-diag-final",
            Self::GrowDiagFinalAnd => "grow-diag-final-and",
        }
    }
}

/// Links that are being added to, as (target, source).
#[derive(Default)]
struct Growing {
    links: BTreeSet<(usize, usize)>,
    /// How many links each word has.
    sources: BTreeMap<usize, usize>,
    targets: BTreeMap<usize, usize>,
}

impl Growing {
    fn add(&mut self, link: Link) {
        if self.links.insert((link.target, link.source)) {
            *self.sources.entry(link.source).or_default() += 1;
            *self.targets.entry(link.target).or_default() += 1;
        }
    }

    /// Whether the source word and the target word have no link yet.
    fn free(&self, link: Link) -> (bool, bool) {
        let (source, target) = (link.source, link.target);
        (
            !self.sources.contains_key(&source),
            !self.targets.contains_key(&target),
        )
    }

    fn grow_diag(&mut self, either: &Links) {
        const NEIGHBOURS: [(isize, isize); 8] = [
            (-1, 0),
            (0, -1),
            (1, 0),
            (0, 1),
            (-1, -1),
            (-1, 1),
            (1, -1),
            (1, 1),
        ];
        loop {
            let before = self.links.len();
            let mut next = self.links.first().copied();
            while let Some(here) = next {
                for (down, right) in NEIGHBOURS {
                    let target = here.0.checked_add_signed(down);
                    let source = here.1.checked_add_signed(right);
                    let (Some(target), Some(source)) = (target, source) else {
                        continue;
                    };
                    let link = Link { source, target };
                    let (source_free, target_free) = self.free(link);
                    if (source_free || target_free) && either.contains(link) {
                        self.add(link);
                    }
                }
                next = self
                    .links
                    .range((Excluded(here), Unbounded))
                    .next()
                    .copied();
            }
            if self.links.len() == before {
                return;
            }
        }
    }

    fn complete(&mut self, direction: &Links, wanted: impl Fn(bool, bool) -> bool) {
        let mut left: Vec<Link> = direction.iter().collect();
        left.sort_unstable_by_key(|link| (link.target, link.source));
        for link in left {
            let (source_free, target_free) = self.free(link);
            if wanted(source_free, target_free) {
                self.add(link);
            }
        }
    }

    fn links(self) -> Links {
        let links = self.links.into_iter();
        links
            .map(|(target, source)| Link { source, target })
            .collect()
    }
}

impl Display for Symmetrization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Symmetrization {
    type Err = MetricsError;

    /// # Errors
    ///
    /// [`MetricsError::UnknownName`].
    fn from_str(name: &str) -> Result<Self, MetricsError> {
        let found = Self::ALL.into_iter().find(|how| how.name() == name);
        found.ok_or_else(|| MetricsError::UnknownName {
            what: "symmetrization",
            name: name.to_owned(),
            known: "intersection, union, grow-diag, grow-diag-final, grow-diag-final-and",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LinkLine, Numbering};

    fn links(text: &str) -> Links {
        let line = LinkLine {
            number: 1,
            numbering: Numbering::FromZero,
            words: None,
        };
        Links::parse(text, line).unwrap()
    }

    fn combine(how: Symmetrization, forward: &str, backward: &str) -> String {
        how.combine(&links(forward), &links(backward)).to_string()
    }

    #[test]
    fn growth_goes_through_what_it_added() {
        // 0-0 reaches 1-1 over the corner, and 1-1 reaches 2-1, 3-1 in turn.
        let grown = combine(Symmetrization::GrowDiag, "0-0 1-1 2-1 3-1 5-5", "0-0");
        assert_eq!(grown, "0-0 1-1 2-1 3-1");
    }

    #[test]
    fn growth_needs_a_free_word() {
        // All four words of the square are linked once the corners are.
        let grown = combine(Symmetrization::GrowDiag, "0-0 1-1 1-0", "0-0 1-1 0-1");
        assert_eq!(grown, "0-0 1-1");
        // The link beside 0-0 takes target 1, so that the corner has no free word.
        let grown = combine(Symmetrization::GrowDiag, "0-0 1-0", "0-0 0-1 1-1");
        assert_eq!(grown, "0-0 0-1 1-0");
    }

    #[test]
    fn growth_can_go_back() {
        // 2-2 is reached first, 1-1 and 0-0 from there against the order.
        let grown = combine(Symmetrization::GrowDiag, "0-0 1-1 2-2 3-3", "3-3");
        assert_eq!(grown, "0-0 1-1 2-2 3-3");
    }

    #[test]
    fn final_takes_forward_links_first() {
        let (forward, backward) = ("0-0 4-4", "0-0 5-4 4-5");
        let grown = |how| combine(how, forward, backward);
        assert_eq!(grown(Symmetrization::GrowDiag), "0-0");
        assert_eq!(grown(Symmetrization::GrowDiagFinal), "0-0 4-4 4-5 5-4");
        assert_eq!(grown(Symmetrization::GrowDiagFinalAnd), "0-0 4-4");
        let turned = Symmetrization::GrowDiagFinalAnd.combine(&links(backward), &links(forward));
        assert_eq!(turned.to_string(), "0-0 4-5 5-4");
    }

    #[test]
    fn nothing_comes_of_nothing() {
        for how in Symmetrization::ALL {
            assert_eq!(combine(how, "", ""), "");
        }
        assert_eq!(combine(Symmetrization::GrowDiag, "0-0", "1-1"), "");
        assert_eq!(
            combine(Symmetrization::GrowDiagFinal, "0-0", "1-1"),
            "0-0 1-1"
        );
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for how in Symmetrization::ALL {
            assert_eq!(how.to_string().parse(), Ok(how));
        }
        assert!("gdfa".parse::<Symmetrization>().is_err());
    }
}
