//! Beam search.

use headwater_checkpoint::{EarlyStopping, GenerationSettings};

use super::scores::{Rules, log_softmax};

/// What a beam is worth that is not to be chosen.
const WORTHLESS: f32 = -1e9;

/// A target and the sum of its tokens' log-probabilities, which a finished one
/// has divided by a power of its length.
#[derive(Clone)]
struct Beam {
    target: Vec<u32>,
    score: f32,
    finished: bool,
}

/// The best finished beam of a search.
///
/// Each step extends the open beams by every token. The best candidates, twice
/// as many as beams or more where several tokens end a target, are kept: so
/// there are enough to go on with although some have ended. Only an end among
/// the best `num_beams` candidates counts as finished.
pub(super) fn search<E>(
    settings: &GenerationSettings,
    mut next_logits: impl FnMut(&[Vec<u32>]) -> Result<Vec<Vec<f32>>, E>,
) -> Result<Vec<u32>, E> {
    let rules = Rules::new(settings);
    let beams = settings.num_beams;
    let kept = beams * (settings.eos_token_id.len() + 1).max(2);
    let start = Beam {
        target: vec![settings.decoder_start_token_id],
        score: WORTHLESS,
        finished: false,
    };
    let mut finished = vec![start.clone(); beams];
    let mut open = vec![start; beams];
    // Beams that are equal would find the same targets over and over.
    open[0].score = 0.0;
    let mut length = 1;
    while length < settings.max_length {
        let targets: Vec<Vec<u32>> = open.iter().map(|beam| beam.target.clone()).collect();
        let mut candidates = Vec::new();
        for (beam, mut scores) in next_logits(&targets)?.into_iter().enumerate() {
            log_softmax(&mut scores);
            rules.apply(&open[beam].target, &mut scores);
            let before = open[beam].score;
            let extended = (0..)
                .zip(scores)
                .map(|(token, score)| (beam, token, score + before));
            candidates.extend(extended);
        }
        keep_best_candidates(&mut candidates, kept);
        length += 1;
        let candidates: Vec<Beam> = candidates
            .into_iter()
            .map(|(beam, token, score)| {
                let mut target = open[beam].target.clone();
                target.push(token);
                let finished =
                    length == settings.max_length || settings.eos_token_id.contains(&token);
                Beam {
                    target,
                    score,
                    finished,
                }
            })
            .collect();
        let divisor = power(length, settings);
        let ended = candidates.iter().take(beams).filter(|beam| beam.finished);
        finished.extend(ended.cloned().map(|mut beam| {
            beam.score /= divisor;
            beam
        }));
        keep_best(&mut finished, beams);
        if candidates.iter().all(|beam| beam.finished) {
            break;
        }
        open = candidates;
        for beam in &mut open {
            if beam.finished {
                beam.score += WORTHLESS;
            }
        }
        keep_best(&mut open, beams);
        if is_over(settings, length, &open, &finished) {
            break;
        }
    }
    Ok(finished.swap_remove(0).target)
}

/// Whether what is open is not worth going on with.
fn is_over(settings: &GenerationSettings, length: usize, open: &[Beam], finished: &[Beam]) -> bool {
    let full = finished.iter().all(|beam| beam.finished);
    let worst = match finished.last() {
        Some(beam) if full => beam.score,
        _ => WORTHLESS,
    };
    let longest = match settings.early_stopping {
        EarlyStopping::Full if full => return true,
        EarlyStopping::Never if settings.length_penalty > 0.0 => settings.max_length,
        _ => length,
    };
    let hoped_for = open
        .first()
        .map(|beam| beam.score / power(longest, settings));
    hoped_for.is_none_or(|score| score <= worst)
}

/// The number of tokens behind the start token, to the power of the penalty.
fn power(length: usize, settings: &GenerationSettings) -> f32 {
    ((length - 1) as f64).powf(settings.length_penalty) as f32
}

/// Keeps the best, best first; of equals the one that came first.
fn keep_best(beams: &mut Vec<Beam>, count: usize) {
    beams.sort_by(|a, b| b.score.total_cmp(&a.score));
    beams.truncate(count);
}

/// The same for the candidates of all beams and tokens, which are too many to
/// sort.
fn keep_best_candidates(candidates: &mut Vec<(usize, u32, f32)>, count: usize) {
    let order = |a: &(usize, u32, f32), b: &(usize, u32, f32)| {
        b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1)))
    };
    if candidates.len() > count {
        candidates.select_nth_unstable_by(count, order);
        candidates.truncate(count);
    }
    candidates.sort_unstable_by(order);
}
