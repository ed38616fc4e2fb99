#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

#[cfg(not(any(
    feature = "flex",
    feature = "ndarray",
    feature = "wgpu",
    feature = "cuda"
)))]
compile_error!("no device: enable one of the features flex, ndarray, wgpu, cuda");

/// The tensor library of this crate's signatures.
pub use burn;

mod activation;
mod attention;
mod batch;
mod capture;
mod device;
mod embeddings;
mod encoder_decoder;
mod error;
mod experts;
mod feed_forward;
mod generation;
mod head;
mod host;
mod layer;
mod memory;
mod model;
mod parameters;
mod reader;
mod rope;
mod scores;

pub use activation::{BLOOM_ROOT, apply_activation, sigmoid};
pub use attention::MultiHeadAttention;
pub use batch::{TokenBatch, TokenSequence};
pub use capture::{Activations, Captured, Captures, LayerCapture, PreActivation};
pub use device::{DeviceName, dtype};
pub use embeddings::Embeddings;
pub use encoder_decoder::EncoderDecoder;
pub use error::Error;
pub use experts::{ExpertRows, Experts, Routing, index_of};
pub use feed_forward::{FeedForward, Gate};
pub use generation::generate;
pub use head::Head;
pub use headwater_analysis::Precision;
pub use headwater_checkpoint::wiring;
pub use headwater_checkpoint::{Activation, Arrangement, EarlyStopping, GenerationSettings};
pub use host::{Host, HostFloats, band, curve};
pub use layer::{Block, EncoderOutput, Layer, Sources, Sublayer};
pub use model::{LayerRun, Model, ModelOutput};
pub use parameters::{Linear, Norm};
pub use scores::ScoreTables;
