//! Finding an architecture's tensors among those of a file.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Parameter;
use crate::families::{Expected, Stacks};
use crate::nearest::nearest;
use crate::weights::Entry;
use crate::{Error, HostTensor};

/// Numbers of a table that follows from its size: 65,536 positions of 1,024.
const MAX_COMPUTED: usize = 1 << 26;

/// Finds every tensor of the stacks and checks its shape and type.
pub(crate) fn resolve(
    stacks: &Stacks,
    tensors: &BTreeMap<String, Entry>,
) -> Result<Vec<Parameter>, Error> {
    let prefix = prefix(stacks, tensors);
    let mut parameters = Vec::new();
    for Expected {
        canonical,
        spellings,
        shape,
        layout,
        head,
        optional,
    } in stacks.expected()
    {
        let names: Vec<String> = spellings
            .iter()
            .map(|name| in_file(name, prefix, head))
            .collect();
        let Some((name, entry)) = names.iter().find_map(|name| tensors.get_key_value(name)) else {
            if optional {
                refuse_too_large(&shape)?;
                continue;
            }
            return Err(missing(&names[0], prefix, stacks, tensors));
        };
        let name = name.clone();
        let expected = layout.shape_in_file(&shape);
        if entry.shape != expected {
            let found = entry.shape.clone();
            return Err(Error::ShapeMismatch {
                name,
                expected,
                found,
            });
        }
        let dtype = entry.dtype;
        if !HostTensor::supports(dtype) {
            return Err(Error::UnsupportedDtype { name, dtype });
        }
        parameters.push(Parameter {
            name: canonical,
            name_in_file: name,
            shape,
            layout,
            dtype,
        });
    }
    refuse_further_layers(stacks, prefix, tensors, &parameters)?;
    Ok(parameters)
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
    prefix: &str,
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
        let names = tensor.spellings.iter();
        names
            .map(|name| in_file(name, prefix, tensor.head))
            .find(|name| tensors.contains_key(name))
    });
    match further {
        Some(name) => Err(Error::FurtherLayers { name }),
        None => Ok(()),
    }
}

/// The name in the file; what belongs to the head has no prefix.
fn in_file(name: &str, prefix: &str, head: bool) -> String {
    let prefix = if head { "" } else { prefix };
    format!("{prefix}{name}")
}

/// The names of tables in the file that the configuration says are one.
pub(crate) fn tied(stacks: &Stacks, tensors: &BTreeMap<String, Entry>) -> Vec<String> {
    let names = stacks.tied(prefix(stacks, tensors)).into_iter();
    names.filter(|name| tensors.contains_key(name)).collect()
}

/// The prefix that the file uses, which its word embeddings show; else the usual one.
fn prefix(stacks: &Stacks, tensors: &BTreeMap<String, Entry>) -> &'static str {
    let words = stacks.expected().next();
    let found = words.and_then(|words| {
        let is_used = |prefix: &&&str| {
            let mut names = words.spellings.iter().map(|name| format!("{prefix}{name}"));
            names.any(|name| tensors.contains_key(&name))
        };
        stacks.prefixes().iter().find(is_used)
    });
    found.unwrap_or(&stacks.prefixes()[0])
}

/// The error for a tensor that is not there, with the most similar name that is.
fn missing(name: &str, prefix: &str, stacks: &Stacks, tensors: &BTreeMap<String, Entry>) -> Error {
    // A name that another parameter goes by was not meant here. The file
    // bounds the layers looked at, because the configuration may not.
    let bounded = stacks.with_layers(|n_layers| n_layers.min(tensors.len()));
    let taken: BTreeSet<String> = bounded
        .expected()
        .flat_map(|tensor| {
            let names = tensor.spellings.into_iter();
            names.map(move |name| in_file(&name, prefix, tensor.head))
        })
        .collect();
    let free = tensors.keys().filter(|&name| !taken.contains(name));
    let nearest = nearest(name, free.map(String::as_str));
    Error::MissingTensor {
        name: name.to_owned(),
        nearest,
    }
}
