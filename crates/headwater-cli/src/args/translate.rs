use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use headwater::DeviceName;

use super::ModelArgs;

/// Which languages texts are in.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct LanguageArgs {
    /// The language of the sources, for models that mark it: en_XX with mBART
    #[arg(long, value_name = "CODE")]
    pub(crate) source_language: Option<String>,

    /// The language of the targets, for models that mark it: de_DE with mBART
    #[arg(long, value_name = "CODE")]
    pub(crate) target_language: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("sentences").required(true).args(["text", "source"]))]
pub(crate) struct TranslateArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) languages: LanguageArgs,

    /// The text to translate
    #[arg(long, short, help_heading = "Text", allow_hyphen_values = true)]
    pub(crate) text: Option<String>,

    /// A file of sentences, one a line; - reads standard input
    #[arg(long, short, value_name = "FILE", help_heading = "Text")]
    pub(crate) source: Option<PathBuf>,

    /// Beams; 1 is greedy [default: as the model's makers set it]
    #[arg(long, value_name = "N", help_heading = "Computation")]
    pub(crate) beams: Option<NonZeroUsize>,

    /// Where to compute
    #[arg(long, value_name = "NAME", help_heading = "Computation", default_value_t = DeviceName::ENABLED[0])]
    pub(crate) device: DeviceName,
}
