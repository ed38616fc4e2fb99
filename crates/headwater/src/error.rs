use std::path::PathBuf;

use crate::analysis::Blame;

/// What can go wrong on the way from text to analysis.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An analysis, its file, or a name in it.
    #[error(transparent)]
    Analysis(#[from] crate::analysis::Error),
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
    /// A pair of texts as one side of a translation.
    #[error("a translation model reads one text and its translation; give one text for each side")]
    PairForTranslation,
    /// Two sides of a bitext of different lengths.
    #[error(
        "{path:?} has {lines} lines and {other_path:?} {other_lines}; each line of one must be the translation of the same line of the other"
    )]
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
    #[error("{path:?} has no line; give one sentence a line")]
    NoLines {
        /// The file.
        path: PathBuf,
    },
    /// A sentence without a word.
    #[error(
        "line {line} of {path:?} is empty; take the pair out of both files and out of the gold links"
    )]
    EmptyLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A text file in another encoding.
    #[error("line {line} of {path:?} is not UTF-8; convert the file to UTF-8")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Gold links for another number of pairs.
    #[error("{path:?} has {lines} {plural} for {pairs} sentence pairs; give one line of links a pair, an empty one where there are none", plural = if *lines == 1 { "line" } else { "lines" })]
    GoldLines {
        /// The file of links.
        path: PathBuf,
        /// Its lines.
        lines: usize,
        /// Sentence pairs.
        pairs: usize,
    },
    /// Gold links that cannot be read.
    #[error("{path:?} cannot be read as gold links")]
    Gold {
        /// The file of links.
        path: PathBuf,
        /// What is wrong, with its line.
        source: crate::metrics::MetricsError,
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
    /// A model whose hidden states are not made into logits.
    #[error(
        "no logits of a {model_type} model: its head is not read, or its files lack it; use a causal language model with its head"
    )]
    NoHead {
        /// `model_type` of the configuration.
        model_type: String,
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
    /// A callback wanted no more layers.
    #[error("the analysis was cancelled; run it again from the start")]
    Cancelled,
    /// Inputs and output files of different numbers.
    #[error("{inputs} inputs but {paths} output files; give one file for each input")]
    PathCount {
        /// Inputs given.
        inputs: usize,
        /// Paths given.
        paths: usize,
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
    /// Whether the arguments or the input are to blame.
    pub fn is_bad_input(&self) -> bool {
        self.blame() == Blame::Input
    }

    /// Who is to blame.
    pub fn blame(&self) -> Blame {
        // Every variant by name: whoever adds one says whose fault it is.
        match self {
            Error::Analysis(error) => error.blame(),
            Error::Checkpoint(error) if !error.is_bad_input() => Blame::Machine,
            Error::Checkpoint(_)
            | Error::Transformer(_)
            | Error::Decomposition(_)
            | Error::EmptyText
            | Error::UnknownToken { .. }
            | Error::PairForTranslation
            | Error::UnequalLines { .. }
            | Error::NoLines { .. }
            | Error::EmptyLine { .. }
            | Error::NotUtf8 { .. }
            | Error::GoldLines { .. }
            | Error::Gold { .. }
            | Error::UnknownAlignmentMeasure { .. }
            | Error::NoSuchHead { .. }
            | Error::NoHead { .. }
            | Error::NotAnalysed { .. }
            | Error::Metrics(_)
            | Error::Cancelled
            | Error::PathCount { .. } => Blame::Input,
        }
    }
}
