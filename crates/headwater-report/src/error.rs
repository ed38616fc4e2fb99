use std::path::PathBuf;

/// What can go wrong on the way from analysis to picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An analysis could not be read, or a file not begun or finished.
    #[error(transparent)]
    Analysis(#[from] headwater_analysis::Error),
    /// A report about nothing.
    #[error("a report needs at least one analysis")]
    NoAnalysis,
    /// An analysis without anything that a report shows.
    #[error(
        "`{name}` has neither maps nor mixing ratios; analyze it with --quantities attention_weights,transformed_norms,norms,mixing_ratio"
    )]
    NothingToShow {
        /// The analysis.
        name: String,
    },
    /// Analyses that do not belong into one report.
    #[error("`{name}` has other {what} than `{first}`; make a report for each")]
    Unlike {
        /// The analysis.
        name: String,
        /// The first analysis of the report.
        first: String,
        /// In what they differ.
        what: &'static str,
    },
    /// A value that no norm, weight or ratio can have.
    #[error("`{key}` of `{name}` has the value {value}, which is no norm, weight or ratio")]
    NotAMagnitude {
        /// The analysis.
        name: String,
        /// The array.
        key: String,
        /// The value.
        value: f64,
    },
    /// Numbers of which no statistics can be made.
    #[error("no statistics of `{name}`: {source}")]
    Metrics {
        /// The analysis.
        name: String,
        /// What is wrong with it.
        source: headwater_metrics::MetricsError,
    },
    /// A layer that an analysis does not have.
    #[error("`{name}` has no {layer}; its layers are {known}")]
    NoSuchLayer {
        /// The analysis.
        name: String,
        /// The layer, with its stack.
        layer: String,
        /// The layers it has, comma separated.
        known: String,
    },
    /// An array that a layer of an analysis does not have.
    #[error("`{name}` has no {array} at {layer}; it has {known}")]
    NoSuchArray {
        /// The analysis.
        name: String,
        /// The array.
        array: String,
        /// The layer, with its stack.
        layer: String,
        /// The arrays of the kind that it has, comma separated.
        known: String,
    },
    /// A head that a model does not have.
    #[error("`{name}` has no head {head}; its heads are 0 to {last}")]
    NoSuchHead {
        /// The analysis.
        name: String,
        /// The head asked for.
        head: usize,
        /// The last head.
        last: usize,
    },
    /// Scopes whose maps have other sources.
    #[error(
        "{before} and {after} have different sources, the decoder's tokens and the encoder's; compare two cross_ scopes or two others"
    )]
    DifferentSources {
        /// One scope.
        before: &'static str,
        /// The other.
        after: &'static str,
    },
    /// A text that is not an SVG document.
    #[error("not an SVG document: {source}")]
    NotSvg {
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A picture with too many pixels.
    #[error(
        "a picture of {width} × {height} pixels is too large; take fewer dots an inch, a smaller width, or SVG"
    )]
    TooLarge {
        /// Pixels across.
        width: f64,
        /// Pixels down.
        height: f64,
    },
    /// A PNG file could not be made.
    #[error("could not encode the picture as PNG: {source}")]
    Png {
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be written.
    #[error("could not write `{path}`: {source}", path = path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the arguments or the input are to blame, rather than the machine.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Error::Analysis(error) => error.is_bad_input(),
            Error::Io { .. } => false,
            _ => true,
        }
    }
}
