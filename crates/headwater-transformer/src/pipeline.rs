//! A layer as a pipeline of components; models differ in their order.

use headwater_checkpoint::Arrangement;

/// One step of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Component {
    /// ATTN: multi-head attention within the sequence.
    Attention,
    /// Multi-head attention to the outputs of an encoder.
    CrossAttention,
    /// FF: the position-wise feed-forward block.
    FeedForward,
    /// RES: the input of the block is added.
    Residual,
    /// LN: layer normalization.
    LayerNorm,
}

/// Components of a block: a sublayer, its residual connection and its layer norm.
pub const COMPONENTS_PER_BLOCK: usize = 3;

/// The components of a layer in the order of computation: an attention block
/// and a feed-forward block of three components each. A residual adds the
/// input of the block it is in.
pub fn pipeline(arrangement: Arrangement) -> &'static [Component] {
    use Component::{Attention, FeedForward, LayerNorm, Residual};
    match arrangement {
        Arrangement::PostLn => &[
            Attention,
            Residual,
            LayerNorm,
            FeedForward,
            Residual,
            LayerNorm,
        ],
        Arrangement::PreLn => &[
            LayerNorm,
            Attention,
            Residual,
            LayerNorm,
            FeedForward,
            Residual,
        ],
    }
}

/// The components of a layer with cross-attention: three blocks, the second of
/// which attends to an encoder's outputs.
pub fn cross_attention_pipeline(arrangement: Arrangement) -> &'static [Component] {
    use Component::{Attention, CrossAttention, FeedForward, LayerNorm, Residual};
    match arrangement {
        Arrangement::PostLn => &[
            Attention,
            Residual,
            LayerNorm,
            CrossAttention,
            Residual,
            LayerNorm,
            FeedForward,
            Residual,
            LayerNorm,
        ],
        Arrangement::PreLn => &[
            LayerNorm,
            Attention,
            Residual,
            LayerNorm,
            CrossAttention,
            Residual,
            LayerNorm,
            FeedForward,
            Residual,
        ],
    }
}
