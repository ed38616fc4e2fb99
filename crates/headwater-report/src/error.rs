use std::path::PathBuf;

/// What can go wrong on the way from analysis to picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An analysis could not be read, or a file not begun or finished.
    #[error(transparent)]
    Headwater(#[from] headwater::Error),
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
        source: headwater::metrics::MetricsError,
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
            Error::Headwater(error) => error.is_bad_input(),
            Error::Io { .. } => false,
            _ => true,
        }
    }
}
