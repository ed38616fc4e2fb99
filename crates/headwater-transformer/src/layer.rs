//! One layer, as its wiring says.

use burn::tensor::Tensor;
use headwater_checkpoint::wiring::{
    self, Band, BlockSpec, Component, FeedForwardSpec, LayerSpec, Part, Reads, Residual, Step,
};

use crate::attention::{Attended, AttentionCapture};
use crate::capture::{Activations, Captures, LayerCapture};
use crate::reader::ParameterReader;
use crate::scores::ScoreTables;
use crate::{Error, Experts, FeedForward, Host, MultiHeadAttention, Norm};

/// A layer with its sublayers in the open.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What is in the blocks, and how they are wired.
    pub spec: LayerSpec,
    /// The parameters of the blocks.
    pub blocks: Vec<Block>,
}

/// The parameters of a block.
#[derive(Debug, Clone)]
pub struct Block {
    /// The norm before the sublayer.
    pub before: Option<Norm>,
    /// The sublayer.
    pub sublayer: Sublayer,
    /// The norm of the sublayer's output.
    pub output: Option<Norm>,
    /// The norm behind the residual connection.
    pub behind: Option<Norm>,
}

/// What a block does.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // A layer has two or three.
pub enum Sublayer {
    /// Attention within the sequence.
    Attention(MultiHeadAttention),
    /// Attention to the outputs of an encoder: queries of the layer's own tokens,
    /// keys and values of the encoder's.
    CrossAttention(MultiHeadAttention),
    /// A feed-forward block.
    FeedForward(FeedForward),
    /// A mixture of feed-forward blocks.
    Experts(Experts),
}

/// What a layer may look at beside its input.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// What the texts of the batch add to scores; those of texts without padding,
    /// if it is not given.
    pub tables: Option<&'a ScoreTables>,
    /// The outputs of an encoder, for layers with cross-attention.
    pub encoder: Option<&'a EncoderOutput>,
}

/// What a decoder attends to.
#[derive(Debug, Clone)]
pub struct EncoderOutput {
    /// The encoder's last hidden states, behind its final norm where it has one,
    /// `[batch, source, d_model]`.
    pub hidden_states: Tensor<3>,
    /// What hides padded sources, `[batch, 1, 1, source]`; nothing where none is padded.
    pub score_bias: Option<Tensor<4>>,
}

impl Block {
    /// The norm at a place of the block.
    pub fn norm(&self, part: Part) -> Option<&Norm> {
        match part {
            Part::Before => self.before.as_ref(),
            Part::Output => self.output.as_ref(),
            Part::Behind => self.behind.as_ref(),
            Part::Sublayer | Part::Residual => None,
        }
    }

    fn load(reader: &ParameterReader<'_>, layer: usize, spec: &BlockSpec) -> Result<Self, Error> {
        let sublayer = match &spec.sublayer {
            wiring::Sublayer::Attention(_) => "attention",
            wiring::Sublayer::CrossAttention(_) => "cross_attention",
            wiring::Sublayer::FeedForward(_) => "feed_forward",
        };
        let name = format!("layers.{layer}.{sublayer}");
        // Where a block has one norm that is not of its output, that is the block's norm.
        let behind = match spec.before {
            Some(_) => format!("{name}_norm_behind"),
            None => format!("{name}_norm"),
        };
        Ok(Self {
            before: reader.optional_norm(&format!("{name}_norm"), spec.before)?,
            sublayer: match &spec.sublayer {
                wiring::Sublayer::Attention(spec) => {
                    Sublayer::Attention(MultiHeadAttention::load(reader, &name, spec)?)
                }
                wiring::Sublayer::CrossAttention(spec) => {
                    Sublayer::CrossAttention(MultiHeadAttention::load(reader, &name, spec)?)
                }
                &wiring::Sublayer::FeedForward(FeedForwardSpec::Experts {
                    experts,
                    used,
                    router,
                    expert,
                }) => Sublayer::Experts(Experts::load(
                    reader,
                    &name,
                    [experts, used],
                    router,
                    expert,
                )?),
                wiring::Sublayer::FeedForward(spec) => {
                    Sublayer::FeedForward(FeedForward::load(reader, &name, spec)?)
                }
            },
            output: reader.optional_norm(&format!("{name}_output_norm"), spec.output)?,
            behind: reader.optional_norm(&behind, spec.behind)?,
        })
    }
}

impl Layer {
    pub(crate) fn load(
        reader: &ParameterReader<'_>,
        index: usize,
        spec: LayerSpec,
    ) -> Result<Self, Error> {
        let blocks = spec.blocks.iter();
        Ok(Self {
            blocks: blocks
                .map(|block| Block::load(reader, index, block))
                .collect::<Result<_, _>>()?,
            spec,
        })
    }

    /// The components of this layer in the order of computation.
    pub fn steps(&self) -> Vec<(Step, Component)> {
        self.spec.steps()
    }

    /// The norm at a step.
    ///
    /// # Panics
    /// There is none.
    pub fn norm_at(&self, step: Step) -> &Norm {
        let norm = self.blocks[usize::from(step.block)].norm(step.part);
        norm.expect("steps of the layer's wiring are its own")
    }

    /// The self-attention sublayer.
    ///
    /// # Panics
    /// The layer begins with something else.
    pub fn attention(&self) -> &MultiHeadAttention {
        match &self.blocks[0].sublayer {
            Sublayer::Attention(attention) => attention,
            _ => panic!("a layer begins with self-attention"),
        }
    }

    /// The attention to an encoder's outputs, if there is one.
    pub fn cross_attention(&self) -> Option<&MultiHeadAttention> {
        self.blocks.iter().find_map(|block| match &block.sublayer {
            Sublayer::CrossAttention(attention) => Some(attention),
            Sublayer::Attention(_) | Sublayer::FeedForward(_) | Sublayer::Experts(_) => None,
        })
    }

    /// The feed-forward sublayer.
    ///
    /// # Panics
    /// The layer ends with something else, or with experts.
    pub fn feed_forward(&self) -> &FeedForward {
        match self.blocks.last().map(|block| &block.sublayer) {
            Some(Sublayer::FeedForward(feed_forward)) => feed_forward,
            _ => panic!("a layer ends with a feed-forward block"),
        }
    }

    /// Runs the layer, keeping what `captures` names.
    ///
    /// ```text
    /// z     = output norm(sublayer(n)),  n = before norm(read)
    /// state = behind norm(z + kept)
    /// ```
    ///
    /// # Shapes
    /// `x`: `[batch, token, d_model]`; result as `x`.
    ///
    /// # Panics
    /// A layer with cross-attention without an encoder's output.
    pub fn forward(
        &self,
        x: Tensor<3>,
        sources: Sources<'_>,
        captures: &Captures,
        capture: &mut LayerCapture,
    ) -> Tensor<3> {
        let unpadded;
        let tables = match sources.tables {
            Some(tables) => tables,
            None => {
                unpadded = ScoreTables::unpadded(&x);
                &unpadded
            }
        };
        capture.keep(captures, Activations::Input, &x);
        let mut state = x.clone();
        for (number, (block, spec)) in self.blocks.iter().zip(&self.spec.blocks).enumerate() {
            let step = |part| Step {
                block: number as u8,
                part,
            };
            let norm = |part, v: Tensor<3>, capture: &mut LayerCapture| {
                let Some(norm) = block.norm(part) else {
                    return v;
                };
                let (normed, scale) = norm.forward(v);
                capture.keep(captures, Activations::NormScale(step(part)), &scale);
                capture.keep(captures, Activations::State(step(part)), &normed);
                normed
            };
            let read = match spec.reads {
                Reads::Previous => state.clone(),
                Reads::LayerInput => x.clone(),
            };
            let normed = norm(Part::Before, read.clone(), capture);
            let kept = match (spec.reads, spec.residual) {
                (Reads::LayerInput, _) => state,
                (Reads::Previous, Residual::Input) => read,
                (Reads::Previous, Residual::Normed) => normed.clone(),
            };
            let sublayer = step(Part::Sublayer);
            let z = match &block.sublayer {
                Sublayer::Attention(attention) => {
                    let mask = tables.mask(attention.spec.band);
                    let attended = Attended {
                        sources: None,
                        tables,
                        mask: mask.as_ref(),
                    };
                    attention.forward(
                        &normed,
                        attended,
                        &mut AttentionCapture::at(sublayer, captures, capture),
                    )
                }
                Sublayer::CrossAttention(attention) => {
                    let encoder = sources
                        .encoder
                        .expect("a layer with cross-attention is run behind an encoder");
                    debug_assert_eq!(attention.spec.band, Band::ALL);
                    let attended = Attended {
                        sources: Some(&encoder.hidden_states),
                        tables,
                        mask: encoder.score_bias.as_ref(),
                    };
                    attention.forward(
                        &normed,
                        attended,
                        &mut AttentionCapture::at(sublayer, captures, capture),
                    )
                }
                Sublayer::FeedForward(block) => block.forward(normed, captures, capture),
                Sublayer::Experts(experts) => experts.forward(normed, captures, capture),
            };
            capture.keep(captures, Activations::State(sublayer), &z);
            let z = norm(Part::Output, z, capture);
            let sum = match Host::of(&z) {
                Some(host) => host.add(&z, &kept),
                None => z + kept,
            };
            capture.keep(captures, Activations::State(step(Part::Residual)), &sum);
            state = norm(Part::Behind, sum, capture);
        }
        state
    }
}
