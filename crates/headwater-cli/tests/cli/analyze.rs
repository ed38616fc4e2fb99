//! One text or one list of ids.

use std::fs;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::support::{Arrays, analyze, analyze_text, fixture, headwater, stdout};

/// The inputs of the golden cases.
fn cases() -> Vec<(String, String, String)> {
    let text = fs::read_to_string(fixture("golden/bert/cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let list = |ids: &Value| ids.to_string().trim_matches(['[', ']']).to_owned();
    let cases = cases["cases"].as_object().unwrap();
    cases
        .iter()
        .map(|(name, case)| {
            (
                name.clone(),
                list(&case["input_ids"]),
                list(&case["token_type_ids"]),
            )
        })
        .collect()
}

/// The scopes of a post-LN model.
const SCOPES: [&str; 6] = [
    "attn",
    "attn_res",
    "atb",
    "atb_ff",
    "atb_ff_res",
    "atb_ff_res_ln",
];

/// The format's table: key and shape of every array of the small BERT.
fn expected_shapes(tokens: usize, d_model: usize) -> Vec<(String, Vec<usize>)> {
    let (layers, heads) = (3, 4);
    let mut shapes = vec![
        ("input_ids".to_owned(), vec![tokens]),
        ("token_type_ids".to_owned(), vec![tokens]),
    ];
    for l in 0..=layers {
        shapes.push((format!("hidden_states.{l}"), vec![tokens, d_model]));
    }
    for l in 0..layers {
        let mut add = |name: &str, shape: &[usize]| {
            shapes.push((format!("layers.{l}.{name}"), shape.to_vec()));
        };
        add("attention_weights", &[heads, tokens, tokens]);
        add("transformed_norms", &[heads, tokens]);
        add("weighted_norms", &[heads, tokens, tokens]);
        for scope in SCOPES {
            add(&format!("norms.{scope}"), &[tokens, tokens]);
            for name in [
                "preserving_norms",
                "mixing_norms",
                "mixing_ratio",
                "bias_norms",
            ] {
                add(&format!("{name}.{scope}"), &[tokens]);
            }
            add(&format!("reconstruction_error.{scope}"), &[1]);
        }
        add("mixing_ratio.attn_w", &[tokens]);
        add("mixing_ratio.attn_res_w", &[tokens]);
    }
    shapes.sort();
    shapes
}

#[test]
fn float64_files_hold_what_another_program_computed() {
    let expected = Arrays::read(fixture("golden/bert/expected.safetensors"));
    let directory = tempfile::tempdir().unwrap();
    for (case, ids, types) in cases() {
        let path = directory.path().join(format!("{case}.safetensors"));
        analyze()
            .args(["--input-ids", &ids, "--token-type-ids", &types])
            .args(["--dtype", "f64", "--hidden-states", "--output"])
            .arg(&path)
            .assert()
            .success()
            .stdout("")
            .stderr("");
        let found = Arrays::read(&path);

        let tokens = ids.split(',').count();
        let shapes: Vec<(String, Vec<usize>)> = found
            .arrays
            .iter()
            .map(|(key, array)| (key.clone(), array.shape.clone()))
            .collect();
        assert_eq!(shapes, expected_shapes(tokens, 32));

        for (key, array) in &found.arrays {
            if key.contains("reconstruction_error") {
                assert!(array.floats()[0] <= 1e-12, "{case} {key}");
                continue;
            }
            let golden = &expected.arrays[&format!("{case}.{key}")];
            assert_eq!(array.shape, golden.shape, "{case} {key}");
            if array.dtype == Dtype::I64 {
                assert_eq!(array.integers(), golden.integers(), "{case} {key}");
                continue;
            }
            assert_eq!(array.dtype, Dtype::F64, "{case} {key}");
            for (a, b) in array.floats().into_iter().zip(golden.floats()) {
                // Entries of hidden states cross zero; their vectors have length about √32.
                let floor = if key.starts_with("hidden_states") {
                    1.0
                } else {
                    0.0
                };
                assert!(
                    (a - b).abs() <= 1e-10 * b.abs().max(floor),
                    "{case} {key}: {a} {b}"
                );
            }
        }
    }
}

#[test]
fn the_metadata_says_where_a_file_comes_from() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.safetensors");
    analyze()
        .args(["--input-ids", "101,7,102", "--output"])
        .arg(&path)
        .assert()
        .success();
    let metadata = Arrays::read(&path).metadata;
    let names: Vec<&str> = metadata.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "architecture",
            "config_sha256",
            "device",
            "dtype",
            "format",
            "headwater_version",
            "model",
            "tokens",
            "weights_sha256"
        ]
    );
    assert_eq!(metadata["format"], "headwater.analysis/1");
    assert_eq!(metadata["headwater_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(metadata["architecture"], "bert");
    assert_eq!(metadata["device"], "flex");
    assert_eq!(metadata["dtype"], "f32");
    assert_eq!(metadata["tokens"], r#"["101","7","102"]"#);
    let manifest = fs::read_to_string(fixture("golden/MANIFEST.sha256")).unwrap();
    for (key, file) in [
        ("weights_sha256", " bert/model.safetensors"),
        ("config_sha256", " bert/config.json"),
    ] {
        let line = manifest.lines().find(|line| line.ends_with(file)).unwrap();
        assert_eq!(metadata[key], line.split_whitespace().next().unwrap());
    }
}

#[test]
fn a_text_has_its_tokens_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pair.safetensors");
    analyze_text()
        .args(["--text", "the", "--text-pair", "the", "--output"])
        .arg(&path)
        .assert()
        .success();
    let file = Arrays::read(&path);
    assert_eq!(
        file.metadata["tokens"],
        r#"["[CLS]","the","[SEP]","the","[SEP]"]"#
    );
    assert_eq!(file.arrays["token_type_ids"].integers(), [0, 0, 0, 1, 1]);
    assert_eq!(file.arrays["layers.0.norms.atb"].dtype, Dtype::F32);
}

#[test]
fn selections_keep_exactly_what_they_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.safetensors");
    let keys = |arguments: &[&str]| {
        analyze()
            .args(["--input-ids", "101,7,102"])
            .args(arguments)
            .arg("--output")
            .arg(&path)
            .assert()
            .success();
        Arrays::read(&path).keys().join(" ")
    };
    assert_eq!(
        keys(&["--layers", "0,2", "--quantities", "attention_weights"]),
        "input_ids layers.0.attention_weights layers.2.attention_weights token_type_ids"
    );
    assert_eq!(
        keys(&[
            "--layers",
            "1-1",
            "--quantities",
            "norms,bias_norms",
            "--scopes",
            "atb"
        ]),
        "input_ids layers.1.bias_norms.atb layers.1.norms.atb token_type_ids"
    );
    assert_eq!(
        keys(&[
            "--layers",
            "2",
            "--quantities",
            "mixing_ratio",
            "--scopes",
            "attn_res"
        ]),
        "input_ids layers.2.mixing_norms.attn_res layers.2.mixing_ratio.attn_res \
         layers.2.mixing_ratio.attn_res_w layers.2.mixing_ratio.attn_w \
         layers.2.preserving_norms.attn_res token_type_ids"
    );
    assert_eq!(
        keys(&[
            "--layers",
            "0",
            "--quantities",
            "transformed_norms,reconstruction_error",
            "--scopes",
            "attn,atb_ff"
        ]),
        "input_ids layers.0.reconstruction_error.atb_ff layers.0.reconstruction_error.attn \
         layers.0.transformed_norms token_type_ids"
    );
    assert_eq!(
        keys(&[
            "--layers",
            "1",
            "--quantities",
            "weighted_norms",
            "--hidden-states"
        ]),
        "hidden_states.1 hidden_states.2 input_ids layers.1.weighted_norms token_type_ids"
    );
}

#[test]
fn half_precision_halves_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, arguments: &[&str]| {
        let path = directory.path().join(name);
        let ids = (0..40)
            .map(|id| id.to_string())
            .collect::<Vec<_>>()
            .join(",");
        analyze()
            .args(["--input-ids", &ids])
            .args(arguments)
            .arg("--output")
            .arg(&path)
            .assert()
            .success();
        (
            fs::metadata(&path).unwrap().len() as f64,
            Arrays::read(&path).arrays,
        )
    };
    let (full_size, full) = write("full.safetensors", &[]);
    let (half_size, half) = write("half.safetensors", &["--store", "f16"]);
    assert!(half_size < 0.6 * full_size, "{half_size} {full_size}");
    for (key, array) in &full {
        // Reconstruction errors are far below what float16 can tell from zero.
        if key.ends_with("_ids") || key.contains("reconstruction_error") {
            assert_eq!(array, &half[key]);
            continue;
        }
        assert_eq!((array.dtype, half[key].dtype), (Dtype::F32, Dtype::F16));
        for (a, b) in array.floats().into_iter().zip(half[key].floats()) {
            // Half a unit in the last of 11 digits, or of the smallest subnormal number.
            assert!(
                (a - b).abs() <= (a / 2048.0).max(2f64.powi(-25)),
                "{key}: {a} {b}"
            );
        }
    }
}

#[test]
fn the_table_fits_100_columns() {
    let ids = ["--input-ids", "101,7,8,102"];
    let text = stdout(analyze().args(ids));
    // Wherever the model lies, and however long a way that is.
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a folder of some length/".repeat(6));
    fs::create_dir_all(&deep).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(fixture("golden/bert").join(name), deep.join(name)).unwrap();
    }
    let of_deep = headwater()
        .arg("analyze")
        .arg("--model")
        .arg(&deep)
        .args(ids)
        .assert()
        .success()
        .get_output()
        .clone();
    let of_deep = String::from_utf8(of_deep.stdout).unwrap();
    for text in [&text, &of_deep] {
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
    }
    let first = of_deep.lines().next().unwrap();
    assert!(
        first.starts_with('…')
            && first.ends_with("a folder of some length/: 4 tokens, computed in f32 on flex"),
        "{first}"
    );
    assert_eq!(first.chars().count(), 100, "{first}");
    for heading in [
        "mixing_ratio",
        "attn_res_w",
        "reconstruction_error",
        "norms.atb_ff_res_ln",
        "layer 2",
    ] {
        assert!(text.contains(heading), "{heading} is not in\n{text}");
    }
    let weights = stdout(analyze().args([
        "--input-ids",
        "101,7,8,102",
        "--quantities",
        "attention_weights",
        "--layers",
        "0",
    ]));
    assert!(
        weights.contains("layer 0 by attention_weights, mean over heads"),
        "{weights}"
    );
    assert!(!weights.contains("mixing_ratio"), "{weights}");
}

#[test]
fn json_prints_the_numbers_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.safetensors");
    analyze()
        .args(["--input-ids", "101,7,8,102", "--output"])
        .arg(&path)
        .assert()
        .success();
    let file = Arrays::read(&path);
    let json: Value = serde_json::from_str(&stdout(analyze().args([
        "--input-ids",
        "101,7,8,102",
        "--json",
    ])))
    .unwrap();

    assert_eq!(json["tokens"], serde_json::json!(["101", "7", "8", "102"]));
    assert_eq!(json["weights_sha256"], file.metadata["weights_sha256"]);
    let arrays = json["arrays"].as_object().unwrap();
    assert_eq!(arrays.len() + 2, file.arrays.len());
    for (key, value) in arrays {
        let mut numbers = Vec::new();
        flatten(value, &mut numbers);
        let wanted: Vec<f32> = file.arrays[key]
            .floats()
            .into_iter()
            .map(|v| v as f32)
            .collect();
        assert_eq!(numbers, wanted, "{key}");
    }
    let norms = file.arrays["layers.2.norms.atb_ff_res_ln"].floats();
    let strongest = &json["summary"]["strongest_sources"]["targets"][0][0];
    let row = &norms[..4];
    let share = row[strongest["source"].as_u64().unwrap() as usize] / row.iter().sum::<f64>();
    assert!((strongest["share"].as_f64().unwrap() - share).abs() < 1e-12);
    assert!(
        row.iter()
            .all(|norm| norm / row.iter().sum::<f64>() <= share + 1e-12)
    );
}

fn flatten(value: &Value, into: &mut Vec<f32>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flatten(value, into)),
        value => into.push(value.as_f64().unwrap() as f32),
    }
}

/// What attends to nothing has no sources, and no NaN in their place.
#[test]
fn no_attention_output_at_all() {
    let model = tempfile::tempdir().unwrap();
    let file = |name: &str| model.path().join(name);
    fs::copy(fixture("golden/bert/config.json"), file("config.json")).unwrap();
    let mut bytes = fs::read(fixture("golden/bert/model.safetensors")).unwrap();
    let places = {
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let start = bytes.as_ptr() as usize;
        let zeroed = tensors.iter().filter(|(name, _)| {
            name.contains("attention.self.value") || name.contains("attention.output.dense")
        });
        let place = |data: &[u8]| (data.as_ptr() as usize - start, data.len());
        let places = zeroed.map(|(_, view)| place(view.data()));
        places.collect::<Vec<_>>()
    };
    assert!(!places.is_empty());
    for (start, length) in places {
        bytes[start..start + length].fill(0);
    }
    fs::write(file("model.safetensors"), bytes).unwrap();
    for more in [&[][..], &["--json"]] {
        let mut command = headwater();
        command.args(["analyze", "--model"]).arg(model.path());
        command.args(["--input-ids", "101,7,102", "--scopes", "attn"]);
        let printed = stdout(command.args(more));
        assert!(
            !printed.contains("NaN") && !printed.contains("null"),
            "{printed}"
        );
    }
}
