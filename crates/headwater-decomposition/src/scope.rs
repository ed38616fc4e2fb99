use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use headwater_transformer::{
    Arrangement, COMPONENTS_PER_BLOCK, Component, cross_attention_pipeline, pipeline,
};

use crate::Error;

/// A prefix of a layer's pipeline, named as in the papers: ATB is the
/// attention block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// `attn`: multi-head attention alone (2020; ATTN-N of 2021), in pre-LN
    /// models of the normalized input.
    Attn,
    /// `attn_res`: attention and residual connection (ATTNRES-N of 2021). Post-LN.
    AttnRes,
    /// `atb`: the attention block: with its layer normalization in post-LN
    /// models (ATTNRESLN-N of 2021), with its residual in pre-LN models.
    Atb,
    /// `atb_ln`: the attention block and the feed-forward block's layer normalization. Pre-LN.
    AtbLn,
    /// `atb_ff`: through the feed-forward sublayer (2023). Post-LN.
    AtbFf,
    /// `atb_ff_res`: through its residual connection. Post-LN.
    AtbFfRes,
    /// `atb_ff_res_ln`: the whole layer. Post-LN.
    AtbFfResLn,
    /// `atb_ln_ff`: through the feed-forward sublayer (2023). Pre-LN.
    AtbLnFf,
    /// `atb_ln_ff_res`: the whole layer. Pre-LN.
    AtbLnFfRes,
    /// `cross_attn`: multi-head attention to an encoder alone (the translation part of 2020).
    CrossAttn,
    /// `cross_attn_res`: and the residual connection, which brings in the target's own stream.
    CrossAttnRes,
    /// `cross_attn_res_ln`: and the next layer normalization: the block's own
    /// (post-LN) or the feed-forward block's (pre-LN).
    CrossAttnResLn,
    /// `cross_attn_res_ln_ff`: through the feed-forward sublayer.
    CrossAttnResLnFf,
    /// `cross_attn_res_ln_ff_res`: through its residual connection.
    CrossAttnResLnFfRes,
    /// `cross_attn_res_ln_ff_res_ln`: through the last layer normalization. Post-LN.
    CrossAttnResLnFfResLn,
}

/// The scopes of a post-LN layer, shortest first: one to six components.
const POST_LN: [Scope; 6] = [
    Scope::Attn,
    Scope::AttnRes,
    Scope::Atb,
    Scope::AtbFf,
    Scope::AtbFfRes,
    Scope::AtbFfResLn,
];

/// The scopes of a pre-LN layer, shortest first: two to six components, since
/// nothing flows between tokens before attention.
const PRE_LN: [Scope; 5] = [
    Scope::Attn,
    Scope::Atb,
    Scope::AtbLn,
    Scope::AtbLnFf,
    Scope::AtbLnFfRes,
];

/// The scopes behind cross-attention, of a post-LN layer; a pre-LN layer ends
/// before the last one.
const CROSS: [Scope; 6] = [
    Scope::CrossAttn,
    Scope::CrossAttnRes,
    Scope::CrossAttnResLn,
    Scope::CrossAttnResLnFf,
    Scope::CrossAttnResLnFfRes,
    Scope::CrossAttnResLnFfResLn,
];

/// A stretch of a layer whose parts have one set of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// A layer without cross-attention, whole. Its sources are its own tokens.
    Layer,
    /// The self-attention block of a layer with cross-attention.
    SelfAttention,
    /// The cross-attention block and the feed-forward block behind it. Its
    /// sources are the encoder's tokens; what a target brings along itself, its
    /// own stream, is one more source, never mixed with them.
    CrossAttention,
}

impl Segment {
    /// The scopes of the segment, shortest first.
    pub fn scopes(self, arrangement: Arrangement) -> &'static [Scope] {
        match (self, arrangement) {
            (Segment::Layer, Arrangement::PostLn) => &POST_LN,
            (Segment::Layer, Arrangement::PreLn) => &PRE_LN,
            (Segment::SelfAttention, Arrangement::PostLn) => &POST_LN[..3],
            (Segment::SelfAttention, Arrangement::PreLn) => &PRE_LN[..2],
            (Segment::CrossAttention, Arrangement::PostLn) => &CROSS,
            (Segment::CrossAttention, Arrangement::PreLn) => &CROSS[..5],
        }
    }

    /// The components of the layer and those of the segment among them.
    pub(crate) fn components(
        self,
        arrangement: Arrangement,
    ) -> (&'static [Component], Range<usize>) {
        let layer = match self {
            Segment::Layer => pipeline(arrangement),
            _ => cross_attention_pipeline(arrangement),
        };
        let range = match self {
            Segment::Layer => 0..layer.len(),
            Segment::SelfAttention => 0..COMPONENTS_PER_BLOCK,
            Segment::CrossAttention => COMPONENTS_PER_BLOCK..layer.len(),
        };
        (layer, range)
    }

    /// How many components of the segment a scope has.
    ///
    /// # Errors
    /// The segment has no such scope.
    pub fn components_of(self, scope: Scope, arrangement: Arrangement) -> Result<usize, Error> {
        let scopes = self.scopes(arrangement);
        let (_, components) = self.components(arrangement);
        // Every component from attention to the end has a scope.
        scopes
            .iter()
            .position(|&known| known == scope)
            .map(|index| components.len() + 1 - scopes.len() + index)
            .ok_or_else(|| Error::ScopeNotInArrangement {
                scope,
                known: slugs(scopes),
            })
    }
}

impl Scope {
    /// Every scope of every model.
    pub const ALL: [Scope; 15] = [
        Scope::Attn,
        Scope::AttnRes,
        Scope::Atb,
        Scope::AtbLn,
        Scope::AtbFf,
        Scope::AtbFfRes,
        Scope::AtbFfResLn,
        Scope::AtbLnFf,
        Scope::AtbLnFfRes,
        Scope::CrossAttn,
        Scope::CrossAttnRes,
        Scope::CrossAttnResLn,
        Scope::CrossAttnResLnFf,
        Scope::CrossAttnResLnFfRes,
        Scope::CrossAttnResLnFfResLn,
    ];

    /// The scopes of a layer without cross-attention, shortest first.
    pub fn of(arrangement: Arrangement) -> &'static [Scope] {
        Segment::Layer.scopes(arrangement)
    }

    /// Whether the sources are the tokens of an encoder.
    pub fn is_cross(self) -> bool {
        CROSS.contains(&self)
    }

    /// The name in files and options, such as `atb_ff_res`.
    pub fn slug(self) -> &'static str {
        match self {
            Scope::Attn => "attn",
            Scope::AttnRes => "attn_res",
            Scope::Atb => "atb",
            Scope::AtbLn => "atb_ln",
            Scope::AtbFf => "atb_ff",
            Scope::AtbFfRes => "atb_ff_res",
            Scope::AtbFfResLn => "atb_ff_res_ln",
            Scope::AtbLnFf => "atb_ln_ff",
            Scope::AtbLnFfRes => "atb_ln_ff_res",
            Scope::CrossAttn => "cross_attn",
            Scope::CrossAttnRes => "cross_attn_res",
            Scope::CrossAttnResLn => "cross_attn_res_ln",
            Scope::CrossAttnResLnFf => "cross_attn_res_ln_ff",
            Scope::CrossAttnResLnFfRes => "cross_attn_res_ln_ff_res",
            Scope::CrossAttnResLnFfResLn => "cross_attn_res_ln_ff_res_ln",
        }
    }

    /// How many components of the pipeline the scope has, in a layer without cross-attention.
    ///
    /// # Errors
    /// The arrangement has no such scope.
    pub fn components(self, arrangement: Arrangement) -> Result<usize, Error> {
        Segment::Layer.components_of(self, arrangement)
    }
}

fn slugs(scopes: &[Scope]) -> String {
    let slugs: Vec<_> = scopes.iter().map(|scope| scope.slug()).collect();
    slugs.join(", ")
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.slug())
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Scope::ALL
            .into_iter()
            .find(|scope| scope.slug() == name)
            .ok_or_else(|| Error::UnknownScope {
                name: name.to_owned(),
                known: format!(
                    "{} (post-LN models), {} (pre-LN models) and {} (translation models)",
                    slugs(&POST_LN),
                    slugs(&PRE_LN),
                    slugs(&CROSS)
                ),
            })
    }
}
