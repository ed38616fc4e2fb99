use std::path::{Path, PathBuf};

/// Where a model is: a path, or a name that is a path or an id of the hub.
///
/// Made of paths (`&Path`, `PathBuf`) and of names (`&str`, `String`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelSource {
    /// A directory in the Hugging Face layout.
    Directory(PathBuf),
    /// A directory if something exists at that path, else a hub id.
    Named(String),
}

impl From<&Path> for ModelSource {
    fn from(directory: &Path) -> Self {
        Self::Directory(directory.to_owned())
    }
}

impl From<PathBuf> for ModelSource {
    fn from(directory: PathBuf) -> Self {
        Self::Directory(directory)
    }
}

impl From<&PathBuf> for ModelSource {
    fn from(directory: &PathBuf) -> Self {
        Self::Directory(directory.clone())
    }
}

impl From<&str> for ModelSource {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<String> for ModelSource {
    fn from(name: String) -> Self {
        Self::Named(name)
    }
}

impl From<&String> for ModelSource {
    fn from(name: &String) -> Self {
        Self::Named(name.clone())
    }
}
