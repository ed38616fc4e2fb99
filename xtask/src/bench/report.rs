//! Everything that was measured.

use serde::Serialize;

use super::flops;
use super::goals::{self, Goal};
use super::machine::{Bandwidth, Machine};
use super::peer::Versions;
use super::product::Sizes;
use super::program::{Growth, Memory, StartUp, Throughput};
use super::statistics::Spread;
use super::work::Work;
use crate::random_model::Shape;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The command that made it.
    pub(crate) command: String,
    pub(crate) date: String,
    pub(crate) minutes: f64,
    pub(crate) machine: Machine,
    /// The part of the processors' time that the host gave to others meanwhile.
    pub(crate) taken: f64,
    pub(crate) bandwidth: Bandwidth,
    pub(crate) peer: Option<Versions>,
    /// Implementations of a product of [`Sizes::LARGE`], PyTorch's last.
    pub(crate) products: Vec<(String, Vec<f64>)>,
    pub(crate) cases: Vec<Case>,
    pub(crate) feed_forward: Vec<FeedForward>,
    pub(crate) all_maps: Vec<AllMaps>,
    pub(crate) memory: Vec<Memory>,
    /// Tokens, and bytes beyond the weights.
    pub(crate) memory_growth: Vec<(usize, u64)>,
    pub(crate) start_up: StartUp,
    pub(crate) throughput: Vec<Throughput>,
    pub(crate) growth: Growth,
}

/// One model with texts of one length.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    pub(crate) tokens: usize,
    pub(crate) batch: usize,
    pub(crate) measured: Vec<Measured>,
}

/// Seconds, round by round.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) work: Work,
    pub(crate) seconds: Vec<f64>,
    pub(crate) torch: Option<Torch>,
}

/// The same work by PyTorch, in the same rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Torch {
    pub(crate) seconds: Vec<f64>,
    pub(crate) peak: Option<u64>,
}

impl Measured {
    pub(super) fn flops(&self, case: &Case) -> f64 {
        flops::of(self.work, case.shape, case.tokens, case.batch)
    }
}

impl Case {
    pub(super) fn seconds(&self, work: Work) -> &[f64] {
        let measured = self.measured.iter().find(|found| found.work == work);
        measured.map_or(&[], |measured| &measured.seconds)
    }

    /// Time as a multiple of the own forward pass.
    pub(crate) fn to_forward(&self, work: Work) -> Spread {
        Spread::of_ratios(self.seconds(work), self.seconds(Work::Forward))
    }

    /// Time as a multiple of PyTorch's for the same work.
    pub(crate) fn to_torch(&self, work: Work) -> Option<Spread> {
        let measured = self.measured.iter().find(|found| found.work == work)?;
        let torch = measured.torch.as_ref()?;
        Some(Spread::of_ratios(&measured.seconds, &torch.seconds))
    }
}

/// The feed-forward maps of one layer of BERT-base.
#[derive(Debug, Serialize)]
pub(crate) struct FeedForward {
    pub(crate) tokens: usize,
    /// Seconds of the fastest product of [`Sizes::LARGE`] in each round.
    pub(crate) best: Vec<f64>,
    /// Seconds of a product of one tile's sizes, and its FLOPs.
    pub(crate) streamed: Vec<f64>,
    pub(crate) streamed_flops: f64,
    /// Seconds of the maps.
    pub(crate) maps: Vec<f64>,
}

impl FeedForward {
    pub(super) fn flops(&self) -> f64 {
        flops::feed_forward_maps(Shape::Base, self.tokens)
    }

    fn to_best(&self, seconds: &[f64], flops: f64) -> Spread {
        let ratio = Spread::of_ratios(&self.best, seconds);
        ratio.map(|ratio| ratio * flops / Sizes::LARGE.flops())
    }

    pub(crate) fn streamed_to_best(&self) -> Spread {
        self.to_best(&self.streamed, self.streamed_flops)
    }

    pub(crate) fn maps_to_best(&self) -> Spread {
        self.to_best(&self.maps, self.flops())
    }
}

/// Norm maps of every scope of all layers.
#[derive(Debug, Serialize)]
pub(crate) struct AllMaps {
    pub(crate) shape: Shape,
    pub(crate) tokens: usize,
    pub(crate) seconds: Vec<f64>,
}

impl Report {
    pub(crate) fn case(&self, shape: Shape, tokens: usize, batch: usize) -> Option<&Case> {
        let wanted = (shape, tokens, batch);
        let mut cases = self.cases.iter();
        cases.find(|case| (case.shape, case.tokens, case.batch) == wanted)
    }

    pub(crate) fn feed_forward(&self, tokens: usize) -> Option<&FeedForward> {
        self.feed_forward
            .iter()
            .find(|found| found.tokens == tokens)
    }

    pub(crate) fn goals(&self) -> Vec<Goal> {
        goals::goals(self)
    }

    /// FLOPs a second of the fastest large product in this process, PyTorch's left out.
    fn best_rate(&self) -> f64 {
        let own = self.products.len() - usize::from(self.peer.is_some());
        let rates = self.products[..own].iter();
        rates
            .map(|(_, seconds)| Sizes::LARGE.flops() / Spread::of(seconds.iter().copied()).median)
            .fold(f64::NAN, f64::max)
    }

    /// The least seconds that the machine could take.
    pub(super) fn floor(&self, work: Work, case: &Case) -> f64 {
        let arithmetic = flops::of(work, case.shape, case.tokens, case.batch) / self.best_rate();
        let bytes = flops::bytes(work, case.shape, case.tokens, case.batch);
        arithmetic.max(bytes / self.bandwidth.triad.median)
    }
}
