//! Analysis files: what is read is what was computed, and a file is whole or not there.

use std::collections::BTreeSet;
use std::slice::from_ref;

use headwater::{
    Analysis, Analyzer, Error, Input, Quantity, Request, Scope, Segment, Store, Translator,
    analysis,
};
use headwater_fixtures::{Deviation, Expected, bundled_bert, golden, root};

fn analyzer() -> Analyzer {
    Analyzer::from_pretrained(golden("bert")).unwrap()
}

fn input() -> Input {
    Input::from(vec![2, 17, 40, 9, 3])
}

fn analysis() -> Analysis {
    analyzer().analyze(input()).unwrap()
}

#[test]
fn a_file_holds_the_arrays_and_the_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let analysis = analysis();
    analysis.save(&path, Store::Full).unwrap();
    let file = Expected::read(&path);
    let file = file.all();
    assert_eq!(file["input_ids"].1, [2.0, 17.0, 40.0, 9.0, 3.0]);
    assert_eq!(file["token_type_ids"].1, [0.0; 5]);
    for (key, array) in analysis.arrays() {
        let (shape, values) = file[key.to_string().as_str()];
        assert_eq!(shape, array.shape());
        assert!(array.iter().eq(values.iter().copied()), "{key}");
    }
    assert_eq!(file.len(), analysis.arrays().count() + 2);
}

/// A small file is written at once, a large one array by array.
#[test]
fn streaming_writes_the_same_bytes_as_saving() {
    let folder = tempfile::tempdir().unwrap();
    let (saved, streamed) = (folder.path().join("saved"), folder.path().join("streamed"));
    let long = Input::from((0..64).map(|i| 5 + 7 * i % 440).collect::<Vec<u32>>());
    let request = Request::new().hidden_states(true);
    for (model, input, is_large) in [
        (golden("bert"), input(), false),
        (bundled_bert(), long, true),
    ] {
        let analyzer = Analyzer::from_pretrained(model.to_str().unwrap()).unwrap();
        let inputs = [analyzer.encode(&input).unwrap()];
        let analysis = &analyzer.analyze_tokenized(&inputs, &request).unwrap()[0];
        analysis.save(&saved, Store::Full).unwrap();
        analyzer
            .write_analysis(&inputs, &request, Store::Full, from_ref(&streamed))
            .unwrap();
        let bytes = std::fs::read(&saved).unwrap();
        assert_eq!(bytes.len() > 1 << 20, is_large, "{} bytes", bytes.len());
        assert!(bytes == std::fs::read(&streamed).unwrap());
    }
}

#[test]
fn float16_halves_the_numbers_and_keeps_three_digits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half");
    let analysis = analysis();
    analysis.save(&path, Store::F16).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (key, array) in analysis.arrays() {
        let stored = file.tensor(&key.to_string()).unwrap();
        if key.to_string().contains("reconstruction_error") {
            assert_eq!(stored.dtype(), safetensors::Dtype::F32, "{key}");
            continue;
        }
        assert_eq!(stored.dtype(), safetensors::Dtype::F16, "{key}");
        let values: Vec<f64> = array.iter().collect();
        let (pairs, _) = stored.data().as_chunks::<2>();
        let found = pairs.iter().map(|b| half::f16::from_le_bytes(*b).to_f64());
        let deviation = Deviation::between(found, &values);
        assert!(deviation.of_largest < 1e-3, "{key}: {deviation:?}");
    }
}

#[test]
fn only_what_was_asked_for_is_there() {
    let analyzer = analyzer();
    let request = Request::new()
        .scopes([Scope::Atb])
        .layers([2, 0])
        .quantities([Quantity::Norms, Quantity::MixingRatio])
        .hidden_states(true);
    let input = analyzer.encode(&input()).unwrap();
    let analysis = &analyzer.analyze_tokenized(&[input], &request).unwrap()[0];
    let keys: Vec<String> = analysis.arrays().map(|(key, _)| key.to_string()).collect();
    let mut expected = vec![
        "hidden_states.0".to_owned(),
        "hidden_states.1".to_owned(),
        "hidden_states.2".to_owned(),
        "hidden_states.3".to_owned(),
    ];
    for l in [0, 2] {
        for key in [
            "norms.atb",
            "preserving_norms.atb",
            "mixing_norms.atb",
            "mixing_ratio.attn_w",
            "mixing_ratio.attn_res_w",
            "mixing_ratio.atb",
        ] {
            expected.push(format!("layers.{l}.{key}"));
        }
    }
    assert_eq!(keys, expected);
    assert_eq!(analysis.layers(), [0, 2]);
}

#[test]
fn a_written_file_is_recognised_and_a_damaged_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let analyzer = analyzer();
    let input = analyzer.encode(&input()).unwrap();
    let other = analyzer.encode(&Input::from(vec![2, 3])).unwrap();
    let request = Request::new();
    let written = |input, store| analyzer.is_written(input, &request, store, &path).unwrap();
    assert!(!written(&input, Store::Full));
    analyzer
        .write_analysis(from_ref(&input), &request, Store::Full, from_ref(&path))
        .unwrap();
    assert!(written(&input, Store::Full));
    assert!(!written(&input, Store::F16));
    assert!(!written(&other, Store::Full));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(!written(&input, Store::Full));
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let below_a_file = analysis().save(file.join("a"), Store::Full).unwrap_err();
    assert!(
        matches!(below_a_file, analysis::Error::Io { .. }),
        "{below_a_file}"
    );
    let onto_a_folder = analysis().save(folder.path(), Store::Full).unwrap_err();
    assert!(
        matches!(onto_a_folder, analysis::Error::NotAFile { .. }),
        "{onto_a_folder}"
    );
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "not a folder");
}

/// The keys that the tables of docs/ANALYSIS_FORMAT.md name: those of a model
/// with one stack of layers, and those of a translation model.
fn documented() -> (String, [Vec<String>; 2]) {
    let path = root().join("../docs/ANALYSIS_FORMAT.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (one, two) = text.split_once("## Translation models").unwrap();
    let keys = |part: &str| -> Vec<String> {
        let rows = part.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.filter_map(|row| row.split('|').nth(1));
        let keys = cells.flat_map(|cell| cell.split(',').map(|key| key.trim().trim_matches('`')));
        keys.map(str::to_owned).collect()
    };
    let keys = [keys(one), keys(two)];
    (text, keys)
}

/// Every array that a table names for a stack of layers.
fn expanded(keys: &[String], scopes: &[Scope], name: &str, layers: usize) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for key in keys {
        let states = key.contains("hidden_states");
        for l in 0..layers + usize::from(states) {
            let key = key.replace("{l}", &l.to_string());
            let Some((before, "")) = key.split_once(name) else {
                all.insert(key);
                continue;
            };
            all.extend(scopes.iter().map(|scope| format!("{before}{scope}")));
            if before.ends_with("mixing_ratio.") && name == "{scope}" {
                all.extend(["attn_w", "attn_res_w"].map(|weights| format!("{before}{weights}")));
            }
        }
    }
    all
}

#[test]
fn the_document_names_what_is_written() {
    let (text, [one, two]) = documented();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let written = || -> BTreeSet<String> {
        let file = Expected::read(&path);
        file.all().keys().map(|key| key.to_string()).collect()
    };
    let request = Request::new().hidden_states(true);
    for family in ["bert", "gpt2"] {
        let analyzer = Analyzer::from_pretrained(golden(family)).unwrap();
        let input = analyzer.encode(&input()).unwrap();
        let write = analyzer.write_analysis(&[input], &request, Store::Full, from_ref(&path));
        write.unwrap();
        let architecture = analyzer.checkpoint().architecture();
        let scopes = Segment::Layer.scopes(&architecture.layer(0));
        let expected = expanded(&one, &scopes, "{scope}", architecture.n_layers);
        assert_eq!(written(), expected, "{family}");
    }

    let of_layer = |stack: &str| -> Vec<String> {
        let keys = one.iter().filter(|key| key.starts_with("layers."));
        keys.map(|key| format!("{stack}.{key}")).collect()
    };
    let of_stack = |stack: &str| -> Vec<String> {
        let keys = two.iter().filter(|key| key.starts_with(stack));
        keys.cloned().collect()
    };
    for family in ["marian", "mbart"] {
        let translator = Translator::from_pretrained(golden(family)).unwrap();
        let pair = translator.encode(&input(), &Input::from(vec![2, 9, 8]));
        let write =
            translator.write_analysis(&[pair.unwrap()], &request, Store::Full, from_ref(&path));
        write.unwrap();
        let mut expected = BTreeSet::new();
        for (stack, model, segment) in [
            ("encoder", translator.model().encoder(), Segment::Layer),
            (
                "decoder",
                translator.model().decoder(),
                Segment::SelfAttention,
            ),
        ] {
            let architecture = model.architecture();
            let (layer, layers) = (architecture.layer(0), architecture.n_layers);
            let own = segment.scopes(&layer);
            let cross = Segment::CrossAttention.scopes(&layer);
            expected.extend(expanded(&of_layer(stack), &own, "{scope}", layers));
            expected.extend(expanded(&of_stack(stack), &cross, "{cross scope}", layers));
            // Stands for every array of a layer.
            expected.retain(|key| !key.ends_with('…'));
            for scope in own.iter().chain(&cross) {
                assert!(text.contains(&format!("`{scope}`")), "{scope}");
            }
        }
        assert_eq!(written(), expected, "{family}");
    }
}

#[test]
fn a_callback_hears_of_every_layer_and_can_end_the_run() {
    use std::ops::ControlFlow;
    use std::sync::{Arc, Mutex};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    for last in [usize::MAX, 1] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = heard.clone();
        let analyzer =
            Analyzer::from_pretrained(golden("bert"))
                .unwrap()
                .on_layer(move |progress| {
                    let layer = progress.place.layer;
                    hearing.lock().unwrap().push((layer, progress.layers));
                    match layer >= last {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                });
        let n_layers = analyzer.model().architecture().n_layers;
        let input = analyzer.encode(&input()).unwrap();
        let written =
            analyzer.write_analysis(&[input], &Request::new(), Store::Full, from_ref(&path));
        let run = n_layers.min(last.saturating_add(1));
        let expected: Vec<_> = (0..run).map(|layer| (layer, n_layers)).collect();
        assert_eq!(*heard.lock().unwrap(), expected);
        assert_eq!(path.exists(), last == usize::MAX);
        match last {
            usize::MAX => written.unwrap(),
            _ => assert!(matches!(written, Err(Error::Cancelled))),
        }
        let _ = std::fs::remove_file(&path);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
