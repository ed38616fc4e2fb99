#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod attention;
mod cpu;
mod curve;
mod gram;
mod head_products;
mod head_vectors;
mod heads;
mod linear;
mod maps;
mod packed;
mod rows;
mod scratch;
mod shared;
mod tile;
mod transpose;
mod weights;

pub use attention::{ScoreBias, attention, weighted_sums};
pub use cpu::Cpu;
pub use curve::Curve;
pub use gram::{HeadGram, finished_map, norm_maps};
pub use head_vectors::{HeadShape, HeadVectors};
pub use heads::{Transformed, VECTOR_SCALE, transformed};
pub use linear::{Affine, Then, linear, linear_both, linear_packed};
pub use maps::{FeedForwardMaps, PairMaps, Residual, Tail};
pub use packed::Packed;
pub use rows::{add, layer_norm, layer_norm_part, rest, row_norms, rows_times_vector};
pub use weights::{diagonal, row_sums, sums_of_others, times_factors};
