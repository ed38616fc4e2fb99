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
