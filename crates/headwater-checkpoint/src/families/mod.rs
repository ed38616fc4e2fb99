//! One table of checkpoint names a family, and how to walk it.
//!
//! A table lists *modules*; a module stands for one or two tensors. Canonical
//! names are this crate's own, checkpoint names are those that the file uses
//! behind one of the family's prefixes.

mod bert;
mod distilbert;
mod electra;
mod gpt2;
mod opt;
mod roberta;

use crate::config::Config;
use crate::{Architecture, Error, Family, Layout};

/// The checkpoint names of one family.
pub(crate) struct Table {
    /// What may stand before every name; the empty prefix is that of a model without a head.
    pub(crate) prefixes: &'static [&'static str],
    /// Everything in front of the layers.
    embeddings: &'static [Module],
    /// What stands before a layer's number, in the checkpoint.
    layer_prefix: &'static str,
    /// The modules of one layer.
    layer: &'static [Module],
    /// Everything behind the layers.
    end: &'static [Module],
}

/// A module: canonical name, checkpoint name, and what it holds.
struct Module(&'static str, &'static str, Kind);

/// The tensors of a module and their sizes.
enum Kind {
    /// `weight` `[rows, columns]`, no bias.
    Lookup(Size, Size),
    /// `weight` and `bias` `[width]`; called `gamma` and `beta` in old files.
    Norm(Size),
    /// `weight` `[out, in]` and `bias` `[out]`.
    Linear(Size, Size),
    /// A linear layer whose weight the file stores as `[in, out]`.
    Transposed(Size, Size),
    /// Part `.0` of `.1` linear layers side by side, stored as `[in, .1 · out]` and `[.1 · out]`.
    Fused(usize, usize, Size, Size),
}

/// A size that the architecture fixes.
#[derive(Clone, Copy)]
enum Size {
    Vocab,
    Positions,
    TokenTypes,
    Embedding,
    Model,
    FeedForward,
}

impl Size {
    fn of(self, architecture: &Architecture) -> usize {
        match self {
            Self::Vocab => architecture.vocab_size,
            Self::Positions => {
                let Architecture {
                    max_positions,
                    position_offset,
                    ..
                } = architecture;
                // More than any file holds, where it saturates.
                max_positions.saturating_add(*position_offset)
            }
            Self::TokenTypes => architecture.token_types,
            Self::Embedding => architecture.d_embedding,
            Self::Model => architecture.d_model,
            Self::FeedForward => architecture.d_ff,
        }
    }
}

/// A tensor that the architecture needs.
pub(crate) struct Expected {
    /// This crate's name.
    pub(crate) canonical: String,
    /// Names in the file behind the prefix, the usual one first.
    pub(crate) spellings: Vec<String>,
    /// Its shape, in the order of this crate's parameters.
    pub(crate) shape: Vec<usize>,
    /// How the file stores it.
    pub(crate) layout: Layout,
}

impl Module {
    fn tensors(&self, place: (&str, &str), architecture: &Architecture) -> Vec<Expected> {
        let Self(canonical, name, kind) = self;
        let (canonical_prefix, prefix) = place;
        let tensor = |canonical_end: &str, ends: &[&str], sizes: &[Size]| Expected {
            canonical: format!("{canonical_prefix}{canonical}.{canonical_end}"),
            spellings: ends
                .iter()
                .map(|end| format!("{prefix}{name}.{end}"))
                .collect(),
            shape: sizes.iter().map(|size| size.of(architecture)).collect(),
            layout: Layout::AsStored,
        };
        let linear = |layout, out, input| {
            let stored = |tensor| Expected { layout, ..tensor };
            vec![
                stored(tensor("weight", &["weight"], &[out, input])),
                stored(tensor("bias", &["bias"], &[out])),
            ]
        };
        match *kind {
            Kind::Lookup(rows, columns) => vec![tensor("weight", &["weight"], &[rows, columns])],
            Kind::Norm(width) => vec![
                tensor("weight", &["weight", "gamma"], &[width]),
                tensor("bias", &["bias", "beta"], &[width]),
            ],
            Kind::Linear(out, input) => linear(Layout::AsStored, out, input),
            Kind::Transposed(out, input) => linear(Layout::Transposed, out, input),
            Kind::Fused(part, parts, out, input) => {
                linear(Layout::Fused { part, parts }, out, input)
            }
        }
    }
}

impl Table {
    /// Every tensor of the architecture, embeddings first; lazily, because a
    /// hostile configuration can ask for any number of layers.
    pub(crate) fn expected<'a>(
        &'a self,
        architecture: &'a Architecture,
    ) -> impl Iterator<Item = Expected> + 'a {
        let outside = |modules: &'a [Module]| {
            let modules = modules.iter();
            modules.flat_map(|module| module.tensors(("", ""), architecture))
        };
        let layers = (0..architecture.n_layers).flat_map(move |layer| {
            let canonical = format!("layers.{layer}.");
            let prefix = format!("{}{layer}.", self.layer_prefix);
            self.layer
                .iter()
                .flat_map(move |module| module.tensors((&canonical, &prefix), architecture))
        });
        // The projection is there only where it has something to do.
        let projects = architecture.d_embedding != architecture.d_model;
        outside(self.embeddings)
            .filter(move |tensor| {
                projects || !tensor.canonical.starts_with("embeddings.projection.")
            })
            .chain(layers)
            .chain(outside(self.end))
    }
}

/// The table of a family.
pub(crate) fn table(family: Family) -> &'static Table {
    match family {
        Family::Bert => &bert::TABLE,
        Family::Roberta => &roberta::TABLE,
        Family::DistilBert => &distilbert::TABLE,
        Family::Electra => &electra::TABLE,
        Family::Gpt2 => &gpt2::TABLE,
        Family::Opt => &opt::TABLE,
    }
}

/// How a family reads its configuration.
type Reader = fn(&Config, String) -> Result<Architecture, Error>;

const MODEL_TYPES: [(&str, Reader); 8] = [
    ("bert", bert::architecture),
    ("roberta", roberta::architecture),
    ("xlm-roberta", roberta::architecture),
    ("camembert", roberta::architecture),
    ("distilbert", distilbert::architecture),
    ("electra", electra::architecture),
    ("gpt2", gpt2::architecture),
    ("opt", opt::architecture),
];

/// The supported model types, for an error message.
pub(crate) fn supported() -> String {
    MODEL_TYPES.map(|(name, _)| name).join(", ")
}

/// The architecture that a configuration describes.
pub(crate) fn architecture(config: &Config) -> Result<Architecture, Error> {
    let model_type = config.text("model_type")?.ok_or(Error::MissingField {
        field: "model_type",
    })?;
    let Some((_, read)) = MODEL_TYPES.iter().find(|(name, _)| *name == model_type) else {
        return Err(Error::UnsupportedModel {
            model_type: model_type.into(),
        });
    };
    config.refuse_variants()?;
    let architecture = read(config, model_type.into())?;
    if !architecture.causal {
        config.require(
            "is_decoder",
            false,
            "models of this type are supported as encoders only",
        )?;
    }
    let Architecture {
        vocab_size,
        pad_token_id,
        n_heads,
        d_model,
        ..
    } = architecture;
    if pad_token_id as usize >= vocab_size {
        return Err(Error::InvalidField {
            field: "pad_token_id",
            value: pad_token_id.to_string(),
            expected: "below vocab_size",
        });
    }
    if d_model % n_heads != 0 {
        return Err(Error::IndivisibleHeads { n_heads, d_model });
    }
    Ok(architecture)
}
