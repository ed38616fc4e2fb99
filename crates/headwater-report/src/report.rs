use std::io::{BufWriter, Write};
use std::path::Path;

use headwater_analysis::{Analysis, AnalysisReader, Quantity, QuantitySet, WholeFile};

use crate::source::Source;
use crate::{Error, document, page};

/// A report in the making: one or several texts, analyzed by one model.
///
/// The page it becomes is one file that needs no network: maps of every
/// layer, head and scope, the texts shaded by what a token takes from or gives
/// to others, mixing ratios, two scopes side by side, all heads at once, and
/// statistics over the texts. Each number in it is that of the analysis, to
/// the last digit shown; how many digits there are depends on the size of the
/// maps.
#[derive(Default)]
pub struct Report {
    title: Option<String>,
    sources: Vec<Source>,
}

impl Report {
    /// A report without any text yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The quantities that a report shows; the others need not be computed.
    /// Weighted norms are the product of two of them.
    pub fn quantities() -> QuantitySet {
        let shown = [
            Quantity::AttentionWeights,
            Quantity::TransformedNorms,
            Quantity::Norms,
            Quantity::MixingRatio,
        ];
        shown.into_iter().collect()
    }

    /// The page's title, instead of the name of its only text.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Adds an analysis.
    pub fn add(&mut self, name: impl Into<String>, analysis: Analysis) {
        self.sources.push(Source::memory(name.into(), analysis));
    }

    /// Adds an analysis file, whose arrays are read one by one when the report
    /// is written. Its name is the file's, without the extension.
    ///
    /// # Errors
    /// The file is no analysis.
    pub fn add_file(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let reader = AnalysisReader::open(path)?;
        self.sources.push(Source::file(name.into_owned(), reader));
        Ok(())
    }

    /// Writes the page.
    ///
    /// # Errors
    /// No analysis, analyses of different models or with different arrays,
    /// values that are no norms, a file that cannot be read or written. Nothing
    /// is written then.
    pub fn write(mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let mut file = WholeFile::create(path)?;
        let (document, blobs) = document::build(self.title.as_deref(), &mut self.sources)?;
        let mut out = BufWriter::new(file.file());
        page::write(&mut out, &document, &blobs)
            .and_then(|()| out.flush())
            .map_err(|source| Error::Io {
                path: path.to_owned(),
                source,
            })?;
        drop(out);
        Ok(file.finish()?)
    }
}
