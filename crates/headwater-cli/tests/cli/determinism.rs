//! The same bytes from every run, however many threads there are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::support::{files, fixture, headwater, stdout};

/// Lengths of texts on both sides of what fits into one tile or one vector.
const LENGTHS: [usize; 13] = [2, 3, 5, 8, 9, 16, 17, 17, 33, 64, 65, 100, 150];

/// A copy of a bundled model that takes texts of 160 tokens: the table of
/// positions is repeated where the model has learned one.
fn with_more_positions(name: &str, folder: &Path) -> PathBuf {
    let (from, to) = (fixture(name), folder.join(name));
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(&from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    let config = to.join("config.json");
    let text = fs::read(&config).unwrap();
    let mut values: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&text).unwrap();
    let mut changed = 0;
    for key in ["max_position_embeddings", "n_positions"] {
        if let Some(positions) = values.get_mut(key) {
            *positions = 160.into();
            changed += 1;
        }
    }
    assert_eq!(changed, 1, "{name}");
    fs::write(&config, serde_json::to_vec(&values).unwrap()).unwrap();

    let weights = to.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let longer: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let (mut shape, mut data) = (view.shape().to_vec(), view.data().to_vec());
            if name.ends_with("position_embeddings.weight") || name.ends_with("wpe.weight") {
                let wanted = data.len() / shape[0] * 160;
                data = data.iter().copied().cycle().take(wanted).collect();
                shape[0] = 160;
            }
            (name, view.dtype(), shape, data)
        })
        .collect();
    let views = longer.iter().map(|(name, dtype, shape, data)| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    safetensors::serialize_to_file(views, None, &weights).unwrap();
    to
}

fn ids(length: usize, seed: usize) -> Vec<usize> {
    (0..length)
        .map(|i| 5 + (seed * 37 + i * i * 3 + i * 11) % 300)
        .collect()
}

fn line(index: usize, translation: bool) -> String {
    let ids_of = |length, seed| format!("{:?}", ids(length, seed));
    let source = ids_of(LENGTHS[index], index);
    if !translation {
        return format!("{{\"input_ids\": {source}}}");
    }
    // The longest source with the shortest target, and so on.
    let target = ids_of(LENGTHS[LENGTHS.len() - 1 - index], index + 50);
    format!("{{\"input_ids\": {source}, \"decoder_input_ids\": {target}}}")
}

#[test]
fn every_run_writes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, translation) in [
        ("bundled-bert", false),
        ("bundled-gpt2", false),
        ("bundled-marian", true),
    ] {
        let model = with_more_positions(name, folder.path());
        let lines = (0..LENGTHS.len()).map(|index| line(index, translation));
        let input = folder.path().join("in.jsonl");
        fs::write(&input, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let written = |run: &str, threads: &str, options: &[&str]| {
            let output = folder.path().join(format!("{name}-{run}"));
            let mut command = headwater();
            command.env("RAYON_NUM_THREADS", threads);
            command
                .args(["analyze", "--hidden-states", "--model"])
                .arg(&model);
            command
                .arg("--input")
                .arg(&input)
                .arg("--output")
                .arg(&output);
            stdout(command.args(options));
            files(&output)
        };
        let first = written("first", "2", &[]);
        assert_eq!(first.len(), LENGTHS.len());
        for (run, threads, options) in [
            ("second", "2", &[][..]),
            ("one thread", "1", &[]),
            ("one by one on two threads", "2", &["--batch-size", "1"]),
            ("one by one on one thread", "1", &["--batch-size", "1"]),
        ] {
            let other = written(run, threads, options);
            assert_eq!(first.len(), other.len(), "{name}, {run}");
            for (file, bytes) in &first {
                assert!(bytes == &other[file], "{name}, {file}: {run}");
            }
        }
    }
}
