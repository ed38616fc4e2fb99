use std::fmt;
use std::str::FromStr;

use crate::Error;

/// One step of a layer. Each maps the parts of the scope before it to the
/// parts of the next scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Component {
    /// ATTN: multi-head attention, z_ij = Σ_h α^h_ij f^h(x_j).
    Attention,
    /// RES: the residual connection, x_i added to the part i→i.
    Residual,
    /// LN: layer normalization with the statistics of the true input.
    LayerNorm,
}

/// A prefix of a post-LN layer's pipeline, named as in the papers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// `attn`: multi-head attention alone (2020; ATTN-N of 2021).
    Attn,
    /// `attn_res`: attention and residual connection (ATTNRES-N of 2021).
    AttnRes,
    /// `atb`: the attention block, layer normalization included (ATTNRESLN-N of 2021).
    Atb,
}

impl Scope {
    /// Every scope, shortest first.
    pub const ALL: [Scope; 3] = [Scope::Attn, Scope::AttnRes, Scope::Atb];

    /// The name in files and options: `attn`, `attn_res` or `atb`.
    pub fn slug(self) -> &'static str {
        match self {
            Scope::Attn => "attn",
            Scope::AttnRes => "attn_res",
            Scope::Atb => "atb",
        }
    }

    /// The components that make up the scope, in the order of computation.
    pub fn components(self) -> &'static [Component] {
        const POST_LN: [Component; 3] = [
            Component::Attention,
            Component::Residual,
            Component::LayerNorm,
        ];
        match self {
            Scope::Attn => &POST_LN[..1],
            Scope::AttnRes => &POST_LN[..2],
            Scope::Atb => &POST_LN,
        }
    }
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
                known: Scope::ALL.map(Scope::slug).join(", "),
            })
    }
}
