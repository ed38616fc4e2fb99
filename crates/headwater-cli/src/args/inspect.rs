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

    /// Print JSON in place of text
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}
