//! Marian's tokenizer: two SentencePiece models, and one vocabulary or two.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use sentencepiece_rs::SentencePieceProcessor;
use serde_json::{Map, Value};

use super::Side;
use super::spans::Words;
use crate::config::read_json;
use crate::nearest::nearest;
use crate::{Error, TokenizedText};

const UNKNOWN: &str = "<unk>";
const END: &str = "</s>";
/// Where they stand in a text they are the tokens themselves.
const SPECIAL: [&str; 3] = [UNKNOWN, END, "<pad>"];

/// SentencePiece models have about a megabyte.
const MAX_MODEL_BYTES: u64 = 64_000_000;

/// Two SentencePiece models and one vocabulary, or one for each side.
#[derive(Clone, Debug)]
pub(super) struct MarianTokenizer {
    source: SentencePieceProcessor,
    target: SentencePieceProcessor,
    vocabulary: Vocabulary,
    /// Where the target does not share the source's.
    target_vocabulary: Option<Vocabulary>,
    /// What source texts begin with, for a model with several target languages.
    language: Option<(u32, String)>,
}

#[derive(Clone, Debug)]
struct Vocabulary {
    ids: HashMap<String, u32>,
    tokens: HashMap<u32, String>,
    unknown: u32,
    end: u32,
}

impl Vocabulary {
    fn read(path: &Path) -> Result<Self, Error> {
        let ids: HashMap<String, u32> = read_json(path, |path, source| {
            let path = path.to_owned();
            Error::MalformedVocabulary { path, source }
        })?;
        let required = |token: &'static str| {
            let path = path.to_owned();
            let id = ids.get(token).copied();
            id.ok_or(Error::MissingVocabularyToken { path, token })
        };
        Ok(Self {
            tokens: ids.iter().map(|(token, &id)| (id, token.clone())).collect(),
            unknown: required(UNKNOWN)?,
            end: required(END)?,
            ids,
        })
    }

    fn push(&self, tokenized: &mut TokenizedText, piece: &str, offsets: Range<usize>) {
        match self.ids.get(piece) {
            Some(&id) => tokenized.push(id, piece, Some(offsets), SPECIAL.contains(&piece)),
            None => tokenized.push(self.unknown, UNKNOWN, Some(offsets), true),
        }
    }
}

impl MarianTokenizer {
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        let path = |file| {
            let path = directory.join(file);
            match path.is_file() {
                true => Ok(path),
                false => Err(Error::MissingTokenizerFile {
                    directory: directory.to_owned(),
                    file,
                }),
            }
        };
        let source = path("source.spm")?;
        let target = path("target.spm")?;
        let vocabulary = path("vocab.json")?;
        let target_vocabulary = match separate_vocabularies(directory)? {
            true => Some(Vocabulary::read(&path("target_vocab.json")?)?),
            false => None,
        };
        Ok(Self {
            source: read_model(&source)?,
            target: read_model(&target)?,
            vocabulary: Vocabulary::read(&vocabulary)?,
            target_vocabulary,
            language: None,
        })
    }

    fn vocabulary(&self, side: Side) -> &Vocabulary {
        match (side, &self.target_vocabulary) {
            (Side::Target, Some(own)) => own,
            _ => &self.vocabulary,
        }
    }

    pub(super) fn set_language(&mut self, side: Side, code: &str) -> Result<(), Error> {
        let token = format!(">>{code}<<");
        let ids = &self.vocabulary.ids;
        match ids.get(&token) {
            Some(&id) if side == Side::Target => {
                self.language = Some((id, token));
                Ok(())
            }
            _ => {
                let codes = ids.keys().filter_map(|token| {
                    let code = token.strip_prefix(">>")?.strip_suffix("<<")?;
                    (side == Side::Target).then_some(code)
                });
                Err(Error::UnknownLanguage {
                    side: side.name(),
                    code: code.to_owned(),
                    nearest: nearest(code, codes),
                })
            }
        }
    }

    pub(super) fn encode(&self, side: Side, text: &str) -> Result<TokenizedText, Error> {
        let mut tokenized = TokenizedText::default();
        if let (Side::Source, Some((id, code))) = (side, &self.language) {
            tokenized.push(*id, code, None, true);
        }
        let mut here = 0;
        loop {
            let special = SPECIAL.iter().filter_map(|token| {
                let start = here + text[here..].find(token)?;
                Some(start..start + token.len())
            });
            let next = special.min_by_key(|range| range.start);
            let end = next.as_ref().map_or(text.len(), |range| range.start);
            self.encode_ordinary(side, text, here..end, &mut tokenized)?;
            let Some(range) = next else { break };
            here = range.end;
            let vocabulary = self.vocabulary(side);
            vocabulary.push(&mut tokenized, &text[range.clone()], range);
        }
        tokenized.push(self.vocabulary(side).end, END, None, true);
        Ok(tokenized)
    }

    /// Encodes a part of the text that has no special token in it.
    fn encode_ordinary(
        &self,
        side: Side,
        text: &str,
        mut part: Range<usize>,
        tokenized: &mut TokenizedText,
    ) -> Result<(), Error> {
        let vocabulary = self.vocabulary(side);
        let language = text[part.clone()].strip_prefix(">>");
        if let Some(length) = language.and_then(|rest| Some(rest.find("<<")? + 4)) {
            let code = part.start..part.start + length;
            part.start = code.end;
            vocabulary.push(tokenized, &text[code.clone()], code);
        }
        let model = match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        };
        let part_text = &text[part.clone()];
        let words = Words::new(part_text, model)?;
        let mut normalized = 0;
        for piece in model.encode(part_text).map_err(untokenizable)? {
            let id = model.model().piece_to_id(&piece);
            // A byte of a character that the model does not have is spelt `<0xE2>`.
            let length = match model.model().is_byte(id) {
                true => 1,
                false => piece.len(),
            };
            let offsets = words.original(normalized..normalized + length);
            normalized += length;
            let offsets = part.start + offsets.start..part.start + offsets.end;
            vocabulary.push(tokenized, &piece, offsets);
        }
        Ok(())
    }

    /// The text of a target.
    pub(super) fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        let pieces = ids.iter().filter_map(|&id| self.token(Side::Target, id));
        let pieces: Vec<&str> = pieces.filter(|token| !SPECIAL.contains(token)).collect();
        // As transformers chooses: what differs between the two models is how
        // they cut, not how pieces are joined.
        let model = match self.target_vocabulary {
            Some(_) => &self.target,
            None => &self.source,
        };
        let text = model.decode_pieces(&pieces);
        let text = text.map_err(|source| Error::Undecodable {
            source: source.into(),
        })?;
        Ok(text.replace('▁', " ").trim().to_owned())
    }

    pub(super) fn token(&self, side: Side, id: u32) -> Option<&str> {
        self.vocabulary(side).tokens.get(&id).map(String::as_str)
    }

    pub(super) fn is_special(&self, side: Side, id: u32) -> bool {
        self.token(side, id)
            .is_some_and(|token| SPECIAL.contains(&token))
    }

    pub(super) fn id(&self, side: Side, token: &str) -> Option<u32> {
        self.vocabulary(side).ids.get(token).copied()
    }
}

/// What `tokenizer_config.json`, where there is one, says of the vocabularies.
fn separate_vocabularies(directory: &Path) -> Result<bool, Error> {
    let path = directory.join("tokenizer_config.json");
    if !path.is_file() {
        return Ok(false);
    }
    let fields: Map<String, Value> = read_json(&path, |path, source| Error::MalformedConfig {
        path: path.into(),
        source,
    })?;
    Ok(fields.get("separate_vocabs") == Some(&Value::Bool(true)))
}

fn read_model(path: &Path) -> Result<SentencePieceProcessor, Error> {
    let size = fs::metadata(path).map_err(Error::io(path))?.len();
    if size > MAX_MODEL_BYTES {
        return Err(Error::FileTooLarge {
            path: path.to_owned(),
            limit: MAX_MODEL_BYTES,
        });
    }
    let bytes = fs::read(path).map_err(Error::io(path))?;
    SentencePieceProcessor::from_serialized_model(&bytes).map_err(|source| {
        Error::MalformedSentencePiece {
            path: path.to_owned(),
            source: source.into(),
        }
    })
}

pub(super) fn untokenizable(source: sentencepiece_rs::Error) -> Error {
    Error::Untokenizable {
        source: source.into(),
    }
}
