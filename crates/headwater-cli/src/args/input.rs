use clap::Args;
use headwater::Input;

use crate::lists::Ids;
use crate::subject::Given;

/// One text, or the ids of one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Text")]
pub(crate) struct InputArgs {
    /// The text to analyze
    #[arg(long, short, allow_hyphen_values = true)]
    pub(crate) text: Option<String>,

    /// The second text of a pair
    #[arg(
        long,
        value_name = "TEXT",
        requires = "text",
        conflicts_with = "input_ids",
        allow_hyphen_values = true
    )]
    pub(crate) text_pair: Option<String>,

    /// The translation, for translation models [default: the model's own]
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        conflicts_with = "text_pair"
    )]
    pub(crate) target: Option<String>,

    /// What the decoder of a translation model reads, its start token first
    #[arg(
        long,
        value_name = "IDS",
        conflicts_with_all = ["target", "text_pair"],
        allow_hyphen_values = true
    )]
    pub(crate) decoder_input_ids: Option<Ids>,

    /// Token ids as they are, special tokens included: 101,7592,102
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    pub(crate) input_ids: Option<Ids>,

    /// Token type ids, one a token [default: all 0]
    #[arg(
        long,
        value_name = "IDS",
        requires = "input_ids",
        conflicts_with = "text"
    )]
    pub(crate) token_type_ids: Option<Ids>,
}

impl InputArgs {
    /// What was given, if anything was.
    pub(crate) fn given(&self) -> Option<Given> {
        let target = match (&self.target, &self.decoder_input_ids) {
            (Some(text), _) => Some(Input::Text(text.clone())),
            (None, Some(ids)) => Some(Input::from(ids.0.clone())),
            (None, None) => None,
        };
        let input = self.input()?;
        Some(Given { input, target })
    }

    fn input(&self) -> Option<Input> {
        match (&self.text, &self.text_pair, &self.input_ids) {
            (Some(text), Some(pair), _) => Some(Input::Pair(text.clone(), pair.clone())),
            (Some(text), None, _) => Some(Input::Text(text.clone())),
            (None, _, Some(ids)) => Some(Input::Ids {
                input_ids: ids.0.clone(),
                token_type_ids: self.token_type_ids.as_ref().map(|ids| ids.0.clone()),
            }),
            (None, _, None) => None,
        }
    }
}
