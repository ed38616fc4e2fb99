use super::{AttentionSpec, FeedForwardSpec, NormSpec};

/// A layer: its blocks in the order of computation.
///
/// The first has self-attention, the last feed-forward; between them there may
/// be one with cross-attention.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// The blocks.
    pub blocks: Vec<BlockSpec>,
}

/// A sublayer with its norms and its residual connection.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockSpec {
    /// What the block reads.
    pub reads: Reads,
    /// The norm of what is read.
    pub before: Option<NormSpec>,
    /// The sublayer.
    pub sublayer: Sublayer,
    /// The norm of the sublayer's output, within the residual connection.
    pub output: Option<NormSpec>,
    /// What the residual connection adds.
    pub residual: Residual,
    /// The norm of the sum.
    pub behind: Option<NormSpec>,
}

/// What a block reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reads {
    /// What the block before it put out; the first block reads the layer's input.
    Previous,
    /// The layer's input: the block stands beside the one before it (GPT-NeoX,
    /// GPT-J, Falcon, Cohere).
    LayerInput,
}

/// What a residual connection adds to a sublayer's output: in a block that reads
/// the layer's input beside another block, what that other block put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Residual {
    /// What the block read.
    Input,
    /// What the block read, behind the norm before it (BLOOM's
    /// `apply_residual_connection_post_layernorm`).
    Normed,
}

/// What a block does.
#[derive(Clone, Debug, PartialEq)]
pub enum Sublayer {
    /// Attention within the sequence.
    Attention(AttentionSpec),
    /// Attention to the outputs of an encoder.
    CrossAttention(AttentionSpec),
    /// A feed-forward block.
    FeedForward(FeedForwardSpec),
}

impl BlockSpec {
    /// Reads what the block before it put out, has no norm and adds its input.
    pub const fn new(sublayer: Sublayer) -> Self {
        Self {
            reads: Reads::Previous,
            before: None,
            sublayer,
            output: None,
            residual: Residual::Input,
            behind: None,
        }
    }

    /// The same with a norm of what is read.
    #[must_use]
    pub fn before(self, norm: NormSpec) -> Self {
        Self {
            before: Some(norm),
            ..self
        }
    }

    /// The same with a norm of the sublayer's output.
    #[must_use]
    pub fn output(self, norm: NormSpec) -> Self {
        Self {
            output: Some(norm),
            ..self
        }
    }

    /// The same with a norm of the sum.
    #[must_use]
    pub fn behind(self, norm: NormSpec) -> Self {
        Self {
            behind: Some(norm),
            ..self
        }
    }

    /// The same, reading something else.
    #[must_use]
    pub fn reading(self, reads: Reads) -> Self {
        Self { reads, ..self }
    }

    /// The same, adding something else.
    #[must_use]
    pub fn adding(self, residual: Residual) -> Self {
        Self { residual, ..self }
    }
}

impl LayerSpec {
    /// A norm before each sublayer.
    pub fn pre_norm(norm: NormSpec, sublayers: impl IntoIterator<Item = Sublayer>) -> Self {
        let blocks = sublayers.into_iter();
        Self {
            blocks: blocks
                .map(|sublayer| BlockSpec::new(sublayer).before(norm))
                .collect(),
        }
    }

    /// A norm behind each residual connection.
    pub fn post_norm(norm: NormSpec, sublayers: impl IntoIterator<Item = Sublayer>) -> Self {
        let blocks = sublayers.into_iter();
        Self {
            blocks: blocks
                .map(|sublayer| BlockSpec::new(sublayer).behind(norm))
                .collect(),
        }
    }

    /// The self-attention of the layer.
    ///
    /// # Panics
    /// The first block has another sublayer.
    pub fn attention(&self) -> &AttentionSpec {
        match &self.blocks[0].sublayer {
            Sublayer::Attention(attention) => attention,
            other => panic!("a layer begins with self-attention, not with {other:?}"),
        }
    }

    /// The attention to an encoder's outputs, if there is one.
    pub fn cross_attention(&self) -> Option<&AttentionSpec> {
        self.blocks.iter().find_map(|block| match &block.sublayer {
            Sublayer::CrossAttention(attention) => Some(attention),
            Sublayer::Attention(_) | Sublayer::FeedForward(_) => None,
        })
    }

    /// The feed-forward block.
    ///
    /// # Panics
    /// There is none.
    pub fn feed_forward(&self) -> &FeedForwardSpec {
        let last = self.blocks.last().map(|block| &block.sublayer);
        match last {
            Some(Sublayer::FeedForward(feed_forward)) => feed_forward,
            other => panic!("a layer ends with a feed-forward block, not with {other:?}"),
        }
    }

    /// What people call the arrangement: a label, by which nothing decides.
    pub fn label(&self) -> &'static str {
        let beside = |block: &BlockSpec| block.reads == Reads::LayerInput;
        let all = |has: fn(&BlockSpec) -> [bool; 3], norms| {
            self.blocks.iter().all(|block| has(block) == norms)
        };
        let norms = |block: &BlockSpec| {
            [&block.before, &block.output, &block.behind].map(|norm| norm.is_some())
        };
        if self.blocks.iter().any(beside) {
            "parallel"
        } else if all(norms, [false, false, true]) {
            "post-LN"
        } else if self.blocks[1..]
            .iter()
            .all(|block| norms(block) == [true, false, false])
        {
            // The first norm may be missing: ModernBERT's embeddings are normalized.
            "pre-LN"
        } else if all(norms, [true, true, false]) {
            "sandwich"
        } else if all(norms, [false, true, false]) {
            "norm on output"
        } else {
            "other"
        }
    }
}
