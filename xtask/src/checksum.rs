//! SHA-256 of files, as `sha256sum` writes it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};

/// The hash of a file's bytes in lower-case hexadecimal.
pub(crate) fn of_file(path: &Path) -> anyhow::Result<String> {
    let hash = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hasher.update(&buffer[..read]),
            }
        }
        Ok(hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    };
    hash().with_context(|| format!("cannot read {}", path.display()))
}

/// Whether a file is there with exactly the bytes of a hash.
pub(crate) fn matches(path: &Path, expected: &str) -> anyhow::Result<bool> {
    Ok(path.is_file() && of_file(path)? == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_abc_is_the_standards_own_example() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_file(file.path()).unwrap(), expected);
        assert!(matches(file.path(), expected).unwrap());
        assert!(!matches(Path::new("no such file"), expected).unwrap());
    }
}
