use headwater_transformer::Error as TransformerError;

/// What can go wrong while a layer is decomposed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A quantity of the forward pass that the decomposition needs is missing.
    #[error(transparent)]
    Transformer(#[from] TransformerError),
    /// A scope that the model's arrangement does not have.
    #[error("the model has no scope `{scope}`; its scopes are {known}")]
    ScopeNotInArrangement {
        /// The scope.
        scope: Scope,
        /// The scopes of this arrangement, comma separated.
        known: String,
    },
    /// A segment that the layer does not have.
    #[error(
        "the layer has no segment {segment:?}; layers with cross-attention have SelfAttention and CrossAttention, others have Layer"
    )]
    NoSuchSegment {
        /// The segment.
        segment: Segment,
    },
    /// A scope that this decomposition was not asked to reach.
    #[error("scope `{scope}` was not decomposed; name it when the decomposition is made")]
    ScopeNotDecomposed {
        /// The scope.
        scope: Scope,
    },
    /// A step at which this decomposition has no parts.
    #[error("{step} was not decomposed; name it when the decomposition is made")]
    StepNotDecomposed {
        /// The step.
        step: Step,
    },
    /// Nothing flows through the feed-forward block that a bias could be treated in.
    #[error(
        "the feed-forward block stands beside attention and mixes nothing, so that there is no bias to treat; leave the bias treatment out"
    )]
    NoBiasToTreat,
    /// The attribution of a gate with a limit, from a bias that is fixed inside.
    #[error(
        "with the bias fixed inside, a gate with a limit has no attribution here; use the bias treatment player"
    )]
    LimitedGate,
    /// A gate whose activation is tanh.
    #[error("a gated feed-forward block with tanh has no attribution here")]
    TanhGate,
    /// A bias treatment that does not exist.
    #[error("no bias treatment `{name}`; use player or fixed")]
    UnknownBiasTreatment {
        /// What was asked for.
        name: String,
    },
    /// A range of targets outside the sequence.
    #[error("targets {start}..{end} are not within the {tokens} tokens of the sequence")]
    TargetsOutOfRange {
        /// First target.
        start: usize,
        /// One past the last target.
        end: usize,
        /// Tokens there are.
        tokens: usize,
    },
}

use headwater_transformer::wiring::Step;

use crate::{Scope, Segment};
