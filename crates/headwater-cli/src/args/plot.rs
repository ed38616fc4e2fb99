use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use headwater::{LayerArray, MixingMeasure, Scope, Stack};

use super::ModelAndText;
use crate::lists::{Measure, OneScope};

#[derive(Debug, Args)]
pub(crate) struct PlotArgs {
    #[command(subcommand)]
    pub(crate) what: Plot,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plot {
    /// A map of targets to sources: norms at a scope, weighted norms or attention weights
    Map(MapArgs),
    /// Mixing ratios, a row a layer and a column a token
    Mixing(MixingArgs),
    /// What lies between two scopes: both maps and their difference
    Change(ChangeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MapArgs {
    #[command(flatten)]
    pub(crate) source: PlotSource,

    /// The layer, from 0; may be left out if there is only one
    #[arg(long, value_name = "N", help_heading = "Picture")]
    pub(crate) layer: Option<usize>,

    /// What the map shows
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Picture",
        value_enum,
        default_value = "norms"
    )]
    pub(crate) quantity: MapQuantity,

    /// The scope of the norms [default: the longest there is]
    #[arg(long, value_name = "SCOPE", help_heading = "Picture")]
    pub(crate) scope: Option<OneScope>,

    /// The head, from 0, of weights or weighted norms [default: their mean]
    #[arg(long, value_name = "N", help_heading = "Picture")]
    pub(crate) head: Option<usize>,

    /// Divide each row by its sum
    #[arg(long, help_heading = "Picture")]
    pub(crate) shares: bool,

    /// Leave the diagonal white, so that the colours serve the rest
    #[arg(long, help_heading = "Picture")]
    pub(crate) without_diagonal: bool,

    #[command(flatten)]
    pub(crate) picture: PictureArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MixingArgs {
    #[command(flatten)]
    pub(crate) source: PlotSource,

    /// What it is measured on: a scope, attn_w or attn_res_w [default: the longest scope there is]
    #[arg(long, value_name = "NAME", help_heading = "Picture")]
    pub(crate) measure: Option<Measure>,

    #[command(flatten)]
    pub(crate) picture: PictureArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) source: PlotSource,

    /// The layer, from 0; may be left out if there is only one
    #[arg(long, value_name = "N", help_heading = "Picture")]
    pub(crate) layer: Option<usize>,

    /// The scope before
    #[arg(long, value_name = "SCOPE", help_heading = "Picture")]
    pub(crate) from: OneScope,

    /// The scope after
    #[arg(long, value_name = "SCOPE", help_heading = "Picture")]
    pub(crate) to: OneScope,

    /// Divide each row by its sum, so that scopes before and after a normalization compare
    #[arg(long, help_heading = "Picture")]
    pub(crate) shares: bool,

    /// Leave the diagonal white, so that the colours serve the rest
    #[arg(long, help_heading = "Picture")]
    pub(crate) without_diagonal: bool,

    #[command(flatten)]
    pub(crate) picture: PictureArgs,
}

/// An analysis file, or a model and a text.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["file", "model"]))]
#[command(group = ArgGroup::new("source_text").args(["text", "input_ids"]).requires("model"))]
pub(crate) struct PlotSource {
    /// What `headwater analyze --output` wrote
    #[arg(
        value_name = "ANALYSIS.safetensors",
        conflicts_with_all = ["model", "revision", "dtype", "text", "input_ids", "device", "bias_treatment"]
    )]
    pub(crate) file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) model: ModelAndText,

    /// Which layers of a translation model
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Picture")]
    pub(crate) stack: Option<StackName>,
}

/// How a picture looks and where it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct PictureArgs {
    /// The file to draw: its name ends in .svg or .png
    #[arg(long, short, value_name = "FILE.svg|FILE.png")]
    pub(crate) output: PathBuf,

    /// Above the picture, in place of a description; "" for nothing
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,

    /// Width in millimetres [default: what the labels need, up to 128 tokens]
    #[arg(long, value_name = "MM")]
    pub(crate) width: Option<f64>,

    /// Size of the text in points
    #[arg(long, value_name = "PT", default_value = "8")]
    pub(crate) font_size: f64,

    /// Dots an inch of a PNG file [default: 300]
    #[arg(long, value_name = "DPI")]
    pub(crate) dpi: Option<f64>,
}

/// What a map can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum MapQuantity {
    Norms,
    WeightedNorms,
    AttentionWeights,
    CrossWeightedNorms,
    CrossAttentionWeights,
}

impl MapQuantity {
    /// The array; none for norms, which need a scope.
    pub(crate) fn array(self) -> Option<LayerArray> {
        match self {
            MapQuantity::Norms => None,
            MapQuantity::WeightedNorms => Some(LayerArray::WeightedNorms),
            MapQuantity::AttentionWeights => Some(LayerArray::AttentionWeights),
            MapQuantity::CrossWeightedNorms => Some(LayerArray::CrossWeightedNorms),
            MapQuantity::CrossAttentionWeights => Some(LayerArray::CrossAttentionWeights),
        }
    }
}

/// The stacks of a translation model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StackName {
    Encoder,
    Decoder,
}

impl From<StackName> for Stack {
    fn from(name: StackName) -> Self {
        match name {
            StackName::Encoder => Stack::Encoder,
            StackName::Decoder => Stack::Decoder,
        }
    }
}

impl MixingArgs {
    pub(crate) fn measure(&self) -> Option<MixingMeasure> {
        self.measure.as_ref().map(|measure| measure.0)
    }
}

impl MapArgs {
    pub(crate) fn scope(&self) -> Option<Scope> {
        self.scope.as_ref().map(|scope| scope.0)
    }
}
