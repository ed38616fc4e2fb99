//! Models, texts and a hub's cache for command lines that differ in one option.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

use crate::support::{fixture, headwater};

/// A folder with every file that a row names.
pub(super) struct Place {
    folder: TempDir,
    models: BTreeMap<&'static str, String>,
}

impl Place {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let bundled = fixture("bundled-marian");
        for (name, side) in [
            ("s.txt", "source"),
            ("t.txt", "target"),
            ("g.txt", "alignment"),
        ] {
            let text = fs::read_to_string(bundled.join(format!("test.{side}.txt"))).unwrap();
            let lines = |skip: usize| {
                let lines = text.lines().skip(skip).take(6);
                lines.map(|line| format!("{line}\n")).collect::<String>()
            };
            fs::write(path(name), lines(0)).unwrap();
            fs::write(path(&name.replace('.', "2.")), lines(6)).unwrap();
        }
        // Links that either numbering can read.
        fs::write(path("g.txt"), "1-1\n2-1\n1-2\n2-2 1-1\n1-1\n2p1\n").unwrap();
        fs::write(path("abc.txt"), "a b c\nc b\nb a c a\n").unwrap();
        fs::write(path("a.jsonl"), "{\"text\": \"the\"}\n").unwrap();
        fs::write(path("b.jsonl"), "{\"text\": \"dog\"}\n").unwrap();
        let pair = serde_json::json!({"source": "wa dijo .", "target": "the dog ."});
        fs::write(path("p.jsonl"), format!("{pair}\n")).unwrap();
        for (name, from) in [
            ("changed", "bundled-marian"),
            ("huge-marian", "bundled-marian"),
            ("huge-bert", "bundled-bert"),
        ] {
            copy(&fixture(from), &path(name));
        }
        // Every fourth number of the weights has the other sign.
        change_weights(
            &path("changed"),
            |_, at, value| {
                if at % 4 == 0 { -value } else { value }
            },
        );
        // What float32 overflows in and float64 does not.
        change_weights(&path("huge-marian"), |name, _, value| {
            match name.contains("encoder.layers.3.final_layer_norm.weight") {
                true => value * 1e37,
                false => value,
            }
        });
        change_weights(&path("huge-bert"), |name, _, value| {
            match name.contains("embeddings.LayerNorm.weight") {
                true => value * 1e37,
                false => value,
            }
        });
        write_mbart(&path("mbart"));
        for (repository, main, other) in [
            (
                "owner/bert",
                fixture("bundled-bert"),
                fixture("bundled-gpt2"),
            ),
            ("owner/marian", fixture("bundled-marian"), path("changed")),
        ] {
            write_cache(&path("hub"), repository, &main, &other);
        }
        let models = [
            ("BERT", fixture("bundled-bert")),
            ("GPT2", fixture("bundled-gpt2")),
            ("MARIAN", fixture("bundled-marian")),
            ("CHANGED", path("changed")),
            ("HUGE-MARIAN", path("huge-marian")),
            ("HUGE-BERT", path("huge-bert")),
            ("MBART", path("mbart")),
        ];
        let models = models.map(|(name, path)| (name, path.display().to_string()));
        let place = Self {
            folder,
            models: models.into(),
        };
        let analysis = place.run(
            "analyze",
            "--model BERT --text The_girl_sees_the_dog. --output a.safetensors",
        );
        assert_eq!(analysis.0, Some(0), "{}", analysis.2);
        fs::copy(
            analysis.3.join("a.safetensors"),
            place.folder.path().join("a.safetensors"),
        )
        .unwrap();
        place
    }

    /// Exit status, standard output and error, and a folder with the outputs.
    fn run(&self, command: &str, line: &str) -> (Option<i32>, Vec<u8>, String, PathBuf) {
        let inputs = self.folder.path();
        let work = tempfile::tempdir_in(inputs).unwrap().keep();
        for entry in fs::read_dir(inputs).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                fs::copy(entry.path(), work.join(entry.file_name())).unwrap();
            }
        }
        let words = line
            .split_whitespace()
            .map(|word| match self.models.get(word) {
                Some(path) => path.clone(),
                None if word.contains('_') && !is_a_name(word) => word.replace('_', " "),
                None => word.to_owned(),
            });
        let mut program = headwater();
        program
            .args(command.split(' '))
            .args(words)
            .current_dir(&work);
        program
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HUB_CACHE", inputs.join("hub"));
        let output = program.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), output.stdout, stderr, work)
    }

    /// The same in a form that compares.
    pub(super) fn outcome(
        &self,
        command: &str,
        line: &str,
    ) -> (Option<i32>, Vec<u8>, String, BTreeMap<String, Vec<u8>>) {
        let (status, stdout, stderr, work) = self.run(command, line);
        let mut files = BTreeMap::new();
        listing(&work, "", &mut files);
        fs::remove_dir_all(work).unwrap();
        (status, stdout, stderr, files)
    }
}

/// Words with an underscore that are no text.
fn is_a_name(word: &str) -> bool {
    ["attn_", "atb_", "attention_", "de_DE", "en_XX"]
        .iter()
        .any(|name| word.starts_with(name))
}

fn listing(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        match entry.path().is_dir() {
            true => listing(&entry.path(), &format!("{name}/"), files),
            false => drop(files.insert(name, fs::read(entry.path()).unwrap())),
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Changes the numbers of a model by tensor and place.
fn change_weights(model: &Path, change: impl Fn(&str, usize, f32) -> f32) {
    let path = model.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let changed: Vec<(String, Vec<usize>, Vec<u8>)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let values = numbers(view.dtype(), view.data()).into_iter().enumerate();
            let bytes = values.flat_map(|(at, value)| change(&name, at, value).to_le_bytes());
            (name.clone(), view.shape().to_vec(), bytes.collect())
        })
        .collect();
    let views = changed.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name, view)
    });
    let changed = safetensors::serialize(views, None).unwrap();
    fs::write(&path, changed).unwrap();
}

/// Numbers as float32, which holds those of float16 as they are.
fn numbers(dtype: Dtype, data: &[u8]) -> Vec<f32> {
    let float16 = |bytes: [u8; 2]| {
        let bits = u16::from_le_bytes(bytes);
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 0x3ff) / 1024.0);
        match exponent {
            0 => sign * fraction * 2f32.powi(-14),
            _ => sign * (1.0 + fraction) * 2f32.powi(exponent - 15),
        }
    };
    match dtype {
        Dtype::F16 => data.as_chunks().0.iter().map(|&b| float16(b)).collect(),
        Dtype::F32 => data
            .as_chunks()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect(),
        dtype => panic!("{dtype} is in no bundled model"),
    }
}

/// The small random mBART with a tokenizer of three words and two languages.
fn write_mbart(to: &Path) {
    copy(&fixture("golden/mbart"), to);
    let token = |id: u32, content: &str| {
        serde_json::json!({
            "id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true
        })
    };
    let vocab: Vec<(String, f64)> = (0..46)
        .map(|id| match id {
            0 => ("<s>".to_owned(), 0.0),
            1 => ("<pad>".to_owned(), 0.0),
            2 => ("</s>".to_owned(), 0.0),
            3 => ("<unk>".to_owned(), 0.0),
            4..=6 => (['a', 'b', 'c'][id - 4].to_string(), -1.0),
            _ => (format!("word{id}"), -2.0),
        })
        .collect();
    let piece = |name: &str| serde_json::json!({"SpecialToken": {"id": name, "type_id": 0}});
    let text = serde_json::json!({"Sequence": {"id": "A", "type_id": 0}});
    let tokenizer = serde_json::json!({
        "version": "1.0",
        "added_tokens": [
            token(0, "<s>"), token(1, "<pad>"), token(2, "</s>"), token(3, "<unk>"),
            token(46, "ro_RO"), token(47, "fr_XX"), token(48, "de_DE"), token(49, "en_XX")
        ],
        "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [text, piece("</s>"), piece("en_XX")],
            "pair": [text, {"Sequence": {"id": "B", "type_id": 0}}, piece("</s>"), piece("en_XX")],
            "special_tokens": {
                "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]},
                "en_XX": {"id": "en_XX", "ids": [49], "tokens": ["en_XX"]}
            }
        },
        "decoder": null,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": false}
    });
    fs::write(to.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

/// The hub's cache as it is after two revisions were fetched.
fn write_cache(cache: &Path, repository: &str, main: &Path, other: &Path) {
    let folder = cache.join(format!("models--{}", repository.replace('/', "--")));
    fs::create_dir_all(folder.join("refs")).unwrap();
    for (name, commit, files) in [("main", "a", main), ("other", "b", other)] {
        let commit = commit.repeat(40);
        fs::write(folder.join("refs").join(name), &commit).unwrap();
        copy(files, &folder.join("snapshots").join(commit));
    }
}
