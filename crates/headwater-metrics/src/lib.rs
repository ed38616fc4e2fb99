#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

/// The arrays of this crate's signatures.
pub use ndarray;

mod alignment;
mod amplification;
mod attention;
mod category;
mod category_means;
mod contextualization;
mod correlation;
mod deciding;
mod dispersion;
mod element;
mod error;
mod expansion;
mod frequency;
mod mixing;
mod occurrences;
mod outlier;
mod pair_kind;
mod region;
mod relation;
mod special;
mod summary;
mod table;
mod words;

pub use alignment::{
    AlignmentErrorRate, AlignmentSetting, GoldLinks, GoldNotation, Link, LinkLine, Links,
    Numbering, Symmetrization, WordGroups, WordMap,
};
pub use amplification::{
    AmplificationOrder, AmplifiedPair, PairSelection, amplification_map, amplified_pairs,
};
pub use attention::LayerAttention;
pub use category::{TokenCategory, TokenKind};
pub use category_means::{
    CategoryMeans, CategoryQuantity, CategoryStatistics, category_statistics,
};
pub use contextualization::{
    BlockChange, ContextualizationChanges, block_change, contextualization_change,
};
pub use correlation::{depth_correlation, pearson, ranks, spearman};
pub use deciding::{DecidingRank, DecidingRanks, OwnEntry, deciding_rank};
pub use dispersion::{Dispersion, vector_norms};
pub use element::Element;
pub use error::MetricsError;
pub use expansion::{AttentionMap, expansion_rate};
pub use frequency::FrequencyRanks;
pub use mixing::{MixingByKind, attention_ratio, attention_residual_ratio, mixing_ratio};
pub use occurrences::{OccurrenceSelection, TokenMeans, TokenOccurrences};
pub use outlier::{
    DimensionMagnitudes, DimensionWeight, OutlierDimension, dimension_weights, vector_norms_without,
};
pub use pair_kind::{PairKind, PairKindShares, pair_kind_shares};
pub use region::Region;
pub use relation::WeightNormRelation;
pub use special::SpecialTokens;
pub use summary::Summary;
pub use table::{LayerTable, Notation};
pub use words::WordMarks;
