//! BART and mBART on texts: words, language codes, and what is translated into.

use std::fs;
use std::path::Path;

use headwater::checkpoint::Error as Checkpoint;
use headwater::metrics::WordGroups;
use headwater::{Aligner, Error, Input, TokenizedInput, Translator};
use headwater_fixtures::{golden, root};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The golden model of a family, with as many words as its small tokenizer has
/// tokens: row i is row i mod 50 of the golden one, a little longer each time.
fn model(family: &str, words: usize) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in ["config.json", "generation_config.json", "model.safetensors"] {
        fs::copy(golden(family).join(file), directory.path().join(file)).unwrap();
    }
    let tokenizer = root().join("tokenizers").join(family);
    let copy = directory.path().join("tokenizer.json");
    fs::copy(tokenizer.join("tokenizer.json"), copy).unwrap();
    change(directory.path(), "config.json", |config| {
        config["vocab_size"] = json!(words);
    });

    let path = directory.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let grown = |name: &str, shape: &[usize]| -> (Vec<usize>, Vec<u8>) {
        let rows = file.tensor(name).unwrap();
        let (values, _) = rows.data().as_chunks::<4>();
        let width = shape.last().copied().filter(|_| shape[0] > 1).unwrap_or(1);
        let value = |index: usize| {
            let (row, column) = (index / width, index % width);
            let value = f32::from_le_bytes(values[row % 50 * width + column]);
            value * (1.0 + (row / 50) as f32 / 64.0)
        };
        let mut shape = shape.to_vec();
        *shape.iter_mut().find(|length| **length == 50).unwrap() = words;
        let bytes = (0..words * width).flat_map(|index| value(index).to_le_bytes());
        (shape, bytes.collect())
    };
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let (shape, bytes) = match view.shape().contains(&50) {
                true => grown(&name, view.shape()),
                false => (view.shape().to_vec(), view.data().to_vec()),
            };
            (name, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name, view)
    });
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    directory
}

fn change(directory: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = directory.join(file);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, value.to_string()).unwrap();
}

fn translator(directory: &TempDir) -> Translator {
    Translator::from_pretrained(directory.path().to_str().unwrap()).unwrap()
}

/// mBART for texts in these languages, and where its tokenizer is read from.
fn mbart(source: Option<&str>, target: Option<&str>) -> (TempDir, Translator) {
    let directory = model("mbart", 144);
    let translator = translator(&directory).with_languages(source, target);
    (directory, translator.unwrap())
}

/// What the tokens of each word spell.
fn spelt(tokens: &[String], groups: &WordGroups) -> Vec<String> {
    let spell = |word: &Vec<usize>| word.iter().map(|&at| tokens[at].as_str()).collect();
    groups.words().iter().map(spell).collect()
}

#[test]
fn words_of_byte_level_texts() {
    let directory = model("bart", 330);
    let translator = translator(&directory);
    // Runs of spaces, a tab, a no-break and a wide space; letters of several bytes.
    let source = "  Das  Wasser ,  und \tdie\u{a0}See\u{3000}ist ";
    let target = "Der Fluss fließt.";
    let texts = translator.encode_parallel(source, target).unwrap();
    let tokens = &texts.tokens.source.tokens;
    assert_eq!(
        spelt(tokens, &texts.source_words),
        [
            "ĠĠDas",
            "ĠĠWasser",
            "Ġ,",
            "ĠĠund",
            "Ġĉdie",
            "ÂłSee",
            "ãĢĢist"
        ]
    );
    // `<s>`, the space behind the last word, `</s>`.
    let end = tokens.len();
    assert_eq!(texts.source_words.outside(), [0, end - 2, end - 1]);

    let read = &texts.tokens.target.tokens;
    assert_eq!(read[..3], ["</s>", "<s>", "Der"]);
    assert_eq!(read.last().unwrap(), ".");
    // Target tokens are counted without the start token.
    assert_eq!(
        spelt(&read[1..], &texts.target_words),
        ["Der", "ĠFluss", "ĠflieÃŁt."]
    );
    let pairs = std::slice::from_ref(&texts.tokens);
    let request = Aligner::request(None);
    let analysis = &translator.analyze_tokenized(pairs, &request).unwrap()[0];
    for aligner in headwater::AlignmentScores::of_layers(0..3, 4).aligners() {
        let links = aligner.links(analysis, &texts, None).unwrap();
        assert!(links.iter().all(|link| link.source < 7 && link.target < 3));
    }
}

/// ids of the fixture: `</s>` 2, `de_DE` 141, `en_XX` 142.
#[test]
fn language_codes_go_where_mbart_has_them() {
    let (_directory, into_german) = mbart(None, Some("de_DE"));
    let texts = into_german
        .encode_parallel("Tal ist", "Das Wasser steigt")
        .unwrap();
    let source = &texts.tokens.source;
    assert_eq!(source.input_ids[source.len() - 2..], [2, 142]);
    // The code behind the end mark is what the decoder starts with.
    let target = &texts.tokens.target;
    assert_eq!(
        (target.input_ids[0], target.tokens[0].as_str()),
        (141, "de_DE")
    );
    assert!(!target.input_ids[1..].iter().any(|id| [2, 141].contains(id)));
    assert_eq!(spelt(&source.tokens, &texts.source_words), ["▁Tal", "▁ist"]);
    assert_eq!(
        spelt(&target.tokens[1..], &texts.target_words),
        ["▁Das", "▁Wasser", "▁steigt"]
    );

    let (directory, from_german) = mbart(Some("de_DE"), Some("en_XX"));
    let pair = from_german.encode(&"Tal".into(), &"Tal".into()).unwrap();
    assert_eq!(pair.source.input_ids.last(), Some(&141));
    assert_eq!(pair.target.input_ids[0], 142);
    // Without a word about it, the tokenizer's source, and no target.
    let silent = translator(&directory);
    let error = silent.encode(&"Tal".into(), &"Tal".into()).unwrap_err();
    assert!(matches!(
        error,
        Error::Checkpoint(Checkpoint::NoTargetLanguage)
    ));
    let pair = silent.encode(&"Tal".into(), &vec![142, 96].into()).unwrap();
    assert_eq!(pair.source.input_ids.last(), Some(&142));
}

/// In one direction, the model's files name the target's language: each of
/// three ways is one, and the same to a given target as to a translation.
#[test]
fn the_files_name_the_language_of_targets() {
    let code_behind = |change: fn(&Path)| {
        let directory = model("mbart", 144);
        change(directory.path());
        directory
    };
    let settings = |directory: &Path, value: Value| {
        fs::write(directory.join("tokenizer_config.json"), value.to_string()).unwrap();
    };
    let by_settings = model("mbart", 144);
    settings(
        by_settings.path(),
        json!({"src_lang": "en_XX", "tgt_lang": "de_DE"}),
    );
    let by_start = code_behind(|directory| {
        change(directory, "generation_config.json", |fields| {
            fields["decoder_start_token_id"] = json!(141);
            fields
                .as_object_mut()
                .unwrap()
                .remove("forced_bos_token_id");
        });
    });
    let by_first = code_behind(|directory| {
        change(directory, "generation_config.json", |fields| {
            fields["forced_bos_token_id"] = json!(141);
        });
    });
    let source = Input::from("Das Wasser steigt");
    for directory in [&by_settings, &by_start, &by_first] {
        let translator = translator(directory);
        let pair = translator.encode(&source, &"Tal".into()).unwrap();
        assert_eq!(pair.source.input_ids.last(), Some(&142));
        assert_eq!(pair.target.input_ids[0], 141);
        let aligned = translator.encode_parallel("Tal", "Tal").unwrap();
        assert_eq!(aligned.tokens.target.input_ids[0], 141);
        let found = translator.translate(&source, Some(1)).unwrap();
        assert_eq!(found.ids[0], 141);
        assert_ne!(found.ids[1], 49);
        // What is said on top of it wins.
        let translator = translator.with_languages(None, Some("en_XX")).unwrap();
        let pair = translator.encode(&source, &"Tal".into()).unwrap();
        assert_eq!(pair.target.input_ids[0], 142);
    }
    // Two files that name two.
    settings(by_first.path(), json!({"tgt_lang": "en_XX"}));
    let two = translator(&by_first);
    for error in [
        two.encode(&source, &"Tal".into()).unwrap_err(),
        two.encode_parallel("Tal", "Tal").err().unwrap(),
        two.translate(&source, None).err().unwrap(),
    ] {
        let message = error.to_string();
        assert!(
            message.contains("en_XX") && message.contains("de_DE"),
            "{message}"
        );
    }
}

#[test]
fn the_chosen_language_is_translated_into() {
    let source = Input::from("Das Wasser steigt");
    // transformers' generate with these start tokens, on the same parameters.
    for (code, beams, wanted) in [
        ("de_DE", 4, &[141, 106, 96, 102, 102][..]),
        ("en_XX", 1, &[142, 96, 102, 102, 102, 127, 122, 102]),
        ("en_XX", 4, &[142, 96, 2]),
    ] {
        let (_directory, translator) = mbart(None, Some(code));
        let found = translator.translate(&source, Some(beams)).unwrap();
        assert_eq!(found.ids[..wanted.len()], *wanted, "{code}, {beams} beams");
    }
    for (code, id) in [("de_DE", 141), ("en_XX", 142)] {
        let (_directory, translator) = mbart(None, Some(code));
        for beams in [1, 4] {
            let found = translator.translate(&source, Some(beams)).unwrap();
            assert_eq!(found.ids[0], id, "{code}");
            assert_ne!(found.ids[1], 49);
            assert_eq!(found.pair.target.tokens[0], code);
        }
    }
    // The model's files say `</s>`, then token 49, which is no language's.
    let directory = model("mbart", 144);
    let found = translator(&directory).translate(&source, Some(1));
    let error = found.err().unwrap().to_string();
    assert!(error.contains("which language the target is in"), "{error}");
}

/// mBART-50 has the codes in front, and generates the target's first.
#[test]
fn codes_in_front_are_generated_first() {
    let directory = model("mbart", 144);
    let settings = json!({"tokenizer_class": "MBart50TokenizerFast", "src_lang": "en_XX"});
    let path = directory.path().join("tokenizer_config.json");
    fs::write(path, settings.to_string()).unwrap();
    let translator = translator(&directory)
        .with_languages(None, Some("de_DE"))
        .unwrap();
    let pair = translator.encode(&"Tal".into(), &"Tal".into()).unwrap();
    let TokenizedInput { input_ids, .. } = &pair.source;
    assert_eq!((input_ids[0], *input_ids.last().unwrap()), (142, 2));
    assert_eq!(pair.target.input_ids[..2], [2, 141]);
    assert_ne!(pair.target.input_ids.last(), Some(&2));
    let texts = translator.encode_parallel("Tal", "Das Tal").unwrap();
    let target = &texts.tokens.target.tokens;
    assert_eq!(spelt(&target[1..], &texts.target_words), ["▁Das", "▁Tal"]);
    let found = translator.translate(&"Das Tal".into(), Some(2)).unwrap();
    assert_eq!(found.ids[..2], [2, 141]);
}

#[test]
fn languages_that_are_not_there() {
    let refused = |family, words, code| {
        let directory = model(family, words);
        let translator = translator(&directory);
        let Err(error) = translator.with_languages(None, Some(code)) else {
            panic!("{family} has {code}");
        };
        assert!(error.is_bad_input());
        error
    };
    let message = refused("mbart", 144, "de_D").to_string();
    assert!(
        message.contains("de_D") && message.contains("de_DE"),
        "{message}"
    );
    assert!(refused("bart", 330, "de_DE").to_string().contains("de_DE"));
    // Another model's tokenizer.
    let error = refused("mbart", 141, "de_DE");
    assert!(matches!(error, Error::Transformer(_)), "{error}");
    assert!(error.to_string().contains("141"), "{error}");
}
