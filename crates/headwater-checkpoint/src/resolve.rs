//! Finding an architecture's tensors among those of a file.

use std::collections::{BTreeMap, BTreeSet};

use crate::families::{Expected, HEAD, Stacks};
use crate::nearest::nearest;
use crate::weights::Entry;
use crate::wiring::tensors::Slot;
use crate::{Error, HostTensor, Parameter};

/// What programs put before the names of a model that they wrap.
const WRAPPERS: [&str; 2] = ["_orig_mod.", "module."];

/// Numbers of a table that follows from its size: 65,536 positions of 1,024.
const MAX_COMPUTED: usize = 1 << 26;

/// Tensors by which the prefix is looked for: the first may go by another name.
const SHOWING_THE_PREFIX: usize = 24;

/// What stands before the names of a file's tensors.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    /// Before all of them: nothing, or what a program left of its wrappers.
    wrapper: String,
    /// Before those of the stacks.
    stacks: &'static str,
}

impl Prefix {
    /// The prefix that the file uses, which the first tensors show; else the usual one.
    fn of(stacks: &Stacks, tensors: &BTreeMap<String, Entry>) -> Result<Self, Error> {
        let prefixes = stacks.prefixes();
        let shown = || {
            let first = stacks.expected().take(SHOWING_THE_PREFIX);
            let spellings = first.flat_map(|tensor| tensor.spellings);
            let own = spellings.filter(|spelling| spelling.prefixed);
            own.map(|spelling| spelling.name)
        };
        for name in shown() {
            let is_used = |prefix: &&&str| tensors.contains_key(&format!("{prefix}{name}"));
            if let Some(stacks) = prefixes.iter().find(is_used) {
                let wrapper = String::new();
                return Ok(Self { wrapper, stacks });
            }
        }
        for name in shown() {
            let end = format!(".{name}");
            let Some(found) = tensors.keys().find(|found| found.ends_with(&end)) else {
                continue;
            };
            let before = &found[..found.len() - name.len()];
            let known = prefixes
                .iter()
                .find_map(|prefix| Some((before.strip_suffix(prefix)?, prefix)));
            return match known {
                Some((wrapper, stacks)) if is_wrapper(wrapper) => Ok(Self {
                    wrapper: wrapper.to_owned(),
                    stacks,
                }),
                _ => Err(Error::ForeignPrefix {
                    prefix: before.to_owned(),
                    model_type: stacks.first.model_type.clone(),
                }),
            };
        }
        Ok(Self {
            wrapper: String::new(),
            stacks: prefixes[0],
        })
    }

    /// The name in the file; what belongs to the head has no prefix of its own.
    pub(crate) fn name(&self, name: &str, prefixed: bool) -> String {
        let stacks = if prefixed { self.stacks } else { "" };
        format!("{}{stacks}{name}", self.wrapper)
    }

    /// What the name is behind the prefix of the stacks; `None` for names without it.
    pub(crate) fn strip<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.wrapper)?.strip_prefix(self.stacks)
    }

    /// Every name that a parameter may have in the file, the usual one first.
    fn names(&self, parameter: &Expected) -> Vec<String> {
        let spellings = parameter.spellings.iter();
        spellings
            .map(|spelling| self.name(&spelling.name, spelling.prefixed))
            .collect()
    }
}

/// Whether nothing else than wrappers stands there.
fn is_wrapper(mut rest: &str) -> bool {
    while let Some(shorter) = WRAPPERS
        .iter()
        .find_map(|wrapper| rest.strip_prefix(wrapper))
    {
        rest = shorter;
    }
    rest.is_empty()
}

/// Parameters, and what stands before their names.
pub(crate) struct Resolved {
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) prefix: Prefix,
}

/// Finds every tensor of the stacks and checks its shape and type.
pub(crate) fn resolve(
    stacks: &Stacks,
    tensors: &BTreeMap<String, Entry>,
) -> Result<Resolved, Error> {
    let prefix = Prefix::of(stacks, tensors)?;
    let mut parameters = Vec::new();
    for parameter in stacks.expected() {
        let names = prefix.names(&parameter);
        let mut found = names.iter().zip(&parameter.spellings);
        let found = found.find_map(|(name, spelling)| {
            let (name, entry) = tensors.get_key_value(name)?;
            Some((name, entry, spelling))
        });
        let Some((name, entry, spelling)) = found else {
            if parameter.optional {
                if parameter.slot == Slot::Position {
                    refuse_too_large(&parameter.shape)?;
                }
                continue;
            }
            let usual = names.first().unwrap_or(&parameter.canonical);
            return Err(missing(usual, &prefix, stacks, tensors));
        };
        let name = name.clone();
        if entry.shape != spelling.stored {
            return Err(Error::ShapeMismatch {
                name,
                expected: spelling.stored.clone(),
                found: entry.shape.clone(),
                defaults: stacks.default_sizes.clone(),
            });
        }
        let dtype = entry.dtype;
        if !HostTensor::supports(dtype) {
            return Err(Error::UnsupportedDtype { name, dtype });
        }
        parameters.push(Parameter {
            name: parameter.canonical,
            name_in_file: name,
            shape: parameter.shape,
            shape_in_file: entry.shape.clone(),
            layout: spelling.layout,
            dtype,
        });
    }
    refuse_further_layers(stacks, &prefix, tensors, &parameters)?;
    Ok(Resolved { parameters, prefix })
}

/// Refuses a table of positions that would be computed: no file bounds its size.
fn refuse_too_large(shape: &[usize]) -> Result<(), Error> {
    let elements = shape
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size));
    if elements.is_some_and(|elements| elements <= MAX_COMPUTED) {
        return Ok(());
    }
    Err(Error::InvalidField {
        field: "max_position_embeddings",
        value: shape.first().copied().unwrap_or_default().to_string(),
        expected: "small enough for a table of 2^26 numbers, as the file has none",
    })
}

/// Refuses weights that go on behind the last layer of the configuration:
/// what would be computed is the start of another model.
fn refuse_further_layers(
    stacks: &Stacks,
    prefix: &Prefix,
    tensors: &BTreeMap<String, Entry>,
    parameters: &[Parameter],
) -> Result<(), Error> {
    let known: BTreeSet<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
    let longer = stacks.with_layers(|n_layers| n_layers + 1);
    let mut further = longer.expected();
    let further = further.find_map(|tensor| {
        if known.contains(tensor.canonical.as_str()) {
            return None;
        }
        let names = prefix.names(&tensor);
        names.into_iter().find(|name| tensors.contains_key(name))
    });
    match further {
        Some(name) => Err(Error::FurtherLayers { name }),
        None => Ok(()),
    }
}

/// The names of tables in the file that the configuration says are one.
pub(crate) fn tied(
    stacks: &Stacks,
    prefix: &Prefix,
    tensors: &BTreeMap<String, Entry>,
) -> Vec<String> {
    let words = stacks.tied();
    let head = (!words.is_empty()).then(|| prefix.name(HEAD, false));
    let words = words.iter().map(|name| prefix.name(name, true));
    let names = words.chain(head);
    names.filter(|name| tensors.contains_key(name)).collect()
}

/// The error for a tensor that is not there, with the most similar name that is.
fn missing(
    name: &str,
    prefix: &Prefix,
    stacks: &Stacks,
    tensors: &BTreeMap<String, Entry>,
) -> Error {
    // A name that another parameter goes by was not meant here. The file
    // bounds the layers looked at, because the configuration may not.
    let bounded = stacks.with_layers(|n_layers| n_layers.min(tensors.len()));
    let taken: BTreeSet<String> = bounded
        .expected()
        .flat_map(|tensor| prefix.names(&tensor))
        .collect();
    let free = tensors.keys().filter(|&name| !taken.contains(name));
    let nearest = nearest(name, free.map(String::as_str));
    Error::MissingTensor {
        name: name.to_owned(),
        nearest,
    }
}
