//! Downloads through hf-hub, into the cache that the Python libraries share.
//!
//! The first file decides the commit; all others are taken from the same one,
//! so that a model that is being updated is never mixed from two versions.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use indicatif::ProgressBar;

use super::HubOptions;
use super::settings::Settings;
use crate::config::Config;
use crate::weights::{INDEX, SINGLE, read_index};
use crate::{Error, families};

/// Fetches what of a model is not in the cache yet; returns the directory that holds it.
pub(crate) fn fetch(model: &str, options: &HubOptions) -> Result<PathBuf, Error> {
    let hub = Hub::new(model, options)?;
    let config = match hub.cached("config.json") {
        Some(path) => path,
        None => hub.download("config.json", &hub.settings.revision)?,
    };
    let Some((directory, commit)) = config
        .parent()
        .and_then(|d| Some((d, d.file_name()?.to_str()?)))
    else {
        return Err(Error::MissingDirectory { path: config });
    };
    // Nothing large is fetched for a model that cannot be read.
    let stacks = families::stacks(&Config::read(directory)?)?;
    let complete = |file: &str| match directory.join(file).exists() {
        true => Ok(()),
        false => hub.download(file, commit).map(drop),
    };

    if !directory.join(INDEX).exists() {
        match complete(SINGLE) {
            // Whether the weights are sharded is known only by asking.
            Err(missing @ Error::NotOnHub { .. }) => match complete(INDEX) {
                Err(Error::NotOnHub { .. }) => return Err(missing),
                other => other?,
            },
            other => other?,
        }
    }
    if !directory.join(SINGLE).exists() {
        for shard in read_index(&directory.join(INDEX))?.1 {
            complete(&shard)?;
        }
    }
    for file in stacks.files() {
        // As the Python libraries do: an empty file tells what the hub has not,
        // so that it is asked once.
        let absent = hub.directory().join(".no_exist").join(commit).join(file);
        if absent.exists() {
            continue;
        }
        match complete(file) {
            Err(Error::NotOnHub { .. }) => remember(&absent),
            Err(Error::NotCached { .. }) | Ok(()) => (),
            Err(error) => return Err(error),
        }
    }
    Ok(directory.to_owned())
}

/// Makes an empty file; in a cache that cannot be written to there is none, and
/// the hub is asked again.
fn remember(path: &Path) {
    let made = path.parent().map(fs::create_dir_all);
    if let Some(Ok(())) = made {
        fs::write(path, "").ok();
    }
}

/// One model on the hub and in the cache.
struct Hub<'a> {
    model: &'a str,
    settings: Settings,
    cache: Cache,
}

impl<'a> Hub<'a> {
    fn new(model: &'a str, options: &HubOptions) -> Result<Self, Error> {
        if !is_hub_id(model) {
            return Err(Error::InvalidHubId {
                model: model.into(),
            });
        }
        let settings = Settings::from_environment(options)?;
        if !is_revision(&settings.revision) {
            return Err(Error::InvalidRevision {
                revision: settings.revision,
            });
        }
        let cache = Cache::new(settings.cache.clone());
        Ok(Self {
            model,
            settings,
            cache,
        })
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.model.into(), RepoType::Model, revision.into())
    }

    /// The model's directory in the cache.
    fn directory(&self) -> PathBuf {
        let repo = self.repo(&self.settings.revision);
        self.settings.cache.join(repo.folder_name())
    }

    /// The file in the cache, at the revision asked for.
    fn cached(&self, file: &str) -> Option<PathBuf> {
        let revision = &self.settings.revision;
        let repo = self.cache.repo(self.repo(revision));
        // A commit's directory carries its name; a branch is a file that holds one, and that
        // somebody may have written with an end of line.
        let commit = repo.pointer_path(revision).join(file);
        if commit.exists() {
            return Some(commit);
        }
        let branch = self.directory().join("refs").join(revision);
        let name = fs::read_to_string(branch).ok()?;
        let name = name.trim();
        let named = repo.pointer_path(name).join(file);
        (!name.is_empty() && named.exists()).then_some(named)
    }

    /// A commit whose files are in the cache although no branch there names it.
    fn unnamed_snapshot(&self, file: &str) -> Option<String> {
        let snapshots = fs::read_dir(self.directory().join("snapshots")).ok()?;
        let with_file = snapshots
            .flatten()
            .filter(|snapshot| snapshot.path().join(file).exists());
        let names = with_file.flat_map(|snapshot| snapshot.file_name().into_string());
        names.min()
    }

    fn download(&self, file: &str, revision: &str) -> Result<PathBuf, Error> {
        if self.settings.offline {
            return Err(Error::NotCached {
                model: self.model.into(),
                file: file.into(),
                cache: self.settings.cache.clone(),
                snapshot: self.unnamed_snapshot(file),
            });
        }
        let fail = |source| self.explain(file, source);
        let api = ApiBuilder::from_cache(self.cache.clone())
            .with_endpoint(self.settings.endpoint.clone())
            .with_token(self.settings.token.clone())
            .build()
            .map_err(fail)?;
        let repo = api.repo(self.repo(revision));

        let announced = Rc::new(Cell::new(0));
        let attempt = || {
            let bar = self.settings.progress.then(|| ProgressBar::new(0));
            repo.download_with_progress(
                file,
                Watch {
                    announced: announced.clone(),
                    bar,
                },
            )
        };
        let path = match attempt() {
            // What an earlier run left behind cannot be resumed: start afresh.
            Err(error) if is_stale(&error) => {
                let metadata = api.metadata(&repo.url(file)).map_err(fail)?;
                let blob = self
                    .cache
                    .repo(self.repo(revision))
                    .blob_path(metadata.etag());
                let part = blob.with_extension("part");
                fs::remove_file(&part).map_err(Error::io(part))?;
                attempt().map_err(fail)?
            }
            result => result.map_err(fail)?,
        };

        // hf-hub compares no sizes. A text that travelled compressed may be
        // longer than announced, nothing may be shorter.
        let expected = announced.get();
        let found = fs::metadata(&path).map_err(Error::io(&path))?.len();
        if found < expected || (file.ends_with(".safetensors") && found != expected) {
            let blob = fs::canonicalize(&path).map_err(Error::io(&path))?;
            fs::remove_file(&path).map_err(Error::io(&path))?;
            // Where links are not to be had, the two are one file.
            if blob.exists() {
                fs::remove_file(&blob).map_err(Error::io(&blob))?;
            }
            return Err(Error::IncompleteDownload {
                model: self.model.into(),
                file: file.into(),
                expected,
                found,
            });
        }
        Ok(path)
    }

    /// Says what a failed request means to the user.
    fn explain(&self, file: &str, error: ApiError) -> Error {
        let (model, file) = (self.model.to_owned(), file.to_owned());
        let request = match &error {
            ApiError::RequestError(request) => Some(&**request),
            _ => None,
        };
        match request {
            Some(ureq::Error::StatusCode(404)) => {
                let revision = self.settings.revision.clone();
                Error::NotOnHub {
                    model,
                    revision,
                    file,
                    source: error.into(),
                }
            }
            Some(&ureq::Error::StatusCode(status @ (401 | 403))) => Error::HubRefused {
                model,
                status,
                source: error.into(),
            },
            Some(
                ureq::Error::Io(_)
                | ureq::Error::HostNotFound
                | ureq::Error::ConnectionFailed
                | ureq::Error::ConnectProxyFailed(_)
                | ureq::Error::Timeout(_),
            ) => Error::HubUnreachable {
                endpoint: self.settings.endpoint.clone(),
                source: error.into(),
            },
            _ => Error::Download {
                model,
                file,
                source: error.into(),
            },
        }
    }
}

/// Whether a partial download stands in the way: it is as long as the file, or longer.
fn is_stale(error: &ApiError) -> bool {
    match error {
        ApiError::InvalidResume => true,
        ApiError::RequestError(request) => matches!(**request, ureq::Error::StatusCode(416)),
        _ => false,
    }
}

/// Keeps the size that the hub announced, and draws a bar where one is wanted.
struct Watch {
    announced: Rc<Cell<u64>>,
    bar: Option<ProgressBar>,
}

impl Progress for Watch {
    fn init(&mut self, size: usize, filename: &str) {
        self.announced.set(size as u64);
        if let Some(bar) = &mut self.bar {
            bar.init(size, filename);
        }
    }

    fn update(&mut self, size: usize) {
        if let Some(bar) = &mut self.bar {
            bar.update(size);
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = &mut self.bar {
            Progress::finish(bar);
        }
    }
}

/// `name` or `owner/name`; anything else could leave the cache or the hub's address.
fn is_hub_id(model: &str) -> bool {
    model.split('/').count() <= 2 && model.split('/').all(|part| is_plain(part, "-_."))
}

fn is_revision(revision: &str) -> bool {
    revision.split('/').all(|part| is_plain(part, "-_.+@"))
}

fn is_plain(part: &str, punctuation: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || punctuation.contains(c);
    !part.is_empty() && !part.starts_with(['.', '-']) && part.chars().all(allowed)
}
