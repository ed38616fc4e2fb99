//! How frequent each token is in the data that a model was trained on.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use crate::MetricsError;

/// The frequency rank of every token seen: 1 for the most frequent.
///
/// Tokens with the same count share the lowest rank (1, 2, 2, 4); a token that
/// was never seen ranks one after the last. An empty table gives every token
/// rank 1.
///
/// As text, one token a line, in the order of the ranks:
///
/// ```text
/// rank count token_id
/// ```
///
/// Reading takes the ranks as they stand, in any order and with blank lines;
/// writing with `{}` gives a text that reads back equal.
///
/// # Source
///
/// 2020 and 2021, relation with word frequency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrequencyRanks {
    /// Rank and count by token id.
    entries: HashMap<u32, (u64, u64)>,
    last_rank: u64,
}

impl FrequencyRanks {
    /// Ranks tokens by how often they occur.
    ///
    /// Counts of one id are added up, so `ids.map(|id| (id, 1))` counts a text.
    /// Ids whose count is 0 are unseen.
    pub fn from_counts(counts: impl IntoIterator<Item = (u32, u64)>) -> Self {
        let mut totals: HashMap<u32, u64> = HashMap::new();
        for (token_id, count) in counts {
            let total = totals.entry(token_id).or_default();
            *total = total.saturating_add(count);
        }
        let mut order: Vec<(u32, u64)> = totals.into_iter().filter(|entry| entry.1 > 0).collect();
        order.sort_unstable_by_key(|&(_, count)| std::cmp::Reverse(count));
        let mut ranks = Self::default();
        let mut above = 0;
        for ties in order.chunk_by(|a, b| a.1 == b.1) {
            ranks.last_rank = above + 1;
            for &(token_id, count) in ties {
                ranks.entries.insert(token_id, (ranks.last_rank, count));
            }
            above += ties.len() as u64;
        }
        ranks
    }

    /// The rank of a token; one after the last rank if it was never seen.
    pub fn rank(&self, token_id: u32) -> u64 {
        self.entries
            .get(&token_id)
            .map_or(self.last_rank.saturating_add(1), |&(rank, _)| rank)
    }

    /// How often a token was seen; 0 if never.
    pub fn count(&self, token_id: u32) -> u64 {
        self.entries.get(&token_id).map_or(0, |&(_, count)| count)
    }

    /// How many different tokens were seen.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no token was seen.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromStr for FrequencyRanks {
    type Err = MetricsError;

    /// Reads lines of `rank count token_id`, separated by blanks.
    ///
    /// # Errors
    ///
    /// With the number of the line: [`MetricsError::FrequencyFields`],
    /// [`MetricsError::FrequencyNumber`], [`MetricsError::FrequencyDuplicate`].
    fn from_str(text: &str) -> Result<Self, MetricsError> {
        let mut ranks = Self::default();
        for (line, content) in (1..).zip(text.lines()) {
            let fields: Vec<&str> = content.split_whitespace().collect();
            let (rank, count, token_id) = match fields[..] {
                [] => continue,
                [rank, count, token_id] => (
                    number(line, "rank", rank)?,
                    number(line, "count", count)?,
                    number(line, "token id", token_id)?,
                ),
                _ => {
                    return Err(MetricsError::FrequencyFields {
                        line,
                        found: fields.len(),
                    });
                }
            };
            if ranks.entries.insert(token_id, (rank, count)).is_some() {
                return Err(MetricsError::FrequencyDuplicate { line, token_id });
            }
            ranks.last_rank = ranks.last_rank.max(rank);
        }
        Ok(ranks)
    }
}

fn number<N>(line: usize, field: &'static str, text: &str) -> Result<N, MetricsError>
where
    N: FromStr<Err = std::num::ParseIntError>,
{
    text.parse()
        .map_err(|source| MetricsError::FrequencyNumber {
            line,
            field,
            text: text.to_owned(),
            source,
        })
}

impl Display for FrequencyRanks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(u64, u64, u32)> = self
            .entries
            .iter()
            .map(|(&token_id, &(rank, count))| (rank, count, token_id))
            .collect();
        lines.sort_unstable();
        for (rank, count, token_id) in lines {
            writeln!(f, "{rank} {count} {token_id}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_the_lowest_rank() {
        let ranks = FrequencyRanks::from_counts([(7, 5), (3, 9), (4, 5), (8, 1), (9, 0), (8, 1)]);
        assert_eq!(ranks.to_string(), "1 9 3\n2 5 4\n2 5 7\n4 2 8\n");
        assert_eq!(ranks.rank(9), 5);
        assert_eq!(ranks.count(9), 0);
        assert_eq!(ranks.count(8), 2);
        assert_eq!(ranks.len(), 4);
    }

    #[test]
    fn unseen_ranks_follow_the_last_rank_and_not_the_last_line() {
        let ranks: FrequencyRanks = "1 9 3\n\n2\t5 4\n2 5 7\n".parse().unwrap();
        assert_eq!(ranks.rank(7), 2);
        assert_eq!(ranks.rank(1), 3);
        assert_eq!("".parse::<FrequencyRanks>().unwrap().rank(1), 1);
        assert!(FrequencyRanks::default().is_empty());
    }

    #[test]
    fn errors_name_the_line() {
        let error = |text: &str| text.parse::<FrequencyRanks>().unwrap_err();
        assert_eq!(
            error("1 9 3\n2 5\n"),
            MetricsError::FrequencyFields { line: 2, found: 2 }
        );
        assert_eq!(
            error("\n1 9 3\n2 5 3\n"),
            MetricsError::FrequencyDuplicate {
                line: 3,
                token_id: 3
            }
        );
        let number = error("1 9 -3");
        assert!(matches!(
            &number,
            MetricsError::FrequencyNumber { line: 1, field: "token id", text, .. } if text == "-3"
        ));
        assert!(std::error::Error::source(&number).is_some());
    }
}
