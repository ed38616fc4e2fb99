#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod attention;
mod category;
mod correlation;
mod element;
mod error;
mod mixing;
mod relation;
mod special;
mod summary;
mod table;

pub use attention::LayerAttention;
pub use category::{
    CategoryMeans, CategoryQuantity, CategoryStatistics, TokenCategory, TokenKind,
    category_statistics,
};
pub use correlation::{depth_correlation, pearson, ranks, spearman};
pub use element::Element;
pub use error::MetricsError;
pub use mixing::{MixingByKind, attention_ratio, attention_residual_ratio, mixing_ratio};
pub use relation::WeightNormRelation;
pub use special::SpecialTokens;
pub use summary::Summary;
pub use table::{LayerTable, Notation};
