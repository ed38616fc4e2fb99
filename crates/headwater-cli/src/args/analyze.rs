use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use headwater::Store;

use super::{ComputeArgs, InputArgs, LanguageArgs, ModelArgs};
use crate::lists::{Layers, Quantities, Scopes};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["text", "input_ids", "input"]))]
pub(crate) struct AnalyzeArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) languages: LanguageArgs,

    #[command(flatten)]
    pub(crate) text: InputArgs,

    /// JSON lines of {"id", "text", "text_pair"} or {"id", "input_ids", "token_type_ids"}, for
    /// translation models with "target" or "decoder_input_ids"; - reads standard input
    #[arg(
        long,
        value_name = "FILE.jsonl",
        help_heading = "Text",
        requires = "output",
        conflicts_with_all = ["text_pair", "token_type_ids", "target", "decoder_input_ids"]
    )]
    pub(crate) input: Option<PathBuf>,

    /// Inputs that are analyzed together
    #[arg(
        long,
        value_name = "N",
        help_heading = "Text",
        requires = "input",
        conflicts_with_all = ["text", "input_ids"],
        default_value = "8"
    )]
    pub(crate) batch_size: NonZeroUsize,

    #[arg(
        long,
        value_name = "LIST",
        help = quantities_help(),
        help_heading = "Computation",
        default_value = "all"
    )]
    pub(crate) quantities: Quantities,

    /// Scopes, with commas between them: attn, attn_res, atb, atb_ff, atb_ff_res, atb_ff_res_ln (post-LN models such as
    /// BERT), attn, atb, atb_ln, atb_ln_ff, atb_ln_ff_res (pre-LN models such as GPT-2), all
    #[arg(
        long,
        value_name = "LIST",
        help_heading = "Computation",
        default_value = "all"
    )]
    pub(crate) scopes: Scopes,

    /// Layers, counted from 0: 0,3-5 [default: every layer]
    #[arg(
        long,
        value_name = "LIST",
        help_heading = "Computation",
        allow_hyphen_values = true
    )]
    pub(crate) layers: Option<Layers>,

    /// Also keep the hidden states
    #[arg(long, help_heading = "Computation")]
    pub(crate) hidden_states: bool,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// The .safetensors file to write; with --input the directory
    #[arg(long, short, value_name = "FILE|DIR", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Element type in the file: f32, or f16 for half the size and about three digits
    /// [default: as computed]
    #[arg(
        long,
        value_name = "TYPE",
        help_heading = "Output",
        requires = "output"
    )]
    pub(crate) store: Option<Store>,

    /// Print JSON in place of a table
    #[arg(long, help_heading = "Output", conflicts_with = "output")]
    pub(crate) json: bool,
}

/// The names are those of the library's table.
fn quantities_help() -> String {
    let names = headwater::Quantity::ALL.map(headwater::Quantity::name);
    let names = names.join(", ");
    format!("What to compute, with commas between: {names}, all")
}
