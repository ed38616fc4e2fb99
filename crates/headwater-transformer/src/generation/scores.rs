//! What the settings force and ban, and probabilities from logits.

use headwater_checkpoint::GenerationSettings;

/// What the settings force and ban at each step.
pub(super) struct Rules<'s> {
    settings: &'s GenerationSettings,
}

impl<'s> Rules<'s> {
    pub(super) fn new(settings: &'s GenerationSettings) -> Self {
        Self { settings }
    }

    /// Changes the scores of the token that follows `target`, each rule after
    /// the one before: what is forced is forced although it is banned.
    ///
    /// # Shapes
    ///
    /// `scores` `[vocabulary]`.
    pub(super) fn apply(&self, target: &[u32], scores: &mut [f32]) {
        let settings = self.settings;
        for token in repeated(target, settings.no_repeat_ngram_size) {
            ban(scores, token);
        }
        for sequence in &settings.bad_words_ids {
            // An end mark is never banned alone.
            let is_end = |token| settings.eos_token_id.contains(token);
            match &sequence[..] {
                [] => (),
                [token] if is_end(token) => (),
                [prefix @ .., token] => {
                    // Transformers compares only with targets as long as the
                    // whole sequence, one token longer than needed.
                    if sequence.len() <= target.len().max(1) && target.ends_with(prefix) {
                        ban(scores, *token);
                    }
                }
            }
        }
        if target.len() < settings.min_length {
            for &token in &settings.eos_token_id {
                ban(scores, token);
            }
        }
        if let (1, Some(token)) = (target.len(), settings.forced_bos_token_id) {
            force(scores, &[token]);
        }
        if target.len() + 1 == settings.max_length && !settings.forced_eos_token_id.is_empty() {
            force(scores, &settings.forced_eos_token_id);
        }
        if settings.renormalize_logits {
            log_softmax(scores);
        }
    }
}

/// The tokens that would complete a sequence of `length` tokens that the target
/// has already.
fn repeated(target: &[u32], length: usize) -> impl Iterator<Item = u32> {
    let start = (target.len() + 1).checked_sub(length.max(1));
    let prefix = start.map_or(&[][..], |start| &target[start..]);
    let windows = target.windows(length.max(1));
    windows.filter_map(move |window| {
        let (token, before) = window.split_last()?;
        (length > 0 && before == prefix).then_some(*token)
    })
}

fn ban(scores: &mut [f32], token: u32) {
    if let Some(score) = scores.get_mut(token as usize) {
        *score = f32::NEG_INFINITY;
    }
}

fn force(scores: &mut [f32], tokens: &[u32]) {
    scores.fill(f32::NEG_INFINITY);
    for &token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = 0.0;
        }
    }
}

/// Turns logits into log-probabilities: x − max − ln Σ exp(x − max).
pub(super) fn log_softmax(scores: &mut [f32]) {
    let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores
        .iter()
        .map(|&score| f64::from(score - greatest).exp())
        .sum();
    let logarithm = sum.ln() as f32;
    for score in scores {
        *score = *score - greatest - logarithm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_sequences() {
        let found = |length| repeated(&[5, 6, 7, 5, 6], length).collect::<Vec<_>>();
        assert!(found(0).is_empty());
        assert_eq!(found(1), [5, 6, 7, 5, 6]);
        assert_eq!(found(2), [7]);
        assert_eq!(found(3), [7]);
        assert!(found(4).is_empty());
        assert!(found(9).is_empty());
        assert_eq!(repeated(&[], 1).count(), 0);
    }

    #[test]
    fn probabilities_sum_to_1() {
        let mut scores = [1000.0, 1001.0, f32::NEG_INFINITY, 999.0];
        log_softmax(&mut scores);
        let sum: f32 = scores.iter().map(|score| score.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert_eq!(scores[1] - scores[0], 1.0);
        assert_eq!(scores[2], f32::NEG_INFINITY);
    }
}
