//! The model of a run, and what comes with it.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use headwater::Analyzer;
use headwater::metrics::{FrequencyRanks, SpecialTokens};

use super::Options;
use super::corpus::Text;
use crate::minilm;

/// What of the bundled files a run uses, by the model that was named.
pub(super) enum Model {
    /// By its directory in `fixtures/`, with the texts that it knows.
    Bundled(&'static str, &'static str),
    Minilm,
    Named(String),
}

const BUNDLED_BERT: Model = Model::Bundled("bundled-bert", "texts/bundled.jsonl");
pub(super) const BUNDLED_GPT2: Model = Model::Bundled("bundled-gpt2", "texts/bundled-causal.jsonl");

impl Model {
    pub(super) fn of(options: &Options) -> Self {
        match options.model.as_deref() {
            None | Some("bundled-bert") => BUNDLED_BERT,
            Some("bundled-gpt2") => BUNDLED_GPT2,
            Some("minilm") => Self::Minilm,
            Some(name) => Self::Named(name.to_owned()),
        }
    }

    /// What the report calls it; never a path of this machine's own.
    pub(super) fn title(&self) -> &str {
        match self {
            Self::Bundled(name, _) => name,
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
            Self::Bundled(name, _) => fixture(name).display().to_string(),
            Self::Minilm => minilm::directory()?.display().to_string(),
            Self::Named(name) => name.clone(),
        })
    }

    pub(super) fn corpus(&self) -> PathBuf {
        fixture(match self {
            Self::Bundled(_, texts) => texts,
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
    let known = |token: &str| tokenizer.id(token).is_some();
    let all = [SpecialTokens::bert(), SpecialTokens::roberta()]
        .into_iter()
        .find(|special| special.to_ids(|token| tokenizer.id(token)).is_ok());
    if let Some(special) = all {
        return Ok(special);
    }
    ensure!(
        analyzer.model().architecture().causal,
        "the vocabulary has neither [CLS], [SEP] and [MASK] nor <s>, </s> and <mask>, \
         which the experiments tell apart",
    );
    Ok(of_decoder(known))
}

/// What stands for the special tokens in a decoder, which has no mask and
/// perhaps one token for where texts begin and end. No token is empty, so that
/// what the vocabulary lacks never matches.
fn of_decoder(known: impl Fn(&str) -> bool) -> SpecialTokens {
    let first = |tokens: &[&str]| {
        let found = tokens.iter().copied().find(|token| known(token));
        found.unwrap_or_default().to_owned()
    };
    SpecialTokens {
        cls: first(&["<s>"]),
        sep: first(&["</s>", "<|endoftext|>"]),
        mask: String::new(),
        ..SpecialTokens::roberta()
    }
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
        (None, Model::Bundled(name, _)) => fixture(name).join("frequency_ranks.txt"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use headwater::metrics::TokenKind;

    #[test]
    fn a_decoder_lacks_what_its_vocabulary_lacks() {
        let kinds = |vocabulary: &[&str], tokens: [&str; 3]| {
            let special = of_decoder(|token| vocabulary.contains(&token));
            tokens.map(|token| special.kind(token))
        };
        let (cls, sep, normal) = (TokenKind::Cls, TokenKind::Sep, TokenKind::Normal);
        assert_eq!(
            kinds(&["<|endoftext|>"], ["<|endoftext|>", "<s>", "Ġa"]),
            [sep, normal, normal]
        );
        assert_eq!(
            kinds(&["<s>", "</s>"], ["<s>", "</s>", "<mask>"]),
            [cls, sep, normal]
        );
    }
}
