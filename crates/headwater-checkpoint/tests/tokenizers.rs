//! Settings beside `tokenizer.json`, against what transformers makes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use headwater_checkpoint::{Error, TextTokenizer};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

#[derive(Deserialize)]
struct Kind {
    model_type: String,
    tokenizer: Value,
    texts: Vec<Vec<String>>,
    cases: BTreeMap<String, Case>,
}

/// What lies in the directory, and what two versions of transformers make of it.
#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    file: Map<String, Value>,
    #[serde(default)]
    config: Map<String, Value>,
    settings: Option<Value>,
    map: Option<Value>,
    added: Option<Value>,
    both: Option<Answer>,
    newer: Option<Answer>,
    older: Option<Answer>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Texts(Vec<Ids>),
    Refused(String),
}

#[derive(Deserialize, Debug, PartialEq)]
struct Ids {
    ids: Vec<u32>,
    #[serde(default)]
    types: Vec<u32>,
}

fn settings_of(kind: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizers");
    fixtures.join("settings").join(format!("{kind}.json"))
}

fn kind(name: &str) -> Kind {
    serde_json::from_slice(&fs::read(settings_of(name)).unwrap()).unwrap()
}

fn directory(kind: &Kind, case: &Case) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |file: &str, value: &Value| {
        fs::write(directory.path().join(file), value.to_string()).unwrap();
    };
    let mut tokenizer = kind.tokenizer.clone();
    for (part, value) in &case.file {
        tokenizer[part] = value.clone();
    }
    write("tokenizer.json", &tokenizer);
    let mut config = json!({"model_type": kind.model_type});
    for (field, value) in &case.config {
        config[field] = value.clone();
    }
    write("config.json", &config);
    for (file, value) in [
        ("tokenizer_config.json", &case.settings),
        ("special_tokens_map.json", &case.map),
        ("added_tokens.json", &case.added),
    ] {
        if let Some(value) = value {
            write(file, value);
        }
    }
    directory
}

fn ids(tokenizer: &TextTokenizer, texts: &[String]) -> Ids {
    let text = tokenizer.encode(&texts[0], texts.get(1).map(String::as_str));
    let text = text.unwrap();
    let types = text.token_type_ids;
    Ids {
        ids: text.ids,
        types: match types.iter().any(|&kind| kind != 0) {
            true => types,
            false => Vec::new(),
        },
    }
}

/// Cases in which both versions give tokens other ids than their files say.
const RENUMBERED: [&str; 4] = ["added_file_gap", "table_gap", "table_id", "table_moved"];

/// Checks all cases of a kind of tokenizer: what both versions agree on is done
/// but for `refused`; of the rest, the newer version is followed in some cases,
/// the older in some, and all others are refused.
fn check(name: &str, refused: &[&str], newer: &[&str], older: &[&str]) {
    let kind = kind(name);
    let mut refused: Vec<&str> = RENUMBERED.iter().chain(refused).copied().collect();
    refused.sort_unstable();
    assert!(kind.cases.len() > 50);
    let mut wrong = Vec::new();
    let (mut refused_found, mut followed_found) = (Vec::new(), Vec::new());
    for (case_name, case) in &kind.cases {
        let directory = directory(&kind, case);
        let found = TextTokenizer::open(directory.path());
        if let Err(error) = &found {
            let message = error.to_string();
            assert!(!message.contains('\n'), "{message}");
        }
        let follows_older = older.contains(&case_name.as_str());
        let (agreed, wanted) = match (&case.both, &case.newer, &case.older) {
            (Some(both), _, _) => (true, both),
            (None, _, Some(answer)) if follows_older => (false, answer),
            (None, Some(answer), _) => (false, answer),
            _ => panic!("{name} {case_name} has no answer"),
        };
        match (found, wanted) {
            (Err(_), Answer::Refused(_)) => {}
            (Err(error), Answer::Texts(_)) => {
                if agreed {
                    refused_found.push((case_name.as_str(), error.to_string()));
                }
            }
            (Ok(_), Answer::Refused(why)) => wrong.push(format!("{case_name} is read: {why}")),
            (Ok(tokenizer), Answer::Texts(wanted)) => {
                if !agreed && !follows_older {
                    followed_found.push(case_name.as_str());
                }
                for (texts, wanted) in kind.texts.iter().zip(wanted) {
                    let found = ids(&tokenizer, texts);
                    if found != *wanted {
                        wrong.push(format!("{case_name} {texts:?}: {found:?} for {wanted:?}"));
                    }
                }
            }
        }
    }
    let found: Vec<&str> = refused_found.iter().map(|(name, _)| *name).collect();
    if found != refused {
        wrong.push(format!("refused: {refused_found:#?}"));
    }
    if followed_found != newer {
        wrong.push(format!("followed: {followed_found:?}"));
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

/// Parts that the class would make anew, and the texts do not tell apart.
const OTHER_PARTS: [&str; 4] = ["ignore_merges", "nfc", "no_regex", "sequence"];

#[test]
fn word_piece() {
    // A word that another id is stated for than the vocabulary has.
    let refused = ["table_word"];
    let newer = [
        "additional_plain_class",
        "backend_class",
        "bos_plain",
        "do_lower_case_False_PreTrainedTokenizerFast",
        "do_lower_case_True_PreTrainedTokenizerFast",
        "extra",
        "file_do_lower_case_False_plain",
        "file_do_lower_case_True_plain",
        "file_strip_accents_False_plain",
        "file_strip_accents_True_plain",
        "file_tokenize_chinese_chars_False_plain",
        "file_tokenize_chinese_chars_True_plain",
        "no_prefix_space_plain",
        "no_processor_plain",
        "other_normalizer_plain",
        "own_token",
        "plain_class",
        "prefix_space_plain",
        "strip_accents_False_PreTrainedTokenizerFast",
        "strip_accents_True_PreTrainedTokenizerFast",
        "tokenize_chinese_chars_False_PreTrainedTokenizerFast",
        "tokenize_chinese_chars_True_PreTrainedTokenizerFast",
    ];
    check("wordpiece", &refused, &newer, &[]);
}

#[test]
fn byte_level() {
    let newer = [
        "additional_plain_class",
        "backend_class",
        "bos_plain",
        "extra",
        "file_prefix_PreTrainedTokenizerFast",
        "file_prefix_True_PreTrainedTokenizerFast",
        "mask_no_strip_PreTrainedTokenizerFast",
        "no_prefix_space_plain",
        "no_processor_plain",
        "own_token",
        "plain_class",
    ];
    check("gpt2", &OTHER_PARTS, &newer, &[]);
}

#[test]
fn byte_level_between_marks() {
    let newer = [
        "backend_class",
        "extra",
        "file_prefix_PreTrainedTokenizerFast",
        "mask_in_vocabulary",
        "mask_no_strip",
        "mask_no_strip_BartTokenizer",
        "mask_token",
        "no_processor_plain",
        "own_token",
    ];
    check("roberta", &OTHER_PARTS, &newer, &[]);
}

#[test]
fn unigram() {
    let newer = ["backend_class", "extra", "no_processor_plain", "own_token"];
    let older = ["lowercase", "mbart50", "metaspace", "never"];
    check("xlm_roberta", &[], &newer, &older);
}

#[test]
fn unigram_with_languages() {
    let newer = [
        "additional",
        "additional_objects",
        "backend_class",
        "both_lists",
        "extra",
        "extra_named",
        "no_processor_plain",
        "own_token",
    ];
    let older = ["lowercase", "mbart50", "metaspace", "never"];
    check("mbart", &[], &newer, &older);
}

#[test]
fn spaces_as_marks() {
    let newer = [
        "additional_plain_class",
        "backend_class",
        "bos_plain",
        "extra",
        "no_prefix_space_plain",
        "no_processor_plain",
        "own_token",
        "plain_class",
        "prefix_space",
        "prefix_space_plain",
    ];
    check("llama", &[], &newer, &[]);
}

/// The tokenizer of a kind in a case, changed further.
fn opened(name: &str, case: &str, change: impl FnOnce(&Path)) -> Result<TextTokenizer, Error> {
    let kind = kind(name);
    let directory = directory(&kind, &kind.cases[case]);
    change(directory.path());
    TextTokenizer::open(directory.path())
}

fn change(directory: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = directory.join(file);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, value.to_string()).unwrap();
}

#[test]
fn tokens_are_the_vocabularys_entries() {
    let tokenizer = opened("roberta", "alone", |_| ()).unwrap();
    // The mask takes the space before it along; its token does not.
    let text = tokenizer.encode("the <mask> girl", None).unwrap();
    assert_eq!(text.tokens, ["<s>", "the", "<mask>", "Ġgirl", "</s>"]);
    assert_eq!(text.special, [true, false, true, false, true]);
    assert_eq!(text.offsets[1..4], [Some(0..3), Some(4..10), Some(11..15)]);
    assert_eq!(text.offsets[0], None);
    for (id, token) in text.ids.iter().zip(&text.tokens) {
        assert_eq!(tokenizer.token(*id).as_ref(), Some(token));
    }
    // A piece that the vocabulary lacks is its unknown token, not the surface.
    let tokenizer = opened("xlm_roberta", "alone", |_| ()).unwrap();
    let text = tokenizer.encode("the ☃", None).unwrap();
    assert_eq!(text.tokens, ["<s>", "▁the", "▁", "<unk>", "</s>"]);
}

#[test]
fn dropout_is_for_training() {
    let tokenizer = opened("gpt2", "alone", |directory| {
        change(directory, "tokenizer.json", |file| {
            file["model"]["dropout"] = json!(0.9);
        });
    });
    let tokenizer = tokenizer.unwrap();
    let text = "the girl able the girl table";
    let first = tokenizer.encode(text, None).unwrap();
    assert_eq!(first.tokens[..2], ["the", "Ġgirl"]);
    for _ in 0..50 {
        assert_eq!(tokenizer.encode(text, None).unwrap(), first);
    }
}

#[test]
fn tokens_at_other_ids_are_refused_by_name() {
    // In the file itself: past the end, at another token's id, at none.
    for id in [500, 7] {
        let error = opened("gpt2", "alone", |directory| {
            change(directory, "tokenizer.json", |file| {
                let mut token = file["added_tokens"][0].clone();
                token["content"] = json!("[E9]");
                token["id"] = json!(id);
                file["added_tokens"].as_array_mut().unwrap().push(token);
            });
        });
        let error = error.unwrap_err();
        assert!(matches!(error, Error::RenumberedToken { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.contains("[E9]") && message.contains(&id.to_string()),
            "{message}"
        );
    }
    let error = opened("wordpiece", "table_gap", |_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("tokenizer_config.json has token \"[E1]\"")
    );
    let error = opened("wordpiece", "added_file_gap", |_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("added_tokens.json has token \"[E1]\"")
    );
}

#[test]
fn settings_of_the_wrong_type() {
    for (settings, expected) in [
        (json!({"do_lower_case": "no"}), "true or false"),
        (json!({"strip_accents": 1}), "true or false"),
        (json!({"tokenizer_class": 3}), "a text"),
        (json!({"model_input_names": "input_ids"}), "a list of names"),
        (
            json!({"additional_special_tokens": "[E1]"}),
            "a list of tokens",
        ),
        (
            json!({"additional_special_tokens": [3]}),
            "a list of tokens",
        ),
        (json!({"mask_token": 3}), "a token"),
        (json!({"added_tokens_decoder": []}), "a map from ids"),
        (
            json!({"added_tokens_decoder": {"a": {"content": "x"}}}),
            "a map from ids",
        ),
        (
            json!({"fast_tokenizer_files": ["tokenizer.4.0.json"]}),
            "tokenizer.json",
        ),
        (
            json!({"auto_map": {"AutoTokenizer": ["a.B", null]}}),
            "auto_map",
        ),
        (
            json!({"tokenizer_class": "BertJapaneseTokenizer"}),
            "BertJapaneseTokenizer",
        ),
        (json!(["do_lower_case"]), "tokenizer_config.json"),
    ] {
        let error = opened("wordpiece", "alone", |directory| {
            fs::write(
                directory.join("tokenizer_config.json"),
                settings.to_string(),
            )
            .unwrap();
        });
        let message = error
            .err()
            .unwrap_or_else(|| panic!("{settings} is read"))
            .to_string();
        assert!(
            message.contains(expected) && !message.contains('\n'),
            "{message}"
        );
    }
}

/// Files on which the tokenizers library panics.
#[test]
fn damaged_files_do_not_panic() {
    let base = kind("xlm_roberta").tokenizer;
    let with = |part: &str, value: Value| {
        let mut file = base.clone();
        file[part] = value;
        file
    };
    let mut unknown = base.clone();
    unknown["model"]["unk_id"] = json!(100_000);
    let bytes = json!({"type": "BPE", "vocab": {"a": 0, "b": 9}, "merges": ["a b"]});
    for file in [
        with(
            "post_processor",
            json!({"type": "TemplateProcessing", "single": "$A [X]", "pair": "$A"}),
        ),
        with("model", bytes),
        with(
            "pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}),
        ),
        with("added_tokens", json!([{"id": 0}])),
        with(
            "normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "AAAA/w=="}),
        ),
        unknown,
    ] {
        let opened = opened("xlm_roberta", "plain_class", |directory| {
            fs::write(directory.join("tokenizer.json"), file.to_string()).unwrap();
        });
        let error = match opened {
            Ok(tokenizer) => tokenizer.encode("the ☃ girl", None).err(),
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

#[test]
fn some_vocabularies_spell_bytes() {
    for (name, wanted) in [
        ("gpt2", true),
        ("roberta", true),
        ("wordpiece", false),
        ("llama", false),
    ] {
        assert_eq!(
            opened(name, "alone", |_| ()).unwrap().is_byte_level(),
            wanted,
            "{name}"
        );
    }
}
