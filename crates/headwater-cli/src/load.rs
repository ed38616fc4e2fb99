//! Loading a model and running it, with progress.

use std::path::Path;
use std::sync::atomic::Ordering;

use headwater::checkpoint::{Checkpoint, HubOptions};
use headwater::{Analysis, DeviceName, Request, Translator};

use crate::args::{LanguageArgs, ModelArgs, ModelOptions};
use crate::failure::BadInput;
use crate::output;
use crate::progress::{self, Bar, Verbosity};
use crate::subject::{Encoded, Subject};

/// Opens and loads a model with one stack of layers or a translation model.
///
/// # Errors
/// A revision of a directory, and whatever is wrong with the model.
pub(crate) fn subject(
    model: &str,
    options: &ModelOptions,
    device: DeviceName,
    verbosity: Verbosity,
) -> anyhow::Result<Subject> {
    let checkpoint = checkpoint(model, options, verbosity)?;
    // Every analysis has it in its metadata.
    checkpoint.begin_weights_sha256();
    let _bar = loading(&checkpoint, verbosity);
    Ok(Subject::from_checkpoint(checkpoint, device, options.dtype)?)
}

/// Opens and loads a translation model.
///
/// # Errors
/// As [`subject`], and a language that the model does not mark.
pub(crate) fn translator(
    model: &ModelArgs,
    languages: &LanguageArgs,
    device: DeviceName,
    verbosity: Verbosity,
) -> anyhow::Result<Translator> {
    let checkpoint = checkpoint(&model.model, &model.options, verbosity)?;
    let _bar = loading(&checkpoint, verbosity);
    let translator = Translator::from_checkpoint(checkpoint, device, model.options.dtype)?;
    Ok(languages.of(translator)?)
}

/// A bar over the bytes of a model's parameters.
fn loading(checkpoint: &Checkpoint, verbosity: Verbosity) -> Bar {
    let parameters = checkpoint.parameters().iter();
    let bytes = parameters.map(|parameter| {
        // Each part of a tensor is cut from all of it.
        let elements: usize = parameter.shape_in_file.iter().product();
        (elements * parameter.dtype.bitsize() / 8) as u64
    });
    let what = format!("loading {}", checkpoint.name());
    Bar::follow(verbosity, &what, Some(bytes.sum()), checkpoint.bytes_read())
}

/// Opens a model without loading it.
///
/// # Errors
/// As [`subject`].
pub(crate) fn checkpoint(
    model: &str,
    options: &ModelOptions,
    verbosity: Verbosity,
) -> anyhow::Result<Checkpoint> {
    if options.revision.is_some() && Path::new(model).is_dir() {
        let message =
            format!("--revision is for models from the hub, but --model {model} is a directory");
        return Err(BadInput(message).into());
    }
    let mut hub = HubOptions::new().progress(verbosity == Verbosity::Normal);
    hub.revision.clone_from(&options.revision);
    let checkpoint = Checkpoint::open(model, &hub).map_err(headwater::Error::from)?;
    if verbosity == Verbosity::Normal {
        for warning in checkpoint.warnings() {
            output::warn(warning);
        }
    }
    Ok(checkpoint)
}

/// A bar over the layers that a request runs.
///
/// # Errors
/// A layer that the model does not have, and unreadable weights, whose hash
/// goes into every analysis.
pub(crate) fn layers(
    subject: &Subject,
    request: &Request,
    verbosity: Verbosity,
) -> anyhow::Result<Bar> {
    let checkpoint = subject.checkpoint();
    let used = checkpoint.parameters().iter();
    let bytes: usize = used
        .map(|used| used.shape.iter().product::<usize>() * used.dtype.bitsize() / 8)
        .sum();
    let hashed = checkpoint.bytes_hashed();
    let left = (bytes as u64).saturating_sub(hashed.load(Ordering::Relaxed));
    let hashing = Bar::follow(verbosity, "hashing the weights", Some(left), hashed);
    subject.weights_sha256()?;
    drop(hashing);
    let last = request.layers_of(subject.n_layers())?.last().copied();
    let stacks = std::iter::once(checkpoint.architecture()).chain(checkpoint.decoder());
    let total: usize = stacks
        .map(|stack| stack.n_layers.min(last.map_or(0, |last| last + 1)))
        .sum();
    Ok(Bar::follow(
        verbosity,
        "layers",
        Some(total as u64),
        progress::layers_run(),
    ))
}

/// Analyzes one input in memory.
///
/// # Errors
/// As [`layers`], and a scope that the model does not have.
pub(crate) fn analyze(
    subject: &Subject,
    input: &Encoded,
    request: &Request,
    verbosity: Verbosity,
) -> anyhow::Result<Analysis> {
    let _bar = layers(subject, request, verbosity)?;
    Ok(subject.analyze(input, request)?)
}
