#![doc = include_str!("../README.md")]

mod analyze;
mod args;
mod corpus;
mod failure;
mod inspect;
mod jsonl;
mod leftovers;
mod lists;
mod memory;
mod output;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            output::report(&failure::usage_line(&error.render().to_string()));
            return ExitCode::from(failure::BAD_INPUT);
        }
        // Help and version: clap prints them on standard output.
        Err(error) => error.exit(),
    };
    let outcome = match &cli.command {
        Command::Analyze(args) => analyze::run(args),
        Command::Inspect(args) => inspect::run(args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::report(&failure::one_line(&error));
            ExitCode::from(failure::exit_status(&error))
        }
    }
}
