#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod activation;
mod batch;
mod capture;
mod device;
mod encoder;
mod error;
mod layer;
mod parameters;

pub use activation::apply_activation;
pub use batch::{TokenBatch, TokenSequence};
pub use capture::{Activations, Captures, LayerCapture};
pub use device::{DeviceName, Precision};
pub use encoder::{Embeddings, Encoder, EncoderOutput, LayerRun};
pub use error::Error;
pub use layer::{EncoderLayer, FeedForward, SelfAttention};
pub use parameters::{LayerNorm, Linear};
