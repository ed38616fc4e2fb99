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
fn layers_share_their_lines() {
    let lines = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("  F32"))
            .count()
    };
    let (short, long) = (
        stdout(&mut inspect(&[])),
        stdout(&mut inspect(&["--tensors"])),
    );
    let query = "encoder.layer.{0-2}.attention.self.query.weight";
    assert!(short.contains(query) && !long.contains('{'), "{short}");
    for layer in 0..3 {
        let query = format!("encoder.layer.{layer}.attention.self.query.weight");
        assert!(long.contains(&query) && !short.contains(&query), "{long}");
    }
    let used = inspect_json(&[])["used_tensors"].as_array().unwrap().len();
    let unused = inspect_json(&[])["unused_tensors"]
        .as_array()
        .unwrap()
        .len();
    // Sixteen tensors a layer.
    assert_eq!(lines(&long), used + unused);
    assert_eq!(lines(&short), used + unused - 2 * 16);
    assert_fails(&mut inspect(&["--tensors", "--json"]), 2, &["--json"]);
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
    assert_eq!(double["weights"], 2 * short["weights"].as_u64().unwrap());
    // Burn's operations take more than the kernels that float32 has.
    for part in ["activations", "maps"] {
        let [single, double] = [&short, &double].map(|memory| memory[part].as_u64().unwrap());
        assert!(double > 2 * single, "{part}");
    }
    assert_fails(&mut inspect(&["--tokens", "41"]), 2, &["40"]);
    assert_fails(&mut inspect(&["--tokens", "0"]), 2, &["--tokens"]);
    assert_fails(
        headwater().args(["inspect", "--model", "/nowhere"]),
        2,
        &["/nowhere"],
    );
}

fn inspect_translation(model: &str, arguments: &[&str]) -> String {
    let mut command = headwater();
    command
        .args(["inspect", "--model"])
        .arg(fixture(model))
        .args(arguments);
    stdout(&mut command)
}

#[test]
fn both_stacks_of_a_translation_model_are_described() {
    let text = inspect_translation("bundled-marian", &["--tokens", "20"]);
    for words in [
        "marian: an encoder and a decoder",
        "encoder       4 layers, 4 heads of 24, d_model 96, d_ff 256, Silu",
        "decoder       4 layers",
        "tokenizer     for both sides",
        "one text and a translation of 20 tokens each in f32",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    let text = inspect_translation("golden/marian_unshared", &[]);
    for words in [
        "20 token ids, up to 20 tokens\ndecoder       1 layers",
        "50 token ids, up to 20 tokens\ntokenizer     no tokenizer.json or source.spm",
        "--decoder-input-ids",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn a_shared_table_is_counted_once() {
    for (model, computed) in [("golden/bart", 0), ("golden/marian", 2 * 30 * 20)] {
        let json: Value =
            serde_json::from_str(&inspect_translation(model, &["--json", "--tokens", "9"]))
                .unwrap();
        let file = crate::support::Arrays::read(fixture(&format!("{model}/model.safetensors")));
        let used = json["used_tensors"].as_array().unwrap();
        let names: Vec<&str> = used.iter().map(|t| t["name"].as_str().unwrap()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, file.keys(), "{model}");
        let parameters = json["parameters"].as_u64().unwrap();
        // Sinusoids are not among the parameters, and take memory all the same.
        assert_eq!(json["memory"]["weights"], 4 * (parameters + computed));
        assert_eq!(json["decoder"]["n_layers"], 3);
        assert_eq!(json["architecture"]["n_layers"], 2);
        assert_eq!(json["tokenizer"], false);
    }
}
