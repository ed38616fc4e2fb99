use std::fmt;

use super::{BlockSpec, LayerSpec, Sublayer};

/// A place in a layer: a component of a block.
///
/// Ordered as the components are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step {
    /// The block, from 0.
    pub block: u8,
    /// The component of the block.
    pub part: Part,
}

/// The place of a component in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The norm before the sublayer.
    Before,
    /// The sublayer.
    Sublayer,
    /// The norm of the sublayer's output.
    Output,
    /// The residual connection.
    Residual,
    /// The norm behind it.
    Behind,
}

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// A normalization.
    Norm,
    /// ATTN: multi-head attention within the sequence.
    Attention,
    /// Multi-head attention to the outputs of an encoder.
    CrossAttention,
    /// FF: the position-wise feed-forward block.
    FeedForward,
    /// RES: a residual connection.
    Residual,
}

impl BlockSpec {
    /// The components of the block in the order of computation.
    fn components(&self) -> impl Iterator<Item = (Part, Component)> + use<> {
        let norm = |part, norm: &Option<_>| norm.is_some().then_some((part, Component::Norm));
        let sublayer = match &self.sublayer {
            Sublayer::Attention(_) => Component::Attention,
            Sublayer::CrossAttention(_) => Component::CrossAttention,
            Sublayer::FeedForward(_) => Component::FeedForward,
        };
        let components = [
            norm(Part::Before, &self.before),
            Some((Part::Sublayer, sublayer)),
            norm(Part::Output, &self.output),
            Some((Part::Residual, Component::Residual)),
            norm(Part::Behind, &self.behind),
        ];
        components.into_iter().flatten()
    }
}

impl LayerSpec {
    /// The components of the layer in the order of computation.
    pub fn steps(&self) -> Vec<(Step, Component)> {
        let blocks = self.blocks.iter().enumerate();
        blocks
            .flat_map(|(number, block)| {
                let place = move |(part, component)| {
                    let block = u8::try_from(number).expect("a layer has few blocks");
                    (Step { block, part }, component)
                };
                block.components().map(place)
            })
            .collect()
    }
}

impl LayerSpec {
    /// The last step of a block.
    ///
    /// # Panics
    /// There is no such block.
    pub fn last_step(&self, block: usize) -> Step {
        let part = match self.blocks[block].behind {
            Some(_) => Part::Behind,
            None => Part::Residual,
        };
        let block = u8::try_from(block).expect("a layer has few blocks");
        Step { block, part }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Before => "the norm before",
            Part::Sublayer => "the sublayer",
            Part::Output => "the output norm",
            Part::Residual => "the residual connection",
            Part::Behind => "the norm behind",
        };
        write!(f, "{part} of block {}", self.block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;
    use crate::wiring::{AttentionSpec, FeedForwardSpec, NormSpec, PlainSpec};

    #[test]
    fn steps_are_in_order() {
        let norm = NormSpec::layer(1e-5);
        let attention = Sublayer::Attention(AttentionSpec::new(2, 4));
        let plain = PlainSpec::new(8, Activation::Relu);
        let feed_forward = Sublayer::FeedForward(FeedForwardSpec::Plain(plain));
        let blocks = [attention, feed_forward].map(|sublayer| {
            let block = BlockSpec::new(sublayer);
            block.before(norm).output(norm).behind(norm)
        });
        let layer = LayerSpec {
            blocks: blocks.into(),
        };
        let steps: Vec<Step> = layer.steps().into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps.len(), 10);
        assert!(steps.is_sorted());
    }
}
