use std::fmt;
use std::str::FromStr;

use crate::Error;

/// What the bias is in the feed-forward block's attribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum BiasTreatment {
    /// One more player: the path starts at zero and the bias grows with the
    /// parts. The slope is `(g(p) − g(0)) / p`; the papers' reading.
    #[default]
    Player,
    /// Fixed inside g: the path starts at β = b_i W_1 + b_1, and all of g(β)
    /// belongs to the bias. The slope is `(g(p) − g(β)) / (p − β)`: integrated
    /// gradients of the block with the parts as inputs, as captum computes them.
    Fixed,
}

impl BiasTreatment {
    /// The name in files and options: `player` or `fixed`.
    pub fn name(self) -> &'static str {
        match self {
            BiasTreatment::Player => "player",
            BiasTreatment::Fixed => "fixed",
        }
    }
}

impl fmt::Display for BiasTreatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for BiasTreatment {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "player" => Ok(BiasTreatment::Player),
            "fixed" => Ok(BiasTreatment::Fixed),
            _ => Err(Error::UnknownBiasTreatment {
                name: name.to_owned(),
            }),
        }
    }
}

/// How a layer is decomposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecompositionOptions {
    /// What the bias is in the feed-forward block's attribution.
    pub bias_treatment: BiasTreatment,
    /// Bytes that one tile of feed-forward parts may take; a tile is at least
    /// one target by one source.
    pub tile_bytes: usize,
}

impl Default for DecompositionOptions {
    fn default() -> Self {
        Self {
            bias_treatment: BiasTreatment::default(),
            tile_bytes: 128 << 20,
        }
    }
}
