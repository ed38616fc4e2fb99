//! Downloads, from a hub that the test itself runs on the loopback interface.

#[path = "../common/mod.rs"]
mod common;
mod interrupted;
mod refused;
#[path = "../common/server.rs"]
mod server;

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use common::{config, fixture, serialize, shards, tensors, tokenizer, tokenizer_config};
use headwater_checkpoint::{
    Checkpoint, Dtype, Error, GenerationSettings, HubOptions, TranslationTokenizer,
};
use server::{COMMIT, Fault, Files, Server};
use tempfile::TempDir;

const MODEL: &str = "owner/small-bert";

/// A whole model, with its weights in one file.
fn files() -> Files {
    let weights = serialize(&tensors(Dtype::F32, |name| format!("bert.{name}")));
    Files::from([
        ("config.json".into(), config().to_string().into_bytes()),
        (
            "tokenizer.json".into(),
            tokenizer().to_string().into_bytes(),
        ),
        (
            "tokenizer_config.json".into(),
            tokenizer_config().to_string().into_bytes(),
        ),
        ("model.safetensors".into(), weights),
    ])
}

/// A Marian model as published: no `tokenizer.json`, but what it is made of.
fn marian_files() -> Files {
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizers/marian");
    let model = ["config.json", "generation_config.json", "model.safetensors"];
    let paths = model.map(|file| fixture("marian").join(file)).into_iter();
    let pieces = ["source.spm", "target.spm", "vocab.json"];
    let paths = paths.chain(pieces.map(|file| tokenizer.join(file)));
    let file = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    };
    paths.map(file).collect()
}

/// Options that leave nothing to the environment.
fn options(server: &Server, cache: &TempDir) -> HubOptions {
    HubOptions::new()
        .offline(false)
        .token("secret")
        .endpoint(server.endpoint())
        .cache_dir(cache.path())
}

/// The error of opening the model, after checking that it is one line.
fn refusal(model: &str, options: &HubOptions) -> Error {
    let error = Checkpoint::open(model, options).unwrap_err();
    let message = error.to_string();
    assert!(
        !message.contains('\n') && !message.contains("secret"),
        "{message:?}"
    );
    error
}

/// Asserts that the model is there with all its weights.
fn assert_whole(checkpoint: &Checkpoint) {
    for parameter in checkpoint.parameters() {
        checkpoint.read(&parameter.name).unwrap();
    }
    assert_eq!(checkpoint.parameters().len(), common::names().len());
}

/// All files below a directory, as text.
fn listing(directory: &Path) -> String {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let lines = entries.map(|path| {
        if path.is_dir() {
            listing(&path)
        } else {
            format!("{}\n", path.display())
        }
    });
    lines.collect()
}

#[test]
fn download_then_cache_then_offline() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let mut options = options(&server, &cache);

    let checkpoint = Checkpoint::open(MODEL, &options).unwrap();
    assert_whole(&checkpoint);
    assert_eq!(checkpoint.name(), MODEL);
    assert!(
        checkpoint
            .directory()
            .ends_with(format!("models--owner--small-bert/snapshots/{COMMIT}"))
    );
    // With its settings, without which it would be another one.
    checkpoint.tokenizer().unwrap();
    let requests = server.take_requests();
    assert!(
        requests
            .iter()
            .any(|r| r.path.ends_with("/resolve/main/config.json")),
        "{requests:?}"
    );
    // The branch is looked up once; what follows comes from the same commit.
    let weights = format!("/{MODEL}/resolve/{COMMIT}/model.safetensors");
    assert!(requests.iter().any(|r| r.path == weights), "{requests:?}");

    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
    assert_eq!(server.take_requests(), []);

    drop(server);
    options.offline = Some(true);
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
    // By the commit itself, too.
    options.revision = Some(COMMIT.into());
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
}

#[test]
fn token_goes_to_the_hub() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    Checkpoint::open(MODEL, &options(&server, &cache)).unwrap();
    let requests = server.take_requests();
    let to_hub: Vec<_> = requests
        .iter()
        .filter(|r| r.path.contains("/resolve/"))
        .collect();
    assert!(!to_hub.is_empty());
    for request in to_hub {
        assert_eq!(
            request.authorization.as_deref(),
            Some("Bearer secret"),
            "{request:?}"
        );
    }
}

#[test]
fn named_revision() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let options = options(&server, &cache).revision("refs/pr/1");
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
    let first = &server.take_requests()[0];
    assert_eq!(
        first.path,
        format!("/{MODEL}/resolve/refs%2Fpr%2F1/config.json")
    );
}

#[test]
fn sharded_weights() {
    let mut files = files();
    files.remove("model.safetensors");
    files.extend(shards(&tensors(Dtype::F32, str::to_owned)));
    let server = Server::start(MODEL, files);
    let cache = tempfile::tempdir().unwrap();
    let options = options(&server, &cache);
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
    server.take_requests();
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
    assert_eq!(server.take_requests(), []);
}

#[test]
fn model_without_a_tokenizer() {
    let mut files = files();
    files.remove("tokenizer.json");
    let server = Server::start(MODEL, files);
    let cache = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(MODEL, &options(&server, &cache)).unwrap();
    assert_whole(&checkpoint);
    assert!(matches!(
        checkpoint.tokenizer(),
        Err(Error::MissingTokenizer { .. })
    ));
}

#[test]
fn what_is_not_there_is_asked_for_once() {
    let mut files = files();
    files.remove("tokenizer.json");
    let server = Server::start(MODEL, files);
    let cache = tempfile::tempdir().unwrap();
    let options = options(&server, &cache);
    Checkpoint::open(MODEL, &options).unwrap();
    server.take_requests();
    // A cache that the Python libraries filled says it in the same way.
    let absent = cache.path().join("models--owner--small-bert/.no_exist");
    assert!(absent.join(COMMIT).join("tokenizer.json").is_file());
    Checkpoint::open(MODEL, &options).unwrap();
    assert_eq!(server.take_requests(), []);
    drop(server);
    Checkpoint::open(MODEL, &options).unwrap();
}

#[test]
fn translation_model() {
    let files = marian_files();
    let server = Server::start(MODEL, files.clone());
    let cache = tempfile::tempdir().unwrap();
    let mut options = options(&server, &cache);
    let check = |options: &HubOptions| {
        let checkpoint = Checkpoint::open(MODEL, options).unwrap();
        for (file, bytes) in &files {
            assert_eq!(fs::read(checkpoint.directory().join(file)).unwrap(), *bytes);
        }
        let tokenizer = TranslationTokenizer::open(checkpoint.directory()).unwrap();
        assert!(!tokenizer.encode_source("das Tal").unwrap().ids.is_empty());
        let settings = GenerationSettings::read(checkpoint.directory()).unwrap();
        assert_eq!(settings.num_beams, 4);
    };
    check(&options);
    assert!(!server.take_requests().is_empty());
    check(&options);
    assert_eq!(server.take_requests(), []);
    drop(server);
    options.offline = Some(true);
    check(&options);
}

#[test]
fn translation_model_that_lacks_what_it_may() {
    for lacking in ["source.spm", "vocab.json", "generation_config.json"] {
        let mut files = marian_files();
        files.remove(lacking);
        let server = Server::start(MODEL, files);
        let cache = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(MODEL, &options(&server, &cache)).unwrap();
        assert!(!checkpoint.directory().join(lacking).exists());
        let tokenizer = TranslationTokenizer::open(checkpoint.directory());
        match lacking {
            "generation_config.json" => assert!(tokenizer.is_ok()),
            _ => assert!(
                matches!(&tokenizer, Err(Error::MissingTokenizerFile { file, .. }) if *file == lacking),
                "{tokenizer:?}"
            ),
        }
    }
    // What fails for another reason is no lack.
    let server = Server::start(MODEL, marian_files());
    server.set_fault(Some(Fault::CutOffSilently("vocab.json")));
    let cache = tempfile::tempdir().unwrap();
    let error = refusal(MODEL, &options(&server, &cache));
    assert!(
        matches!(&error, Error::IncompleteDownload { file, .. } if file == "vocab.json"),
        "{error:?}"
    );
}

#[test]
fn options_do_not_print_the_token() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let printed = format!("{:?}", options(&server, &cache));
    assert!(
        !printed.contains("secret") && printed.contains(&server.endpoint()),
        "{printed}"
    );
}
