//! Greedy and beam search against transformers, on a model that is a formula.

use std::convert::Infallible;
use std::fs;

use headwater_fixtures::root;
use headwater_transformer::{GenerationSettings, generate};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct File {
    vocab_size: u32,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    formula: Formula,
    settings: Value,
    tokens: Vec<u32>,
}

#[derive(Deserialize)]
struct Formula {
    seed: u32,
    range: f64,
    end: f64,
}

fn mix(state: u32, value: u32) -> u32 {
    let state = (state ^ value).wrapping_mul(0x9E37_79B1);
    state ^ (state >> 15)
}

impl Formula {
    fn logits(&self, target: &[u32], vocab_size: u32) -> Vec<f32> {
        let state = target
            .iter()
            .fold(self.seed, |state, &token| mix(state, token));
        let logit = |token| {
            let share = f64::from(mix(mix(state, 0xABCD), token) % (1 << 20)) / f64::from(1 << 20);
            let end = if token == 2 { self.end } else { 0.0 };
            (share * self.range + end) as f32
        };
        (0..vocab_size).map(logit).collect()
    }
}

/// The settings as a checkpoint's directory has them.
fn settings(fields: &Value, vocab_size: u32) -> GenerationSettings {
    let directory = tempfile::tempdir().unwrap();
    let write = |file, value: &Value| fs::write(directory.path().join(file), value.to_string());
    write("config.json", &json!({ "vocab_size": vocab_size })).unwrap();
    write("generation_config.json", fields).unwrap();
    GenerationSettings::read(directory.path()).unwrap()
}

#[test]
fn the_same_tokens_as_transformers() {
    let bytes = fs::read(root().join("generation/cases.json")).unwrap();
    let file: File = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(file.cases.len(), 300);
    let mut wrong = Vec::new();
    for (number, case) in file.cases.iter().enumerate() {
        let settings = settings(&case.settings, file.vocab_size);
        let mut length = 0;
        let found = generate(&settings, |targets| {
            length += 1;
            assert_eq!(targets.len(), settings.num_beams);
            assert!(targets.iter().all(|target| target.len() == length));
            let row = |target: &Vec<u32>| case.formula.logits(target, file.vocab_size);
            Ok::<_, Infallible>(targets.iter().map(row).collect())
        });
        let Ok(found) = found;
        if found != case.tokens {
            wrong.push(format!(
                "{number} {}: {found:?}, not {:?}",
                case.settings, case.tokens
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn errors_of_the_model_come_through() {
    for num_beams in [1, 3] {
        let settings = GenerationSettings {
            num_beams,
            ..GenerationSettings::new(1, 2)
        };
        assert_eq!(generate(&settings, |_| Err("no device")), Err("no device"));
    }
}

/// Without any end mark a target has the greatest length.
#[test]
fn targets_without_an_end() {
    for num_beams in [1, 3] {
        let settings = GenerationSettings {
            eos_token_id: Vec::new(),
            num_beams,
            max_length: 6,
            ..GenerationSettings::new(1, 2)
        };
        let found = generate(&settings, |targets| {
            Ok::<_, Infallible>(vec![vec![0.0, 1.0, 4.0, 2.0]; targets.len()])
        });
        assert_eq!(found, Ok(vec![1, 2, 2, 2, 2, 2]));
    }
}
