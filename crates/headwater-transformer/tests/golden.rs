//! The forward pass against Hugging Face transformers in float64.

use headwater_checkpoint::{Checkpoint, GenerationSettings};
use headwater_fixtures::{
    DECODERS, Deviation, ENCODERS, Expected, FAMILY_DECODERS, FAMILY_ENCODERS, SLIM_DECODERS,
    UNSHARED, cases, golden,
};
use headwater_transformer::{
    Captures, DeviceName, EncoderDecoder, Model, Precision, TokenSequence,
};

/// The largest deviation of the last hidden state, each case run alone.
fn deviation(family: &str, device: DeviceName, precision: Precision) -> Deviation {
    let checkpoint = Checkpoint::open_directory(golden(family)).unwrap();
    let model = Model::load(&checkpoint, device, precision).unwrap();
    let expected = Expected::of(family);
    cases(family)
        .into_iter()
        .map(|(name, case)| {
            let batch = model
                .batch(&[TokenSequence {
                    input_ids: case.input_ids,
                    token_type_ids: case.token_type_ids,
                }])
                .unwrap();
            let found = model.forward(&batch, &Captures::none()).last_hidden_state;
            let arrays = expected.case(&name);
            Deviation::between(
                found.into_data().iter::<f64>(),
                arrays["last_hidden_state"].1,
            )
        })
        .fold(Deviation::default(), Deviation::max)
}

#[test]
fn last_hidden_state_equals_transformers() {
    for &device in DeviceName::ENABLED {
        for family in ENCODERS.into_iter().chain(DECODERS) {
            let float32 = deviation(family, device, Precision::F32);
            assert!(
                float32.absolute < 1e-5,
                "{family} on {device} in f32: {float32:?}"
            );
            if device.supports(Precision::F64) {
                let float64 = deviation(family, device, Precision::F64);
                assert!(
                    float64.absolute < 1e-12,
                    "{family} on {device} in f64: {float64:?}"
                );
            }
        }
    }
}

/// Encoder, decoder and head have tables of their own, the first two of
/// different sizes with Marian. Logits and greedy translations.
#[test]
fn models_without_one_shared_table_equal_transformers() {
    for &device in DeviceName::ENABLED {
        for name in UNSHARED {
            for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::F64, 1e-11)] {
                if !device.supports(precision) {
                    continue;
                }
                let checkpoint = Checkpoint::open_directory(golden(name)).unwrap();
                let model = EncoderDecoder::load(&checkpoint, device, precision).unwrap();
                let settings = GenerationSettings::read(golden(name)).unwrap();
                let expected = Expected::of(name);
                for case in ["plain", "long_target", "single"] {
                    let arrays = expected.case(case);
                    let ids = |key: &str| -> Vec<u32> {
                        arrays[key].1.iter().map(|&id| id as u32).collect()
                    };
                    let source = TokenSequence::new(ids("input_ids"));
                    let target = TokenSequence::new(ids("decoder_input_ids"));
                    let source = model.encoder().batch(&[source]).unwrap();
                    let target = model.decoder().batch(&[target]).unwrap();
                    let encoded = model.encode(&source);
                    let hidden = model
                        .decode(&target, &encoded, Captures::none())
                        .last_hidden_state();
                    let logits = model.logits(hidden).into_data();
                    let deviation = Deviation::between(logits.iter::<f64>(), arrays["logits"].1);
                    assert!(
                        deviation.absolute < tolerance,
                        "{name} {case} on {device} in {precision}: {deviation:?}"
                    );
                    let translation = model.generate(&source, &settings).unwrap();
                    assert_eq!(translation, ids("translation"), "{name} {case} on {device}");
                }
            }
        }
    }
}

/// A family's model with the configuration that one of the majors of transformers wrote.
fn of_version(name: &str, old: bool) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = golden(name).join(if old { "v4/config.json" } else { "config.json" });
    std::fs::copy(config, directory.path().join("config.json")).unwrap();
    let weights = golden(name).join("model.safetensors");
    std::fs::copy(weights, directory.path().join("model.safetensors")).unwrap();
    directory
}

/// Families that are not computed: each is refused by name.
const REFUSED: [&str; 6] = [
    "albert",
    "albert_groups",
    "deberta_v2",
    "deberta_v2_own",
    "deberta_v2_c2p",
    "deberta_v2_plain",
];

/// Every hidden state of every case, alone and in a padded batch, for the
/// configurations of both majors.
#[test]
fn families_equal_transformers() {
    let mut wrong = Vec::new();
    let names = FAMILY_DECODERS.into_iter().chain(SLIM_DECODERS);
    for name in names.chain(FAMILY_ENCODERS) {
        for old in [false, true] {
            // Version 4 does not know the key.
            if old && name == "llama_bidirectional" {
                continue;
            }
            let directory = of_version(name, old);
            let checkpoint = match Checkpoint::open_directory(directory.path()) {
                Ok(checkpoint) => checkpoint,
                // The majors read it differently; what version 5 wrote says what is meant.
                Err(error) if old && name == "olmo3_bases" => {
                    assert!(error.to_string().contains("\"rope_theta\""), "{error}");
                    continue;
                }
                Err(error) if REFUSED.contains(&name) => {
                    assert!(error.to_string().contains("is not supported"), "{error}");
                    continue;
                }
                Err(error) => {
                    wrong.push(format!("{name}, old {old}: {error}"));
                    continue;
                }
            };
            if !checkpoint.warnings().is_empty() {
                wrong.push(format!("{name}, old {old}: {:?}", checkpoint.warnings()));
            }
            // Other devices are to compare these families yet.
            let cpus = DeviceName::ENABLED
                .iter()
                .filter(|device| device.name() == "flex");
            for &device in cpus {
                for (precision, tolerance) in [(Precision::F64, 1e-10), (Precision::F32, 1e-4)] {
                    let found = hidden_states_deviation(&checkpoint, name, device, precision);
                    if found.of_largest.is_nan() || found.of_largest > tolerance {
                        let what = format!("{name}, old {old}, on {device} in {precision}");
                        wrong.push(format!("{what}: {found:?}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn hidden_states_deviation(
    checkpoint: &Checkpoint,
    name: &str,
    device: DeviceName,
    precision: Precision,
) -> Deviation {
    let model = Model::load(checkpoint, device, precision).unwrap();
    let expected = Expected::of(name);
    let mut largest = Deviation::default();
    for (case, inputs) in cases(name) {
        let sequence = TokenSequence {
            input_ids: inputs.input_ids,
            token_type_ids: inputs.token_type_ids,
        };
        let batch = model.batch(&[sequence]).unwrap();
        let arrays = expected.case(&case);
        let mut run = model.run(&batch, Captures::none());
        let mut layer = 0;
        loop {
            let found = run.hidden_states().into_data();
            let key = format!("hidden_states.{layer}");
            let deviation = Deviation::between(found.iter::<f64>(), arrays[key.as_str()].1);
            largest = largest.max(deviation);
            if run.next().is_none() {
                break;
            }
            layer += 1;
        }
        // A projection behind the layers belongs to the head.
        if name != "opt_post_norm" {
            let found = run.last_hidden_state().into_data();
            let deviation = Deviation::between(found.iter::<f64>(), arrays["last_hidden_state"].1);
            largest = largest.max(deviation);
        }
    }
    largest
}
