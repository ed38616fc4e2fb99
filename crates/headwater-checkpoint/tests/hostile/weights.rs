//! Weights files with damaged headers or with tensors that do not fit.

use std::fs::{self, File};

use headwater_checkpoint::{Checkpoint, Dtype, Error};

use crate::common::{Tensor, Tensors, config, serialize, tensors, write};
use crate::{damaged, refusal, single_line};

/// The error after the tensors have been changed.
fn refused_tensors(change: impl FnOnce(&mut Tensors)) -> Error {
    let mut tensors = tensors(Dtype::F32, str::to_owned);
    change(&mut tensors);
    refusal(&damaged(|d| write(d, &config(), &tensors)))
}

/// The error of a file with this header, followed by `data` zeros.
fn refused_header(header: &str, data: usize) -> Error {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    refusal(&damaged(|d| {
        fs::write(d.join("model.safetensors"), bytes).unwrap()
    }))
}

#[test]
fn truncated_header() {
    for length in [0, 7, 8, 100] {
        let directory = damaged(|d| {
            let file = File::options()
                .write(true)
                .open(d.join("model.safetensors"))
                .unwrap();
            file.set_len(length).unwrap();
        });
        let error = refusal(&directory);
        assert_refused!(error, Error::TruncatedHeader { found, .. } if *found == length, "ends within its header");
    }
}

#[test]
fn giant_header() {
    for length in [100_000_001, 1 << 40, u64::MAX - 7, u64::MAX] {
        let directory =
            damaged(|d| fs::write(d.join("model.safetensors"), length.to_le_bytes()).unwrap());
        let error = refusal(&directory);
        assert_refused!(error, Error::HeaderTooLarge { length: found, .. } if *found == length, "no safetensors file");
    }
}

#[test]
fn git_lfs_pointer() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    let directory = damaged(|d| fs::write(d.join("model.safetensors"), pointer).unwrap());
    assert_refused!(
        refusal(&directory),
        Error::LfsPointer { .. },
        "run `git lfs pull`"
    );
}

#[test]
fn damaged_header() {
    let headers = [
        ("not JSON", "rubbish"),
        (
            "overlap",
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
        ),
        (
            "gap",
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
        ),
        (
            "backwards",
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,0]},"b":{"dtype":"F32","shape":[2],"data_offsets":[12,4]}}"#,
        ),
        (
            "too few bytes",
            r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}}"#,
        ),
        (
            "overflow",
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,12]}}"#,
        ),
        (
            "unknown type",
            r#"{"a":{"dtype":"F128","shape":[1],"data_offsets":[0,12]}}"#,
        ),
    ];
    for (damage, header) in headers {
        let error = refused_header(header, 12);
        assert!(
            matches!(error, Error::MalformedHeader { .. }),
            "{damage}: {error:?}"
        );
        assert!(error.to_string().contains("damaged"), "{error}");
    }
    let bytes = [&8_u64.to_le_bytes()[..], &[0xff; 8]].concat();
    let directory = damaged(|d| fs::write(d.join("model.safetensors"), bytes).unwrap());
    assert_refused!(
        refusal(&directory),
        Error::MalformedHeader { .. },
        "damaged"
    );
}

#[test]
fn offsets_past_the_end() {
    let header =
        r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#;
    let error = refused_header(header, 12);
    assert_refused!(error, Error::WrongFileSize { expected, .. } if *expected > 4_000_000_000_000, "its header says");
    let error = refused_header(
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
        12,
    );
    assert_refused!(error, Error::WrongFileSize { .. }, "its header says");
}

#[test]
fn misspelt_tensor() {
    let expected = "encoder.layer.1.attention.self.key.weight";
    let error = refused_tensors(|tensors| {
        let tensor = tensors.remove(expected).unwrap();
        tensors.insert("encoder.layer.1.attention.self.keys.weight".into(), tensor);
    });
    assert_refused!(
        error,
        Error::MissingTensor { name, nearest: Some(nearest) }
            if name == expected && nearest == "encoder.layer.1.attention.self.keys.weight",
        "the nearest name is"
    );
}

#[test]
fn missing_tensor_with_nothing_like_it() {
    let error =
        refused_tensors(|tensors| drop(tensors.remove("encoder.layer.0.output.dense.bias")));
    assert_refused!(
        error,
        Error::MissingTensor { name, nearest: None } if name == "encoder.layer.0.output.dense.bias",
        "no tensor \"encoder.layer.0.output.dense.bias\""
    );
}

#[test]
fn more_layers_than_the_configuration_says() {
    let name = "encoder.layer.2.attention.output.LayerNorm.gamma";
    let error = refused_tensors(|tensors| {
        let tensor = tensors["embeddings.LayerNorm.weight"].clone();
        tensors.insert(name.into(), tensor);
    });
    assert_refused!(
        error,
        Error::FurtherLayers { name: found } if found == name,
        "a layer more than config.json says"
    );
}

#[test]
fn names_that_break_lines_are_quoted() {
    let error = refused_tensors(|tensors| {
        let tensor = tensors.remove("embeddings.LayerNorm.weight").unwrap();
        tensors.insert("embeddings.LayerNorm.w\neight".into(), tensor);
    });
    assert_refused!(error, Error::MissingTensor { .. }, "w\\neight");
}

#[test]
fn transposed_tensor() {
    let name = "encoder.layer.1.output.dense.weight";
    let error = refused_tensors(|tensors| tensors.get_mut(name).unwrap().shape = vec![10, 6]);
    assert_refused!(
        error,
        Error::ShapeMismatch { expected, found, .. } if expected == &[6, 10] && found == &[10, 6],
        "has shape [10, 6], config.json says [6, 10]"
    );
}

#[test]
fn integers_in_place_of_weights() {
    let name = "embeddings.LayerNorm.weight";
    let ones = Tensor::new(Dtype::I64, &[6], [1.0; 6].into_iter());
    let error = refused_tensors(|tensors| drop(tensors.insert(name.into(), ones)));
    assert_refused!(
        error,
        Error::UnsupportedDtype {
            dtype: Dtype::I64,
            ..
        },
        "holds I64"
    );
}

#[test]
fn weights_that_are_not_finite() {
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64] {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut tensors = tensors(dtype, str::to_owned);
            let values = [0.0, 1.0, 2.0, bad, 4.0, 5.0];
            let tensor = Tensor::new(dtype, &[6], values.into_iter());
            tensors.insert("embeddings.LayerNorm.bias".into(), tensor);
            let directory = damaged(|d| write(d, &config(), &tensors));
            let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
            let error = single_line(checkpoint.read("embeddings.norm.bias").unwrap_err());
            assert_refused!(error, Error::NotFinite { index: 3, .. }, "at element 3");
            if dtype == Dtype::F32 {
                let error = single_line(checkpoint.map("embeddings.norm.bias").unwrap_err());
                assert_refused!(error, Error::NotFinite { index: 3, .. }, "at element 3");
            }
        }
    }
}

#[test]
fn weights_cut_off_after_opening() {
    let directory = damaged(|_| ());
    let checkpoint = Checkpoint::open_directory(directory.path()).unwrap();
    let bytes = serialize(&tensors(Dtype::F32, str::to_owned));
    let file = File::options()
        .write(true)
        .open(directory.path().join("model.safetensors"))
        .unwrap();
    file.set_len(bytes.len() as u64 - 1).unwrap();
    // The tensor that comes last in the file.
    let last = checkpoint
        .parameters()
        .iter()
        .max_by_key(|p| &p.name_in_file)
        .unwrap();
    let error = single_line(checkpoint.read(&last.name).unwrap_err());
    assert_refused!(error, Error::Io { .. }, "model.safetensors");
    let error = single_line(checkpoint.map(&last.name).unwrap_err());
    assert_refused!(error, Error::Io { .. }, "model.safetensors");

    // Cut once more, to less than a page, after the file has been mapped.
    let first = checkpoint
        .parameters()
        .iter()
        .find(|p| checkpoint.map(&p.name).is_ok());
    let first = first.expect("all other tensors are whole");
    file.set_len(100).unwrap();
    let error = single_line(checkpoint.map(&first.name).unwrap_err());
    assert_refused!(error, Error::Io { .. }, "model.safetensors");
}

#[test]
fn adapters() {
    let name = "encoder.layer.0.attention.self.query.lora_A.default.weight";
    for name in [
        name,
        "base_model.model.encoder.layer.1.output.adapters.de.adapter_down.0.weight",
        "encoder.layer.0.attention.self.key.ia3_l",
    ] {
        let error = refused_tensors(|tensors| {
            let piece = Tensor::new(Dtype::F32, &[2, 6], std::iter::repeat_n(0.5, 12));
            tensors.insert(name.into(), piece);
        });
        assert_refused!(error, Error::Adapter { what } if what.contains(name), "merge_and_unload");
    }
    let beside = damaged(|d| fs::write(d.join("adapter_config.json"), "{}").unwrap());
    assert_refused!(
        refusal(&beside),
        Error::Adapter { .. },
        "adapter_config.json beside the weights"
    );
    let alone = damaged(|d| {
        fs::write(d.join("adapter_config.json"), "{}").unwrap();
        fs::remove_file(d.join("config.json")).unwrap();
    });
    assert_refused!(
        refusal(&alone),
        Error::AdapterFolder { .. },
        "AutoPeftModel.from_pretrained(DIR).merge_and_unload()"
    );
}

#[test]
fn names_of_another_model_around_this_one() {
    for prefix in [
        "text_encoder.",
        "0.auto_model.",
        "roberta.",
        "module.roberta.",
    ] {
        let tensors = tensors(Dtype::F32, |name| format!("{prefix}{name}"));
        let error = refusal(&damaged(|d| write(d, &config(), &tensors)));
        assert_refused!(
            error,
            Error::ForeignPrefix { prefix: found, .. } if found == prefix,
            "which those of a bert do not"
        );
    }
}
