//! Where outputs may go: over nothing that a command reads, and over nothing
//! that is not its own.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use headwater::metrics::{LinkLine, Links, Numbering};
use serde::Deserialize;

use crate::failure::BadInput;

/// A longer header than this is no header; the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Of a file of links so much is looked at before it is replaced.
const LOOKED_AT: u64 = 1 << 20;

/// Files that make up a model wherever they lie in its directory: one that
/// appears there would be read the next time.
const OF_A_MODEL: [&str; 14] = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "added_tokens.json",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "source.spm",
    "special_tokens_map.json",
    "target.spm",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An analysis file, which replaces an analysis file.
    Analysis,
    /// Word links, which replace word links.
    Links,
    /// What a stopped run has done, which knows itself whether it is one.
    Journal,
    /// Translations, which nobody can tell from another text.
    Translations,
    /// A page, whose name ends in `.html`.
    Page,
    /// A picture, whose name says what it is.
    Picture,
}

/// What a command reads, which none of its outputs may replace.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// With what the user would call it.
    files: Vec<(Place, String)>,
    /// Canonical.
    models: Vec<PathBuf>,
}

/// A file whatever it is called: links lead to the same.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    /// Device and number on it, which hard links share.
    node: Option<(u64, u64)>,
}

impl Reads {
    /// Adds the file that an option names; `-` is standard input, which the
    /// shell may have taken from a file.
    pub(crate) fn file(mut self, option: &str, path: &Path) -> Self {
        let place = match path == Path::new("-") {
            true => standard_input(),
            false => Place::of(path),
        };
        self.files
            .extend(place.map(|place| (place, format!("what {option} reads"))));
        self
    }

    /// Adds a model, if it is a directory: all of its files but analyses, which
    /// no model consists of.
    pub(crate) fn model(mut self, model: &Path) -> Self {
        let Ok(directory) = model.canonicalize() else {
            return self;
        };
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            if path.is_file() && !is_analysis(&path) {
                let place = Place::of(&path);
                self.files
                    .extend(place.map(|place| (place, "a file of the model".to_owned())));
            }
        }
        self.models.push(directory);
        self
    }

    /// Checks what can be known about an output before anything is written.
    ///
    /// # Errors
    /// It is a folder or a device, lies in no folder, has a name of another
    /// kind, is among what the command reads, or holds something else than such
    /// an output.
    pub(crate) fn check(&self, output: &Path, kind: Kind) -> Result<(), BadInput> {
        let refuse = |wrong: String| {
            let name = output.display();
            Err(BadInput(format!("--output {name} {wrong}")))
        };
        if kind == Kind::Page && !has_extension(output, "html") {
            return refuse("would hold a page, so its name has to end in .html".to_owned());
        }
        match output.metadata() {
            // A whole file is put in place by renaming, which would turn a device
            // or a pipe into a file.
            Ok(metadata) if metadata.is_dir() => {
                return refuse("is a directory; name a file in it".to_owned());
            }
            Ok(metadata) if !metadata.is_file() => {
                return refuse("is not a regular file; name another".to_owned());
            }
            Ok(_) => {}
            Err(_) => match output.parent() {
                Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
                    let folder = folder.display();
                    return refuse(format!(
                        "cannot be written: there is no directory {folder}; make it first"
                    ));
                }
                _ => {}
            },
        }
        if let Some(place) = Place::of(output) {
            if let Some((_, what)) = self.files.iter().find(|(read, _)| read.is(&place)) {
                return refuse(format!("is {what}, and would be lost; name another file"));
            }
            let folder = place.path.parent();
            let is_of_a_model = OF_A_MODEL.iter().any(|name| place.path.ends_with(name));
            if is_of_a_model && self.models.iter().any(|model| Some(&**model) == folder) {
                return refuse("would become a file of the model; name another".to_owned());
            }
        }
        let (is_own, what) = match kind {
            Kind::Analysis => (is_analysis(output), "an analysis"),
            Kind::Links => (is_links(output), "word links"),
            Kind::Translations => (false, "what an unfinished run has written"),
            Kind::Page | Kind::Picture | Kind::Journal => return Ok(()),
        };
        match output.metadata() {
            Ok(metadata) if metadata.len() > 0 && !is_own => refuse(format!(
                "is there and does not hold {what}; move it away or name another file"
            )),
            _ => Ok(()),
        }
    }

    /// Checks that standard output does not end in a file that is read: what is
    /// printed would be read again, or has been cut off by the shell already.
    ///
    /// # Errors
    /// It does.
    pub(crate) fn check_standard_output(&self) -> Result<(), BadInput> {
        let Some(place) = standard_output() else {
            return Ok(());
        };
        match self.files.iter().find(|(read, _)| read.is(&place)) {
            Some((_, what)) => Err(BadInput(format!(
                "standard output goes to {what}; send it to another file"
            ))),
            None => Ok(()),
        }
    }
}

impl Place {
    /// Where a path leads; `None` where no file can be.
    fn of(path: &Path) -> Option<Self> {
        if let Ok(metadata) = path.metadata() {
            return Some(Self {
                path: path.canonicalize().ok()?,
                node: metadata.is_file().then(|| node(&metadata)).flatten(),
            });
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        Some(Self {
            path: folder.canonicalize().ok()?.join(path.file_name()?),
            node: None,
        })
    }

    fn is(&self, other: &Self) -> bool {
        let is_same_node = self.node.is_some() && self.node == other.node;
        is_same_node || (!self.path.as_os_str().is_empty() && self.path == other.path)
    }
}

#[cfg(unix)]
fn node(metadata: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn node(_: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

/// The file that standard input comes from, if it does from one.
fn standard_input() -> Option<Place> {
    #[cfg(unix)]
    return of_stream(&io::stdin());
    #[cfg(not(unix))]
    None
}

fn standard_output() -> Option<Place> {
    #[cfg(unix)]
    return of_stream(&io::stdout());
    #[cfg(not(unix))]
    None
}

#[cfg(unix)]
fn of_stream(stream: &impl std::os::fd::AsFd) -> Option<Place> {
    let file = File::from(stream.as_fd().try_clone_to_owned().ok()?);
    let metadata = file.metadata().ok()?;
    metadata.is_file().then(|| Place {
        path: PathBuf::new(),
        node: node(&metadata),
    })
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// Whether a file says that it is an analysis, of whichever version and however
/// much is left of its arrays.
fn is_analysis(path: &Path) -> bool {
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__")]
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        format: String,
    }
    let header = || -> io::Result<Header> {
        let mut file = File::open(path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length).min(MAX_HEADER_BYTES);
        let mut header = Vec::new();
        file.take(length).read_to_end(&mut header)?;
        Ok(serde_json::from_slice(&header)?)
    };
    let (name, _) = headwater::FORMAT
        .split_once('/')
        .unwrap_or((headwater::FORMAT, ""));
    header().is_ok_and(|header| header.metadata.format.split('/').next() == Some(name))
}

/// Whether a file begins with lines of links as this program writes them.
fn is_links(path: &Path) -> bool {
    let line = LinkLine {
        number: 1,
        numbering: Numbering::FromZero,
        words: None,
    };
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut beginning));
    let Ok(text) = str::from_utf8(&beginning) else {
        return false;
    };
    // The last line may be cut off.
    let lines = text.lines().count();
    let mut whole = text.lines().take(lines.saturating_sub(1).max(1));
    read.is_ok() && whole.all(|text| Links::parse(text, line).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reads: &Reads, output: &Path, kind: Kind) -> String {
        reads.check(output, kind).unwrap_err().0
    }

    #[test]
    fn what_is_read_is_known_by_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("read.svg"), "1-1").unwrap();
        fs::create_dir(file("below")).unwrap();
        let mut names = vec![file("read.svg"), file("below/../read.svg")];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(file("read.svg"), file("link.svg")).unwrap();
            std::os::unix::fs::symlink(folder.path(), file("below/up")).unwrap();
            fs::hard_link(file("read.svg"), file("hard.svg")).unwrap();
            names.extend([
                file("link.svg"),
                file("below/up/read.svg"),
                file("hard.svg"),
            ]);
        }
        for read in &names {
            let reads = Reads::default().file("--gold", read);
            for output in &names {
                let message = refusal(&reads, output, Kind::Picture);
                assert!(message.contains("is what --gold reads"), "{message}");
            }
            assert!(reads.check(&file("other.svg"), Kind::Picture).is_ok());
        }
    }

    #[test]
    fn a_model_is_kept_and_may_have_analyses_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let header = |format: &str| {
            let json = format!(r#"{{"__metadata__":{{"format":"{format}"}}}}"#);
            [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat()
        };
        fs::write(file("weights.safetensors"), header("pt")).unwrap();
        fs::write(file("a.safetensors"), header("headwater.analysis/9")).unwrap();
        let reads = Reads::default().model(folder.path());
        let refused = |name: &str| refusal(&reads, &file(name), Kind::Analysis);
        assert!(refused("weights.safetensors").contains("is a file of the model"));
        assert!(refused("model.safetensors").contains("would become a file of the model"));
        assert!(reads.check(&file("a.safetensors"), Kind::Analysis).is_ok());
        assert!(reads.check(&file("b.safetensors"), Kind::Analysis).is_ok());
        // Elsewhere the names are free.
        let other = tempfile::tempdir().unwrap();
        let elsewhere = other.path().join("model.safetensors");
        assert!(reads.check(&elsewhere, Kind::Analysis).is_ok());
    }

    #[test]
    fn only_its_own_kind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let check = |content: &str, kind| {
            fs::write(&path, content).unwrap();
            Reads::default().check(&path, kind)
        };
        assert!(check("", Kind::Analysis).is_ok());
        let message = check("a thesis", Kind::Analysis).unwrap_err().0;
        assert!(message.contains("does not hold an analysis"), "{message}");
        assert!(check("0-0 1-2\n\n3-1\n", Kind::Links).is_ok());
        for text in ["the dog\n", "0-0\nthe dog\n\n", "1p1"] {
            let message = check(text, Kind::Links).unwrap_err().0;
            assert!(message.contains("does not hold word links"), "{message}");
        }
        let message = check("", Kind::Page).unwrap_err().0;
        assert!(message.contains(".html"), "{message}");
    }
}
