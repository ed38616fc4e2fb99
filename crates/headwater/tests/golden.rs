//! Every array of an analysis against a naive program that materialises every
//! part in float64.

use headwater::checkpoint::HubOptions;
use headwater::{Analyzer, BiasTreatment, DeviceName, Input, LoadOptions, Precision, Request};
use headwater_fixtures::{Case, DECODERS, Deviation, ENCODERS, Expected, cases, golden};

fn analyzer(family: &str, device: DeviceName, precision: Precision) -> Analyzer {
    let options = LoadOptions::new()
        .device(device)
        .precision(precision)
        .hub(HubOptions::default());
    Analyzer::load(golden(family), &options).unwrap()
}

fn input(case: &Case) -> Input {
    Input::Ids {
        input_ids: case.input_ids.clone(),
        token_type_ids: Some(case.token_type_ids.clone()),
    }
}

/// Compares all arrays of all cases, analysed in one padded batch.
fn check(family: &str, device: DeviceName, precision: Precision, tolerance: f64) {
    let analyzer = analyzer(family, device, precision);
    let expected = Expected::of(family);
    let (names, inputs): (Vec<_>, Vec<_>) = cases(family)
        .into_iter()
        .map(|(name, case)| (name, analyzer.encode(&input(&case)).unwrap()))
        .unzip();
    let request = Request::new().hidden_states(true);
    let analyses = analyzer.analyze_tokenized(&inputs, &request).unwrap();
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
            // Numbers of a hidden state may be next to nothing; norms are not.
            let error = match key.starts_with("hidden_states") {
                true => deviation.of_largest,
                false => deviation.entrywise,
            };
            assert!(
                error <= tolerance,
                "{family} {name} {key} on {device} in {precision}: {deviation:?}"
            );
            compared += 1;
        }
        let wanted = expected
            .keys()
            .filter(|key| key.starts_with("layers.") || key.starts_with("hidden_states."))
            .filter(|key| !key.contains(".parts.") && !key.contains(".bias."))
            .count();
        assert_eq!(compared, wanted, "{family} {name}: arrays missing");
    }
}

#[test]
fn float64_equals_the_naive_program_entry_by_entry() {
    for &device in DeviceName::ENABLED {
        for family in ENCODERS.into_iter().chain(DECODERS) {
            if device.supports(Precision::F64) {
                check(family, device, Precision::F64, 1e-12);
            }
        }
    }
}

#[test]
fn float32_equals_the_naive_program_entry_by_entry() {
    for &device in DeviceName::ENABLED {
        for family in ENCODERS.into_iter().chain(DECODERS) {
            check(family, device, Precision::F32, 1e-4);
        }
    }
}

/// The fixtures have the arrays that the treatment changes, of one case.
#[test]
fn a_bias_fixed_inside_the_activation_equals_the_naive_program() {
    let in_each = |device: DeviceName| {
        [(Precision::F64, 1e-12), (Precision::F32, 1e-4)]
            .into_iter()
            .filter(move |&(precision, _)| device.supports(precision))
            .map(move |(precision, tolerance)| (device, precision, tolerance))
    };
    for (device, precision, tolerance) in DeviceName::ENABLED.iter().copied().flat_map(in_each) {
        for family in ENCODERS.into_iter().chain(DECODERS) {
            let analyzer = analyzer(family, device, precision);
            let case = &cases(family)["single"];
            let request = Request::new().bias_treatment(BiasTreatment::Fixed);
            let inputs = [analyzer.encode(&input(case)).unwrap()];
            let analysis = &analyzer.analyze_tokenized(&inputs, &request).unwrap()[0];
            let arrays: std::collections::BTreeMap<String, _> = analysis
                .arrays()
                .map(|(key, array)| (key.to_string(), array))
                .collect();
            let expected = Expected::of(family);
            let expected = expected.case("single.fixed_bias");
            assert!(!expected.is_empty());
            for (key, (_, values)) in expected {
                let deviation = Deviation::between(arrays[key].iter(), values);
                assert!(
                    deviation.entrywise <= tolerance,
                    "{family} {key} on {device} in {precision}: {deviation:?}"
                );
            }
        }
    }
}
