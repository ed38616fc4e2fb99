//! Analyses for commands that show them: from a file, or computed.

use std::path::Path;

use anyhow::Context;
use headwater::{Analysis, Request};

use crate::args::ModelAndText;
use crate::failure::BadInput;
use crate::load;
use crate::progress::Verbosity;

/// Says how to get an analysis file that is not there.
///
/// # Errors
/// There is no such file.
pub(crate) fn check_file(file: &Path) -> Result<(), BadInput> {
    if file.exists() {
        return Ok(());
    }
    let file = file.display();
    let message = format!("there is no {file}; headwater analyze --output writes it");
    Err(BadInput(message))
}

/// Analyzes the text with the model.
///
/// # Errors
/// Whatever is wrong with either.
pub(crate) fn analysis(
    from: &ModelAndText,
    request: Request,
    verbosity: Verbosity,
) -> anyhow::Result<Analysis> {
    let name = from.model.as_deref();
    let name = name.context("clap lets no call through without a file or a model")?;
    let subject = load::subject(name, &from.options, from.compute.device, verbosity)?;
    let request = request.bias_treatment(from.compute.bias_treatment);
    let given = from.text.given();
    let input = subject.encode(&given.context("clap asks for a text with a model")?)?;
    load::analyze(&subject, &input, &request, verbosity)
}
