//! Decoders of today's families against transformers, its float32 casts lifted, and
//! a naive program that materialises every part and integrates numerically.
#![cfg(feature = "flex")]

use headwater::checkpoint::HubOptions;
use headwater::{Analyzer, DeviceName, Input, LoadOptions, Precision, Request};
use headwater_fixtures::{Deviation, Expected, FAMILY_DECODERS, FAMILY_ENCODERS, cases, golden};

/// Families that are refused by name.
const REFUSED: [&str; 6] = [
    "albert",
    "albert_groups",
    "deberta_v2",
    "deberta_v2_own",
    "deberta_v2_c2p",
    "deberta_v2_plain",
];

/// Those that can be read.
fn families() -> impl Iterator<Item = &'static str> {
    let all = FAMILY_DECODERS.into_iter().chain(FAMILY_ENCODERS);
    all.filter(|family| !REFUSED.contains(family))
}

/// The golden model with the configuration of either major of transformers, and the
/// folder that it is in: weights are hashed when the first result is made.
fn analyzer(
    family: &str,
    major: u8,
    device: DeviceName,
    precision: Precision,
) -> (tempfile::TempDir, Analyzer) {
    let options = LoadOptions::new()
        .device(device)
        .precision(precision)
        .hub(HubOptions::default());
    let folder = tempfile::tempdir().unwrap();
    let config = match major {
        4 => "v4/config.json",
        _ => "config.json",
    };
    for (from, to) in [
        (config, "config.json"),
        ("model.safetensors", "model.safetensors"),
    ] {
        std::fs::copy(golden(family).join(from), folder.path().join(to)).unwrap();
    }
    let analyzer = Analyzer::load(folder.path(), &options)
        .unwrap_or_else(|error| panic!("{family} of version {major}: {error}"));
    (folder, analyzer)
}

fn check(
    wrong: &mut Vec<String>,
    family: &str,
    major: u8,
    device: DeviceName,
    precision: Precision,
) {
    let (state_tolerance, array_tolerance) = match precision {
        Precision::F64 => (1e-10, 1e-8),
        Precision::F32 => (1e-4, 1e-4),
    };
    let (_folder, analyzer) = analyzer(family, major, device, precision);
    let expected = Expected::of(family);
    let (names, inputs): (Vec<_>, Vec<_>) = cases(family)
        .into_iter()
        .map(|(name, case)| {
            let input = Input::Ids {
                input_ids: case.input_ids,
                token_type_ids: Some(case.token_type_ids),
            };
            (name, analyzer.encode(&input).unwrap())
        })
        .unzip();
    let request = Request::new().hidden_states(true);
    let analyses = analyzer.analyze_tokenized(&inputs, &request).unwrap();
    for (name, analysis) in names.iter().zip(&analyses) {
        let expected = expected.case(name);
        let what = format!("{family} {name} on {device} in {precision}, version {major}");
        let mut compared = 0;
        for (key, array) in analysis.arrays() {
            let key = key.to_string();
            if key.contains("reconstruction_error") {
                let bound = match precision {
                    Precision::F32 => 2e-5,
                    Precision::F64 => 1e-11,
                };
                let worst = array.iter().fold(0.0, f64::max);
                if worst.is_nan() || worst > bound {
                    wrong.push(format!("{what} {key}: {worst:e}"));
                }
            }
            let Some((shape, values)) = expected.get(key.as_str()) else {
                continue;
            };
            assert_eq!(array.shape(), *shape, "{what} {key}");
            let deviation = Deviation::between(array.iter(), values);
            let within = match (key.starts_with("hidden_states"), precision) {
                (true, Precision::F64) => deviation.absolute <= state_tolerance,
                (true, Precision::F32) => deviation.of_largest <= state_tolerance,
                (false, _) => deviation.of_largest <= array_tolerance,
            };
            if !within {
                wrong.push(format!("{what} {key}: {deviation:?}"));
            }
            compared += 1;
        }
        let wanted = expected
            .keys()
            .filter(|key| key.starts_with("layers.") || key.starts_with("hidden_states."))
            .filter(|key| !key.contains(".parts.") && !key.contains(".bias."))
            .count();
        if compared != wanted {
            wrong.push(format!("{what}: {compared} arrays of {wanted}"));
        }
    }
}

/// Of each text by itself; whether the model has a head.
fn check_logits(
    wrong: &mut Vec<String>,
    family: &str,
    device: DeviceName,
    precision: Precision,
) -> bool {
    let (_folder, analyzer) = analyzer(family, 5, device, precision);
    if analyzer.model().head().is_none() {
        return false;
    }
    let expected = Expected::of(family);
    for (name, case) in cases(family) {
        let input = analyzer.encode(&Input::from(case.input_ids)).unwrap();
        let logits = analyzer.logits(&input).unwrap();
        let arrays = expected.case(&name);
        let (shape, values) = arrays["logits"];
        assert_eq!(logits.shape(), shape, "{family} {name}");
        let deviation = Deviation::between(logits.iter().copied(), values);
        let within = match precision {
            Precision::F64 => deviation.absolute <= 1e-10,
            Precision::F32 => deviation.of_largest <= 1e-4,
        };
        if !within {
            wrong.push(format!(
                "{family} {name} on {device} in {precision}: {deviation:?}"
            ));
        }
    }
    true
}

/// The CPU in both precisions. On other devices the arrays of these families have not
/// been compared yet.
fn everywhere() -> [(DeviceName, Precision); 2] {
    [Precision::F64, Precision::F32].map(|precision| (DeviceName::Flex, precision))
}

#[test]
fn every_array_of_every_family_equals_transformers_and_the_naive_program() {
    let mut wrong = Vec::new();
    for family in families() {
        // Version 4 has no such switch.
        let majors: &[u8] = match family {
            "llama_bidirectional" => &[5],
            _ => &[5, 4],
        };
        for &major in majors {
            for (device, precision) in everywhere() {
                check(&mut wrong, family, major, device, precision);
            }
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
fn logits_equal_those_of_transformers() {
    let mut wrong = Vec::new();
    let mut heads = 0;
    for family in families() {
        for (device, precision) in everywhere() {
            heads += usize::from(check_logits(&mut wrong, family, device, precision));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(heads > 0, "no model has its head");
}

#[test]
fn a_model_that_is_read_without_its_head_has_no_logits() {
    let analyzer = Analyzer::from_pretrained(golden("bert")).unwrap();
    let input = analyzer.encode(&Input::from(vec![2, 3])).unwrap();
    let error = analyzer.logits(&input).unwrap_err().to_string();
    assert!(error.contains("no logits of a bert model"), "{error}");
}
