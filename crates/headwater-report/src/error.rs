use std::path::PathBuf;

/// What can go wrong on the way from analysis to picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An analysis could not be read.
    #[error(transparent)]
    Headwater(#[from] headwater::Error),
    /// Numbers of which no statistics can be made.
    #[error("`{key}` of `{name}`: {source}")]
    Metrics {
        /// The analysis.
        name: String,
        /// The array.
        key: String,
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
