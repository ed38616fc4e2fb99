//! Translation models: logits of transformers, every array of a naive program
//! that materialises every part in float64, and its word alignments.

use std::sync::atomic::Ordering;

use headwater::checkpoint::HubOptions;
use headwater::metrics::{AlignmentSetting, Numbering, WordGroups};
use headwater::transformer::Captures;
use headwater::{
    Aligner, AlignmentMeasure, AlignmentScores, Bitext, DeviceName, Input, LoadOptions,
    ParallelText, Precision, Request, TokenizedInput, TokenizedPair, Translator,
};
use headwater_fixtures::{
    Deviation, ENCODER_DECODERS, Expected, TranslationCase, alignments, golden, translation_cases,
};

fn translator(family: &str, device: DeviceName, precision: Precision) -> Translator {
    let options = LoadOptions::new()
        .device(device)
        .precision(precision)
        .hub(HubOptions::default());
    Translator::load(golden(family), &options).unwrap()
}

fn input(ids: &[u32]) -> TokenizedInput {
    TokenizedInput::new(ids.to_vec(), ids.iter().map(u32::to_string).collect()).unwrap()
}

fn pair(case: &TranslationCase) -> TokenizedPair {
    TokenizedPair {
        source: input(&case.input_ids),
        target: input(&case.decoder_input_ids),
    }
}

/// Every setting that this build has.
fn settings() -> impl Iterator<Item = (&'static str, DeviceName, Precision)> {
    DeviceName::ENABLED.iter().flat_map(|&device| {
        let precisions = [Precision::F32, Precision::F64].into_iter();
        let precisions = precisions.filter(move |&precision| device.supports(precision));
        precisions
            .flat_map(move |precision| ENCODER_DECODERS.map(|family| (family, device, precision)))
    })
}

#[test]
fn logits_are_those_of_transformers() {
    for (family, device, precision) in settings() {
        let translator = translator(family, device, precision);
        let model = translator.model();
        let expected = Expected::of(family);
        let tolerance = match precision {
            Precision::F32 => 1e-4,
            Precision::F64 => 1e-11,
        };
        for (name, case) in translation_cases(family) {
            let pair = pair(&case);
            let sequence = |input: &TokenizedInput| {
                headwater::transformer::TokenSequence::new(input.input_ids.clone())
            };
            let source = model.encoder().batch(&[sequence(&pair.source)]).unwrap();
            let target = model.decoder().batch(&[sequence(&pair.target)]).unwrap();
            let encoded = model.encode(&source);
            let hidden = model
                .decode(&target, &encoded, Captures::none())
                .last_hidden_state();
            let expected = expected.case(&name);
            for (key, found) in [
                ("encoder.last_hidden_state", encoded.hidden_states.clone()),
                ("decoder.last_hidden_state", hidden.clone()),
                ("logits", model.logits(hidden)),
            ] {
                let (_, values) = expected[key];
                let deviation = Deviation::between(found.into_data().iter::<f64>(), values);
                assert!(
                    deviation.absolute <= tolerance,
                    "{family} {name} {key} on {device} in {precision}: {deviation:?}"
                );
            }
        }
    }
}

/// All cases in one padded batch.
#[test]
fn every_array_equals_the_naive_program() {
    for (family, device, precision) in settings() {
        let translator = translator(family, device, precision);
        let expected = Expected::of(family);
        let (names, pairs): (Vec<_>, Vec<_>) = translation_cases(family)
            .iter()
            .map(|(name, case)| (name.clone(), pair(case)))
            .unzip();
        let analyses = translator
            .analyze_tokenized(&pairs, &Request::new())
            .unwrap();
        for (name, analysis) in names.iter().zip(&analyses) {
            let expected = expected.case(name);
            let mut compared = 0;
            for (key, array) in analysis.arrays() {
                let key = key.to_string();
                if key.contains("reconstruction_error") {
                    let bound = match precision {
                        Precision::F32 => 1e-5,
                        Precision::F64 => 1e-12,
                    };
                    for error in array.iter() {
                        assert!(error <= bound, "{family} {name} {key}: {error:e}");
                    }
                    continue;
                }
                let (shape, values) = expected[key.as_str()];
                assert_eq!(array.shape(), shape, "{family} {name} {key}");
                let deviation = Deviation::between(array.iter(), values);
                let (error, tolerance) = match precision {
                    Precision::F32 => (deviation.entrywise, 1e-4),
                    Precision::F64 => (deviation.of_largest, 1e-10),
                };
                assert!(
                    error <= tolerance,
                    "{family} {name} {key} on {device} in {precision}: {deviation:?}"
                );
                compared += 1;
            }
            let wanted = expected.keys().filter(|key| key.contains(".layers."));
            assert_eq!(compared, wanted.count(), "{family} {name}: arrays missing");
        }
    }
}

#[test]
fn word_alignments_equal_the_naive_program() {
    for family in ENCODER_DECODERS {
        let translator = translator(family, DeviceName::ENABLED[0], Precision::F32);
        let expected = alignments(family);
        let n_layers = translator.model().decoder().architecture().n_layers;
        for (name, case) in translation_cases(family) {
            let words = |words: &[Vec<usize>], tokens: usize, start: usize| {
                let word_of = |token| words.iter().position(|word| word.contains(&token));
                WordGroups::from_indices((start..tokens).map(word_of), words.len()).unwrap()
            };
            let texts = ParallelText {
                tokens: pair(&case),
                source_words: words(&case.source_words, case.input_ids.len(), 0),
                target_words: words(&case.target_words, case.decoder_input_ids.len(), 1),
            };
            let pairs = std::slice::from_ref(&texts.tokens);
            let analysis = &translator
                .analyze_tokenized(pairs, &Aligner::request(None))
                .unwrap()[0];
            let alone = &translator.cross_attention(pairs, None).unwrap()[0];
            // The hash of the weights would have to be computed.
            assert!(!alone.metadata.contains_key("weights_sha256"));
            assert!(alone.arrays().eq(analysis.arrays()), "{family} {name}");
            for measure in AlignmentMeasure::ALL {
                for setting in AlignmentSetting::ALL {
                    let wanted = &expected[&name][&measure.to_string()][&setting.to_string()];
                    assert_eq!(wanted.len(), n_layers, "{family} {name}");
                    for (layer, wanted) in wanted.iter().enumerate() {
                        let aligner = Aligner {
                            layer,
                            head: None,
                            measure,
                            setting,
                        };
                        let links = aligner.word_map(analysis, &texts).unwrap().target_links();
                        let mut found: Vec<_> = links
                            .iter()
                            .map(|link| (link.source, link.target))
                            .collect();
                        let mut wanted = wanted.clone();
                        found.sort_unstable();
                        wanted.sort_unstable();
                        assert_eq!(found, wanted, "{family} {name} {aligner:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn translations_are_those_of_transformers() {
    for (family, device, precision) in settings() {
        let translator = translator(family, device, precision);
        for (name, case) in translation_cases(family) {
            let source = Input::from(case.input_ids.clone());
            for (beams, expected) in [(1, &case.greedy), (case.beams, &case.beam)] {
                let found = translator.translate(&source, Some(beams)).unwrap();
                assert_eq!(
                    &found.ids, expected,
                    "{family} {name}, {beams} beams, on {device} in {precision}"
                );
            }
        }
    }
}

/// The bundled model translates its test sentences exactly.
#[test]
fn texts_are_translated_and_read_back() {
    let folder = headwater_fixtures::bundled_marian();
    let translator = Translator::from_pretrained(folder.to_str().unwrap()).unwrap();
    let bitext = Bitext::read(
        &folder.join("test.source.txt"),
        &folder.join("test.target.txt"),
    )
    .unwrap();
    for (source, target) in bitext.pairs().take(5) {
        let translation = translator.translate(&source.into(), None).unwrap();
        assert_eq!(translator.decode(&translation).unwrap(), target);
        let forced = translator.encode(&source.into(), &target.into()).unwrap();
        assert_eq!(translation.pair, forced);
    }
}

/// Every count, of every layer and head.
#[test]
fn error_rates_are_those_of_another_program() {
    let folder = headwater_fixtures::bundled_marian();
    let translator = Translator::load(
        folder.to_str().unwrap(),
        &LoadOptions::new().precision(match DeviceName::ENABLED[0].supports(Precision::F64) {
            true => Precision::F64,
            false => Precision::F32,
        }),
    )
    .unwrap();
    let [source, target, gold] =
        ["source", "target", "alignment"].map(|name| folder.join(format!("test.{name}.txt")));
    let bitext = Bitext::read(&source, &target).unwrap();
    let gold = bitext.read_gold(&gold, Numbering::FromOne).unwrap();
    let texts: Vec<ParallelText> = bitext
        .pairs()
        .map(|(source, target)| translator.encode_parallel(source, target).unwrap())
        .collect();
    let decoder = translator.model().decoder().architecture();
    let mut scores = AlignmentScores::of_layers(0..decoder.n_layers, decoder.n_heads);
    for (texts, gold) in texts.chunks(20).zip(gold.chunks(20)) {
        let pairs: Vec<_> = texts.iter().map(|texts| texts.tokens.clone()).collect();
        let analyses = translator.cross_attention(&pairs, None).unwrap();
        for ((analysis, texts), gold) in analyses.iter().zip(texts).zip(gold) {
            scores.push(analysis, texts, gold).unwrap();
        }
    }
    // Nobody has asked for the hash of the weights, and nobody has computed it.
    let hashed = translator.checkpoint().bytes_hashed();
    assert_eq!(hashed.load(Ordering::Relaxed), 0);

    let file = std::fs::read_to_string(folder.join("evaluation.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    for aligner in scores.aligners() {
        let setting = aligner.setting.to_string().to_uppercase();
        let measure = match aligner.measure {
            AlignmentMeasure::Weights => "alpha",
            AlignmentMeasure::Norm => "norm",
        };
        let of_measure = &file["settings"][setting.as_str()][measure];
        let expected = match aligner.head {
            None => &of_measure["layers"][aligner.layer],
            Some(head) => &of_measure["heads"][aligner.layer][head],
        };
        let rate = scores.rate(aligner).unwrap();
        for (found, key) in [
            (Some(rate.error_rate()), "aer"),
            (rate.precision(), "precision"),
            (rate.recall(), "recall"),
        ] {
            let (found, expected) = (found.unwrap(), expected[key].as_f64().unwrap());
            assert!(
                (found - expected).abs() < 1e-12,
                "{aligner:?} {key}: {found}, not {expected}"
            );
        }
    }
    let norms = &file["mean_norm"];
    for layer in 0..decoder.n_layers {
        let found = scores.mean_norm(layer, None).unwrap();
        let expected = norms["layers"][layer].as_f64().unwrap();
        assert!(
            (found - expected).abs() < 1e-5 * expected,
            "layer {layer}: {found}"
        );
    }
    for setting in AlignmentSetting::ALL {
        let found = scores.error_rate_and_norm(setting).unwrap();
        let of_setting = &file["settings"][setting.to_string().to_uppercase().as_str()]["norm"];
        let expected = of_setting["spearman_of_head_aer_and_head_norm"]
            .as_f64()
            .unwrap();
        assert!(
            (found - expected).abs() < 1e-12,
            "{setting}: {found}, not {expected}"
        );
    }
}

/// Given targets need the start token only; the model's own need every setting.
#[test]
fn settings_that_are_not_supported_forbid_translation_only() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(headwater_fixtures::bundled_marian()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("generation_config.json");
    let mut settings: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    settings["repetition_penalty"] = 1.2.into();
    std::fs::write(&path, settings.to_string()).unwrap();

    let translator = Translator::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let lines = |file| std::fs::read_to_string(folder.path().join(file)).unwrap();
    let (sources, targets) = (lines("test.source.txt"), lines("test.target.txt"));
    let (source, target) = (
        sources.lines().next().unwrap(),
        targets.lines().next().unwrap(),
    );
    translator.analyze(source, target).unwrap();
    let pair = translator.encode_parallel(source, target).unwrap();
    let start = translator.model().decoder().architecture().pad_token_id;
    assert_eq!(pair.tokens.target.input_ids[0], start);
    let error = translator.translate(&source.into(), None).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("repetition_penalty") && !message.contains('\n'),
        "{message}"
    );
}
