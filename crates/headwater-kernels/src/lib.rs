#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod attention;
mod cpu;
mod curve;
mod linear;
mod packed;
mod rows;
mod shared;
mod tile;

pub use attention::{HeadShape, HeadVectors, ScoreBias, attention, weighted_sum};
pub use cpu::Cpu;
pub use curve::Curve;
pub use linear::{Affine, linear, linear_packed};
pub use packed::Packed;
pub use rows::{add, layer_norm, layer_norm_part, row_norms};
