#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod architecture;
mod checkpoint;
mod checksum;
mod config;
mod error;
mod families;
mod generation_settings;
mod host_tensor;
mod hub;
mod layout;
mod mapped;
mod nearest;
mod parameter;
mod resolve;
mod source;
mod tokenizer;
mod translation;
mod unused;
mod weights;
pub mod wiring;

pub use architecture::{Activation, Architecture, Arrangement};
pub use checkpoint::Checkpoint;
pub use error::Error;
pub use families::model_types;
pub use generation_settings::{EarlyStopping, GenerationSettings};
pub use host_tensor::HostTensor;
pub use hub::HubOptions;
pub use layout::Layout;
pub use mapped::MappedTensor;
pub use parameter::{Parameter, UnusedTensor};
pub use source::ModelSource;
pub use tokenizer::{TextTokenizer, TokenizedText};
pub use translation::{Side, TranslationTokenizer};

/// Element types a file can hold; parameters are `F16`, `BF16`, `F32` or `F64`.
pub use safetensors::Dtype;
