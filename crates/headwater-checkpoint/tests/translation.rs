//! Tokenizers of translation models against transformers', and broken ones.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use headwater_checkpoint::{Error, Side, TokenizedText, TranslationTokenizer};
use serde::Deserialize;
use tempfile::TempDir;

#[derive(Deserialize)]
struct Expected {
    cases: BTreeMap<String, Case>,
    decoded: Vec<Decoded>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    source: Tokens,
    target: Tokens,
}

#[derive(Deserialize)]
struct Tokens {
    ids: Vec<u32>,
    tokens: Vec<String>,
    decoded: String,
}

#[derive(Deserialize)]
struct Decoded {
    ids: Vec<u32>,
    text: String,
}

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizers");
    fixtures.join(name)
}

fn tokenizer(name: &str) -> TranslationTokenizer {
    TranslationTokenizer::open(fixture(name)).unwrap()
}

/// Every text of a fixture on both sides.
fn check(name: &str, tokenizer: &TranslationTokenizer) {
    let bytes = fs::read(fixture(name).join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&bytes).unwrap();
    assert!(expected.cases.len() > 10);
    for (
        case,
        Case {
            text,
            source,
            target,
        },
    ) in &expected.cases
    {
        for (side, expected, found) in [
            (Side::Source, source, tokenizer.encode_source(text).unwrap()),
            (Side::Target, target, tokenizer.encode_target(text).unwrap()),
        ] {
            assert_eq!(found.tokens, expected.tokens, "{name} {case}");
            assert_eq!(found.ids, expected.ids, "{name} {case}");
            let decoded = tokenizer.decode(&found.ids).unwrap();
            assert_eq!(decoded, expected.decoded, "{name} {case}");
            for (&id, token) in found.ids.iter().zip(&found.tokens) {
                assert_eq!(tokenizer.token(side, id).as_ref(), Some(token));
                assert_eq!(tokenizer.id(side, token), Some(id));
            }
            check_offsets(text, &found);
        }
    }
    for Decoded { ids, text } in &expected.decoded {
        assert_eq!(tokenizer.decode(ids).unwrap(), *text, "{name} {ids:?}");
    }
}

/// Ranges are inside the text and in order, and only special tokens have none.
fn check_offsets(text: &str, found: &TokenizedText) {
    assert_eq!(found.offsets.len(), found.ids.len());
    let mut before = 0..0;
    for (token, offsets) in found.tokens.iter().zip(&found.offsets) {
        let Some(range) = offsets else {
            assert!(
                ["<s>", "</s>", "en_XX", "de_DE"].contains(&&**token),
                "{text:?} {token}"
            );
            continue;
        };
        assert!(
            range.start <= range.end && range.end <= text.len(),
            "{text:?} {range:?}"
        );
        assert!(
            range.start >= before.start && range.end >= before.end,
            "{text:?} {range:?}"
        );
        before = range.clone();
    }
}

#[test]
fn marian_is_transformers_marian() {
    check("marian", &tokenizer("marian"));
}

#[test]
fn marian_with_a_vocabulary_for_each_side() {
    let tokenizer = tokenizer("marian_separate");
    check("marian_separate", &tokenizer);
    let id = |side| tokenizer.id(side, "▁river");
    assert!(id(Side::Source).is_none() && id(Side::Target).is_some());
}

#[test]
fn bart_is_its_tokenizer_json() {
    check("bart", &tokenizer("bart"));
}

#[test]
fn mbart_marks_the_language_of_each_side() {
    let tokenizer = tokenizer("mbart").with_target_language("de_DE").unwrap();
    check("mbart", &tokenizer);
    let turned = tokenizer.with_source_language("de_DE").unwrap();
    let turned = turned.with_target_language("en_XX").unwrap();
    let last = |text: TokenizedText| text.tokens.last().cloned();
    assert_eq!(last(turned.encode_source("Tal").unwrap()).unwrap(), "de_DE");
    assert_eq!(last(turned.encode_target("Tal").unwrap()).unwrap(), "en_XX");
}

#[test]
fn marian_puts_the_target_language_before_the_source() {
    let tokenizer = tokenizer("marian").with_target_language("fra").unwrap();
    let text = tokenizer.encode_source("das").unwrap();
    assert_eq!(text.tokens, [">>fra<<", "▁d", "as", "</s>"]);
    assert_eq!(text.offsets, [None, Some(0..1), Some(1..3), None]);
    let text = tokenizer.encode_target("the").unwrap();
    assert_eq!(text.tokens, ["▁the", "</s>"]);
}

/// What stands in the text under each token of a Marian source.
fn marian_source(text: &str) -> Vec<(String, Option<Range<usize>>)> {
    let found = tokenizer("marian").encode_source(text).unwrap();
    found.tokens.into_iter().zip(found.offsets).collect()
}

fn at(token: &str, range: Range<usize>) -> (String, Option<Range<usize>>) {
    (token.to_owned(), Some(range))
}

#[test]
fn marian_offsets_are_bytes_of_the_text() {
    let end = ("</s>".to_owned(), None);
    // `ß` has two bytes; the lone `▁` stands before `i` at its start.
    let expected = [
        at("▁fl", 2..4),
        at("ie", 4..6),
        at("ß", 6..8),
        at("t", 8..9),
        at("▁", 11..11),
        at("i", 11..12),
        at("st", 12..14),
        end.clone(),
    ];
    assert_eq!(marian_source("  fließt  ist "), expected);
    // A word that normalization changes is one range; `☃☃` is one token.
    let expected = [
        at("▁", 0..0),
        at("f", 0..6),
        at("in", 0..6),
        at("de", 0..6),
        at("▁", 7..7),
        at("<unk>", 7..13),
        at("▁d", 14..15),
        at("as", 15..17),
        end.clone(),
    ];
    assert_eq!(marian_source("ﬁnde ☃☃ das"), expected);
    // Special tokens and codes are where they stand, and words behind them too.
    let expected = [
        at(">>eng<<", 0..7),
        at("▁d", 7..8),
        at("as", 8..10),
        at("</s>", 11..15),
        at("▁d", 15..16),
        at("as", 16..18),
        end,
    ];
    assert_eq!(marian_source(">>eng<<das </s>das"), expected);
}

#[test]
fn words_that_normalization_joins() {
    let tokenizer = tokenizer("marian");
    let error = single_line(tokenizer.encode_source("das ﬆ ﬅ").unwrap_err());
    assert!(
        matches!(&error, Error::InseparableWord { word } if word == "ﬆ"),
        "{error:?}"
    );
    assert!(tokenizer.encode_source("das ﬆ und ﬅ").is_ok());
}

/// A directory with the Marian fixture in it, after `damage`.
fn damaged(damage: impl FnOnce(&Path)) -> Error {
    let directory = tempfile::tempdir().unwrap();
    for file in ["source.spm", "target.spm", "vocab.json"] {
        fs::copy(fixture("marian").join(file), directory.path().join(file)).unwrap();
    }
    damage(directory.path());
    single_line(refusal(&directory))
}

fn refusal(directory: &TempDir) -> Error {
    TranslationTokenizer::open(directory.path()).unwrap_err()
}

/// The error itself, after checking that it and its sources fit one line each.
fn single_line(error: Error) -> Error {
    assert!(!error.to_string().contains('\n'), "{error}");
    let mut source = error.source();
    while let Some(cause) = source {
        assert!(!cause.to_string().contains('\n'), "{cause}");
        source = cause.source();
    }
    error
}

#[test]
fn missing_files_are_named() {
    for file in ["source.spm", "target.spm", "vocab.json"] {
        let error = damaged(|d| fs::remove_file(d.join(file)).unwrap());
        assert!(
            matches!(&error, Error::MissingTokenizerFile { file: found, .. } if *found == file),
            "{error:?}"
        );
    }
    let config = "{\"separate_vocabs\": true}";
    let error = damaged(|d| fs::write(d.join("tokenizer_config.json"), config).unwrap());
    assert!(
        matches!(&error, Error::MissingTokenizerFile { file, .. } if *file == "target_vocab.json"),
        "{error:?}"
    );
    let error = single_line(refusal(&tempfile::tempdir().unwrap()));
    assert!(
        error
            .to_string()
            .starts_with("no tokenizer.json or source.spm in"),
        "{error}"
    );
}

#[test]
fn damaged_models() {
    for file in ["source.spm", "target.spm"] {
        let cut = |d: &Path| {
            let bytes = fs::read(d.join(file)).unwrap();
            fs::write(d.join(file), &bytes[..bytes.len() / 2]).unwrap();
        };
        let replaced = |d: &Path| fs::write(d.join(file), "<html>\nnot found").unwrap();
        let emptied = |d: &Path| fs::write(d.join(file), "").unwrap();
        for error in [damaged(cut), damaged(replaced), damaged(emptied)] {
            assert!(
                matches!(&error, Error::MalformedSentencePiece { path, .. } if path.ends_with(file)),
                "{error:?}"
            );
        }
        let endless = |d: &Path| {
            fs::File::create(d.join(file))
                .unwrap()
                .set_len(1 << 40)
                .unwrap()
        };
        assert!(matches!(damaged(endless), Error::FileTooLarge { .. }));
    }
}

/// No change of one byte makes anything panic.
#[test]
fn changed_bytes() {
    let original = fs::read(fixture("marian").join("source.spm")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for file in ["target.spm", "vocab.json"] {
        fs::copy(fixture("marian").join(file), directory.path().join(file)).unwrap();
    }
    let mut refused = 0;
    for index in (0..original.len()).step_by(7) {
        let mut bytes = original.clone();
        bytes[index] ^= 0x55;
        fs::write(directory.path().join("source.spm"), bytes).unwrap();
        let tokens = TranslationTokenizer::open(directory.path())
            .and_then(|tokenizer| tokenizer.encode_source("Der ﬂache  Fluß ☃ ½"));
        refused += usize::from(tokens.map_err(single_line).is_err());
    }
    assert!(refused > 0);
}

#[test]
fn damaged_vocabularies() {
    for text in ["{\"a\": ", "[]", "{\"a\": -1}", "{\"a\": \"b\"}"] {
        let error = damaged(|d| fs::write(d.join("vocab.json"), text).unwrap());
        assert!(
            matches!(error, Error::MalformedVocabulary { .. }),
            "{error:?}"
        );
    }
    for (text, missing) in [("{\"</s>\": 0}", "<unk>"), ("{\"<unk>\": 0}", "</s>")] {
        let error = damaged(|d| fs::write(d.join("vocab.json"), text).unwrap());
        assert!(
            matches!(&error, Error::MissingVocabularyToken { token, .. } if *token == missing),
            "{error:?}"
        );
    }
}

#[test]
fn a_damaged_tokenizer_config() {
    let error = damaged(|d| fs::write(d.join("tokenizer_config.json"), "[]").unwrap());
    assert!(
        matches!(&error, Error::MalformedConfig { path, .. } if path.ends_with("tokenizer_config.json")),
        "{error:?}"
    );
}

#[test]
fn a_damaged_tokenizer_json() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("tokenizer.json"), "{}").unwrap();
    let error = single_line(refusal(&directory));
    assert!(
        matches!(error, Error::MalformedTokenizer { .. }),
        "{error:?}"
    );
}

#[test]
fn languages_that_the_tokenizer_does_not_mark() {
    let refused = |name, code, source| {
        let tokenizer = tokenizer(name);
        let result = match source {
            true => tokenizer.with_source_language(code),
            false => tokenizer.with_target_language(code),
        };
        single_line(result.unwrap_err()).to_string()
    };
    let message = refused("mbart", "de_DD", true);
    assert_eq!(
        message,
        "the tokenizer has no code \"de_DD\" for the source language; the nearest is \"de_DE\""
    );
    let message = refused("marian", "frs", false);
    assert!(message.ends_with("the nearest is \"fra\""), "{message}");
    // Marian marks no source language, and BART none at all.
    for (name, code, source) in [
        ("marian", "eng", true),
        ("bart", "en_XX", true),
        ("bart", "en_XX", false),
    ] {
        assert!(!refused(name, code, source).contains("nearest"));
    }
    // A word is no language.
    assert!(refused("mbart", "<mask>", true).contains("no code"));
}
