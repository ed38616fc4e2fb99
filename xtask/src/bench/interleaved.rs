//! What is measured in this process, in turns with what it is compared with.

use std::cell::{Cell, RefCell};

use anyhow::{Context, ensure};

use super::peer::{Ask, Peer};
use super::plan::Plan;
use super::product::{self, Sizes, Streamed};
use super::report::{FeedForward, Measured, Torch};
use super::rounds::{Task, interleave};
use super::work::{Texts, Work};
use crate::random_model::Shape;

/// The program that ours is compared with.
const PEER: usize = 1;

/// Seconds of a large product by every implementation, PyTorch's last.
pub(super) fn products(
    peer: Option<&RefCell<Peer>>,
    plan: &Plan,
) -> anyhow::Result<Vec<(String, Vec<f64>)>> {
    let mut names = Vec::new();
    let mut tasks = Vec::new();
    for mut product in product::implementations(Sizes::LARGE) {
        names.push(product.name());
        tasks.push(Task::new(move || Ok(product.run().0)));
    }
    if let Some(peer) = peer {
        names.push("PyTorch, in its own process".to_owned());
        let ask = Ask::Product(Sizes::LARGE.m);
        tasks.push(Task::new(move || Ok(peer.borrow_mut().run(ask)?.seconds)).by(PEER));
    }
    let seconds = interleave(&mut tasks, plan.rounds)?;
    Ok(names.into_iter().zip(seconds).collect())
}

/// Everything that is done with some texts, ours and PyTorch's in turns.
pub(super) fn case(
    texts: &Texts<'_>,
    peer: Option<&RefCell<Peer>>,
    is_materialised: bool,
    plan: &Plan,
) -> anyhow::Result<Vec<Measured>> {
    let mut asked = Vec::new();
    if let Some(peer) = peer {
        let forward = Ask::Forward(&texts.ids);
        let mut comparing = peer.borrow_mut();
        comparing.compare(forward, &texts.first_hidden_states())?;
        asked.push((Work::Forward, forward, usize::MAX));
        if is_materialised {
            let parts = Ask::Materialised(&texts.ids);
            comparing.compare(parts, &texts.first_attention_rows()?)?;
            asked.push((Work::AttentionMaps, parts, plan.materialised_rounds));
        }
    }
    let peaks: Vec<Cell<Option<u64>>> = asked.iter().map(|_| Cell::new(None)).collect();
    let ours = Work::ALL.map(|work| Task::new(move || texts.seconds(work)));
    let theirs = asked.iter().zip(&peaks).map(|(&(_, ask, rounds), peak)| {
        let run = move || {
            let peer = peer.context("only a peer is asked")?;
            let run = peer.borrow_mut().run(ask)?;
            peak.set(run.peak.max(peak.get()));
            Ok(run.seconds)
        };
        // The comparison was a run.
        Task::new(run).at_most(rounds).by(PEER).has_run()
    });
    let mut tasks: Vec<_> = ours.into_iter().chain(theirs).collect();
    let mut seconds = interleave(&mut tasks, plan.rounds)?;
    drop(tasks);

    let theirs = seconds.split_off(Work::ALL.len());
    let mut theirs: Vec<_> = asked
        .iter()
        .zip(peaks.into_iter().zip(theirs))
        .map(|(&(work, ..), (peak, seconds))| (work, seconds, peak.into_inner()))
        .collect();
    let of_work = |(work, seconds)| {
        let found = theirs.iter().position(|(of, ..)| *of == work);
        Measured {
            work,
            seconds,
            torch: found.map(|index| {
                let (_, seconds, peak) = theirs.remove(index);
                Torch { seconds, peak }
            }),
        }
    };
    Ok(Work::ALL.into_iter().zip(seconds).map(of_work).collect())
}

/// The feed-forward maps of the first layer, with large products in between.
pub(super) fn one_layer(
    texts: &Texts<'_>,
    tokens: usize,
    plan: &Plan,
) -> anyhow::Result<FeedForward> {
    let captured = texts.first_layer()?;
    let sizes = tile(tokens);
    let streamed = Streamed::new(sizes)?;
    let mut tasks = vec![
        Task::new(|| texts.feed_forward_maps(&captured)),
        Task::new(|| Ok(streamed.seconds())),
    ];
    for mut product in product::implementations(Sizes::LARGE) {
        tasks.push(Task::new(move || Ok(product.run().0)));
    }
    let mut seconds = interleave(&mut tasks, plan.slow_rounds)?;
    drop(tasks);
    let large = seconds.split_off(2);
    ensure!(!large.is_empty(), "there is an implementation");
    let best = (0..large[0].len())
        .map(|round| large.iter().map(move |seconds| seconds[round]))
        .map(|round| round.fold(f64::INFINITY, f64::min))
        .collect();
    let streamed = seconds.remove(1);
    Ok(FeedForward {
        tokens,
        best,
        streamed,
        streamed_flops: sizes.flops(),
        maps: seconds.remove(0),
    })
}

/// The product with W_2 that the maps of BERT-base are streamed through: some
/// panels of pairs at a time.
fn tile(tokens: usize) -> Sizes {
    const PAIRS: usize = 1024;
    Sizes {
        m: PAIRS.min(tokens * tokens),
        k: Shape::Base.d_ff(),
        n: Shape::Base.d_model(),
    }
}
