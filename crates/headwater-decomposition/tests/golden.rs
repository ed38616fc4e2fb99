//! The part vectors themselves, and the biases, against a naive program.

use headwater_checkpoint::Checkpoint;
use headwater_decomposition::{LayerDecomposition, Segment};
use headwater_fixtures::{DECODERS, Deviation, ENCODERS, Expected, cases, golden};
use headwater_transformer::{DeviceName, Model, Precision, TokenSequence};

fn check(family: &str, device: DeviceName, precision: Precision, tolerance: f64) {
    let checkpoint = Checkpoint::open_directory(golden(family)).unwrap();
    let model = Model::load(&checkpoint, device, precision).unwrap();
    let case = cases(family).remove("short").unwrap();
    let tokens = case.input_ids.len();
    let batch = model
        .batch(&[TokenSequence {
            input_ids: case.input_ids,
            token_type_ids: case.token_type_ids,
        }])
        .unwrap();
    let expected = Expected::of(family);
    let expected = expected.case("short");
    let layer = model.architecture().layer(0);
    let scopes = &Segment::Layer.scopes(&layer);
    let captures = LayerDecomposition::captures(&layer, scopes).unwrap();
    for capture in model.run(&batch, captures) {
        let l = capture.layer();
        let decomposition = LayerDecomposition::new(&model.layers()[l], &capture, scopes).unwrap();
        for scope in decomposition.scopes() {
            let name = scope.scope();
            let parts = scope.parts(0..tokens).unwrap().into_data();
            let bias = scope.bias().into_data();
            for (key, found) in [("parts", parts), ("bias", bias)] {
                let (_, values) = expected[format!("layers.{l}.{key}.{name}").as_str()];
                let deviation = Deviation::between(found.iter::<f64>(), values);
                assert!(
                    deviation.of_largest <= tolerance,
                    "{family} layer {l} {key} {name} on {device}: {deviation:?}"
                );
            }
        }
    }
}

#[test]
fn parts_and_biases_equal_the_naive_program() {
    for &device in DeviceName::ENABLED {
        for family in ENCODERS.into_iter().chain(DECODERS) {
            check(family, device, Precision::F32, 2e-6);
            if device.supports(Precision::F64) {
                check(family, device, Precision::F64, 1e-13);
            }
        }
    }
}
