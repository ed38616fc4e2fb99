//! From a map over tokens to a map over words.

use ndarray::{Array2, ArrayView2, s};

use super::{AlignmentSetting, Link, Links, WordGroups};
use crate::MetricsError;
use crate::element::{Element, finite};

/// What the words of a target take from the words of a source.
///
/// ```
/// use headwater_metrics::{AlignmentSetting, WordGroups, WordMap};
/// use ndarray::arr2;
///
/// // ▁Quell · wasser · ▁steigt · </s>  →  ▁head · water · ▁rises · </s>
/// let source = WordGroups::from_indices([Some(0), Some(0), Some(1), None], 2)?;
/// let target = WordGroups::from_indices([Some(0), Some(0), Some(1), None], 2)?;
/// // Attention weights; the row that predicts `▁head` comes first.
/// let map = arr2(&[
///     [0.5, 0.1, 0.2, 0.2],
///     [0.3, 0.4, 0.2, 0.1],
///     [0.1, 0.1, 0.7, 0.1],
///     [0.0, 0.0, 0.1, 0.9],
/// ]);
/// let words = WordMap::new(map.view(), &source, &target, AlignmentSetting::Awo)?;
/// assert_eq!(words.target_links().to_string(), "0-0 1-1");
/// # Ok::<(), headwater_metrics::MetricsError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct WordMap {
    values: Array2<f64>,
    /// For each target word the greatest value among source tokens in no word.
    outside: Vec<f64>,
    /// Which words have tokens.
    targets: Vec<bool>,
    sources: Vec<bool>,
}

impl WordMap {
    /// Sums the columns of each source word and averages the rows of each
    /// target word.
    ///
    /// `setting` says which row is a target token's. A word without tokens has
    /// a row or column of zeros and gets no link.
    ///
    /// # Shapes
    ///
    /// `map` `[row, source token]`, one row for each input of the decoder, the
    /// start token first. `target` numbers the tokens without the start token,
    /// and may count one that the decoder never reads: the end mark. So there
    /// are as many rows as target tokens, or one more.
    ///
    /// # Errors
    ///
    /// [`MetricsError::ShapeMismatch`]; [`MetricsError::OutOfRange`] for a
    /// token in a word that is no row's input, which only
    /// [`AlignmentSetting::Awi`] asks for; [`MetricsError::NotFinite`].
    ///
    /// # Source
    ///
    /// 2020, word alignment.
    pub fn new<E: Element>(
        map: ArrayView2<'_, E>,
        source: &WordGroups,
        target: &WordGroups,
        setting: AlignmentSetting,
    ) -> Result<Self, MetricsError> {
        let (rows, columns) = map.dim();
        let rows_fit = rows == target.tokens() || rows == target.tokens() + 1;
        if !rows_fit || columns != source.tokens() {
            return Err(MetricsError::ShapeMismatch {
                name: "map",
                expected: vec![target.tokens(), source.tokens()],
                found: vec![rows, columns],
            });
        }
        for (position, &value) in map.iter().enumerate() {
            finite("map", position, value)?;
        }
        let source_outside = source.outside();
        let mut values = Array2::zeros((target.words().len(), source.words().len()));
        let mut outside = Vec::with_capacity(target.words().len());
        for (mut word, tokens) in values.rows_mut().into_iter().zip(target.words()) {
            let mut mean = vec![0.0; columns];
            for &token in tokens {
                let row = setting.row(token);
                if row >= rows {
                    return Err(MetricsError::OutOfRange {
                        name: "row",
                        index: row,
                        length: rows,
                    });
                }
                for (mean, value) in mean.iter_mut().zip(map.slice(s![row, ..])) {
                    *mean += value.to_f64() / tokens.len() as f64;
                }
            }
            for (sum, pieces) in word.iter_mut().zip(source.words()) {
                *sum = pieces.iter().map(|&piece| mean[piece]).sum();
            }
            let outside_values = source_outside.iter().map(|&token| mean[token]);
            outside.push(outside_values.fold(f64::NEG_INFINITY, f64::max));
        }
        let occupied = |groups: &WordGroups| groups.words().iter().map(|w| !w.is_empty()).collect();
        Ok(Self {
            values,
            outside,
            targets: occupied(target),
            sources: occupied(source),
        })
    }

    /// The values.
    ///
    /// # Shapes
    ///
    /// `[target word, source word]`.
    pub fn values(&self) -> ArrayView2<'_, f64> {
        self.values.view()
    }

    /// A link from every target word to the source word of greatest value.
    ///
    /// There is none where a source token in no word, such as the end mark, has
    /// a greater value than every word. The first of equal words wins.
    ///
    /// # Source
    ///
    /// 2020, word alignment.
    pub fn target_links(&self) -> Links {
        let links = self.values.rows().into_iter().zip(&self.outside);
        let links = links.enumerate().filter_map(|(target, (row, &outside))| {
            let (source, value) = greatest(row, &self.sources)?;
            (self.targets[target] && value >= outside).then_some(Link { source, target })
        });
        links.collect()
    }

    /// A link from every source word to the target word of greatest value: the
    /// other direction that a [`Symmetrization`](crate::Symmetrization) needs,
    /// where there is no model that translates back.
    ///
    /// Only words compete. The first of equal words wins.
    pub fn source_links(&self) -> Links {
        let links = self.values.columns().into_iter().enumerate();
        let links = links.filter_map(|(source, column)| {
            let (target, _) = greatest(column, &self.targets)?;
            self.sources[source].then_some(Link { source, target })
        });
        links.collect()
    }
}

/// The first of the greatest values of words that have tokens.
fn greatest<'v>(
    values: impl IntoIterator<Item = &'v f64>,
    occupied: &[bool],
) -> Option<(usize, f64)> {
    let candidates = values.into_iter().copied().enumerate();
    candidates
        .filter(|&(word, _)| occupied[word])
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    fn groups(indices: &[Option<usize>], words: usize) -> WordGroups {
        WordGroups::from_indices(indices.iter().copied(), words).unwrap()
    }

    /// Source `▁a` `b` `▁c` `</s>`, target `▁x` `▁y` `z` `</s>`; the decoder
    /// reads `<pad>` `▁x` `▁y` `z`.
    fn example() -> (Array2<f32>, WordGroups, WordGroups) {
        let map = arr2(&[
            [0.375, 0.25, 0.25, 0.125],
            [0.125, 0.125, 0.25, 0.5],
            [0.25, 0.25, 0.375, 0.125],
            [0.0, 0.0, 0.75, 0.25],
        ]);
        let source = groups(&[Some(0), Some(0), Some(1), None], 2);
        let target = groups(&[Some(0), Some(1), Some(1), None], 2);
        (map, source, target)
    }

    #[test]
    fn output_rows_are_one_before_input_rows() {
        let (map, source, target) = example();
        let awo = WordMap::new(map.view(), &source, &target, AlignmentSetting::Awo).unwrap();
        // Row 0; the mean of rows 1 and 2.
        assert_eq!(awo.values(), arr2(&[[0.625, 0.25], [0.375, 0.3125]]));
        assert_eq!(awo.target_links().to_string(), "0-0 0-1");
        assert_eq!(awo.source_links().to_string(), "0-0 1-1");
        let awi = WordMap::new(map.view(), &source, &target, AlignmentSetting::Awi).unwrap();
        // Row 1; the mean of rows 2 and 3.
        assert_eq!(awi.values(), arr2(&[[0.25, 0.25], [0.25, 0.5625]]));
        // The end mark has 0.5 of row 1.
        assert_eq!(awi.target_links().to_string(), "1-1");
        assert_eq!(awi.source_links().to_string(), "0-0 1-1");
    }

    #[test]
    fn the_first_of_equals_wins_and_a_word_wins_over_other_tokens() {
        let source = groups(&[None, Some(0), Some(1)], 2);
        let target = groups(&[Some(0), Some(1)], 2);
        let map = arr2(&[[0.5, 0.5, 0.5], [0.0, 0.0, 0.0]]);
        let words = WordMap::new(map.view(), &source, &target, AlignmentSetting::Awo).unwrap();
        assert_eq!(words.target_links().to_string(), "0-0 0-1");
        assert_eq!(words.source_links().to_string(), "0-0 1-0");
    }

    #[test]
    fn words_without_tokens_get_no_links() {
        let source = groups(&[Some(1), Some(2)], 3);
        let target = groups(&[Some(1)], 2);
        let map = arr2(&[[0.0, 0.0]]);
        let words = WordMap::new(map.view(), &source, &target, AlignmentSetting::Awo).unwrap();
        assert_eq!(words.values(), Array2::<f64>::zeros((2, 3)));
        assert_eq!(words.target_links().to_string(), "1-1");
        assert_eq!(words.source_links().to_string(), "1-1 2-1");
    }

    #[test]
    fn no_words_have_no_links() {
        let empty = WordGroups::default();
        let marks = groups(&[None], 0);
        let map = arr2(&[[1.0]]);
        let words = WordMap::new(map.view(), &marks, &empty, AlignmentSetting::Awi).unwrap();
        assert!(words.target_links().is_empty() && words.source_links().is_empty());
        let target = groups(&[Some(0)], 1);
        let words = WordMap::new(map.view(), &marks, &target, AlignmentSetting::Awo).unwrap();
        assert!(words.target_links().is_empty());
    }

    #[test]
    fn shapes_are_checked() {
        let (map, source, target) = example();
        let cut = |rows, columns| {
            let map = map.slice(s![..rows, ..columns]);
            WordMap::new(map, &source, &target, AlignmentSetting::Awo)
        };
        for (rows, columns) in [(3, 4), (4, 3)] {
            let expected = MetricsError::ShapeMismatch {
                name: "map",
                expected: vec![4, 4],
                found: vec![rows, columns],
            };
            assert_eq!(cut(rows, columns), Err(expected));
        }
        // Without the end mark the last word's token has to be an input.
        let words = groups(&[Some(0), Some(1), Some(1)], 2);
        assert!(WordMap::new(map.view(), &source, &words, AlignmentSetting::Awi).is_ok());
        let map = map.slice(s![..3, ..]);
        assert_eq!(
            WordMap::new(map, &source, &words, AlignmentSetting::Awi),
            Err(MetricsError::OutOfRange {
                name: "row",
                index: 3,
                length: 3
            })
        );
    }

    #[test]
    fn nan_is_refused_with_its_place() {
        let (mut map, source, target) = example();
        map[[1, 2]] = f32::NAN;
        let found = WordMap::new(map.view(), &source, &target, AlignmentSetting::Awo);
        assert!(matches!(
            found,
            Err(MetricsError::NotFinite {
                name: "map",
                position: 6,
                ..
            })
        ));
    }
}
