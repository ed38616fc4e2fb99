//! What of a checkpoint is passed over, and whether that may be done without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::UnusedTensor;
use crate::config::ADAPTER;
use crate::families::Stacks;
use crate::resolve::Prefix;
use crate::weights::Entry;
use crate::{Architecture, Error};

/// How many names a warning lists.
const MAX_NAMES: usize = 6;

/// How parts of names begin that low-rank pieces, bottleneck adapters and learned prompts have, in
/// the libraries that add them to models.
const ADAPTER_PARTS: [&str; 16] = [
    "adapter",
    "adaption_",
    "base_layer",
    "boft_",
    "hada_",
    "ia3_",
    "loha_",
    "lokr_",
    "lora",
    "modules_to_save",
    "oft_",
    "original_module",
    "prefix_tuning",
    "prompt_embeddings",
    "prompt_encoder",
    "vera_",
];

/// Masks and indices that files hold beside parameters: how their names end.
const BUFFERS: [&str; 9] = [
    "position_ids",
    "token_type_ids",
    "rotary_emb.inv_freq",
    "attn.bias",
    "attn.masked_bias",
    "attention.bias",
    "attention.masked_bias",
    "EncDecAttention.relative_attention_bias.weight",
    "version",
];

/// Whether a name is another one, or ends with it behind a dot.
fn ends_with(name: &str, end: &str) -> bool {
    name.strip_suffix(end)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Refuses weights to which an adapter is added: alone they are another model.
pub(crate) fn refuse_adapters(
    directory: &Path,
    tensors: &BTreeMap<String, Entry>,
) -> Result<(), Error> {
    if directory.join(ADAPTER).is_file() {
        let what = format!("{ADAPTER} beside the weights");
        return Err(Error::Adapter { what });
    }
    let is_adapter = |name: &&String| {
        name.split('.')
            .any(|part| ADAPTER_PARTS.iter().any(|start| part.starts_with(start)))
    };
    match tensors.keys().find(is_adapter) {
        Some(name) => Err(Error::Adapter {
            what: format!("tensor {name:?}"),
        }),
        None => Ok(()),
    }
}

/// The line about keys that no class knows.
pub(crate) fn unknown_keys(stacks: &Stacks) -> Option<String> {
    let keys = stacks.unknown_keys.iter().map(|key| format!("{key:?}"));
    let keys = listed(keys.collect())?;
    let Architecture { model_type, .. } = &stacks.first;
    Some(format!(
        "config.json has keys that no {model_type} knows and that are passed over: {keys}"
    ))
}

/// The line about tensors that lie where parameters of the stacks do and are none.
pub(crate) fn within_the_stacks(
    stacks: &Stacks,
    prefix: &Prefix,
    unused: &[UnusedTensor],
) -> Option<String> {
    let first_part = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    // One layer shows how all of them are called.
    let one = stacks.with_layers(|n_layers| n_layers.min(1));
    let spellings = one.expected().flat_map(|tensor| tensor.spellings);
    let places: BTreeSet<String> = spellings
        .filter(|spelling| spelling.prefixed)
        .map(|spelling| first_part(&spelling.name))
        .collect();
    let words = stacks.words();
    let mut patterns: BTreeMap<String, usize> = BTreeMap::new();
    for UnusedTensor { name, .. } in unused {
        let Some(behind) = prefix.strip(name) else {
            continue;
        };
        let is_silent = BUFFERS.iter().any(|end| ends_with(name, end))
            || name.contains("mask_predictions.")
            || words.contains(behind);
        if !is_silent && places.contains(&first_part(behind)) {
            *patterns.entry(pattern(name)).or_default() += 1;
        }
    }
    let names = patterns.iter().map(|(pattern, &number)| match number {
        1 => format!("{pattern:?}"),
        number => format!("{pattern:?} ({number})"),
    });
    let names = listed(names.collect())?;
    let Architecture { model_type, .. } = &stacks.first;
    Some(format!(
        "the weights have tensors within layers or embeddings that a {model_type} does not use and \
         that are passed over: {names}"
    ))
}

/// The name with a star for each number of a layer.
fn pattern(name: &str) -> String {
    let parts = name.split('.');
    let starred = parts.map(|part| match part.parse::<usize>() {
        Ok(_) => "*",
        Err(_) => part,
    });
    starred.collect::<Vec<_>>().join(".")
}

/// Some of the names, and how many more there are; `None` where there are none.
fn listed(names: Vec<String>) -> Option<String> {
    let more = names.len().saturating_sub(MAX_NAMES);
    let shown = names[..names.len() - more].join(", ");
    match (names.len(), more) {
        (0, _) => None,
        (_, 0) => Some(shown),
        _ => Some(format!("{shown} and {more} more")),
    }
}
