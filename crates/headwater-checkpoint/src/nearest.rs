//! The name that a misspelt one may have meant.

/// More names are not compared; no model has as many, and each takes a while.
const MAX_CANDIDATES: usize = 100_000;

/// The candidate with the smallest edit distance, if at most a third of `name` would change.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let limit = name.len() / 3;
    let close = candidates
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= limit)
        .take(MAX_CANDIDATES)
        .map(|candidate| (distance(name.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|&(distance, _)| distance <= limit);
    close.min().map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein distance, in bytes: one row of the table at a time.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_textbook_pairs() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"flaw", b"lawn"), 2);
        assert_eq!(distance(b"same", b"same"), 0);
    }

    #[test]
    fn only_similar_names_are_offered() {
        let names = ["encoder.layer.0.query.weights", "cls.predictions.bias"];
        let found = nearest("encoder.layer.0.query.weight", names.into_iter());
        assert_eq!(found.as_deref(), Some("encoder.layer.0.query.weights"));
        assert_eq!(nearest("pooler", names.into_iter()), None);
    }
}
