//! Which inputs are analyzed together.

/// Whether inputs of different lengths may be in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// All of a batch have the same length: nothing is computed for padding, and
    /// no sum has terms that it would not have in a batch of one.
    None,
    /// Neighbours by length share a batch, the shorter ones padded.
    Short,
}

/// Sorts inputs into batches of at most `most`, those of the longest inputs
/// first: whoever is last to finish has little left to do.
///
/// Inputs of one length keep their order.
pub(crate) fn batches<T, L: Ord + Copy>(
    mut inputs: Vec<T>,
    length: impl Fn(&T) -> L,
    most: usize,
    padding: Padding,
) -> Vec<Vec<T>> {
    inputs.sort_by_key(|input| std::cmp::Reverse(length(input)));
    let mut batches: Vec<Vec<T>> = Vec::new();
    for input in inputs {
        match batches.last_mut() {
            Some(batch)
                if batch.len() < most
                    && (padding == Padding::Short || length(&batch[0]) == length(&input)) =>
            {
                batch.push(input);
            }
            _ => batches.push(vec![input]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_length_a_batch_and_nothing_is_lost() {
        let words = ["ab", "c", "de", "fgh", "ij", "k", "lm"];
        let lengths = |padding| batches(words.to_vec(), |word| word.len(), 3, padding);
        assert_eq!(
            lengths(Padding::None),
            [
                vec!["fgh"],
                vec!["ab", "de", "ij"],
                vec!["lm"],
                vec!["c", "k"]
            ]
        );
        assert_eq!(
            lengths(Padding::Short),
            [vec!["fgh", "ab", "de"], vec!["ij", "lm", "c"], vec!["k"]]
        );
    }
}
