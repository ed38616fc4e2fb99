#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod attention;
mod cpu;
mod curve;
mod folds;
mod gates;
mod gram;
mod head_products;
mod head_vectors;
mod heads;
mod linear;
mod maps;
mod matrix;
mod norms;
mod packed;
mod pair_panels;
mod rotate;
mod rows;
mod scratch;
mod shared;
mod softmax;
mod tile;
mod transpose;
mod weights;

pub use attention::{attention, weighted_sums};
pub use cpu::Cpu;
pub use curve::Curve;
pub use folds::Fold;
pub use gates::gated_slopes;
pub use gram::{HeadGram, finished_map, norm_maps};
pub use head_vectors::{Band, HeadShape, HeadVectors};
pub use heads::{FAMILIES, Transformed, VECTOR_SCALE, transformed};
pub use linear::{Affine, Then, linear, linear_both, linear_packed};
pub use maps::{FeedForwardMaps, PairMaps, Residual, Tail};
pub use matrix::{Layout, Matrix, Numbers};
pub use norms::{normalize, normalized_part};
pub use packed::{Known, Packed};
pub use rotate::{Pairs, rotate};
pub use rows::{add, rest, row_norms, rows_times_vector};
pub use softmax::{ScoreBias, ScoreTerms};
pub use weights::{diagonal, row_sums, sums_of_others, times_factors};
