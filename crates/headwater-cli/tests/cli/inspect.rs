//! `headwater inspect`.

use serde_json::Value;

use crate::support::{assert_fails, fixture, headwater, stdout};

fn inspect(arguments: &[&str]) -> assert_cmd::Command {
    let mut command = headwater();
    command
        .args(["inspect", "--model"])
        .arg(fixture("golden/bert"))
        .args(arguments);
    command
}

fn inspect_json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(inspect(&["--json"]).args(arguments))).unwrap()
}

#[test]
fn the_model_is_described() {
    let text = stdout(&mut inspect(&[]));
    for words in [
        "bert: 3 layers, 4 heads of 8, d_model 32, d_ff 64, Gelu",
        "120 token ids, 2 token types, up to 40 tokens; no tokenizer.json",
        "memory for one text of 40 tokens in f32",
        "F32  [120, 32]",
        "bert.embeddings.word_embeddings.weight",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn every_tensor_is_either_used_or_not() {
    let json = inspect_json(&[]);
    let file = crate::support::Arrays::read(fixture("golden/bert/model.safetensors"));
    let listed = |which: &str| -> Vec<(String, usize)> {
        let tensors = json[which].as_array().unwrap();
        let product = |shape: &Value| -> u64 {
            shape
                .as_array()
                .unwrap()
                .iter()
                .map(|n| n.as_u64().unwrap())
                .product()
        };
        tensors
            .iter()
            .map(|t| {
                (
                    t["name"].as_str().unwrap().to_owned(),
                    product(&t["shape"]) as usize,
                )
            })
            .collect()
    };
    let (used, unused) = (listed("used_tensors"), listed("unused_tensors"));
    assert!(
        unused.iter().all(|(name, _)| name.starts_with("cls.")),
        "{unused:?}"
    );
    let mut names: Vec<&str> = used
        .iter()
        .chain(&unused)
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, file.keys());
    let parameters: usize = used.iter().map(|(_, elements)| elements).sum();
    assert_eq!(json["parameters"], parameters);
}

#[test]
fn the_memory_grows_with_text_and_precision() {
    let memory = |arguments: &[&str]| inspect_json(arguments)["memory"].clone();
    let (short, long) = (memory(&["--tokens", "10"]), memory(&["--tokens", "20"]));
    assert_eq!(short["weights"], 4 * 30880);
    assert_eq!(short["weights"], long["weights"]);
    assert_eq!(
        2 * short["activations"].as_u64().unwrap(),
        long["activations"]
    );
    assert_eq!(4 * short["maps"].as_u64().unwrap(), long["maps"]);
    assert!(short["total"].as_u64() < long["total"].as_u64());
    let double = memory(&["--tokens", "10", "--dtype", "f64"]);
    for part in ["weights", "activations", "maps"] {
        assert_eq!(double[part], 2 * short[part].as_u64().unwrap(), "{part}");
    }
    assert_fails(&mut inspect(&["--tokens", "41"]), 2, &["40"]);
    assert_fails(&mut inspect(&["--tokens", "0"]), 2, &["--tokens"]);
    assert_fails(
        headwater().args(["inspect", "--model", "/nowhere"]),
        2,
        &["/nowhere"],
    );
}
