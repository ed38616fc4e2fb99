//! A padded batch gives the numbers of its members alone.

use headwater::{Analyzer, DeviceName, Input, LoadOptions, Precision, Request, TokenizedInput};
use headwater_fixtures::{DECODERS, Deviation, ENCODERS, bundled_bert, bundled_gpt2, golden};

/// The largest deviation of any array of any member, relative to the array's largest entry.
fn deviation(analyzer: &Analyzer, inputs: &[TokenizedInput]) -> (f64, String) {
    let request = Request::new().hidden_states(true);
    let together = analyzer.analyze_tokenized(inputs, &request).unwrap();
    let mut worst = (0.0, String::new());
    for (input, together) in inputs.iter().zip(together) {
        let alone = analyzer.analyze_tokenized(std::slice::from_ref(input), &request);
        for (key, array) in alone.unwrap()[0].arrays() {
            if key.to_string().contains("reconstruction_error") {
                continue; // Rounding noise, bounded elsewhere.
            }
            let expected: Vec<f64> = array.iter().collect();
            let found = Deviation::between(together.array(key).unwrap().iter(), &expected);
            if found.of_largest > worst.0 {
                worst = (found.of_largest, format!("{key}, {} tokens", input.len()));
            }
        }
    }
    worst
}

/// Eight sequences of eight lengths, from one token to the model's limit. Any
/// ids do, as long as they differ; the first few are special.
fn sequences(vocab_size: usize, longest: usize) -> Vec<Vec<u32>> {
    (0..8usize)
        .map(|row| {
            (0..1 + row * (longest - 1) / 7)
                .map(|i| (5 + (row * 31 + i * 17) % (vocab_size - 5)) as u32)
                .collect()
        })
        .collect()
}

/// The random models have attention weights so sharp that float32 rounding
/// grows tenfold in three layers; float64 shows that nothing else is there.
#[test]
fn eight_padded_sequences_equal_the_eight_alone_in_every_family() {
    for &device in DeviceName::ENABLED {
        if !device.supports(Precision::F64) {
            continue;
        }
        for family in ENCODERS.into_iter().chain(DECODERS) {
            let options = LoadOptions::new().device(device).precision(Precision::F64);
            let analyzer = Analyzer::load(golden(family), &options).unwrap();
            let architecture = analyzer.checkpoint().architecture();
            let inputs: Vec<_> = sequences(architecture.vocab_size, architecture.max_positions)
                .into_iter()
                .map(|ids| analyzer.encode(&Input::from(ids)).unwrap())
                .collect();
            let (worst, at) = deviation(&analyzer, &inputs);
            assert!(worst <= 1e-13, "{family} on {device}: {worst:e} at {at}");
        }
    }
}

#[test]
fn eight_padded_texts_equal_the_eight_alone_in_float32() {
    for (model, texts) in [
        (bundled_bert(), "texts/bundled.jsonl"),
        (bundled_gpt2(), "texts/bundled-causal.jsonl"),
    ] {
        let texts = std::fs::read_to_string(headwater_fixtures::root().join(texts)).unwrap();
        check_float32(model.to_str().unwrap(), &texts);
    }
}

fn check_float32(model: &str, texts: &str) {
    for &device in DeviceName::ENABLED {
        let options = LoadOptions::new().device(device);
        let analyzer = Analyzer::load(model, &options).unwrap();
        let inputs: Vec<_> = texts
            .lines()
            .take(8)
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let text = line["text"].as_str().unwrap();
                let input = match line["text_pair"].as_str() {
                    Some(pair) => Input::from((text, pair)),
                    None => Input::from(text),
                };
                analyzer.encode(&input).unwrap()
            })
            .collect();
        // On burn-flex only sums over sources see the padding, as zeros; the
        // other backends choose their kernels by shape, and sum in another
        // order (burn-ndarray came to 1.3e-6 here).
        let tolerance = match device.name() {
            "flex" => 1e-6,
            _ => 1e-5,
        };
        let (worst, at) = deviation(&analyzer, &inputs);
        assert!(worst <= tolerance, "{model} on {device}: {worst:e} at {at}");
    }
}
