#![doc = include_str!("../README.md")]

mod align;
mod analyze;
mod args;
mod batches;
mod completions;
mod corpus;
mod failure;
mod inspect;
mod interrupt;
mod journal;
mod jsonl;
mod lines;
mod lists;
mod load;
mod models;
mod object;
mod output;
mod outputs;
mod pairs;
mod plot;
mod progress;
mod report;
mod source;
mod subject;
mod table;
mod tensors;
mod translate;
mod usage;
mod workers;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::args::Command;
use crate::progress::Verbosity;

fn main() -> ExitCode {
    headwater::prepare_process();
    progress::start();
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let arguments: Vec<OsString> = std::env::args_os().collect();
            output::report(&usage::line(&error, &arguments));
            return ExitCode::from(failure::BAD_INPUT);
        }
        // Help and version: clap prints them on standard output.
        Err(error) => error.exit(),
    };
    interrupt::handle();
    let verbosity = match cli.quiet {
        true => Verbosity::Quiet,
        false => Verbosity::Normal,
    };
    let outcome = match &cli.command {
        Command::Analyze(args) => analyze::run(args, verbosity),
        Command::Align(args) => align::run(args, verbosity),
        Command::Translate(args) => translate::run(args, verbosity),
        Command::Plot(args) => plot::run(args, verbosity),
        Command::Report(args) => report::run(args, verbosity),
        Command::Inspect(args) => inspect::run(args, verbosity),
        Command::Models(args) => models::run(args),
        Command::Completions(args) => completions::run(args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::report(&failure::one_line(&error));
            ExitCode::from(failure::exit_status(&error))
        }
    }
}
