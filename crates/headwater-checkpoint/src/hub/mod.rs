//! Models named by a hub id.

#[cfg(feature = "hub")]
mod fetch;
#[cfg(feature = "hub")]
mod settings;

use std::fmt;
use std::path::PathBuf;

#[cfg(feature = "hub")]
pub(crate) use fetch::fetch;

/// Where models come from that are named by a hub id; `None` stands for the environment's choice.
///
/// Without the feature `hub` no option has an effect, because nothing is fetched.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct HubOptions {
    /// Branch, tag or commit; `main` by default.
    pub revision: Option<String>,
    /// Whether only the cache is read; by default what `HF_HUB_OFFLINE` says.
    pub offline: Option<bool>,
    /// Access token; by default `HF_TOKEN`, else the file that a login wrote
    /// (`HF_TOKEN_PATH`, or `token` in `HF_HOME`).
    pub token: Option<String>,
    /// The hub's address; by default `HF_ENDPOINT`, else the public hub.
    pub endpoint: Option<String>,
    /// Where files are kept; by default `HF_HUB_CACHE` or `HUGGINGFACE_HUB_CACHE`, else `hub` in
    /// `HF_HOME`, which itself is `huggingface` in `XDG_CACHE_HOME` or in `~/.cache` by default.
    pub cache_dir: Option<PathBuf>,
    /// Whether downloads draw progress bars on standard error.
    pub progress: bool,
}

impl HubOptions {
    /// Everything as the environment says.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a branch, tag or commit.
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// Reads the cache alone, or asks the hub, whatever `HF_HUB_OFFLINE` says.
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = Some(offline);
        self
    }

    /// Takes an access token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Asks another hub than the public one.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Keeps files in a directory.
    pub fn cache_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(directory.into());
        self
    }

    /// Draws progress bars on standard error, or none.
    pub fn progress(mut self, progress: bool) -> Self {
        self.progress = progress;
        self
    }
}

impl fmt::Debug for HubOptions {
    /// The token is a secret, so only its presence is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("revision", &self.revision)
            .field("offline", &self.offline)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("endpoint", &self.endpoint)
            .field("cache_dir", &self.cache_dir)
            .field("progress", &self.progress)
            .finish()
    }
}

#[cfg(not(feature = "hub"))]
pub(crate) fn fetch(model: &str, _: &HubOptions) -> Result<PathBuf, crate::Error> {
    Err(crate::Error::HubDisabled {
        model: model.to_owned(),
    })
}
