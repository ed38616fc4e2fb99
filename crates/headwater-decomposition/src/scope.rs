use std::fmt;
use std::str::FromStr;

use headwater_transformer::Arrangement;

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

impl Scope {
    /// The scopes of a layer, shortest first.
    pub fn of(arrangement: Arrangement) -> &'static [Scope] {
        match arrangement {
            Arrangement::PostLn => &POST_LN,
            Arrangement::PreLn => &PRE_LN,
        }
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
        }
    }

    /// How many components of the pipeline the scope has.
    ///
    /// # Errors
    /// The arrangement has no such scope.
    pub fn components(self, arrangement: Arrangement) -> Result<usize, Error> {
        let scopes = Scope::of(arrangement);
        let components = headwater_transformer::pipeline(arrangement).len();
        scopes
            .iter()
            .position(|&scope| scope == self)
            .map(|index| components + 1 - scopes.len() + index)
            .ok_or_else(|| Error::ScopeNotInArrangement {
                scope: self,
                known: slugs(scopes),
            })
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
        POST_LN
            .into_iter()
            .chain(PRE_LN)
            .find(|scope| scope.slug() == name)
            .ok_or_else(|| Error::UnknownScope {
                name: name.to_owned(),
                known: format!(
                    "{} (post-LN models) and {} (pre-LN models)",
                    slugs(&POST_LN),
                    slugs(&PRE_LN)
                ),
            })
    }
}
