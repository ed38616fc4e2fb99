//! Targets that a model itself predicts: greedy and beam search.

mod beam;
mod scores;

use headwater_checkpoint::GenerationSettings;

use scores::Rules;

/// Generates a target: token by token for one beam, otherwise by beam search.
///
/// `next_logits` gives, for each of some targets as far as they go, the logits
/// of the next token. All targets of a call have the same length, which grows
/// by one from call to call; the first is the start token alone. With several
/// beams there are always as many targets as beams, equal ones at first.
///
/// The tokens are those of transformers' `generate` without sampling, the start
/// token and the end mark included: log-probabilities are float32, and of
/// equally good tokens that with the smaller id wins, of equally good beams the
/// one that was better before.
///
/// ```
/// use headwater_checkpoint::GenerationSettings;
/// use headwater_transformer::generate;
///
/// // Token 2 ends a target. Greedily 3 is followed by 4 and 4 by the end.
/// let probability = |last: u32| match last {
///     1 => [0.0, 0.0, 0.0, 0.6, 0.4_f32],
///     3 => [0.0, 0.0, 0.4, 0.0, 0.6],
///     _ => [0.0, 0.0, 1.0, 0.0, 0.0],
/// };
/// let logits = |targets: &[Vec<u32>]| -> Result<Vec<Vec<f32>>, std::convert::Infallible> {
///     let row = |target: &Vec<u32>| probability(target[target.len() - 1]).map(f32::ln).to_vec();
///     Ok(targets.iter().map(row).collect())
/// };
/// let mut settings = GenerationSettings::new(1, 2);
/// assert_eq!(generate(&settings, logits)?, [1, 3, 4, 2]);
/// // 1 4 2 has 0.4, more than 0.6 · 0.6 and 0.6 · 0.4.
/// settings.num_beams = 2;
/// settings.length_penalty = 0.0;
/// assert_eq!(generate(&settings, logits)?, [1, 4, 2]);
/// # Ok::<(), std::convert::Infallible>(())
/// ```
///
/// # Errors
///
/// Those of `next_logits`.
pub fn generate<E>(
    settings: &GenerationSettings,
    next_logits: impl FnMut(&[Vec<u32>]) -> Result<Vec<Vec<f32>>, E>,
) -> Result<Vec<u32>, E> {
    if settings.num_beams > 1 {
        beam::search(settings, next_logits)
    } else {
        greedy(settings, next_logits)
    }
}

fn greedy<E>(
    settings: &GenerationSettings,
    mut next_logits: impl FnMut(&[Vec<u32>]) -> Result<Vec<Vec<f32>>, E>,
) -> Result<Vec<u32>, E> {
    let rules = Rules::new(settings);
    let mut target = vec![settings.decoder_start_token_id];
    while target.len() < settings.max_length {
        let logits = next_logits(std::slice::from_ref(&target))?;
        let Some(mut scores) = logits.into_iter().next() else {
            break;
        };
        rules.apply(&target, &mut scores);
        let best = (0..)
            .zip(&scores)
            .reduce(|best, next| match next.1 > best.1 {
                true => next,
                false => best,
            });
        let Some((token, _)) = best else { break };
        target.push(token);
        if settings.eos_token_id.contains(&token) {
            break;
        }
    }
    Ok(target)
}
