//! One table of checkpoint names a family, and how to walk it.
//!
//! A table lists *modules*; a module stands for one or two tensors. Canonical
//! names are this crate's own, checkpoint names are those that the file uses
//! behind one of the family's prefixes.

mod bert;
mod distilbert;
mod electra;
mod encoder_decoder;
mod gpt2;
mod opt;
mod roberta;

use std::collections::BTreeSet;

use crate::config::Config;
use crate::{Architecture, Error, Family, Layout};

/// The checkpoint names of one stack of layers.
pub(crate) struct Table {
    /// What stands before the stack's canonical names: nothing, `encoder.` or `decoder.`.
    canonical: &'static str,
    /// What may stand before every name; the empty prefix is that of a model without a head.
    pub(crate) prefixes: &'static [&'static str],
    /// Everything in front of the layers.
    embeddings: &'static [Module],
    /// What stands before a layer's number, in the checkpoint.
    layer_prefix: &'static str,
    /// The modules of one layer, in parts that tables can share.
    layer: &'static [&'static [Module]],
    /// Everything behind the layers.
    end: &'static [Module],
    /// Names without prefix of matrices that are the word embeddings where the configuration ties
    /// the two; a file may keep one name of them only.
    tied: &'static [&'static str],
}

/// A module: canonical name, checkpoint name, and what it holds.
struct Module(&'static str, &'static str, Kind);

/// The tensors of a module and their sizes.
enum Kind {
    /// `weight` `[rows, columns]`, no bias.
    Lookup(Size, Size),
    /// As `Lookup`, but a file may lack it: its numbers follow from its size.
    Computed(Size, Size),
    /// `weight` and `bias` `[width]`; called `gamma` and `beta` in old files.
    Norm(Size),
    /// `weight` `[out, in]` and `bias` `[out]`.
    Linear(Size, Size),
    /// A linear layer whose weight the file stores as `[in, out]`.
    Transposed(Size, Size),
    /// As `Lookup(.1, .2)`, but where stacks and head do not share one table it goes by the name `.0`.
    Shared(&'static str, Size, Size),
    /// `weight` `[out, in]` behind the stacks, under a name without prefix; only where the
    /// word embeddings do not serve.
    Head(Size, Size),
    /// A row `[1, width]` behind the stacks, under a name without prefix or ending; may be absent.
    LogitsBias(Size),
    /// Part `.0` of `.1` linear layers side by side, stored as `[in, .1 · out]` and `[.1 · out]`.
    Fused(usize, usize, Size, Size),
}

/// A size that the architecture fixes.
#[derive(Clone, Copy)]
enum Size {
    Vocab,
    PositionRows,
    TokenTypes,
    Embedding,
    Model,
    FeedForward,
}

impl Size {
    fn of(self, architecture: &Architecture) -> usize {
        match self {
            Self::Vocab => architecture.vocab_size,
            Self::PositionRows => {
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
    /// Further names in the file, which have no prefix.
    pub(crate) unprefixed: Vec<&'static str>,
    /// Its shape, in the order of this crate's parameters.
    pub(crate) shape: Vec<usize>,
    /// How the file stores it.
    pub(crate) layout: Layout,
    /// Whether its name has no prefix: it belongs to the head and not to the stacks.
    pub(crate) head: bool,
    /// Whether the file may lack it.
    pub(crate) optional: bool,
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
            unprefixed: Vec::new(),
            shape: sizes.iter().map(|size| size.of(architecture)).collect(),
            layout: Layout::AsStored,
            head: false,
            optional: false,
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
            Kind::Computed(rows, columns) => vec![Expected {
                optional: true,
                ..tensor("weight", &["weight"], &[rows, columns])
            }],
            Kind::Shared(unshared, rows, columns) => {
                let mut table = tensor("weight", &["weight"], &[rows, columns]);
                table.spellings.push(format!("{unshared}.weight"));
                vec![table]
            }
            // Hidden states need no head: a classifier has none.
            Kind::Head(out, input) => vec![Expected {
                canonical: HEAD.to_owned(),
                spellings: vec![format!("{name}.weight")],
                head: true,
                optional: true,
                ..tensor("weight", &[], &[out, input])
            }],
            Kind::LogitsBias(width) => vec![Expected {
                canonical: (*canonical).to_owned(),
                spellings: vec![(*name).to_owned()],
                unprefixed: Vec::new(),
                shape: vec![1, width.of(architecture)],
                layout: Layout::AsStored,
                head: true,
                optional: true,
            }],
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
    /// The names of the word embeddings behind the prefix.
    fn words(&self) -> Vec<String> {
        let words = self.embeddings.iter().take(1);
        let names = words.flat_map(|Module(_, name, kind)| match *kind {
            Kind::Shared(unshared, ..) => vec![*name, unshared],
            _ => vec![*name],
        });
        names.map(|name| format!("{name}.weight")).collect()
    }

    /// Every tensor of the architecture, embeddings first; lazily, because a
    /// hostile configuration can ask for any number of layers.
    pub(crate) fn expected<'a>(
        &'a self,
        architecture: &'a Architecture,
    ) -> impl Iterator<Item = Expected> + 'a {
        let outside = |modules: &'a [Module]| {
            let modules = modules.iter();
            modules.flat_map(|module| module.tensors((self.canonical, ""), architecture))
        };
        let layers = (0..architecture.n_layers).flat_map(move |layer| {
            let canonical = format!("{}layers.{layer}.", self.canonical);
            let prefix = format!("{}{layer}.", self.layer_prefix);
            self.layer
                .iter()
                .copied()
                .flatten()
                .flat_map(move |module| module.tensors((&canonical, &prefix), architecture))
        });
        // The projection is there only where it has something to do.
        let projects = architecture.d_embedding != architecture.d_model;
        outside(self.embeddings)
            .filter(move |tensor| projects || !tensor.canonical.contains("embeddings.projection."))
            .chain(layers)
            .chain(outside(self.end))
    }
}

/// A configuration, read: one stack of layers, or an encoder and a decoder.
#[derive(Clone, Debug)]
pub(crate) struct Stacks {
    /// The only stack, or the encoder.
    pub(crate) first: Architecture,
    /// The decoder of a translation model.
    pub(crate) decoder: Option<Architecture>,
    /// Whether logits are products with the word embeddings, so that the file needs no `lm_head`.
    pub(crate) tied_head: bool,
    /// Whether stacks and head share one table of word embeddings.
    pub(crate) shared_words: bool,
    /// Keys of the configuration that no class knows.
    pub(crate) unknown_keys: Vec<String>,
    /// Sizes that the configuration does not state.
    pub(crate) default_sizes: Vec<&'static str>,
}

impl Stacks {
    /// Every tensor, first stack first.
    pub(crate) fn expected(&self) -> impl Iterator<Item = Expected> + '_ {
        let architectures = std::iter::once(&self.first).chain(&self.decoder);
        tables(self.first.family)
            .iter()
            .zip(architectures)
            .flat_map(|(table, architecture)| table.expected(architecture))
            .filter(|tensor| !(self.tied_head && tensor.canonical == HEAD))
            .map(|tensor| match tensor.canonical.ends_with(WORDS) {
                true => self.with_ties(tensor),
                false => tensor,
            })
    }

    /// A table of word embeddings with all names that it may go by.
    fn with_ties(&self, mut words: Expected) -> Expected {
        if self.shared_words {
            let stacks = tables(self.first.family).iter();
            let names = stacks.flat_map(|table| table.words());
            for name in names {
                if !words.spellings.contains(&name) {
                    words.spellings.push(name);
                }
            }
        } else {
            // A file may hold the shared table beside those that are used.
            words.spellings.reverse();
        }
        // The head is tied to what comes last.
        let last = match self.decoder {
            Some(_) => self.shared_words || words.canonical.starts_with("decoder."),
            None => true,
        };
        if self.tied_head && last {
            let tables = tables(self.first.family);
            words
                .unprefixed
                .extend(tables.iter().flat_map(|table| table.tied));
        }
        words
    }

    /// The same with another number of layers in each stack.
    pub(crate) fn with_layers(&self, n_layers: impl Fn(usize) -> usize) -> Self {
        let mut stacks = self.clone();
        for stack in std::iter::once(&mut stacks.first).chain(&mut stacks.decoder) {
            stack.n_layers = n_layers(stack.n_layers);
        }
        stacks
    }

    /// The names, behind the prefix, of tables that the configuration says are one: the word
    /// embeddings of a translation model. Its head is tied to them too.
    pub(crate) fn tied(&self) -> BTreeSet<String> {
        if self.decoder.is_none() || !self.tied_head {
            return BTreeSet::new();
        }
        let words = self
            .expected()
            .filter(|tensor| tensor.canonical.ends_with(WORDS));
        let names = words.flat_map(|tensor| match self.shared_words {
            true => tensor.spellings,
            // The first is the stack's own; the head is tied to the decoder's.
            false if tensor.canonical.starts_with("decoder.") => {
                tensor.spellings.into_iter().take(1).collect()
            }
            false => Vec::new(),
        });
        names.collect()
    }

    /// Every name of a table of word embeddings, behind the prefix: what a file may hold beside
    /// those that are used.
    pub(crate) fn words(&self) -> BTreeSet<String> {
        let tables = tables(self.first.family).iter();
        tables.flat_map(Table::words).collect()
    }

    /// What may stand before the names of the stacks.
    pub(crate) fn prefixes(&self) -> &'static [&'static str] {
        tables(self.first.family)[0].prefixes
    }
}

/// The name, canonical and in files, of the matrix that logits are products with,
/// where it is not the word embeddings.
pub(crate) const HEAD: &str = "lm_head.weight";

/// How the canonical name of a table of word embeddings ends.
const WORDS: &str = "embeddings.word.weight";

/// The tables of a family, one a stack.
fn tables(family: Family) -> &'static [Table] {
    match family {
        Family::Bert => &bert::TABLE,
        Family::Roberta => &roberta::TABLE,
        Family::DistilBert => &distilbert::TABLE,
        Family::Electra => &electra::TABLE,
        Family::Gpt2 => &gpt2::TABLE,
        Family::Opt => &opt::TABLE,
        Family::Marian => &encoder_decoder::MARIAN,
        Family::Bart => &encoder_decoder::BART,
        Family::Mbart => &encoder_decoder::MBART,
    }
}

/// How a family reads its configuration.
#[derive(Clone, Copy)]
enum Reader {
    /// One stack of layers.
    Stack(fn(&Config, String) -> Result<Architecture, Error>),
    /// An encoder and a decoder.
    EncoderDecoder(fn(&Config, String) -> Result<[Architecture; 2], Error>),
}

const MODEL_TYPES: [(&str, Reader); 11] = [
    ("bert", Reader::Stack(bert::architecture)),
    ("roberta", Reader::Stack(roberta::architecture)),
    ("xlm-roberta", Reader::Stack(roberta::architecture)),
    ("camembert", Reader::Stack(roberta::architecture)),
    ("distilbert", Reader::Stack(distilbert::architecture)),
    ("electra", Reader::Stack(electra::architecture)),
    ("gpt2", Reader::Stack(gpt2::architecture)),
    ("opt", Reader::Stack(opt::architecture)),
    ("marian", Reader::EncoderDecoder(encoder_decoder::marian)),
    ("bart", Reader::EncoderDecoder(encoder_decoder::bart)),
    ("mbart", Reader::EncoderDecoder(encoder_decoder::mbart)),
];

/// Every `model_type` of `config.json` that can be read, families together.
pub fn model_types() -> impl Iterator<Item = &'static str> {
    MODEL_TYPES.iter().map(|(name, _)| *name)
}

/// The supported model types, for an error message.
pub(crate) fn supported() -> String {
    model_types().collect::<Vec<_>>().join(", ")
}

/// The stacks that a configuration describes.
pub(crate) fn stacks(config: &Config) -> Result<Stacks, Error> {
    config.refuse_quantized()?;
    let model_type = config
        .text("model_type")?
        .ok_or_else(|| Error::MissingModelType {
            guess: guess(config),
        })?;
    let Some((_, reader)) = MODEL_TYPES.iter().find(|(name, _)| *name == model_type) else {
        return Err(Error::UnsupportedModel {
            model_type: model_type.into(),
        });
    };
    config.refuse_variants()?;
    let tied = config.switch("tie_word_embeddings", true)?;
    let mut stacks = match reader {
        Reader::Stack(read) => Stacks {
            first: read(config, model_type.into())?,
            decoder: None,
            tied_head: tied,
            shared_words: true,
            unknown_keys: Vec::new(),
            default_sizes: Vec::new(),
        },
        Reader::EncoderDecoder(read) => {
            let [encoder, decoder] = read(config, model_type.into())?;
            Stacks {
                first: encoder,
                decoder: Some(decoder),
                tied_head: tied,
                shared_words: tied && encoder_decoder::shares_embeddings(config)?,
                unknown_keys: Vec::new(),
                default_sizes: Vec::new(),
            }
        }
    };
    read_masks(config, &mut stacks)?;
    for architecture in std::iter::once(&stacks.first).chain(&stacks.decoder) {
        check(architecture)?;
    }
    stacks.unknown_keys = config.check_unread()?;
    stacks.default_sizes = config.default_sizes();
    Ok(stacks)
}

/// What may be said against the direction in which the stacks look.
fn read_masks(config: &Config, stacks: &mut Stacks) -> Result<(), Error> {
    if !stacks.first.causal {
        config.require(
            "is_decoder",
            false,
            "models of this type are not supported as decoders alone",
        )?;
    } else {
        // Decoders are decoders whatever it says.
        config.switch("is_decoder", true)?;
    }
    if stacks.decoder.is_some() {
        // Its own translations would depend on how many tokens are made at a time.
        return config.require(
            "is_causal",
            true,
            "a translation model whose decoder looks both ways is not supported",
        );
    }
    // Encoders look both ways whatever it says.
    let is_causal = config.switch("is_causal", true)?;
    stacks.first.causal &= is_causal;
    Ok(())
}

/// The model type whose classes are called like the one that the configuration names.
fn guess(config: &Config) -> Option<&'static str> {
    let class = config.class_name()?.to_lowercase();
    let plain = |name: &str| name.replace(['-', '_'], "");
    model_types()
        .filter(|name| class.starts_with(&plain(name)))
        .max_by_key(|name| name.len())
}

/// Checks sizes against each other.
fn check(architecture: &Architecture) -> Result<(), Error> {
    let &Architecture {
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
    Ok(())
}
