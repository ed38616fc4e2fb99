use std::io::ErrorKind;
use std::path::PathBuf;

/// What can go wrong on the way from text to analysis.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::Error),
    /// The model could not be run.
    #[error(transparent)]
    Transformer(crate::transformer::Error),
    /// A layer could not be decomposed.
    #[error(transparent)]
    Decomposition(#[from] crate::decomposition::Error),
    /// A text without a single token of its own.
    #[error("the text is empty; give at least one word")]
    EmptyText,
    /// A token that the vocabulary does not have.
    #[error("token `{token}` at position {position} is not in the model's vocabulary")]
    UnknownToken {
        /// The token.
        token: String,
        /// Its position, from 0.
        position: usize,
    },
    /// A quantity name that does not exist.
    #[error("no quantity `{name}`; the quantities are {known}")]
    UnknownQuantity {
        /// What was asked for.
        name: String,
        /// The names that exist, comma separated.
        known: String,
    },
    /// A name that is no array of an analysis.
    #[error("no array `{name}` in an analysis; keys look like layers.0.norms.atb")]
    UnknownArray {
        /// What was asked for.
        name: String,
    },
    /// A storage type that does not exist.
    #[error("no storage type `{name}`; use f32 or f16")]
    UnknownStore {
        /// What was asked for.
        name: String,
    },
    /// A value too large for float16.
    #[error("`{key}` has the value {value}, which float16 cannot hold; store as f32")]
    Float16Overflow {
        /// The array.
        key: String,
        /// The value.
        value: f64,
    },
    /// A pair of texts as one side of a translation.
    #[error("a translation model reads one text and its translation; give one text for each side")]
    PairForTranslation,
    /// Two sides of a bitext of different lengths.
    #[error("`{path}` has {lines} lines and `{other_path}` {other_lines}; each line of one must be the translation of the same line of the other", path = path.display(), other_path = other_path.display())]
    UnequalLines {
        /// The source.
        path: PathBuf,
        /// Its lines.
        lines: usize,
        /// The target.
        other_path: PathBuf,
        /// Its lines.
        other_lines: usize,
    },
    /// A bitext without a sentence.
    #[error("`{path}` has no line; give one sentence a line", path = path.display())]
    NoLines {
        /// The file.
        path: PathBuf,
    },
    /// A sentence without a word.
    #[error("line {line} of `{path}` is empty; take the pair out of both files and out of the gold links", path = path.display())]
    EmptyLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A text file in another encoding.
    #[error("line {line} of `{path}` is not UTF-8; convert the file to UTF-8", path = path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Gold links for another number of pairs.
    #[error("`{path}` has {lines} {plural} for {pairs} sentence pairs; give one line of links a pair, an empty one where there are none", path = path.display(), plural = if *lines == 1 { "line" } else { "lines" })]
    GoldLines {
        /// The file of links.
        path: PathBuf,
        /// Its lines.
        lines: usize,
        /// Sentence pairs.
        pairs: usize,
    },
    /// Gold links that cannot be read.
    #[error("`{path}`, {error}", path = path.display())]
    Gold {
        /// The file of links.
        path: PathBuf,
        /// What is wrong, with its line.
        error: crate::metrics::MetricsError,
    },
    /// A measure of word alignment that does not exist.
    #[error("no alignment measure `{name}`; use weights or norm")]
    UnknownAlignmentMeasure {
        /// What was asked for.
        name: String,
    },
    /// A head that the model does not have.
    #[error("the model has no head {head}; its heads are 0 to {last}", last = n_heads - 1)]
    NoSuchHead {
        /// The head asked for.
        head: usize,
        /// Heads a layer.
        n_heads: usize,
    },
    /// An array that the analysis does not contain.
    #[error("the analysis has no `{key}`; ask for it when the text is analysed")]
    NotAnalysed {
        /// The array's key.
        key: String,
    },
    /// A number that cannot be made of others.
    #[error(transparent)]
    Metrics(#[from] crate::metrics::MetricsError),
    /// Inputs and output files of different numbers.
    #[error("{inputs} inputs but {paths} output files; give one file for each input")]
    PathCount {
        /// Inputs given.
        inputs: usize,
        /// Paths given.
        paths: usize,
    },
    /// An output path that is something else than a file.
    #[error("`{path}` exists and is not a regular file; choose another output", path = path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file could not be written or read.
    #[error("could not {action} `{path}`: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file that is not an analysis.
    #[error("`{path}` is not an analysis file: {reason}", path = path.display())]
    NotAnAnalysis {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<crate::transformer::Error> for Error {
    fn from(error: crate::transformer::Error) -> Self {
        // A checkpoint's error is the same error, whichever crate met it.
        match error {
            crate::transformer::Error::Checkpoint(error) => Error::Checkpoint(error),
            error => Error::Transformer(error),
        }
    }
}

impl Error {
    /// Whether the arguments or the input are to blame, rather than the
    /// machine: what a program reports with exit status 2.
    pub fn is_bad_input(&self) -> bool {
        use crate::checkpoint::Error as Checkpoint;
        match self {
            // A name that is no file's was misspelt.
            Error::Io { action, source, .. } => {
                let no_file = matches!(
                    source.kind(),
                    ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory
                );
                *action == "read" && no_file
            }
            Error::Checkpoint(
                Checkpoint::Io { .. }
                | Checkpoint::NoCacheDirectory
                | Checkpoint::HubUnreachable { .. }
                | Checkpoint::Download { .. }
                | Checkpoint::IncompleteDownload { .. },
            ) => false,
            _ => true,
        }
    }
}
