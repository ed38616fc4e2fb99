use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Who has to change something so that an error does not come again.
///
/// Exhaustive: a program has an exit status for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Whoever gave the arguments or the input: a program reports it with exit
    /// status 2.
    Input,
    /// The machine: a full disk, no network. Exit status 1.
    Machine,
}

/// What was tried with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAction {
    /// To begin it.
    Create,
    /// To write it or to give it its name.
    Write,
    /// To open or to read it.
    Read,
}

impl fmt::Display for FileAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileAction::Create => "create",
            FileAction::Write => "write",
            FileAction::Read => "read",
        })
    }
}

/// What can go wrong with analyses and their files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A scope name that does not exist.
    #[error("no scope `{name}`; the scopes are {known}")]
    UnknownScope {
        /// What was asked for.
        name: String,
        /// The names that exist, comma separated.
        known: String,
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
    /// A precision name that does not exist.
    #[error("no precision `{name}`; use f32 or f64")]
    UnknownPrecision {
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
    /// A list about an input's tokens that is not as long as they are.
    #[error("{entries} {list} for {tokens} tokens; give one for each")]
    UnlikeList {
        /// What it lists.
        list: &'static str,
        /// Its length.
        entries: usize,
        /// Tokens of the input.
        tokens: usize,
    },
    /// An input whose lists do not belong together.
    #[error(
        "{ids} ids, {token_types} token types and {tokens} tokens; give as many of each, and one at least"
    )]
    UnlikeLengths {
        /// Ids given.
        ids: usize,
        /// Token types given.
        token_types: usize,
        /// Tokens given.
        tokens: usize,
    },
    /// An array that does not fit the tokens or the other arrays.
    #[error(
        "`{key}` has the shape {found:?} where {expected:?} fits {tokens} tokens and the other arrays"
    )]
    Shape {
        /// The array.
        key: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that it should have.
        expected: Vec<usize>,
        /// The tokens of its stack.
        tokens: usize,
    },
    /// An array of an encoder or a decoder in an analysis of one text, or the
    /// other way round.
    #[error(
        "`{key}` is of no stack that the inputs are for; give a target to an encoder and decoder, and none to a single stack"
    )]
    NoSuchStack {
        /// The array.
        key: String,
    },
    /// An array that a file has no place for.
    #[error("the file has no place for `{key}` of shape {found:?}; name it in the layout")]
    NotInLayout {
        /// The array.
        key: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A file that would lack an array that its header names.
    #[error(
        "`{key}` was never written; write every array of the layout before the file is finished"
    )]
    Unwritten {
        /// The array.
        key: String,
    },
    /// An output path that is something else than a file.
    #[error("{path:?} exists and is not a regular file; choose another output")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file could not be written or read.
    #[error("could not {action} {path:?}")]
    Io {
        /// What was tried.
        action: FileAction,
        /// The path.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file that is not an analysis.
    #[error("{path:?} is not an analysis file: {reason}; write it anew with `headwater analyze`")]
    NotAnAnalysis {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What found it.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
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
            // A name that is no file's was misspelt.
            Error::Io {
                action: FileAction::Read,
                source,
                ..
            } => match source.kind() {
                ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
                    Blame::Input
                }
                _ => Blame::Machine,
            },
            Error::Io {
                action: FileAction::Create | FileAction::Write,
                ..
            } => Blame::Machine,
            Error::UnknownScope { .. }
            | Error::UnknownQuantity { .. }
            | Error::UnknownArray { .. }
            | Error::UnknownStore { .. }
            | Error::UnknownPrecision { .. }
            | Error::Float16Overflow { .. }
            | Error::UnlikeLengths { .. }
            | Error::UnlikeList { .. }
            | Error::Shape { .. }
            | Error::NoSuchStack { .. }
            | Error::NotInLayout { .. }
            | Error::Unwritten { .. }
            | Error::NotAFile { .. }
            | Error::NotAnAnalysis { .. } => Blame::Input,
        }
    }
}
