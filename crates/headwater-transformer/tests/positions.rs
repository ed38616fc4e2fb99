//! Sinusoidal positions: those of the file, where it has them.

use std::fs;
use std::path::Path;

use headwater_checkpoint::Checkpoint;
use headwater_fixtures::{Deviation, Expected, golden, translation_cases};
use headwater_transformer::{Captures, DeviceName, EncoderDecoder, Precision, TokenSequence};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Marian with positions in the file as transformers makes them, times a factor.
fn with_positions(factor: f64) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = fs::read(golden("marian").join("config.json")).unwrap();
    fs::write(directory.path().join("config.json"), &config).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let size = |field: &str| config[field].as_u64().unwrap() as usize;
    let (positions, width) = (size("max_position_embeddings"), size("d_model"));

    let mut table = Vec::new();
    for position in 0..positions {
        let angle = |k: usize| position as f64 / 10_000_f64.powf(2.0 * k as f64 / width as f64);
        let sines = (0..width / 2).map(|k| angle(k).sin());
        let cosines = (0..width / 2).map(|k| angle(k).cos());
        for value in sines.chain(cosines) {
            table.extend(((factor * value) as f32).to_le_bytes());
        }
    }
    let file = fs::read(golden("marian").join("model.safetensors")).unwrap();
    let (length, rest) = file.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: Map<String, Value> = serde_json::from_slice(header).unwrap();
    let mut data = data.to_vec();
    for stack in ["encoder", "decoder"] {
        let start = data.len();
        data.extend(&table);
        header.insert(
            format!("model.{stack}.embed_positions.weight"),
            json!({
                "dtype": "F32",
                "shape": [positions, width],
                "data_offsets": [start, data.len()],
            }),
        );
    }
    let header = Value::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    let bytes = [&length[..], header.as_bytes(), &data].concat();
    fs::write(directory.path().join("model.safetensors"), bytes).unwrap();
    directory
}

/// How far logits are from those of transformers, which computed the positions.
fn deviation(directory: &Path) -> f64 {
    let checkpoint = Checkpoint::open_directory(directory).unwrap();
    assert!(checkpoint.unused().is_empty(), "{:?}", checkpoint.unused());
    let device = DeviceName::ENABLED[0];
    let model = EncoderDecoder::load(&checkpoint, device, Precision::F32).unwrap();
    let case = translation_cases("marian").remove("plain").unwrap();
    let source = TokenSequence::new(case.input_ids);
    let source = model.encoder().batch(&[source]).unwrap();
    let target = TokenSequence::new(case.decoder_input_ids);
    let target = model.decoder().batch(&[target]).unwrap();
    let encoded = model.encode(&source);
    let run = model.decode(&target, &encoded, Captures::none());
    let logits = model.logits(run.last_hidden_state()).into_data();
    let expected = Expected::of("marian");
    Deviation::between(logits.iter::<f64>(), expected.case("plain")["logits"].1).absolute
}

#[test]
fn positions_of_the_file_are_used() {
    let same = deviation(with_positions(1.0).path());
    assert!(same < 1e-4, "{same}");
    let other = deviation(with_positions(2.0).path());
    assert!(other > 1e-2, "{other}");
}
