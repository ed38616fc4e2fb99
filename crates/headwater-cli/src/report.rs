//! `headwater report`.

use std::process::ExitCode;

use headwater::Request;
use headwater_report::Report;

use crate::args::ReportArgs;
use crate::outputs::{Kind, Reads};
use crate::progress::Verbosity;
use crate::source;

pub(crate) fn run(args: &ReportArgs, verbosity: Verbosity) -> anyhow::Result<ExitCode> {
    let mut reads = Reads::default();
    for file in &args.files {
        reads = reads.file("the command", file);
    }
    if let Some(model) = &args.model.model {
        reads = reads.model(model.as_ref());
    }
    reads.check(&args.output, Kind::Page)?;
    let mut report = Report::new();
    if let Some(title) = &args.title {
        report = report.title(title);
    }
    for file in &args.files {
        source::check_file(file)?;
        report.add_file(file)?;
    }
    if args.files.is_empty() {
        let request = Request::new().quantities(Report::quantities());
        let analysis = source::analysis(&args.model, request, verbosity)?;
        let text = args.model.text.text.clone();
        report.add(
            text.unwrap_or_else(|| analysis.input.readable_tokens().join(" ")),
            analysis,
        );
    }
    report.write(&args.output)?;
    Ok(ExitCode::SUCCESS)
}
