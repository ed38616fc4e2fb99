use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::ModelAndText;

/// Analysis files, or a model and a text.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["files", "model"]))]
#[command(group = ArgGroup::new("source_text").args(["text", "input_ids"]).requires("model"))]
pub(crate) struct ReportArgs {
    /// What `headwater analyze --output` wrote, one file a text, all by one model
    #[arg(
        value_name = "ANALYSIS.safetensors",
        conflicts_with_all = ["model", "revision", "dtype", "text", "input_ids", "device", "bias_treatment"]
    )]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) model: ModelAndText,

    /// The page to write
    #[arg(long, short, value_name = "FILE.html", help_heading = "Output")]
    pub(crate) output: PathBuf,

    /// Above the page [default: the text, or the name of the only file]
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    pub(crate) title: Option<String>,
}
