use headwater_transformer::Error as TransformerError;

/// What can go wrong while a layer is decomposed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A quantity of the forward pass that the decomposition needs is missing.
    #[error(transparent)]
    Transformer(#[from] TransformerError),
    /// A scope name that does not exist.
    #[error("no scope `{name}`; the scopes are {known}")]
    UnknownScope {
        /// What was asked for.
        name: String,
        /// The slugs that exist, comma separated.
        known: String,
    },
    /// A scope that this decomposition was not asked to reach.
    #[error("scope `{scope}` was not decomposed; name it when the decomposition is made")]
    ScopeNotDecomposed {
        /// The scope.
        scope: Scope,
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

use crate::Scope;
