//! Word alignment: from maps over tokens to links between words, and how well
//! the links agree with those that people drew.

mod error_rate;
mod gold_file;
mod groups;
mod links;
mod setting;
mod symmetrization;
mod word_map;

pub use error_rate::AlignmentErrorRate;
pub use gold_file::GoldNotation;
pub use groups::WordGroups;
pub use links::{GoldLinks, Link, LinkLine, Links, Numbering};
pub use setting::AlignmentSetting;
pub use symmetrization::Symmetrization;
pub use word_map::WordMap;
