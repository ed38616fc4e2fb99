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
mod embeddings;
mod encoder_decoder;
mod error;
mod generation;
mod host;
mod layer;
mod memory;
mod model;
mod parameters;
mod pipeline;
mod reader;

pub use activation::{apply_activation, sigmoid};
pub use batch::{TokenBatch, TokenSequence};
pub use capture::{Activations, Captures, LayerCapture, PreActivation};
pub use device::{DeviceName, Precision};
pub use embeddings::Embeddings;
pub use encoder_decoder::EncoderDecoder;
pub use error::Error;
pub use generation::generate;
pub use headwater_checkpoint::{Activation, Arrangement, EarlyStopping, GenerationSettings};
pub use host::{Host, HostFloats, curve};
pub use layer::{CrossAttention, EncoderOutput, FeedForward, Layer, MultiHeadAttention, Sources};
pub use model::{LayerRun, Model, ModelOutput};
pub use parameters::{LayerNorm, Linear};
pub use pipeline::{COMPONENTS_PER_BLOCK, Component, cross_attention_pipeline, pipeline};
