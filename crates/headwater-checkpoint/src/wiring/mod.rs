//! A layer as data: what a configuration says, in one vocabulary for all
//! families.
//!
//! A layer is a list of blocks. A block says what it reads, which norms it has,
//! what its sublayer is and what its residual connection adds:
//!
//! ```text
//! read  = the state before the block, or the layer's input        (reads)
//! z     = output norm(sublayer(n)),  n = before norm(read)
//! state = behind norm(z + kept)      kept: see `Residual`
//! ```
//!
//! Forward pass, decomposition and scopes walk this description and know no
//! families.

mod attention;
mod feed_forward;
mod layer;
mod layers;
mod norm;
mod rope;
mod stack;
mod step;
pub(crate) mod tensors;

pub use attention::{AttentionSpec, Band, DisentangledSpec, Over, PositionScores, alibi_slopes};
pub use feed_forward::{FeedForwardSpec, GatedSpec, PlainSpec, RouterSpec, RouterWeights};
pub use layer::{BlockSpec, LayerSpec, Reads, Residual, Sublayer};
pub use layers::{Layers, Pattern};
pub use norm::{NormKind, NormSpec};
pub use rope::{Pairs, RopeKind, RopeSpec};
pub use stack::{
    Counting, EmbeddingSpec, HeadSpec, HeadTransform, Positions, Projection, Sinusoids, Wiring,
};
pub use step::{Component, Part, Step};
