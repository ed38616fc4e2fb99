//! What the hub does not have or does not give, and what is not asked of it.

use super::*;

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
    let options = options(&server, &cache).offline(true);
    let error = refusal(MODEL, &options);
    assert!(
        matches!(&error, Error::NotCached { file, .. } if file == "config.json"),
        "{error:?}"
    );
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    assert_eq!(server.take_requests(), []);
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
        let options = options.clone().revision(revision);
        let error = refusal(MODEL, &options);
        assert!(
            matches!(&error, Error::InvalidRevision { revision: found } if found == revision),
            "{error:?}"
        );
    }
    assert_eq!(server.take_requests(), []);
}

/// Somebody may have written the branch's file by hand, or taken it away.
#[test]
fn branches_with_an_end_of_line_and_without_a_file() {
    let server = Server::start(MODEL, files());
    let cache = tempfile::tempdir().unwrap();
    let online = options(&server, &cache);
    Checkpoint::open(MODEL, &online).unwrap();
    let branch = cache.path().join("models--owner--small-bert/refs/main");
    fs::write(&branch, format!("{COMMIT}\n")).unwrap();
    let offline = online.offline(true);
    assert_whole(&Checkpoint::open(MODEL, &offline).unwrap());

    fs::remove_file(&branch).unwrap();
    let error = refusal(MODEL, &offline);
    let advice = format!("the commit \"{COMMIT}\" is there: give it as the revision");
    assert!(error.to_string().contains(&advice), "{error}");
    let named = offline.revision(COMMIT);
    assert_whole(&Checkpoint::open(MODEL, &named).unwrap());
}
