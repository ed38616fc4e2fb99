//! A padded batch gives the numbers of its members alone.

use headwater::{Analyzer, Input, Request};
use headwater_fixtures::{DECODERS, Deviation, ENCODERS, golden};

/// Eight sequences of eight lengths, from one token to the model's limit.
fn sequences(vocab_size: usize, longest: usize) -> Vec<Vec<u32>> {
    (0..8usize)
        .map(|row| {
            let tokens = 1 + row * (longest - 1) / 7;
            // Any ids do, as long as they differ; the first few are special.
            (0..tokens)
                .map(|i| (5 + (row * 31 + i * 17) % (vocab_size - 5)) as u32)
                .collect()
        })
        .collect()
}

#[test]
fn eight_padded_texts_equal_the_eight_alone() {
    for family in ENCODERS.into_iter().chain(DECODERS) {
        let analyzer = Analyzer::from_pretrained(golden(family).to_str().unwrap()).unwrap();
        let architecture = analyzer.checkpoint().architecture();
        let inputs: Vec<_> = sequences(architecture.vocab_size, architecture.max_positions)
            .into_iter()
            .map(|ids| analyzer.encode(&Input::from(ids)).unwrap())
            .collect();
        let request = Request {
            hidden_states: true,
            ..Request::default()
        };
        let together = analyzer.analyze_tokenized(&inputs, &request).unwrap();
        for (input, together) in inputs.iter().zip(together) {
            let alone = analyzer
                .analyze_tokenized(std::slice::from_ref(input), &request)
                .unwrap()
                .remove(0);
            for (key, array) in alone.arrays() {
                if key.to_string().contains("reconstruction_error") {
                    continue; // Rounding noise, bounded elsewhere.
                }
                let expected: Vec<f64> = array.iter().collect();
                let deviation = Deviation::between(together.array(key).unwrap().iter(), &expected);
                // A GPU's kernels depend on the shape; a CPU's do not.
                let tolerance = match analyzer.model().device_name().name() {
                    "flex" | "ndarray" => 1e-6,
                    _ => 1e-5,
                };
                assert!(
                    deviation.of_largest <= tolerance,
                    "{family}, {} tokens, {key}: {deviation:?}",
                    input.len()
                );
            }
        }
    }
}
