use clap::Args;
use headwater::{BiasTreatment, DeviceName, Precision};

/// Which model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// A directory with config.json and model.safetensors, or a hub id
    #[arg(long, short, value_name = "DIR|HUB_ID")]
    pub(crate) model: String,

    #[command(flatten)]
    pub(crate) options: ModelOptions,
}

/// How the model is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelOptions {
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long)]
    pub(crate) revision: Option<String>,

    /// Element type of the computation: f32 or f64
    #[arg(long, value_name = "TYPE", default_value_t = Precision::F32)]
    pub(crate) dtype: Precision,
}

/// How an analysis is computed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Computation")]
pub(crate) struct ComputeArgs {
    /// Where to compute
    #[arg(long, value_name = "NAME", default_value_t = DeviceName::ENABLED[0])]
    pub(crate) device: DeviceName,

    /// What the bias is to the feed-forward block: one more player, or fixed inside the activation
    #[arg(long, value_name = "player|fixed", default_value_t)]
    pub(crate) bias_treatment: BiasTreatment,
}
