//! `headwater translate`: a translation model's own output, one line a text.

use std::process::ExitCode;

use anyhow::Context;
use headwater::Input;

use crate::args::TranslateArgs;
use crate::failure::BadInput;
use crate::lines::Lines;
use crate::load;
use crate::output;
use crate::progress::Verbosity;

pub(crate) fn run(args: &TranslateArgs, verbosity: Verbosity) -> anyhow::Result<ExitCode> {
    // What is wrong with the file is said before a model is loaded.
    let lines = args.source.as_deref();
    let lines = lines
        .map(|path| Lines::open("--source", path))
        .transpose()?;
    let translator = load::translator(&args.model, &args.languages, args.device, verbosity)?;
    let beams = args.beams.map(usize::from);
    let translate = |text: &str| -> anyhow::Result<()> {
        let translation = translator.translate(&Input::from(text), beams)?;
        let text = translator.decode(&translation)?;
        // A vocabulary of bytes has line breaks too.
        let text = text.replace(['\n', '\r'], " ");
        output::print(|out| writeln!(out, "{text}"))
    };
    match (lines, &args.text) {
        (Some(lines), _) => each(lines, translate)?,
        (None, Some(text)) => translate(text)?,
        (None, None) => unreachable!("clap lets no call through without a text"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Translates line by line, so that a pipe shows each as soon as it is there.
fn each(mut lines: Lines, translate: impl Fn(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut any = false;
    while let Some((number, line)) = lines.next_line().context("cannot read --source")? {
        line.map_err(anyhow::Error::from)
            .and_then(|line| {
                let text = String::from_utf8(line)
                    .map_err(|_| BadInput("not UTF-8; convert the file to UTF-8".to_owned()))?;
                translate(&text)
            })
            .with_context(|| format!("line {number}"))?;
        any = true;
    }
    if any {
        return Ok(());
    }
    Err(BadInput("--source has no line; give one sentence a line".to_owned()).into())
}
