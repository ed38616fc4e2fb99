//! How a model's makers want it to generate: `generation_config.json`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use crate::Error;
use crate::config::read_json;

/// Fields that would change what a deterministic search finds, with the number
/// that switches each off.
const UNSUPPORTED: [(&str, f64); 12] = [
    ("constraints", 0.0),
    ("begin_suppress_tokens", 0.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("encoder_repetition_penalty", 1.0),
    ("exponential_decay_length_penalty", 0.0),
    ("force_words_ids", 0.0),
    ("guidance_scale", 1.0),
    ("num_beam_groups", 1.0),
    ("repetition_penalty", 1.0),
    ("sequence_bias", 0.0),
    ("stop_strings", 0.0),
    ("suppress_tokens", 0.0),
];

/// More beams find nothing better and take memory without end.
const MAX_BEAMS: usize = 256;
/// More tokens that end a target are no end marks any more, and each is looked
/// for at every step.
const MAX_END_MARKS: usize = 256;

/// When a beam search stops although it could go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EarlyStopping {
    /// Never: only when no open beam can become better than the finished ones,
    /// however long it grows.
    Never,
    /// When no open beam is better than the finished ones at its present length:
    /// transformers' `false`, and its default.
    #[default]
    Unpromising,
    /// As soon as there are as many finished beams as there are beams:
    /// transformers' `true`.
    Full,
}

/// How to generate a target: greedily or by beam search, how long, and what is
/// forced or banned.
///
/// Names and meanings are those of transformers. Settings of sampling are not
/// among them: the best token or beam is taken, whatever `do_sample` says.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationSettings {
    /// What the decoder starts with.
    pub decoder_start_token_id: u32,
    /// Tokens that end a target; without any it grows to its greatest length.
    pub eos_token_id: Vec<u32>,
    /// Beams of a beam search; 1 takes the best token at each step.
    pub num_beams: usize,
    /// The greatest length, the start token included.
    pub max_length: usize,
    /// The length, start token included, below which no target ends.
    pub min_length: usize,
    /// The power of the length by which a finished beam's log-probability is
    /// divided: above 0 favours long targets.
    pub length_penalty: f64,
    /// When a beam search stops although it could go on.
    pub early_stopping: EarlyStopping,
    /// The token that comes first behind the start token, such as mBART's
    /// target language.
    pub forced_bos_token_id: Option<u32>,
    /// The tokens of which one is the last of a target of the greatest length.
    pub forced_eos_token_id: Vec<u32>,
    /// Sequences of tokens that must not occur.
    pub bad_words_ids: Vec<Vec<u32>>,
    /// The length of sequences that must not occur twice; 0 bans none.
    pub no_repeat_ngram_size: usize,
    /// Whether probabilities are made to sum to 1 again without what is banned.
    pub renormalize_logits: bool,
}

impl GenerationSettings {
    /// Transformers' defaults: greedy, 20 tokens behind the start token.
    pub fn new(decoder_start_token_id: u32, eos_token_id: u32) -> Self {
        Self {
            decoder_start_token_id,
            eos_token_id: vec![eos_token_id],
            num_beams: 1,
            max_length: 21,
            min_length: 0,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::default(),
            forced_bos_token_id: None,
            forced_eos_token_id: Vec::new(),
            bad_words_ids: Vec::new(),
            no_repeat_ngram_size: 0,
            renormalize_logits: false,
        }
    }

    /// Reads `generation_config.json` of a checkpoint's directory, or the same
    /// fields of `config.json` where there is none.
    ///
    /// What is left out has transformers' default; the start token is then the
    /// first token of texts (`bos_token_id`).
    ///
    /// # Errors
    ///
    /// Where neither file is there, one is no JSON object, a field has a value
    /// that it cannot have, or asks for what [`GenerationSettings`] cannot say.
    pub fn read(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let fields = Fields::read(directory.as_ref())?;
        fields.refuse_unsupported()?;
        let max_length = match fields.number("max_new_tokens", 1)? {
            Some(new) => new.saturating_add(1),
            // The default is the only length that the positions bound.
            None => fields
                .number("max_length", 2)?
                .unwrap_or(fields.max_positions.unwrap_or(21).min(21)),
        };
        let min_length = match fields.number("min_new_tokens", 0)? {
            Some(new) => new.saturating_add(1),
            None => fields.number("min_length", 0)?.unwrap_or(0),
        };
        Ok(Self {
            decoder_start_token_id: fields.start_token()?,
            eos_token_id: fields.end_marks("eos_token_id")?,
            num_beams: fields.beams()?,
            max_length,
            min_length,
            length_penalty: fields.length_penalty()?,
            early_stopping: fields.early_stopping()?,
            forced_bos_token_id: fields.ids("forced_bos_token_id")?.first().copied(),
            forced_eos_token_id: fields.end_marks("forced_eos_token_id")?,
            bad_words_ids: fields.sequences("bad_words_ids")?,
            no_repeat_ngram_size: fields.number("no_repeat_ngram_size", 0)?.unwrap_or(0),
            renormalize_logits: fields.switch("renormalize_logits")?,
        })
    }

    /// Reads `decoder_start_token_id` alone, all that a given target needs:
    /// what [`GenerationSettings::read`] refuses in other fields is no error.
    ///
    /// # Errors
    ///
    /// Where neither file is there, one is no JSON object, or neither a start
    /// token nor a first token of texts is a token id of the vocabulary.
    pub fn read_start_token(directory: impl AsRef<Path>) -> Result<u32, Error> {
        Fields::read(directory.as_ref())?.start_token()
    }

    /// The tokens that a target begins with, by field: where a model has many
    /// languages, one of them may be a language's.
    ///
    /// `None` where a field is not set, or neither file is there.
    pub(crate) fn read_first_tokens(
        directory: &Path,
    ) -> Result<[(&'static str, Option<u32>); 2], Error> {
        let fields = match Fields::read(directory) {
            Err(Error::MissingConfig { .. }) => None,
            fields => Some(fields?),
        };
        let first = |field: &'static str| match &fields {
            Some(fields) => Ok::<_, Error>(fields.ids(field)?.first().copied()),
            None => Ok(None),
        };
        Ok([
            ("\"forced_bos_token_id\"", first("forced_bos_token_id")?),
            (
                "\"decoder_start_token_id\"",
                first("decoder_start_token_id")?,
            ),
        ])
    }
}

/// The fields of one of the two files, and what the other says of the model.
struct Fields {
    file: &'static str,
    values: Map<String, Value>,
    /// Of the decoder.
    vocab_size: Option<usize>,
    max_positions: Option<usize>,
}

impl Fields {
    fn read(directory: &Path) -> Result<Self, Error> {
        let config = Self::of_file(directory, "config.json")?;
        let own = Self::of_file(directory, "generation_config.json")?;
        let (vocab_size, max_positions) = match &config {
            Some(config) => (
                config.decoder_vocab_size()?,
                config.number("max_position_embeddings", 2)?,
            ),
            None => (None, None),
        };
        let Some(fields) = own.or(config) else {
            let directory = directory.to_owned();
            return Err(Error::MissingConfig { directory });
        };
        Ok(Self {
            vocab_size,
            max_positions,
            ..fields
        })
    }

    /// `None` where the file is not there.
    fn of_file(directory: &Path, file: &'static str) -> Result<Option<Self>, Error> {
        let path = directory.join(file);
        if !path.is_file() {
            return Ok(None);
        }
        let values = read_json(&path, |path, source| Error::MalformedConfig {
            path: path.into(),
            source,
        })?;
        Ok(Some(Self {
            file,
            values,
            vocab_size: None,
            max_positions: None,
        }))
    }

    /// In a Marian model, source and target may have vocabularies of their own.
    fn decoder_vocab_size(&self) -> Result<Option<usize>, Error> {
        let shared = self.values.get("share_encoder_decoder_embeddings");
        let own = match shared {
            Some(Value::Bool(false)) => self.number("decoder_vocab_size", 1)?,
            _ => None,
        };
        match own {
            Some(size) => Ok(Some(size)),
            None => self.number("vocab_size", 1),
        }
    }

    fn start_token(&self) -> Result<u32, Error> {
        let ids = [
            self.ids("decoder_start_token_id")?,
            self.ids("bos_token_id")?,
        ];
        let first = ids.iter().flatten().next().copied();
        first.ok_or(Error::MissingStartToken { file: self.file })
    }

    /// Converts a field's value; a JSON null counts as absent.
    fn convert<'a, T>(
        &'a self,
        field: &'static str,
        expected: &'static str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.values.get(field).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let converted = convert(value).ok_or_else(|| Error::InvalidGenerationField {
            file: self.file,
            field,
            value: value.to_string(),
            expected,
        })?;
        Ok(Some(converted))
    }

    fn number(&self, field: &'static str, least: usize) -> Result<Option<usize>, Error> {
        let expected = match least {
            0 => "a whole number",
            1 => "a whole number above 0",
            _ => "a whole number above 1",
        };
        self.convert(field, expected, |value| {
            let number = usize::try_from(value.as_u64()?).ok()?;
            (number >= least).then_some(number)
        })
    }

    fn beams(&self) -> Result<usize, Error> {
        let beams = self.convert("num_beams", "a whole number from 1 to 256", |value| {
            let number = usize::try_from(value.as_u64()?).ok()?;
            (1..=MAX_BEAMS).contains(&number).then_some(number)
        })?;
        Ok(beams.unwrap_or(1))
    }

    /// Ids of which each counts once, in their order.
    fn end_marks(&self, field: &'static str) -> Result<Vec<u32>, Error> {
        let mut ids = self.ids(field)?;
        let mut seen = BTreeSet::new();
        ids.retain(|&id| seen.insert(id));
        if ids.len() > MAX_END_MARKS {
            return Err(Error::InvalidGenerationField {
                file: self.file,
                field,
                value: format!("a list of {} tokens", ids.len()),
                expected: "at most 256 different tokens",
            });
        }
        Ok(ids)
    }

    fn switch(&self, field: &'static str) -> Result<bool, Error> {
        let switch = self.convert(field, "true or false", Value::as_bool)?;
        Ok(switch.unwrap_or(false))
    }

    /// One token id or a list of them.
    fn ids(&self, field: &'static str) -> Result<Vec<u32>, Error> {
        let ids = self.convert(field, "a token id of the vocabulary", |value| {
            match value.as_array() {
                Some(list) => list.iter().map(|value| self.id(value)).collect(),
                None => Some(vec![self.id(value)?]),
            }
        })?;
        Ok(ids.unwrap_or_default())
    }

    fn sequences(&self, field: &'static str) -> Result<Vec<Vec<u32>>, Error> {
        let sequence = |value: &Value| {
            let list = value.as_array().filter(|list| !list.is_empty())?;
            list.iter().map(|value| self.id(value)).collect()
        };
        let expected = "a list of lists of token ids of the vocabulary";
        let sequences = self.convert(field, expected, |value| {
            value.as_array()?.iter().map(sequence).collect()
        })?;
        Ok(sequences.unwrap_or_default())
    }

    fn length_penalty(&self) -> Result<f64, Error> {
        let penalty = self.convert("length_penalty", "a number", Value::as_f64)?;
        Ok(penalty.unwrap_or(1.0))
    }

    fn early_stopping(&self) -> Result<EarlyStopping, Error> {
        let expected = "true, false or \"never\"";
        let stopping = self.convert("early_stopping", expected, |value| match value {
            Value::Bool(true) => Some(EarlyStopping::Full),
            Value::Bool(false) => Some(EarlyStopping::Unpromising),
            Value::String(text) if text == "never" => Some(EarlyStopping::Never),
            _ => None,
        })?;
        Ok(stopping.unwrap_or_default())
    }

    fn refuse_unsupported(&self) -> Result<(), Error> {
        for (field, off) in UNSUPPORTED {
            let is_off = |value: &Value| match value {
                Value::Null | Value::Bool(false) => true,
                Value::Number(number) => number.as_f64() == Some(off),
                Value::Array(list) => list.is_empty(),
                _ => false,
            };
            if let Some(value) = self.values.get(field).filter(|value| !is_off(value)) {
                return Err(Error::UnsupportedGeneration {
                    file: self.file,
                    field,
                    value: value.to_string(),
                });
            }
        }
        Ok(())
    }

    fn id(&self, value: &Value) -> Option<u32> {
        let id = u32::try_from(value.as_u64()?).ok()?;
        let known = self.vocab_size.is_none_or(|size| (id as usize) < size);
        known.then_some(id)
    }
}
