//! What a run has done so far, kept beside its output until that is whole, so
//! that the same command goes on where it stopped.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use headwater::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::BadInput;

/// How a journal begins; whoever changes what its lines are changes the number.
const FORMAT: &str = "headwater.journal/1";

/// Files beside the weights that decide what a text becomes.
const SETTINGS: [&str; 14] = [
    "added_tokens.json",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "source.spm",
    "special_tokens_map.json",
    "spiece.model",
    "spm.model",
    "target.spm",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];

/// The first line: what made the others.
#[derive(Serialize, Deserialize, PartialEq)]
struct Heading {
    format: String,
    /// Hash of everything but the texts that the outputs depend on.
    settings: String,
}

/// Each other line.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    /// Texts, and what became of them.
    Done {
        texts: Vec<String>,
        outputs: Vec<String>,
    },
    /// The output as it was written while texts were left that had failed.
    Written { sha256: String },
}

/// Outputs by the texts they were made of, in a file of JSON lines.
pub(crate) struct Journal {
    path: PathBuf,
    heading: Heading,
    /// Once there is something to keep.
    file: Option<File>,
    /// Where the line of these texts begins, by their hash.
    places: HashMap<[u8; 32], u64>,
    end: u64,
    written: Option<String>,
}

impl Journal {
    /// Opens what an earlier run with the same settings left beside the output,
    /// or prepares for a new journal; nothing is written yet.
    ///
    /// # Errors
    /// There is another kind of file, or another run is at work.
    pub(crate) fn open(path: PathBuf, settings: &str) -> anyhow::Result<Self> {
        let mut journal = Self {
            path,
            heading: Heading {
                format: FORMAT.to_owned(),
                settings: hex(&Sha256::digest(settings)),
            },
            file: None,
            places: HashMap::new(),
            end: 0,
            written: None,
        };
        if journal.path.exists() {
            journal.read()?;
        }
        Ok(journal)
    }

    fn read(&mut self) -> anyhow::Result<()> {
        let name = self.path.display();
        let unreadable = || format!("cannot read {name}");
        let metadata = self.path.metadata().with_context(unreadable)?;
        let foreign = format!("{name} is there and is no journal of a stopped run; move it away");
        if !metadata.is_file() {
            return Err(BadInput(foreign).into());
        }
        let file = File::options().read(true).write(true).open(&self.path);
        let file = file.with_context(unreadable)?;
        lock(&file, &self.path)?;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        let mut place = reader
            .read_until(b'\n', &mut line)
            .with_context(unreadable)? as u64;
        let heading: Option<Heading> = serde_json::from_slice(&line).ok();
        let is_journal = heading
            .as_ref()
            .is_some_and(|heading| heading.format.split('/').next() == FORMAT.split('/').next());
        if metadata.len() > 0 && !is_journal {
            return Err(BadInput(foreign).into());
        }
        if heading.as_ref() == Some(&self.heading) {
            loop {
                line.clear();
                let length = reader
                    .read_until(b'\n', &mut line)
                    .with_context(unreadable)?;
                // What a killed run was about to write is no line.
                match serde_json::from_slice(&line) {
                    Ok(entry) if line.ends_with(b"\n") => match entry {
                        Entry::Done { texts, .. } => {
                            self.places.insert(key(&texts), place);
                        }
                        Entry::Written { sha256 } => self.written = Some(sha256),
                    },
                    _ => break,
                }
                place += length as u64;
            }
            self.end = place;
        }
        file.set_len(self.end)
            .with_context(|| format!("cannot write {name}"))?;
        self.file = Some(file);
        Ok(())
    }

    /// The outputs of these texts, if they are there.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub(crate) fn outputs(&mut self, texts: &[&str]) -> anyhow::Result<Option<Vec<String>>> {
        let owned: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let (Some(&place), Some(mut file)) = (self.places.get(&key(&owned)), self.file.as_ref())
        else {
            return Ok(None);
        };
        let mut line = || -> io::Result<String> {
            file.seek(SeekFrom::Start(place))?;
            let mut line = String::new();
            BufReader::new(file).read_line(&mut line)?;
            Ok(line)
        };
        let line = line().with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(match serde_json::from_str(&line) {
            Ok(Entry::Done { texts, outputs }) if texts == owned => Some(outputs),
            _ => None,
        })
    }

    /// Keeps the outputs of texts.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn keep(&mut self, texts: &[&str], outputs: &[String]) -> anyhow::Result<()> {
        self.append(&Entry::Done {
            texts: texts.iter().map(|&text| text.to_owned()).collect(),
            outputs: outputs.to_vec(),
        })
    }

    /// Notes what the output is while some texts are still to be done.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn note_written(&mut self, sha256: String) -> anyhow::Result<()> {
        self.append(&Entry::Written { sha256 })
    }

    /// Whether a file is the output that an unfinished run wrote.
    pub(crate) fn has_written(&self, output: &Path) -> bool {
        let content = || -> io::Result<String> {
            let mut hashed = Hashed::new(io::sink());
            io::copy(&mut File::open(output)?, &mut hashed)?;
            Ok(hashed.finish())
        };
        self.written.is_some() && content().ok() == self.written
    }

    fn append(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        let mut lines = Vec::new();
        if self.file.is_none() {
            let mut options = File::options();
            options.read(true).write(true).create_new(true);
            let file = options.open(&self.path).with_context(failed)?;
            lock(&file, &self.path)?;
            self.file = Some(file);
        }
        if self.end == 0 {
            serde_json::to_writer(&mut lines, &self.heading)?;
            lines.push(b'\n');
        }
        serde_json::to_writer(&mut lines, entry)?;
        lines.push(b'\n');
        let mut file = self.file.as_ref().context("the journal was begun")?;
        let written = file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| file.write_all(&lines));
        written.with_context(failed)?;
        self.end += lines.len() as u64;
        Ok(())
    }

    /// Removes the journal of an output that is whole.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn remove(self) -> anyhow::Result<()> {
        match self.file {
            Some(_) => fs::remove_file(&self.path)
                .with_context(|| format!("cannot remove {}", self.path.display())),
            None => Ok(()),
        }
    }
}

/// Where the journal of an output file is.
pub(crate) fn beside(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    output.with_file_name(name)
}

/// Two runs would write over each other.
fn lock(file: &File, path: &Path) -> anyhow::Result<()> {
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => {
            let name = path.display();
            let message = format!("another run is at work on {name}; wait for it");
            Err(BadInput(message).into())
        }
        // Where files cannot be locked nobody is warned.
        _ => Ok(()),
    }
}

/// What of a model decides its outputs, for the settings of a journal.
///
/// # Errors
/// The weights cannot be read.
pub(crate) fn model_settings(checkpoint: &Checkpoint) -> anyhow::Result<String> {
    let weights = checkpoint
        .weights_sha256()
        .map_err(headwater::Error::from)?;
    let files = SETTINGS.iter().map(|name| {
        let content = fs::read(checkpoint.directory().join(name)).unwrap_or_default();
        hex(&Sha256::digest(content))
    });
    let files: Vec<String> = files.collect();
    Ok(format!("{weights} {}", files.join(" ")))
}

/// SHA-256 of what goes through to a writer.
pub(crate) struct Hashed<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> Hashed<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
        }
    }

    /// The hash of all that was written.
    pub(crate) fn finish(self) -> String {
        hex(&self.hasher.finalize())
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn key(texts: &[String]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    hasher.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, settings: &str) -> anyhow::Result<Journal> {
        Journal::open(path.to_owned(), settings)
    }

    #[test]
    fn what_was_kept_is_found_by_its_texts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.unfinished");
        let outputs = |text: &str| vec![text.to_uppercase()];
        let mut journal = open(&path, "a").unwrap();
        assert!(!path.exists());
        for text in ["one", "two"] {
            journal.keep(&[text], &outputs(text)).unwrap();
        }
        let busy = open(&path, "a").err().unwrap().to_string();
        assert!(busy.contains("another run"), "{busy}");
        drop(journal);

        // Half a line of a run that was killed.
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend(b"{\"texts\":[\"three\"],\"outp");
        fs::write(&path, &bytes).unwrap();
        let mut journal = open(&path, "a").unwrap();
        for text in ["two", "one"] {
            assert_eq!(journal.outputs(&[text]).unwrap(), Some(outputs(text)));
        }
        assert_eq!(journal.outputs(&["three"]).unwrap(), None);
        assert_eq!(journal.outputs(&["one", "two"]).unwrap(), None);
        journal.keep(&["three"], &outputs("three")).unwrap();
        drop(journal);
        let mut journal = open(&path, "a").unwrap();
        assert_eq!(journal.outputs(&["three"]).unwrap(), Some(outputs("three")));
        drop(journal);

        // Other settings begin anew, and a journal that is done is gone.
        let mut journal = open(&path, "b").unwrap();
        assert_eq!(journal.outputs(&["one"]).unwrap(), None);
        journal.keep(&["one"], &outputs("one")).unwrap();
        journal.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn other_files_are_not_journals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.unfinished");
        for text in [
            "my notes\n",
            "{\"format\": \"other/1\", \"settings\": \"\"}\n",
        ] {
            fs::write(&path, text).unwrap();
            let error = open(&path, "a").err().unwrap().to_string();
            assert!(error.contains("is no journal"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn only_the_output_that_was_written_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.unfinished");
        let output = folder.path().join("out");
        let mut hashed = Hashed::new(File::create(&output).unwrap());
        hashed.write_all(b"one\n").unwrap();
        let sha256 = hashed.finish();
        let mut journal = open(&path, "a").unwrap();
        journal.note_written(sha256).unwrap();
        drop(journal);
        let journal = open(&path, "a").unwrap();
        assert!(journal.has_written(&output));
        fs::write(&output, "two\n").unwrap();
        assert!(!journal.has_written(&output));
    }
}
