use std::num::NonZeroUsize;

use clap::Args;

use super::ModelArgs;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Tokens of the text whose memory is estimated [default: 512, or as many as the model takes]
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub(crate) tokens: Option<NonZeroUsize>,

    /// List the tensors of every layer, not one line for those that are alike
    #[arg(long, help_heading = "Output", conflicts_with = "json")]
    pub(crate) tensors: bool,

    /// Print JSON in place of text, with every tensor
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}
