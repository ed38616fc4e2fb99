//! Finding an architecture's tensors among those of a file.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Parameter;
use crate::families::{self, Expected, Table};
use crate::nearest::nearest;
use crate::weights::Entry;
use crate::{Architecture, Error, HostTensor};

/// Finds every tensor of the architecture and checks its shape and type.
pub(crate) fn resolve(
    architecture: &Architecture,
    tensors: &BTreeMap<String, Entry>,
) -> Result<Vec<Parameter>, Error> {
    let table = families::table(architecture.family);
    let prefix = prefix(table, architecture, tensors);
    let mut parameters = Vec::new();
    for Expected {
        canonical,
        spellings,
        shape,
        layout,
    } in table.expected(architecture)
    {
        let names: Vec<String> = spellings
            .iter()
            .map(|name| format!("{prefix}{name}"))
            .collect();
        let Some((name, entry)) = names.iter().find_map(|name| tensors.get_key_value(name)) else {
            return Err(missing(&names[0], prefix, architecture, tensors));
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
    Ok(parameters)
}

/// The prefix that the file uses, which its word embeddings show; else the usual one.
fn prefix(
    table: &Table,
    architecture: &Architecture,
    tensors: &BTreeMap<String, Entry>,
) -> &'static str {
    let words = table.expected(architecture).next();
    let found = words.and_then(|words| {
        let is_used = |prefix: &&&str| {
            let mut names = words.spellings.iter().map(|name| format!("{prefix}{name}"));
            names.any(|name| tensors.contains_key(&name))
        };
        table.prefixes.iter().find(is_used)
    });
    found.unwrap_or(&table.prefixes[0])
}

/// The error for a tensor that is not there, with the most similar name that is.
fn missing(
    name: &str,
    prefix: &str,
    architecture: &Architecture,
    tensors: &BTreeMap<String, Entry>,
) -> Error {
    // A name that another parameter goes by was not meant here. The file
    // bounds the layers looked at, because the configuration may not.
    let n_layers = architecture.n_layers.min(tensors.len());
    let architecture = Architecture {
        n_layers,
        ..architecture.clone()
    };
    let expected = families::table(architecture.family).expected(&architecture);
    let taken: BTreeSet<String> = expected
        .flat_map(|tensor| tensor.spellings)
        .map(|name| format!("{prefix}{name}"))
        .collect();
    let free = tensors.keys().filter(|&name| !taken.contains(name));
    let nearest = nearest(name, free.map(String::as_str));
    Error::MissingTensor {
        name: name.to_owned(),
        nearest,
    }
}
