//! The command line.

mod align;
mod analyze;
mod completions;
mod help;
mod input;
mod inspect;
mod model;
mod models;
mod plot;
mod report;
mod source;
mod translate;

pub(crate) use align::{AlignArgs, RateFormat};
pub(crate) use analyze::AnalyzeArgs;
pub(crate) use completions::CompletionsArgs;
pub(crate) use help::example;
pub(crate) use input::InputArgs;
pub(crate) use inspect::InspectArgs;
pub(crate) use model::{ComputeArgs, ModelArgs, ModelOptions};
pub(crate) use models::ModelsArgs;
pub(crate) use plot::{ChangeArgs, MapArgs, MixingArgs, PictureArgs, Plot, PlotArgs, PlotSource};
pub(crate) use report::ReportArgs;
pub(crate) use source::ModelAndText;
pub(crate) use translate::{LanguageArgs, TranslateArgs};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Trace every token representation inside a Transformer back to the tokens it was made from.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, styles = help::STYLES)]
#[command(subcommand_required = true, arg_required_else_help = false)]
#[command(max_term_width = 100)]
pub(crate) struct Cli {
    /// Print nothing but results and errors: no progress, no summary
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Decompose the layers of a model over one text or a file of texts
    Analyze(Box<AnalyzeArgs>),
    /// Link the words of texts and of their translations, by a translation model
    Align(Box<AlignArgs>),
    /// Print what a translation model makes of texts
    Translate(TranslateArgs),
    /// Draw a map, a table of mixing ratios or a change between scopes as SVG or PNG
    Plot(Box<PlotArgs>),
    /// Write an interactive page about one or several texts, to be opened in a browser
    Report(Box<ReportArgs>),
    /// Describe a model: its shape, its tensors, and the memory that an analysis needs
    Inspect(InspectArgs),
    /// List the model types that can be read, and what is verified for each
    Models(ModelsArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// The definition, with commands grouped by task and examples.
pub(crate) fn command() -> clap::Command {
    help::explained(Cli::command())
}

/// Reads the arguments of this process.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    fn refused(arguments: &[&str]) -> bool {
        let arguments = ["headwater", "analyze", "--model", "m"]
            .iter()
            .chain(arguments);
        Cli::try_parse_from(arguments).is_err()
    }

    #[test]
    fn contradictory_options_are_refused() {
        assert!(!refused(&["--text", "a"]));
        assert!(!refused(&["--text", "-a", "--text-pair", "-b", "--json"]));
        assert!(refused(&[]));
        assert!(refused(&["--text", "a", "--input-ids", "1"]));
        assert!(refused(&["--text", "a", "--input", "f", "--output", "d"]));
        assert!(refused(&["--text-pair", "a", "--input-ids", "1"]));
        assert!(refused(&["--text", "a", "--token-type-ids", "0"]));
        assert!(refused(&["--text", "a", "--batch-size", "2"]));
        assert!(refused(&[
            "--input",
            "f",
            "--output",
            "d",
            "--batch-size",
            "0"
        ]));
        assert!(refused(&["--input", "f"]));
        assert!(refused(&["--text", "a", "--store", "f16"]));
        assert!(refused(&["--text", "a", "--output", "f", "--json"]));
    }
}
