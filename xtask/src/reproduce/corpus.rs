//! Texts as JSON lines, some with a masked word and the tokens that decide it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use headwater::{Analyzer, Input, TokenizedInput};
use serde::Deserialize;

/// How a masked word is written in a corpus, whatever the model's own token.
const MASK: &str = "[MASK]";

/// A text of the corpus as the model sees it.
pub(crate) struct Text {
    pub(crate) id: String,
    pub(crate) input: TokenizedInput,
    pub(crate) probe: Option<Probe>,
}

/// What is known of a masked word. Positions count the special tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Probe {
    /// What the masked word has to agree with: a subject, an earlier mention.
    pub(crate) kind: String,
    /// The position of the masked token.
    pub(crate) masked: usize,
    /// The positions of the tokens that decide it.
    pub(crate) deciding: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Option<String>,
    text: Option<String>,
    text_pair: Option<String>,
    tokens: Option<Vec<String>>,
    probe: Option<Probe>,
}

/// Whether the texts of a run may have masked words.
#[derive(Clone, Copy)]
pub(crate) enum Masks<'a> {
    /// This token stands for one.
    Token(&'a str),
    /// The model fills none in: texts with one are left out, and what is said
    /// of a decided word is not read.
    Skipped,
}

/// Reads and tokenizes the first `limit` texts of a file.
pub(crate) fn read(
    path: &Path,
    limit: Option<usize>,
    analyzer: &Analyzer,
    masks: Masks<'_>,
) -> anyhow::Result<Vec<Text>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut texts = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let place = || format!("{} line {number}", path.display());
        let line = line.with_context(place)?;
        if line.trim().is_empty() {
            continue;
        }
        if limit.is_some_and(|limit| texts.len() == limit) {
            break;
        }
        let (id, input, mut probe) = match masks {
            Masks::Token(mask) => parse(&line, number, mask).with_context(place)?,
            Masks::Skipped if line.contains(MASK) => continue,
            Masks::Skipped => {
                let (id, input, _) = parse(&line, number, MASK).with_context(place)?;
                (id, input, None)
            }
        };
        let input = analyzer.encode(&input).with_context(place)?;
        if let (Some(probe), Masks::Token(mask)) = (&mut probe, masks) {
            probe.deciding.sort_unstable();
            probe.deciding.dedup();
            check(probe, &input.tokens, mask).with_context(place)?;
        }
        texts.push(Text { id, input, probe });
    }
    ensure!(
        !texts.is_empty(),
        "{} has no texts that this model can read",
        path.display()
    );
    Ok(texts)
}

fn parse(line: &str, number: usize, mask: &str) -> anyhow::Result<(String, Input, Option<Probe>)> {
    let line: Line = serde_json::from_str(line)?;
    let masked = |text: String| text.replace(MASK, mask);
    let input = match (line.text, line.text_pair, line.tokens) {
        (Some(text), None, None) => Input::Text(masked(text)),
        (Some(text), Some(pair), None) => Input::Pair(masked(text), masked(pair)),
        (None, None, Some(tokens)) => Input::Tokens(tokens),
        _ => bail!("give text, text and text_pair, or tokens"),
    };
    Ok((
        line.id.unwrap_or_else(|| number.to_string()),
        input,
        line.probe,
    ))
}

/// Positions that are not what the probe says would rank the wrong tokens.
fn check(probe: &Probe, tokens: &[String], mask: &str) -> anyhow::Result<()> {
    let found = tokens.get(probe.masked).map(String::as_str);
    ensure!(
        found == Some(mask),
        "the probe's masked token {} is {}, not {mask}; give positions for this model's tokenizer",
        probe.masked,
        found.unwrap_or("past the end"),
    );
    ensure!(
        !probe.deciding.is_empty(),
        "the probe names no deciding token"
    );
    for &position in &probe.deciding {
        ensure!(
            position < tokens.len() && position != probe.masked,
            "the probe's deciding token {position} is not another one of the {} tokens",
            tokens.len(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_text_a_pair_or_tokens() {
        let input = |line| parse(line, 7, "<mask>").unwrap();
        let (id, text, probe) = input(r#"{"text": "a [MASK]."}"#);
        assert_eq!((id.as_str(), text), ("7", Input::Text("a <mask>.".into())));
        assert_eq!(probe, None);
        let (id, pair, _) = input(r#"{"id": "p", "text": "a", "text_pair": "b"}"#);
        assert_eq!(
            (id.as_str(), pair),
            ("p", Input::Pair("a".into(), "b".into()))
        );
        let (_, tokens, _) = input(r#"{"tokens": ["<s>", "a", "</s>"]}"#);
        assert_eq!(
            tokens,
            Input::Tokens(vec!["<s>".into(), "a".into(), "</s>".into()])
        );
    }

    #[test]
    fn lines_that_say_nothing_or_two_things_are_refused() {
        for line in [
            "{}",
            r#"{"text_pair": "b"}"#,
            r#"{"text": "a", "tokens": ["a"]}"#,
            r#"{"txt": "a"}"#,
            "not JSON",
        ] {
            assert!(parse(line, 1, MASK).is_err(), "{line}");
        }
    }

    #[test]
    fn a_model_without_masks_reads_the_texts_without_one() {
        let model = headwater_fixtures::root().join("bundled-gpt2");
        let analyzer = Analyzer::from_pretrained(model.to_str().unwrap()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let probe = r#"{"kind": "agreement", "masked": 1, "deciding": [2]}"#;
        let lines = format!(
            "{{\"text\": \"a [MASK].\", \"probe\": {probe}}}\n\
             {{\"id\": \"kept\", \"text\": \"the cow.\", \"probe\": {probe}}}\n"
        );
        std::fs::write(file.path(), lines).unwrap();
        let texts = read(file.path(), None, &analyzer, Masks::Skipped).unwrap();
        assert_eq!(texts.len(), 1);
        assert_eq!((texts[0].id.as_str(), &texts[0].probe), ("kept", &None));
        assert!(read(file.path(), None, &analyzer, Masks::Token("[MASK]")).is_err());
    }

    #[test]
    fn a_probe_that_does_not_fit_the_tokens_is_refused() {
        let line = r#"{"text": "a", "probe": {"kind": "agreement", "masked": 2, "deciding": [1], "answer": "is"}}"#;
        let probe = parse(line, 1, MASK).unwrap().2.unwrap();
        let tokens = ["[CLS]", "dogs", "[MASK]", "[SEP]"].map(String::from);
        check(&probe, &tokens, MASK).unwrap();
        check(&probe, &tokens[..2], MASK).unwrap_err();
        for (masked, deciding) in [(1, vec![0]), (2, vec![]), (2, vec![2]), (2, vec![4])] {
            let kind = "agreement".into();
            let wrong = Probe {
                kind,
                masked,
                deciding,
            };
            assert!(check(&wrong, &tokens, MASK).is_err(), "{wrong:?}");
        }
    }
}
