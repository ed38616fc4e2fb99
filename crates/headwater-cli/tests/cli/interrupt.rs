//! Signals: what was not finished is gone.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::support::{fixture, names};

/// The program with the signals at their defaults, whatever the shell that
/// runs the tests ignores.
fn headwater() -> Command {
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT,TERM,HUP")
        .arg(assert_cmd::cargo::cargo_bin!("headwater"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Waits for an unfinished file in a folder, then sends a signal. Returns the
/// exit status and what was printed.
fn interrupted(mut child: Child, folder: &Path, signal: &str) -> (Option<i32>, String) {
    let begin = Instant::now();
    let unfinished = |name: &String| name.ends_with(".partial");
    while !(folder.exists() && names(folder).iter().any(unfinished)) {
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            panic!("it ended before it wrote anything: {output:?}");
        }
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
    let sent = Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    child.stdin.take();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn one_text_leaves_nothing() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.safetensors");
        // An analysis of another program, as far as anybody looks.
        let header = r#"{"__metadata__":{"format":"headwater.analysis/1"}}"#;
        let before = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
        fs::write(&out, &before).unwrap();
        let model = tempfile::tempdir().unwrap();
        write_slow_model(model.path());
        let ids = ["7"; 512].join(",");
        let mut command = headwater();
        command.arg("analyze").arg("--model").arg(model.path());
        command
            .args(["--dtype", "f64", "--input-ids", &ids, "--output"])
            .arg(&out);
        let child = command.spawn().unwrap();
        let (status, stderr) = interrupted(child, folder.path(), signal);
        assert_eq!(status, Some(130), "{stderr}");
        assert!(stderr.starts_with("error: interrupted"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert_eq!(names(folder.path()), ["out.safetensors"]);
        assert_eq!(fs::read(&out).unwrap(), before);
    }
}

/// A BERT with weights of zero and 512 positions, whose analysis takes seconds.
fn write_slow_model(folder: &Path) {
    let (layers, d_model, d_ff) = (4, 128, 512);
    let config = serde_json::json!({
        "model_type": "bert", "vocab_size": 8, "hidden_size": d_model,
        "num_hidden_layers": layers, "num_attention_heads": 8, "intermediate_size": d_ff,
        "hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 1,
        "layer_norm_eps": 1e-12, "pad_token_id": 0
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut shapes = vec![
        (
            "embeddings.word_embeddings.weight".to_owned(),
            vec![8, d_model],
        ),
        (
            "embeddings.position_embeddings.weight".to_owned(),
            vec![512, d_model],
        ),
        (
            "embeddings.token_type_embeddings.weight".to_owned(),
            vec![1, d_model],
        ),
    ];
    let mut module = |name: String, shape: &[usize]| {
        shapes.push((format!("{name}.weight"), shape.to_vec()));
        shapes.push((format!("{name}.bias"), shape[..1].to_vec()));
    };
    module("embeddings.LayerNorm".to_owned(), &[d_model]);
    for layer in 0..layers {
        let mut module = |name: &str, shape: &[usize]| {
            module(format!("encoder.layer.{layer}.{name}"), shape);
        };
        for name in ["self.query", "self.key", "self.value", "output.dense"] {
            module(&format!("attention.{name}"), &[d_model, d_model]);
        }
        module("attention.output.LayerNorm", &[d_model]);
        module("intermediate.dense", &[d_ff, d_model]);
        module("output.dense", &[d_model, d_ff]);
        module("output.LayerNorm", &[d_model]);
    }
    let zeros = vec![0; 4 * 512 * d_model];
    let tensors = shapes.iter().map(|(name, shape)| {
        let bytes = &zeros[..4 * shape.iter().product::<usize>()];
        let tensor = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name, tensor.unwrap())
    });
    safetensors::serialize_to_file(tensors, None, &folder.join("model.safetensors")).unwrap();
}

#[test]
fn a_corpus_keeps_what_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, out) = (folder.path().join("in.jsonl"), folder.path().join("out"));
    let line = |id: usize| format!("{{\"input_ids\": {:?}}}\n", [id % 100; 40]);
    fs::write(&lines, (0..400).map(line).collect::<String>()).unwrap();
    let mut command = headwater();
    command
        .args(["analyze", "--model"])
        .arg(fixture("golden/bert"));
    command.arg("--input").arg(&lines).arg("--output").arg(&out);
    let (status, stderr) = interrupted(command.spawn().unwrap(), &out, "INT");
    assert_eq!(status, Some(130), "{stderr}");
    for name in names(&out) {
        assert!(name.ends_with(".safetensors"), "{name}");
        crate::support::Arrays::read(out.join(name));
    }
}
