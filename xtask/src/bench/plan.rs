//! Which sizes are measured, and how often.

use super::rounds::Rounds;
use crate::random_model::Shape;

/// How much is measured.
pub(super) struct Plan {
    /// Models, with the lengths of their texts alone and in a batch of [`BATCH`].
    pub(super) cases: &'static [(Shape, &'static [usize], &'static [usize])],
    pub(super) rounds: Rounds,
    /// Of the materialised program, which is slow.
    pub(super) materialised_rounds: usize,
    /// Lengths for the feed-forward maps of one layer.
    pub(super) feed_forward: &'static [usize],
    /// Models and lengths for the maps of all layers.
    pub(super) all_maps: &'static [(Shape, usize)],
    pub(super) slow_rounds: Rounds,
    pub(super) memory: usize,
    pub(super) memory_growth: &'static [usize],
    pub(super) start_rounds: usize,
    pub(super) texts: usize,
    pub(super) text_rounds: usize,
    pub(super) growth: &'static [usize],
}

/// Texts of a batch.
pub(super) const BATCH: usize = 8;

pub(super) const FULL: Plan = Plan {
    cases: &[
        (Shape::Base, &[32, 128, 256, 512], &[32, 128]),
        (Shape::Minilm, &[32, 128, 512], &[32, 128]),
        (Shape::Gpt2, &[32, 128, 512, 1024], &[32]),
    ],
    rounds: Rounds {
        least: 9,
        most: 31,
        seconds: 12.0,
    },
    materialised_rounds: 3,
    feed_forward: &[64, 128, 512],
    all_maps: &[(Shape::Base, 64), (Shape::Minilm, 128), (Shape::Gpt2, 64)],
    slow_rounds: Rounds {
        least: 3,
        most: 7,
        seconds: 8.0,
    },
    memory: 512,
    memory_growth: &[128, 256, 512],
    start_rounds: 11,
    texts: 200,
    text_rounds: 3,
    growth: &[25, 50, 100, 200],
};

pub(super) const QUICK: Plan = Plan {
    cases: &[
        (Shape::Base, &[32, 128], &[]),
        (Shape::Minilm, &[128], &[32]),
        (Shape::Gpt2, &[128], &[]),
    ],
    rounds: Rounds {
        least: 3,
        most: 5,
        seconds: 2.0,
    },
    materialised_rounds: 1,
    feed_forward: &[64, 128],
    all_maps: &[(Shape::Minilm, 64)],
    slow_rounds: Rounds {
        least: 2,
        most: 3,
        seconds: 1.0,
    },
    memory: 128,
    memory_growth: &[64, 128],
    start_rounds: 3,
    texts: 40,
    text_rounds: 1,
    growth: &[10, 20],
};
