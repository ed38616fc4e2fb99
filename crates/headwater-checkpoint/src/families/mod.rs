//! A family's models: how their configuration is read into wiring, and what their tensors are called.

mod bert;
mod bloom;
mod cohere;
mod distilbert;
mod electra;
mod encoder_decoder;
mod experts;
mod falcon;
mod gemma;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod gptj;
mod llama;
mod mistral;
mod modernbert;
pub(crate) mod names;
mod olmo;
mod opt;
mod phi3;
mod qwen;
mod roberta;
mod smollm3;
mod xlm_roberta_xl;

use std::collections::BTreeSet;

use self::names::Names;
pub(crate) use self::names::{Expected, Spelling};
use crate::config::Config;
use crate::wiring::tensors::Slot;
use crate::wiring::{Band, Sublayer, alibi_slopes};
use crate::{Architecture, Error};

/// Models whose checkpoints are read alike.
pub(crate) struct Family {
    /// `model_type` of their configurations.
    model_types: &'static [&'static str],
    /// What may stand before every name of the stacks; the empty prefix is that of a model
    /// without a head.
    prefixes: &'static [&'static str],
    /// What the configuration says.
    read: fn(&Config, &str) -> Result<Read, Error>,
    /// The names of each stack.
    names: &'static [Names],
    /// Names without prefix of matrices that are the word embeddings where the configuration ties
    /// the two; a file may keep one name of them only.
    tied: &'static [&'static str],
    /// What is fetched beside configuration and weights, where there is such a file.
    files: &'static [&'static str],
    /// Whether a decoder begins with the last token of its text.
    begins_with_last: bool,
}

/// Families in the order in which they are listed.
static FAMILIES: [&Family; 31] = [
    &bert::FAMILY,
    &roberta::FAMILY,
    &distilbert::FAMILY,
    &electra::FAMILY,
    &modernbert::FAMILY,
    &xlm_roberta_xl::FAMILY,
    &gpt2::FAMILY,
    &opt::FAMILY,
    &gpt_neo::FAMILY,
    &gptj::FAMILY,
    &gpt_neox::FAMILY,
    &falcon::FAMILY,
    &bloom::FAMILY,
    &llama::FAMILY,
    &mistral::FAMILY,
    &qwen::TWO,
    &qwen::THREE,
    &gemma::ONE,
    &gemma::TWO,
    &gemma::THREE,
    &olmo::TWO,
    &olmo::THREE,
    &phi3::FAMILY,
    &smollm3::FAMILY,
    &cohere::FAMILY,
    &experts::MIXTRAL,
    &experts::QWEN,
    &experts::GPT_OSS,
    &encoder_decoder::MARIAN,
    &encoder_decoder::BART,
    &encoder_decoder::MBART,
];

/// The tokenizer, and what transformers lays over it; token ids work without.
const TOKENIZER: &[&str] = &[
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
];

/// What a family makes of a configuration.
pub(crate) enum Read {
    /// One stack of layers.
    Stack(Architecture),
    /// One stack, with names that depend on the configuration.
    Named(Architecture, &'static [Names]),
    /// An encoder and a decoder.
    EncoderDecoder(Box<[Architecture; 2]>),
}

/// A configuration, read: one stack of layers, or an encoder and a decoder.
#[derive(Clone)]
pub(crate) struct Stacks {
    family: &'static Family,
    /// The names of each stack.
    names: &'static [Names],
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
    /// Every parameter, first stack first.
    pub(crate) fn expected(&self) -> impl Iterator<Item = Expected> + '_ {
        let architectures = std::iter::once(&self.first).chain(&self.decoder);
        let names = self.names.iter().zip(architectures);
        names
            .flat_map(|(names, architecture)| names.expected(architecture))
            .map(|parameter| match parameter.slot {
                Slot::Word => self.with_ties(parameter),
                _ => parameter,
            })
    }

    /// A table of word embeddings with all names that it may go by.
    fn with_ties(&self, mut words: Expected) -> Expected {
        let is_decoder = words.canonical.starts_with("decoder.");
        let Some(first) = words.spellings.first().cloned() else {
            return words;
        };
        let mut add = |name: String, prefixed| {
            if words.spellings.iter().all(|spelling| spelling.name != name) {
                words.spellings.push(Spelling {
                    name,
                    prefixed,
                    ..first.clone()
                });
            }
        };
        // The head is tied to what comes last.
        let last = self.decoder.is_none() || self.shared_words || is_decoder;
        if self.shared_words {
            self.words().into_iter().for_each(|name| add(name, true));
        }
        if self.tied_head && last {
            self.family
                .tied
                .iter()
                .for_each(|name| add((*name).to_owned(), false));
        }
        if !self.shared_words {
            // A file may hold the shared table beside those that are used.
            let own = words.spellings.iter().filter(|s| s.prefixed).count();
            words.spellings[..own].reverse();
        }
        words
    }

    /// The same with another number of layers in each stack.
    pub(crate) fn with_layers(&self, n_layers: impl Fn(usize) -> usize) -> Self {
        let mut stacks = self.clone();
        for stack in std::iter::once(&mut stacks.first).chain(&mut stacks.decoder) {
            stack.wiring.layers.number = n_layers(stack.wiring.layers.number);
        }
        stacks
    }

    /// The names, behind the prefix, of tables that the configuration says are one: the word
    /// embeddings of a model whose head is read. Its head is tied to them too.
    pub(crate) fn tied(&self) -> BTreeSet<String> {
        if !self.tied_head {
            return BTreeSet::new();
        }
        if self.decoder.is_none() {
            return match self.first.wiring.head {
                Some(_) => self.words(),
                None => BTreeSet::new(),
            };
        }
        if self.shared_words {
            return self.words();
        }
        // Of the decoder, whose own name is the last that it has.
        let decoder = self.names.last();
        decoder
            .and_then(|names| names.words().last())
            .into_iter()
            .collect()
    }

    /// Every name of a table of word embeddings, behind the prefix: what a file may hold beside
    /// those that are used.
    pub(crate) fn words(&self) -> BTreeSet<String> {
        self.names.iter().flat_map(Names::words).collect()
    }

    /// What may stand before the names of the stacks.
    pub(crate) fn prefixes(&self) -> &'static [&'static str] {
        self.family.prefixes
    }

    /// Whether a decoder begins with the last token of its text.
    pub(crate) fn begins_with_last(&self) -> bool {
        self.family.begins_with_last
    }

    /// What is fetched beside configuration and weights, where there is such a file.
    #[cfg_attr(not(feature = "hub"), allow(dead_code))]
    pub(crate) fn files(&self) -> &'static [&'static str] {
        self.family.files
    }
}

impl std::fmt::Debug for Stacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stacks")
            .field("first", &self.first)
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

/// The name, in files, of the matrix that logits are products with, where it is not the word
/// embeddings.
pub(crate) const HEAD: &str = "lm_head.weight";

/// Every `model_type` of `config.json` that can be read, families together.
pub fn model_types() -> impl Iterator<Item = &'static str> {
    FAMILIES
        .iter()
        .flat_map(|family| family.model_types)
        .copied()
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
    let is_of = |family: &&&Family| family.model_types.contains(&model_type);
    let Some(family) = FAMILIES.iter().find(is_of) else {
        return Err(Error::UnsupportedModel {
            model_type: model_type.into(),
        });
    };
    config.refuse_variants()?;
    let tied_head = config.switch("tie_word_embeddings", true)?;
    let (first, decoder, names) = match (family.read)(config, model_type)? {
        Read::Stack(stack) => (stack, None, family.names),
        Read::Named(stack, names) => (stack, None, names),
        Read::EncoderDecoder(stacks) => {
            let [encoder, decoder] = *stacks;
            (encoder, Some(decoder), family.names)
        }
    };
    let shared_words = match decoder {
        Some(_) => tied_head && encoder_decoder::shares_embeddings(config)?,
        None => true,
    };
    let mut stacks = Stacks {
        family,
        names,
        first,
        decoder,
        tied_head,
        shared_words,
        unknown_keys: Vec::new(),
        default_sizes: Vec::new(),
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
    if stacks.first.causal {
        // Decoders are decoders whatever it says.
        config.switch("is_decoder", true)?;
    } else if DECODERS_TOO.contains(&stacks.first.model_type.as_str()) {
        if config.switch("is_decoder", false)? {
            look(&mut stacks.first, Band::CAUSAL)?;
        }
    } else {
        config.require(
            "is_decoder",
            false,
            "models of this type are not supported as decoders alone",
        )?;
    }
    let is_causal = stacks.first.causal;
    if stacks.decoder.is_some() {
        // Its own translations would depend on how many tokens are made at a time.
        return config.require(
            "is_causal",
            true,
            "a translation model whose decoder looks both ways is not supported",
        );
    }
    // Encoders look both ways whatever it says.
    if !config.switch("is_causal", true)? && is_causal {
        look(&mut stacks.first, Band::ALL)?;
    }
    Ok(())
}

/// Encoders that are decoders where their configuration says so.
const DECODERS_TOO: [&str; 6] = [
    "bert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "electra",
    "xlm-roberta-xl",
];

/// Lets every token see all others, or what comes before it.
fn look(stack: &mut Architecture, band: Band) -> Result<(), Error> {
    for kind in &mut stack.wiring.layers.kinds {
        for block in &mut kind.blocks {
            if let Sublayer::Attention(attention) = &mut block.sublayer {
                if attention.band.back.is_some() {
                    return Err(Error::UnsupportedVariant {
                        field: "is_causal",
                        value: "false".into(),
                        reason: "a decoder with windows that looks both ways is not supported",
                    });
                }
                attention.band = band;
            }
        }
    }
    stack.causal = band == Band::CAUSAL;
    Ok(())
}

/// ALiBi's slopes of so many heads: listed, so that there may not be any number of them.
fn slopes(heads: usize, field: &'static str) -> Result<Vec<f64>, Error> {
    const MOST: usize = 4096;
    match heads {
        1..=MOST => Ok(alibi_slopes(heads)),
        _ => Err(Error::InvalidField {
            field,
            value: heads.to_string(),
            expected: "at most 4096 with ALiBi",
        }),
    }
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
        ..
    } = architecture;
    if pad_token_id as usize >= vocab_size {
        return Err(Error::InvalidField {
            field: "pad_token_id",
            value: pad_token_id.to_string(),
            expected: "below vocab_size",
        });
    }
    Ok(())
}
