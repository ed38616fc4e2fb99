//! Tensors looked at where they lie are those that are read, or are not offered.

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use common::{config, golden, names, serialize, shards, tensors, write, write_plain};
use headwater_checkpoint::{Checkpoint, Dtype, Parameter};

/// The file with `more` spaces behind its header, so that its data begin there.
fn shifted(file: &[u8], more: usize) -> Vec<u8> {
    let (length, rest) = file.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let (header, data) = rest.split_at(length);
    let spaces = vec![b' '; more];
    let length = ((length + more) as u64).to_le_bytes();
    [&length[..], header, &spaces, data].concat()
}

/// Asserts that a tensor is mapped exactly where `expected` says so of its
/// parameter's layout, and then is what is read.
fn check(directory: &Path, expected: impl Fn(&Parameter) -> bool) {
    let checkpoint = Checkpoint::open_directory(directory).unwrap();
    let mut kept = Vec::new();
    for parameter in checkpoint.parameters() {
        let name = &parameter.name;
        let mapped = checkpoint.map(name).unwrap();
        assert_eq!(mapped.is_some(), expected(parameter), "{name}");
        if let Some(mapped) = mapped {
            let read = checkpoint.read(name).unwrap();
            assert_eq!(mapped.shape, read.shape, "{name}");
            kept.push((mapped, read.to_f32(), name.clone()));
        }
    }
    // Tensors outlive the checkpoint that they were taken from.
    drop(checkpoint);
    for (mapped, read, name) in kept {
        let bytes = mapped.as_ref();
        assert!(
            bytes.as_ptr().addr().is_multiple_of(align_of::<f32>()),
            "{name}"
        );
        let (elements, rest) = bytes.as_chunks();
        assert!(rest.is_empty(), "{name}");
        let elements: Vec<f32> = elements.iter().copied().map(f32::from_ne_bytes).collect();
        assert_eq!(elements, read, "{name}");
    }
}

#[test]
fn float32_is_mapped() {
    let directory = tempfile::tempdir().unwrap();
    write_plain(directory.path());
    check(directory.path(), |_| true);

    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.json"), config().to_string()).unwrap();
    for (name, bytes) in shards(&tensors(Dtype::F32, str::to_owned)) {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    check(directory.path(), |_| true);
}

#[test]
fn float32_between_its_places_is_read() {
    let file = serialize(&tensors(Dtype::F32, str::to_owned));
    for more in 1..=4 {
        let directory = tempfile::tempdir().unwrap();
        write_plain(directory.path());
        fs::write(
            directory.path().join("model.safetensors"),
            shifted(&file, more),
        )
        .unwrap();
        check(directory.path(), |_| more == 4);
        let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
        for (number, (name, ..)) in names().iter().enumerate() {
            let read = checkpoint.read(name).unwrap().to_f64();
            let expected = (0..read.len()).map(|index| common::value(number, index));
            assert_eq!(read, expected.collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn what_has_to_be_converted_or_turned_is_read() {
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F64] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &config(), &tensors(dtype, str::to_owned));
        check(directory.path(), |_| false);
    }
    let directory = tempfile::tempdir().unwrap();
    let (config, tensors) = golden("gpt2");
    write(directory.path(), &config, &tensors);
    check(directory.path(), Parameter::is_whole);
}

#[test]
fn the_checksum_is_read_once() {
    let directory = tempfile::tempdir().unwrap();
    write_plain(directory.path());
    let file = directory.path().join("model.safetensors");
    let length = fs::metadata(&file).unwrap().len();
    for begin in [false, true] {
        let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
        let hashed = checkpoint.bytes_hashed();
        if begin {
            checkpoint.begin_weights_sha256();
            checkpoint.begin_weights_sha256();
        }
        let first = std::thread::scope(|scope| {
            let threads = [(); 3].map(|()| scope.spawn(|| checkpoint.weights_sha256().unwrap()));
            let [first, second, third] = threads.map(|thread| thread.join().unwrap());
            assert!(first == second && second == third);
            first
        });
        checkpoint.begin_weights_sha256();
        assert_eq!(checkpoint.weights_sha256().unwrap(), first);
        assert_eq!(hashed.load(Ordering::Relaxed), length);
        assert_eq!(checkpoint.bytes_read().load(Ordering::Relaxed), 0);
    }
}

#[test]
fn a_checksum_that_failed_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    write_plain(directory.path());
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    let [file, away] = ["model.safetensors", "away"].map(|name| directory.path().join(name));
    fs::rename(&file, &away).unwrap();
    checkpoint.begin_weights_sha256();
    assert!(checkpoint.weights_sha256().is_err());
    fs::rename(&away, &file).unwrap();
    assert_eq!(checkpoint.weights_sha256().unwrap().len(), 64);
}
