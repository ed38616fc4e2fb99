//! Downloads, from a hub that the test itself runs on the loopback interface.

mod common;
#[path = "common/server.rs"]
mod server;

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use common::{config, fixture, serialize, shards, tensors, tokenizer};
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
    HubOptions {
        revision: None,
        offline: Some(false),
        token: Some("secret".into()),
        endpoint: Some(server.endpoint()),
        cache_dir: Some(cache.path().into()),
        progress: false,
    }
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
    assert!(checkpoint.tokenizer().is_ok());
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
    let options = HubOptions {
        revision: Some("refs/pr/1".into()),
        ..options(&server, &cache)
    };
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
fn unsupported_model_is_refused_before_its_weights_are_fetched() {
    let mut files = files();
    let mut other = config();
    other["model_type"] = "whisper".into();
    files.insert("config.json".into(), other.to_string().into_bytes());
    let server = Server::start(MODEL, files);
    let cache = tempfile::tempdir().unwrap();
    let error = refusal(MODEL, &options(&server, &cache));
    assert!(matches!(error, Error::UnsupportedModel { .. }), "{error:?}");
    let requests = server.take_requests();
    assert!(
        requests.iter().all(|r| r.path.ends_with("config.json")),
        "{requests:?}"
    );
}

#[test]
fn no_such_model() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let error = refusal("owner/other", &options(&server, &cache));
    assert!(
        matches!(&error, Error::NotOnHub { model, .. } if model == "owner/other"),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("no model \"owner/other\""),
        "{error}"
    );
    assert!(error.source().is_some());
}

#[test]
fn model_without_safetensors() {
    let mut files = files();
    files.remove("model.safetensors");
    let server = Server::start(MODEL, files);
    let cache = tempfile::tempdir().unwrap();
    let error = refusal(MODEL, &options(&server, &cache));
    assert!(
        matches!(&error, Error::NotOnHub { file, .. } if file == "model.safetensors"),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("no model.safetensors in it"),
        "{error}"
    );
}

#[test]
fn access_refused() {
    for status in [401, 403] {
        let server = Server::start(MODEL, files());
        server.set_fault(Some(Fault::Status(status)));
        let cache = tempfile::tempdir().unwrap();
        let error = refusal(MODEL, &options(&server, &cache));
        assert!(
            matches!(&error, Error::HubRefused { status: found, .. } if *found == status),
            "{error:?}"
        );
        assert!(error.to_string().contains("HF_TOKEN"), "{error}");
    }
}

#[test]
fn overloaded_hub() {
    let server = Server::start(MODEL, files());
    server.set_fault(Some(Fault::Status(503)));
    let cache = tempfile::tempdir().unwrap();
    let error = refusal(MODEL, &options(&server, &cache));
    assert!(
        matches!(&error, Error::Download { file, .. } if file == "config.json"),
        "{error:?}"
    );
    assert!(error.source().unwrap().to_string().contains("503"));
}

#[test]
fn nobody_listens() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let options = options(&server, &cache);
    drop(server);
    let error = refusal(MODEL, &options);
    assert!(matches!(error, Error::HubUnreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("HF_HUB_OFFLINE=1"), "{error}");
}

#[test]
fn offline_with_an_empty_cache() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions {
        offline: Some(true),
        ..options(&server, &cache)
    };
    let error = refusal(MODEL, &options);
    assert!(
        matches!(&error, Error::NotCached { file, .. } if file == "config.json"),
        "{error:?}"
    );
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    assert_eq!(server.take_requests(), []);
}

#[test]
fn interrupted_download_is_resumed() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let options = options(&server, &cache);
    server.set_fault(Some(Fault::CutOff("model.safetensors")));
    let error = refusal(MODEL, &options);
    assert!(
        matches!(&error, Error::Download { file, .. } if file == "model.safetensors"),
        "{error:?}"
    );
    assert!(
        !listing(cache.path()).contains("model.safetensors"),
        "{}",
        listing(cache.path())
    );

    let offline = HubOptions {
        offline: Some(true),
        ..options.clone()
    };
    assert!(
        matches!(refusal(MODEL, &offline), Error::NotCached { file, .. } if file == "model.safetensors")
    );

    server.set_fault(None);
    server.take_requests();
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
    let resumed = server
        .take_requests()
        .into_iter()
        .filter_map(|request| request.first_byte);
    assert!(resumed.max() > Some(0), "nothing was resumed");
}

#[test]
fn short_download_is_thrown_away() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let options = options(&server, &cache);
    for file in ["config.json", "model.safetensors"] {
        // Without a length the end of the connection is a regular end.
        server.set_fault(Some(Fault::CutOffSilently(file)));
        let error = refusal(MODEL, &options);
        assert!(
            matches!(&error, Error::IncompleteDownload { file: found, expected, found: bytes, .. }
                if found == file && bytes < expected),
            "{error:?}"
        );
        assert!(
            !listing(cache.path()).contains(&format!("/{file}")),
            "{}",
            listing(cache.path())
        );
    }
    server.set_fault(None);
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
}

#[test]
fn hub_that_cannot_resume() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let options = options(&server, &cache);
    server.set_fault(Some(Fault::CutOff("model.safetensors")));
    refusal(MODEL, &options);
    // The whole file arrives behind the half that is there already.
    server.set_fault(Some(Fault::AlwaysWhole));
    let error = refusal(MODEL, &options);
    assert!(
        matches!(&error, Error::IncompleteDownload { expected, found, .. } if found > expected),
        "{error:?}"
    );
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
}

#[test]
fn finished_part_that_was_never_renamed() {
    let files = files();
    let server = Server::start(MODEL, files.clone());
    let cache = tempfile::tempdir().unwrap();
    let options = options(&server, &cache);
    let blobs = cache.path().join("models--owner--small-bert/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let etag = server::etag("model.safetensors");
    fs::write(
        blobs.join(format!("{etag}.part")),
        &files["model.safetensors"],
    )
    .unwrap();
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());

    // And one that has grown too long.
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions {
        cache_dir: Some(cache.path().into()),
        ..options
    };
    let blobs = cache.path().join("models--owner--small-bert/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(
        blobs.join(format!("{etag}.part")),
        files["model.safetensors"].repeat(2),
    )
    .unwrap();
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
}

#[test]
fn names_that_are_no_hub_ids() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let options = options(&server, &cache);
    for model in [
        "", "/", "a/", "a/b/c", "../a", "a/..", "./models", "a b", "a?b", "a\\b", "owner/-x",
    ] {
        // "/" and the like exist on disk, and then are no hub ids to begin with.
        if Path::new(model).exists() {
            continue;
        }
        let error = refusal(model, &options);
        assert!(
            matches!(&error, Error::InvalidHubId { model: found } if found == model),
            "{error:?}"
        );
    }
    for revision in [
        "", "../main", "a//b", "a b", "main?x", "-x", ".hidden", "a\n",
    ] {
        let options = HubOptions {
            revision: Some(revision.into()),
            ..options.clone()
        };
        let error = refusal(MODEL, &options);
        assert!(
            matches!(&error, Error::InvalidRevision { revision: found } if found == revision),
            "{error:?}"
        );
    }
    assert_eq!(server.take_requests(), []);
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
