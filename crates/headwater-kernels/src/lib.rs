#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod attention;
mod cpu;
mod curve;
mod gram;
mod heads;
mod linear;
mod maps;
mod packed;
mod rows;
mod shared;
mod tile;

pub use attention::{HeadShape, HeadVectors, ScoreBias, attention, weighted_sum};
pub use cpu::Cpu;
pub use curve::Curve;
pub use gram::HeadGram;
pub use heads::{Transformed, VECTOR_SCALE, diagonal, transformed};
pub use linear::{Affine, Then, linear, linear_packed};
pub use maps::{FeedForwardMaps, PairMaps, Residual, Tail};
pub use packed::Packed;
pub use rows::{
    add, layer_norm, layer_norm_part, row_norms, row_sums, rows_times_vector, times_factors,
};
