#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

#[cfg(not(any(
    feature = "flex",
    feature = "ndarray",
    feature = "wgpu",
    feature = "cuda"
)))]
compile_error!("no device: enable one of the features flex, ndarray, wgpu, cuda");

mod activation;
mod batch;
mod capture;
mod device;
mod error;
mod layer;
mod model;
mod parameters;
mod pipeline;

pub use activation::{apply_activation, sigmoid};
pub use batch::{TokenBatch, TokenSequence};
pub use capture::{Activations, Captures, LayerCapture};
pub use device::{DeviceName, Precision};
pub use error::Error;
pub use headwater_checkpoint::{Activation, Arrangement};
pub use layer::{FeedForward, Layer, SelfAttention};
pub use model::{Embeddings, LayerRun, Model, ModelOutput};
pub use parameters::{LayerNorm, Linear};
pub use pipeline::{COMPONENTS_PER_BLOCK, Component, pipeline};
