//! Downloads that stop in the middle.

use super::*;

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

    let offline = options.clone().offline(true);
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
    let options = options.cache_dir(cache.path());
    let blobs = cache.path().join("models--owner--small-bert/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(
        blobs.join(format!("{etag}.part")),
        files["model.safetensors"].repeat(2),
    )
    .unwrap();
    assert_whole(&Checkpoint::open(MODEL, &options).unwrap());
}
