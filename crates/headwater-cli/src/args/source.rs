use clap::Args;

use super::{ComputeArgs, InputArgs, ModelOptions};

/// A model and a text, for commands that also read analysis files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelAndText {
    /// A directory with config.json and model.safetensors, or a hub id
    #[arg(long, short, value_name = "DIR|HUB_ID", requires = "source_text")]
    pub(crate) model: Option<String>,

    #[command(flatten)]
    pub(crate) options: ModelOptions,

    #[command(flatten)]
    pub(crate) text: InputArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
}
