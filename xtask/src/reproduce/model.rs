//! The model of a run, and what comes with it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use headwater::Analyzer;
use headwater::metrics::{FrequencyRanks, SpecialTokens};

use super::Options;
use super::corpus::Text;
use crate::minilm;

/// What of the bundled files a run uses, by the model that was named.
pub(super) enum Model {
    Bundled,
    Minilm,
    Named(String),
}

impl Model {
    pub(super) fn of(options: &Options) -> Self {
        match options.model.as_deref() {
            None => Self::Bundled,
            Some("minilm") => Self::Minilm,
            Some(name) => Self::Named(name.to_owned()),
        }
    }

    /// What the report calls it; never a path of this machine's own.
    pub(super) fn title(&self) -> &str {
        match self {
            Self::Bundled => "bundled-bert",
            Self::Minilm => "all-MiniLM-L6-v2",
            Self::Named(name) => name
                .trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or(name),
        }
    }

    pub(super) fn location(&self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Bundled => fixture("bundled-bert").display().to_string(),
            Self::Minilm => minilm::directory()?.display().to_string(),
            Self::Named(name) => name.clone(),
        })
    }

    pub(super) fn corpus(&self) -> PathBuf {
        fixture(match self {
            Self::Bundled => "texts/bundled.jsonl",
            _ => "texts/english.jsonl",
        })
    }
}

/// A file or folder of fixtures/.
pub(super) fn fixture(name: &str) -> PathBuf {
    crate::repository().join("fixtures").join(name)
}

/// The special tokens of the model's vocabulary.
pub(super) fn special_tokens(analyzer: &Analyzer) -> anyhow::Result<SpecialTokens> {
    let tokenizer = analyzer.checkpoint().tokenizer()?;
    [SpecialTokens::bert(), SpecialTokens::roberta()]
        .into_iter()
        .find(|special| special.to_ids(|token| tokenizer.token_to_id(token)).is_ok())
        .context(
            "the vocabulary has neither [CLS], [SEP] and [MASK] nor <s>, </s> and <mask>, \
             which the experiments tell apart",
        )
}

/// The configuration as it lies in the file.
pub(super) fn read_config(directory: &Path) -> anyhow::Result<serde_json::Value> {
    let path = directory.join("config.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
}

/// The ranks, and the file that they are from, if they are from one.
pub(super) fn frequency_ranks(
    options: &Options,
    model: &Model,
    texts: &[Text],
) -> anyhow::Result<(FrequencyRanks, Option<PathBuf>)> {
    let file = match (&options.frequency_ranks, model) {
        (Some(path), _) => path.clone(),
        (None, Model::Bundled) => fixture("bundled-bert/frequency_ranks.txt"),
        (None, _) => {
            let ids = texts.iter().flat_map(|text| &text.input.input_ids);
            return Ok((FrequencyRanks::from_counts(ids.map(|&id| (id, 1))), None));
        }
    };
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let ranks = text.parse().with_context(|| file.display().to_string())?;
    Ok((ranks, Some(file)))
}
