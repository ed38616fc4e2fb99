//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use headwater::{BiasTreatment, DeviceName, Precision, Store};

use crate::lists::{Ids, Layers, Quantities, Scopes};

/// Trace every token representation inside a Transformer back to the tokens it was made from.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, color = clap::ColorChoice::Never)]
#[command(subcommand_required = true, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Decompose the layers of a model over one text or a file of texts
    Analyze(Box<AnalyzeArgs>),
    /// Describe a model: its shape, its tensors, and the memory that an analysis needs
    Inspect(InspectArgs),
}

/// Which model, and where it runs.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// A directory with config.json and model.safetensors, or a hub id
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) model: String,

    /// Branch, tag or commit on the hub [default: main]
    #[arg(long)]
    pub(crate) revision: Option<String>,

    /// Element type of the computation: f32 or f64
    #[arg(long, value_name = "TYPE", default_value_t = Precision::F32)]
    pub(crate) dtype: Precision,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["text", "input_ids", "input"]))]
pub(crate) struct AnalyzeArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// The text to analyze
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) text: Option<String>,

    /// The second text of a pair
    #[arg(
        long,
        value_name = "TEXT",
        requires = "text", conflicts_with_all = ["input_ids", "input"],
        allow_hyphen_values = true
    )]
    pub(crate) text_pair: Option<String>,

    /// Token ids as they are, special tokens included: 101,7592,102
    #[arg(long, value_name = "IDS")]
    pub(crate) input_ids: Option<Ids>,

    /// Token type ids, one a token [default: all 0]
    #[arg(long, value_name = "IDS", requires = "input_ids", conflicts_with_all = ["text", "input"])]
    pub(crate) token_type_ids: Option<Ids>,

    /// JSON lines of {"id", "text", "text_pair"} or {"id", "input_ids", "token_type_ids"}; - reads standard input
    #[arg(long, value_name = "FILE.jsonl", requires = "output")]
    pub(crate) input: Option<PathBuf>,

    /// Inputs that are analyzed together
    #[arg(long, value_name = "N", requires = "input", conflicts_with_all = ["text", "input_ids"], default_value = "8")]
    pub(crate) batch_size: NonZeroUsize,

    /// Scopes, with commas between them: attn, attn_res, atb, atb_ff, atb_ff_res, atb_ff_res_ln (post-LN models such as
    /// BERT), attn, atb, atb_ln, atb_ln_ff, atb_ln_ff_res (pre-LN models such as GPT-2), all
    #[arg(long, value_name = "LIST", default_value = "all")]
    pub(crate) scopes: Scopes,

    /// Layers, counted from 0: 0,3-5 [default: every layer]
    #[arg(long, value_name = "LIST")]
    pub(crate) layers: Option<Layers>,

    /// What to compute, with commas between: attention_weights, transformed_norms,
    /// weighted_norms, norms, mixing_ratio, bias_norms, reconstruction_error, all
    #[arg(long, value_name = "LIST", default_value = "all")]
    pub(crate) quantities: Quantities,

    /// What the bias is to the feed-forward block: one more player, or fixed inside the activation
    #[arg(long, value_name = "player|fixed", default_value_t)]
    pub(crate) bias_treatment: BiasTreatment,

    /// Also keep the hidden states
    #[arg(long)]
    pub(crate) hidden_states: bool,

    /// Where to compute
    #[arg(long, value_name = "NAME", default_value_t = DeviceName::ENABLED[0])]
    pub(crate) device: DeviceName,

    /// Element type in the file: f32, or f16 for half the size and about three digits
    /// [default: as computed]
    #[arg(long, value_name = "TYPE", requires = "output")]
    pub(crate) store: Option<Store>,

    /// The .safetensors file to write; with --input the directory
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Print JSON in place of a table
    #[arg(long, conflicts_with = "output")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Tokens of the text whose memory is estimated [default: 512, or as many as the model takes]
    #[arg(long, value_name = "N")]
    pub(crate) tokens: Option<NonZeroUsize>,

    /// Print JSON in place of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
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
