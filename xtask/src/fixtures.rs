//! `cargo xtask fixtures`: are the fixtures the bytes that were recorded?

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::checksum;

/// Names under which a directory keeps the hashes of its files, in the format
/// of `sha256sum`.
const MANIFESTS: [&str; 2] = ["MANIFEST.sha256", "SHA256SUMS"];

/// Checks every manifest below `root`, and tells of every file that differs.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let mut manifests = Vec::new();
    find_manifests(root, &mut manifests)?;
    ensure!(
        !manifests.is_empty(),
        "no {} below {}",
        MANIFESTS.join(" or "),
        root.display()
    );
    let mut wrong = Vec::new();
    for manifest in manifests {
        let (count, mut bad) = check_manifest(&manifest)?;
        println!("{}: {count} files", manifest.display());
        wrong.append(&mut bad);
    }
    if !wrong.is_empty() {
        bail!("not the recorded bytes: {}", wrong.join(", "));
    }
    Ok(())
}

fn find_manifests(directory: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find_manifests(&path, found)?;
        } else if MANIFESTS.iter().any(|name| path.ends_with(name)) {
            found.push(path);
        }
    }
    Ok(())
}

/// How many files a manifest lists, and which of them are missing or differ.
fn check_manifest(manifest: &Path) -> anyhow::Result<(usize, Vec<String>)> {
    let text = fs::read_to_string(manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    let directory = manifest.parent().unwrap_or(Path::new("."));
    let mut wrong = Vec::new();
    let mut count = 0;
    for (number, line) in text.lines().enumerate() {
        // "hash", two spaces or a space and a star, "path".
        let (hash, name) = line.split_once(' ').with_context(|| {
            format!(
                "{} line {}: expected a hash and a path",
                manifest.display(),
                number + 1
            )
        })?;
        let path = directory.join(name.trim_start_matches([' ', '*']));
        if !checksum::matches(&path, hash)? {
            wrong.push(path.display().to_string());
        }
        count += 1;
    }
    Ok((count, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn a_recorded_file_passes_and_a_changed_or_missing_one_is_named() {
        let sums = format!("{ABC}  a/b.txt\n");
        let good = directory(&[("SHA256SUMS", &sums), ("a/b.txt", "abc")]);
        check(good.path()).unwrap();
        let changed = directory(&[("SHA256SUMS", &sums), ("a/b.txt", "abd")]);
        let error = check(changed.path()).unwrap_err().to_string();
        assert!(error.contains("b.txt"), "{error}");
        let missing = directory(&[("x/MANIFEST.sha256", &sums)]);
        assert!(check(missing.path()).is_err());
    }

    #[test]
    fn a_tree_without_manifests_checks_nothing_and_says_so() {
        assert!(check(directory(&[]).path()).is_err());
    }
}
