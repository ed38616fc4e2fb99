#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod cpu;
mod curve;
mod linear;
mod packed;
mod shared;
mod tile;

pub use cpu::Cpu;
pub use curve::Curve;
pub use linear::{Affine, linear, linear_packed};
pub use packed::Packed;
