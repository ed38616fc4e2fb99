//! The options with the environment's choices filled in.

use std::fs;
use std::path::{Path, PathBuf};

use super::HubOptions;
use crate::Error;

/// The public hub.
const PUBLIC: &str = "https://huggingface.co";

/// Everything that a download depends on.
pub(super) struct Settings {
    pub(super) revision: String,
    pub(super) offline: bool,
    pub(super) token: Option<String>,
    /// Without a slash at its end.
    pub(super) endpoint: String,
    pub(super) cache: PathBuf,
    pub(super) progress: bool,
}

impl Settings {
    /// Fills the gaps from this process's environment.
    pub(super) fn from_environment(options: &HubOptions) -> Result<Self, Error> {
        Self::resolve(
            options,
            |name| std::env::var(name).ok(),
            std::env::home_dir(),
        )
    }

    fn resolve(
        options: &HubOptions,
        variable: impl Fn(&str) -> Option<String>,
        home: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let raw = variable;
        let variable = |name: &str| {
            raw(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let path = |name: &str| variable(name).map(|value| expand(&value, &raw, home.as_deref()));

        let caches =
            path("XDG_CACHE_HOME").or_else(|| home.as_ref().map(|home| home.join(".cache")));
        let hf_home = path("HF_HOME").or_else(|| caches.map(|caches| caches.join("huggingface")));
        let cache = options.cache_dir.clone();
        let cache = cache
            .or_else(|| path("HF_HUB_CACHE"))
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let cache = cache.or_else(|| hf_home.as_ref().map(|hf_home| hf_home.join("hub")));

        let token_file = || {
            let file =
                path("HF_TOKEN_PATH").or_else(|| hf_home.map(|hf_home| hf_home.join("token")));
            // Not being logged in is no error.
            let token = fs::read_to_string(file?).ok()?;
            Some(token.trim().to_owned()).filter(|token| !token.is_empty())
        };
        let token = options.token.clone();
        let token = token.or_else(|| variable("HF_TOKEN")).or_else(token_file);

        let is_true =
            |value: String| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str());
        let endpoint = options.endpoint.clone().or_else(|| variable("HF_ENDPOINT"));
        Ok(Self {
            revision: options.revision.clone().unwrap_or_else(|| "main".into()),
            offline: options
                .offline
                .unwrap_or_else(|| variable("HF_HUB_OFFLINE").is_some_and(is_true)),
            token,
            endpoint: endpoint
                .as_deref()
                .unwrap_or(PUBLIC)
                .trim_end_matches('/')
                .to_owned(),
            cache: cache.ok_or(Error::NoCacheDirectory)?,
            progress: options.progress,
        })
    }
}

/// A path as Python's `expandvars(expanduser(path))` has it: `~` in front is the home directory,
/// `$NAME` and `${NAME}` are variables, and what is neither stays.
fn expand(path: &str, variable: &impl Fn(&str) -> Option<String>, home: Option<&Path>) -> PathBuf {
    let home = home
        .and_then(Path::to_str)
        .map(|home| home.trim_end_matches('/'));
    let mut expanded = String::new();
    let mut rest = match (path.strip_prefix('~'), home) {
        (Some(behind), Some(home)) if behind.is_empty() || behind.starts_with('/') => {
            expanded.push_str(home);
            behind
        }
        // Another user's home, which only the system's list of users knows.
        _ => path,
    };
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let braced = rest
            .strip_prefix("${")
            .and_then(|name| name.split_once('}'));
        let (name, length) = match braced {
            Some((name, _)) => (name, name.len() + 3),
            None => {
                let end = rest[1..].find(|c| !is_name(c)).unwrap_or(rest.len() - 1);
                (&rest[1..=end], end + 1)
            }
        };
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    expanded.push_str(rest);
    expanded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(options: &HubOptions, variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        };
        Settings::resolve(options, variable, Some("/home/reader".into()))
    }

    #[test]
    fn without_variables() {
        let settings = resolve(&HubOptions::default(), &[]).unwrap();
        assert_eq!(settings.revision, "main");
        assert!(!settings.offline);
        assert_eq!(settings.token, None);
        assert_eq!(settings.endpoint, "https://huggingface.co");
        assert_eq!(
            settings.cache,
            PathBuf::from("/home/reader/.cache/huggingface/hub")
        );
    }

    #[test]
    fn cache_directories_by_rank() {
        let cache =
            |variables: &[(&str, &str)]| resolve(&HubOptions::default(), variables).unwrap().cache;
        let ranked = [
            ("HF_HUB_CACHE", "/a", "/a"),
            ("HUGGINGFACE_HUB_CACHE", "/b", "/b"),
            ("HF_HOME", "/c", "/c/hub"),
            ("XDG_CACHE_HOME", "/d", "/d/huggingface/hub"),
        ];
        for first in 0..ranked.len() {
            let variables: Vec<_> = ranked[first..]
                .iter()
                .map(|&(name, value, _)| (name, value))
                .collect();
            assert_eq!(cache(&variables), PathBuf::from(ranked[first].2));
        }
        // A variable that is set to nothing is not set.
        assert_eq!(
            cache(&[("HF_HUB_CACHE", ""), ("HF_HOME", "/c")]),
            PathBuf::from("/c/hub")
        );
    }

    #[test]
    fn home_and_variables_in_paths() {
        // As Python 3.11 has them.
        let cases = [
            ("~/models", "/home/reader/models"),
            ("~", "/home/reader"),
            ("$DISK/models", "/mnt/a/models"),
            ("${DISK}models/$USER_1.x", "/mnt/amodels/me.x"),
            ("/a/~/b", "/a/~/b"),
            ("~other/b", "~other/b"),
            ("/a/$NONE/${NONE}/$/${", "/a/$NONE/${NONE}/$/${"),
            ("/a/$TILDE", "/a/~/x"),
        ];
        for (given, expected) in cases {
            let variables = [
                ("DISK", "/mnt/a"),
                ("USER_1", "me"),
                ("TILDE", "~/x"),
                ("HF_HUB_CACHE", given),
            ];
            let found = resolve(&HubOptions::default(), &variables).unwrap().cache;
            assert_eq!(found, PathBuf::from(expected), "{given}");
        }
        let home = resolve(&HubOptions::default(), &[("HF_HOME", "~/hf")]).unwrap();
        assert_eq!(home.cache, PathBuf::from("/home/reader/hf/hub"));
    }

    #[test]
    fn tokens_by_rank() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("token"), "from-login\n").unwrap();
        let elsewhere = home.path().join("elsewhere");
        fs::write(&elsewhere, "from-path").unwrap();

        let hf_home = ("HF_HOME", home.path().to_str().unwrap());
        let token_path = ("HF_TOKEN_PATH", elsewhere.to_str().unwrap());
        let token = |options: &HubOptions, variables: &[(&str, &str)]| {
            resolve(options, variables).unwrap().token
        };
        let none = HubOptions::default();
        assert_eq!(token(&none, &[hf_home]).as_deref(), Some("from-login"));
        assert_eq!(
            token(&none, &[hf_home, token_path]).as_deref(),
            Some("from-path")
        );
        let variables = [hf_home, token_path, ("HF_TOKEN", "from-variable")];
        assert_eq!(token(&none, &variables).as_deref(), Some("from-variable"));
        let given = HubOptions {
            token: Some("given".into()),
            ..none
        };
        assert_eq!(token(&given, &variables).as_deref(), Some("given"));
    }

    #[test]
    fn offline_and_endpoint() {
        let settings = |options: &HubOptions, value| {
            resolve(
                options,
                &[("HF_HUB_OFFLINE", value), ("HF_ENDPOINT", "http://mirror/")],
            )
            .unwrap()
        };
        let none = HubOptions::default();
        assert_eq!(settings(&none, "1").endpoint, "http://mirror");
        for (value, offline) in [
            ("1", true),
            ("yes", true),
            ("True", true),
            ("0", false),
            ("", false),
        ] {
            assert_eq!(settings(&none, value).offline, offline, "{value:?}");
        }
        let online = HubOptions {
            offline: Some(false),
            ..none
        };
        assert!(!settings(&online, "1").offline);
    }

    #[test]
    fn no_place_to_cache() {
        let found = Settings::resolve(&HubOptions::default(), |_| None, None);
        assert!(matches!(found, Err(Error::NoCacheDirectory)));
    }
}
