//! The forward pass against Hugging Face transformers in float64.

use headwater_checkpoint::Checkpoint;
use headwater_fixtures::{DECODERS, Deviation, ENCODERS, Expected, cases, golden};
use headwater_transformer::{Captures, DeviceName, Model, Precision, TokenSequence};

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
