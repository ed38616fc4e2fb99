//! `tokenizer.json`.

use std::path::Path;

use tokenizers::Tokenizer;

use crate::Error;

/// Reads `tokenizer.json` of `directory`, with padding and truncation switched off.
pub(crate) fn read(directory: &Path) -> Result<Tokenizer, Error> {
    let path = directory.join("tokenizer.json");
    if !path.is_file() {
        let directory = directory.to_owned();
        return Err(Error::MissingTokenizer { directory });
    }
    let malformed = |source| Error::MalformedTokenizer {
        path: path.clone(),
        source,
    };
    let mut tokenizer = Tokenizer::from_file(&path).map_err(malformed)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(malformed)?;
    Ok(tokenizer)
}
