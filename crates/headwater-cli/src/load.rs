//! Loading a model and running it, with progress.

use std::path::Path;

use headwater::checkpoint::{Checkpoint, HubOptions, Layout};
use headwater::{Analysis, Analyzer, Request, TokenizedInput};

use crate::args::{ComputeArgs, ModelOptions};
use crate::failure::BadInput;
use crate::progress::{Bar, Verbosity};

/// Opens and loads a model.
///
/// # Errors
/// A revision of a directory, and whatever is wrong with the model.
pub(crate) fn analyzer(
    model: &str,
    options: &ModelOptions,
    compute: &ComputeArgs,
    verbosity: Verbosity,
) -> anyhow::Result<Analyzer> {
    let checkpoint = checkpoint(model, options, verbosity)?;
    let (name, read) = (checkpoint.name().to_owned(), checkpoint.bytes_read());
    let parameters = checkpoint.parameters().iter();
    let bytes = parameters.map(|parameter| {
        // Each part of a fused tensor is cut from all of it.
        let parts = match parameter.layout {
            Layout::Fused { parts, .. } => parts,
            _ => 1,
        };
        let elements: usize = parameter.shape.iter().product();
        (parts * elements * parameter.dtype.bitsize() / 8) as u64
    });
    let bar = Bar::follow(
        verbosity,
        &format!("loading {name}"),
        Some(bytes.sum()),
        read,
    );
    let analyzer = Analyzer::from_checkpoint(checkpoint, compute.device, options.dtype)?;
    drop(bar);
    Ok(analyzer)
}

/// Opens a model without loading it.
///
/// # Errors
/// As [`analyzer`].
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
    let hub = HubOptions {
        revision: options.revision.clone(),
        progress: verbosity == Verbosity::Normal,
        ..HubOptions::default()
    };
    Ok(Checkpoint::open(model, &hub).map_err(headwater::Error::from)?)
}

/// A bar over the layers that a request runs.
///
/// # Errors
/// A layer that the model does not have, and unreadable weights, whose hash
/// goes into every analysis.
pub(crate) fn layers(
    analyzer: &Analyzer,
    request: &Request,
    verbosity: Verbosity,
) -> anyhow::Result<Bar> {
    let checkpoint = analyzer.checkpoint();
    let used = checkpoint.parameters().iter();
    let bytes: usize = used
        .map(|used| used.shape.iter().product::<usize>() * used.dtype.bitsize() / 8)
        .sum();
    let hashing = Bar::follow(
        verbosity,
        "hashing the weights",
        Some(bytes as u64),
        checkpoint.bytes_read(),
    );
    analyzer.weights_sha256()?;
    drop(hashing);
    let n_layers = analyzer.model().architecture().n_layers;
    let last = request
        .layers_of(n_layers)?
        .last()
        .map_or(0, |last| last + 1);
    Ok(Bar::follow(
        verbosity,
        "layers",
        Some(last as u64),
        analyzer.layers_run(),
    ))
}

/// Analyzes one input in memory.
///
/// # Errors
/// As [`layers`], and a scope that the model does not have.
pub(crate) fn analyze(
    analyzer: &Analyzer,
    input: TokenizedInput,
    request: &Request,
    verbosity: Verbosity,
) -> anyhow::Result<Analysis> {
    let _bar = layers(analyzer, request, verbosity)?;
    let mut analyses = analyzer.analyze_tokenized(&[input], request)?;
    // One input, one analysis.
    Ok(analyses.remove(0))
}
