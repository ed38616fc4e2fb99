use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, ValueEnum};
use headwater::metrics::{AlignmentSetting, Symmetrization};
use headwater::{AlignmentMeasure, DeviceName};

use super::ModelArgs;
use super::translate::LanguageArgs;
use crate::failure::BadInput;
use crate::lists::Layers;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("sentences").required(true).args(["source", "input"]))]
pub(crate) struct AlignArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) languages: LanguageArgs,

    /// A file of sentences, one a line; - reads standard input
    #[arg(
        long,
        short,
        value_name = "FILE",
        help_heading = "Text",
        requires = "target"
    )]
    pub(crate) source: Option<PathBuf>,

    /// Their translations, line by line; `headwater translate` makes the model's own
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Text",
        requires = "source",
        conflicts_with = "input"
    )]
    pub(crate) target: Option<PathBuf>,

    /// JSON lines of {"source", "target"}; - reads standard input
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Text")]
    pub(crate) input: Option<PathBuf>,

    /// Gold links, a line a pair: sure `1-2` or `1s2`, possible `1p2` or `1?2`; or a line a link:
    /// `sentence source target S|P`; prints alignment error rates
    #[arg(long, value_name = "FILE", help_heading = "Text")]
    pub(crate) gold: Option<PathBuf>,

    /// The number of the first word of a sentence in --gold, where it has a line a pair
    #[arg(long, value_name = "0|1", help_heading = "Text", requires = "gold",
          default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..2))]
    pub(crate) gold_first: u8,

    /// Pairs that are run together
    #[arg(long, value_name = "N", help_heading = "Text", default_value = "8")]
    pub(crate) batch_size: NonZeroUsize,

    /// What aligns: attention weights, or norms of what attention brings [default: both]
    #[arg(long, value_name = "weights|norm", help_heading = "Alignment")]
    pub(crate) measure: Option<AlignmentMeasure>,

    /// Whose row a target word's is: the one that reads it (awi) or predicts it (awo) [default: both]
    #[arg(long, value_name = "awi|awo", help_heading = "Alignment")]
    pub(crate) setting: Option<AlignmentSetting>,

    /// Decoder layers, counted from 0: 0,3-5 [default: every layer]
    #[arg(
        long,
        value_name = "LIST",
        help_heading = "Alignment",
        allow_hyphen_values = true
    )]
    pub(crate) layers: Option<Layers>,

    /// Heads, counted from 0, or `together` for the layer as a whole: together,0-3
    #[arg(
        long,
        value_name = "LIST",
        help_heading = "Alignment",
        default_value = "together"
    )]
    pub(crate) heads: Heads,

    /// Combine both directions' links: intersection, union, grow-diag, grow-diag-final, grow-diag-final-and
    #[arg(long, value_name = "HEURISTIC", help_heading = "Alignment")]
    pub(crate) symmetrize: Option<Symmetrization>,

    /// Where to compute
    #[arg(long, value_name = "NAME", help_heading = "Computation", default_value_t = DeviceName::ENABLED[0])]
    pub(crate) device: DeviceName,

    /// The file of links to write, in the Pharaoh format; a directory for several alignments
    /// [default: standard output, unless --gold is given]
    #[arg(long, short, value_name = "FILE|DIR", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// How error rates are printed
    #[arg(
        long,
        value_name = "FORMAT",
        help_heading = "Output",
        requires = "gold",
        default_value = "table"
    )]
    pub(crate) format: RateFormat,
}

/// How error rates are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RateFormat {
    /// A table
    Table,
    /// A JSON array
    Json,
}

/// The value of `--heads`: numbers and ranges, and `together`.
#[derive(Debug, Clone)]
pub(crate) struct Heads {
    together: bool,
    single: Option<Layers>,
}

impl FromStr for Heads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_together = |part: &&str| part.trim() == "together";
        let (together, single): (Vec<&str>, Vec<&str>) = text.split(',').partition(is_together);
        let numbers = single.join(",").parse().map_err(|error: String| {
            format!("{}, and not `together`", error.replace("layer", "head"))
        });
        Ok(Self {
            together: !together.is_empty(),
            single: (!single.is_empty()).then_some(numbers).transpose()?,
        })
    }
}

impl Heads {
    /// The layer as a whole first, then heads in ascending order.
    ///
    /// # Errors
    /// A head that the model does not have.
    pub(crate) fn resolve(&self, heads: usize) -> Result<Vec<Option<usize>>, BadInput> {
        let together = self.together.then_some(None);
        let single = match &self.single {
            Some(single) => single
                .resolve(heads)
                .map_err(|BadInput(message)| BadInput(message.replace("layer", "head")))?,
            None => Vec::new(),
        };
        Ok(together
            .into_iter()
            .chain(single.into_iter().map(Some))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_numbers_and_all_together() {
        let resolve = |text: &str| text.parse::<Heads>().unwrap().resolve(4);
        assert_eq!(resolve("together").unwrap(), [None]);
        assert_eq!(
            resolve("2,0-1, together").unwrap(),
            [None, Some(0), Some(1), Some(2)]
        );
        let error = resolve("0,4").unwrap_err().0;
        assert_eq!(
            error,
            "--heads asks for head 4, but the model has 4 heads: 0 to 3"
        );
        let error = "x".parse::<Heads>().unwrap_err();
        assert!(
            error.starts_with("'x' is neither a head nor a range of heads"),
            "{error}"
        );
    }
}
