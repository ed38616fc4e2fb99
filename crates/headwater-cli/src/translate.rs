//! `headwater translate`: a translation model's own output, one line a text.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use headwater::Input;

use crate::args::TranslateArgs;
use crate::failure::BadInput;
use crate::load;
use crate::output;
use crate::progress::Verbosity;

pub(crate) fn run(args: &TranslateArgs, verbosity: Verbosity) -> anyhow::Result<ExitCode> {
    // What is wrong with the file is said before a model is loaded.
    let lines = args.source.as_deref().map(open).transpose()?;
    let translator = load::translator(&args.model, &args.languages, args.device, verbosity)?;
    let beams = args.beams.map(usize::from);
    let translate = |text: &str| -> anyhow::Result<()> {
        let translation = translator.translate(&Input::from(text), beams)?;
        let text = translator.decode(&translation)?;
        output::print(|out| writeln!(out, "{text}"))
    };
    match (lines, &args.text) {
        (Some(lines), _) => {
            for (index, line) in lines.lines().enumerate() {
                let line = line.context("cannot read --source")?;
                translate(&line).with_context(|| format!("line {}", index + 1))?;
            }
        }
        (None, Some(text)) => translate(text)?,
        (None, None) => unreachable!("clap lets no call through without a text"),
    }
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> anyhow::Result<BufReader<Box<dyn Read>>> {
    if path == Path::new("-") {
        return Ok(BufReader::new(Box::new(std::io::stdin())));
    }
    let unreadable = || BadInput(format!("cannot read --source {}", path.display()));
    let file = std::fs::File::open(path).with_context(unreadable)?;
    Ok(BufReader::new(Box::new(file)))
}
