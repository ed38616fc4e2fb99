use std::path::PathBuf;

use clap::{ArgGroup, Args};
use headwater::{DeviceName, Error, Translator};

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

impl LanguageArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.source_language.is_none() && self.target_language.is_none()
    }

    /// The model for texts in these languages.
    ///
    /// # Errors
    /// A language that the model does not mark.
    pub(crate) fn of(&self, translator: Translator) -> Result<Translator, Error> {
        if self.is_empty() {
            return Ok(translator);
        }
        let [source, target] = [&self.source_language, &self.target_language];
        translator.with_languages(source.as_deref(), target.as_deref())
    }
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
    #[arg(long, value_name = "N", help_heading = "Computation",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) beams: Option<u16>,

    /// Where to compute
    #[arg(long, value_name = "NAME", help_heading = "Computation", default_value_t = DeviceName::ENABLED[0])]
    pub(crate) device: DeviceName,

    /// The file to write; run it again to go on where it stopped [default: standard output]
    #[arg(
        long,
        short,
        value_name = "FILE",
        help_heading = "Output",
        requires = "source",
        conflicts_with = "text"
    )]
    pub(crate) output: Option<PathBuf>,
}
