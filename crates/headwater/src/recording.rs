//! An analysis on its way into memory or into a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::analysis::{AnalysisBuilder, AnalysisWriter, FORMAT, Inputs, Layout};
use crate::checkpoint::Checkpoint;
use crate::decomposition::BiasTreatment;
use crate::layer_arrays::Sink;
use crate::plan::Plan;
use crate::transformer::Model;
use crate::{Analysis, Error, Request, Store};

/// What is recorded of every input of a request: its metadata and its arrays.
pub(crate) struct Recording<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    /// A stack of the model; all are on one device in one precision.
    pub(crate) model: &'a Model,
    pub(crate) request: &'a Request,
    /// One a stack.
    pub(crate) plans: &'a [Plan<'a>],
}

impl Recording<'_> {
    /// The metadata of an analysis. The bias treatment is named only where it
    /// is not the default.
    pub(crate) fn metadata(&self, given: Inputs<'_>) -> Result<BTreeMap<String, String>, Error> {
        let entries = [
            ("format", FORMAT.to_owned()),
            ("headwater_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("model", self.checkpoint.name().to_owned()),
            (
                "weights_sha256",
                self.checkpoint.weights_sha256()?.to_owned(),
            ),
            ("config_sha256", self.checkpoint.config_sha256().to_owned()),
            (
                "architecture",
                self.checkpoint.architecture().model_type.clone(),
            ),
            ("device", self.model.device_name().to_string()),
            ("dtype", self.model.precision().to_string()),
        ];
        let tokens = given
            .token_lists()
            .into_iter()
            .map(|(name, tokens)| (name, serde_json::Value::from(tokens).to_string()));
        let treatment = self.request.bias_treatment;
        let treatment = (treatment != BiasTreatment::default())
            .then(|| ("bias_treatment", treatment.to_string()));
        Ok(entries
            .into_iter()
            .chain(tokens)
            .chain(given.spelling_entry())
            .chain(treatment)
            .map(|(key, value)| (key.to_owned(), value))
            .collect())
    }

    fn layout(&self, given: Inputs<'_>, store: Store) -> Result<Layout, Error> {
        let arrays = self.plans.iter().flat_map(|plan| plan.arrays(given));
        let arrays: Vec<_> = arrays.collect();
        let precision = self.model.precision();
        let metadata = self.metadata(given)?;
        Ok(Layout::new(&metadata, &arrays, given, precision, store))
    }

    /// The analyses of inputs in memory.
    pub(crate) fn collect(
        &self,
        inputs: &[Inputs<'_>],
        run: impl FnOnce(&mut Sink<'_>) -> Result<(), Error>,
    ) -> Result<Vec<Analysis>, Error> {
        // The metadata have the hash in them, which is there by the end of the run.
        self.checkpoint.begin_weights_sha256();
        let mut analyses = arrays(inputs, run)?;
        for (analysis, &given) in analyses.iter_mut().zip(inputs) {
            analysis.metadata = self.metadata(given)?;
        }
        Ok(analyses)
    }

    /// The analyses of inputs, each in its file.
    pub(crate) fn write(
        &self,
        inputs: &[Inputs<'_>],
        store: Store,
        paths: &[PathBuf],
        run: impl FnOnce(&mut Sink<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let layouts = inputs.iter().map(|&given| self.layout(given, store));
        let layouts: Vec<Layout> = layouts.collect::<Result<_, Error>>()?;
        write_each(&layouts, paths, run)
    }

    /// Whether a file holds exactly what [`Recording::write`] would write.
    pub(crate) fn is_written(
        &self,
        given: Inputs<'_>,
        store: Store,
        path: &Path,
    ) -> Result<bool, Error> {
        Ok(self.layout(given, store)?.matches(path))
    }
}

/// Analyses of inputs that have arrays, and no metadata but the tokens.
pub(crate) fn arrays(
    inputs: &[Inputs<'_>],
    run: impl FnOnce(&mut Sink<'_>) -> Result<(), Error>,
) -> Result<Vec<Analysis>, Error> {
    let builder = |inputs: &Inputs<'_>| {
        let builder = Analysis::builder(inputs.input().clone());
        match inputs.target() {
            None => builder,
            Some(target) => builder.target(target.clone()),
        }
    };
    let mut builders: Vec<AnalysisBuilder> = inputs.iter().map(builder).collect();
    run(&mut |index, key, array| Ok(builders[index].insert(key, array)?))?;
    Ok(builders.into_iter().map(AnalysisBuilder::build).collect())
}

/// Writes the analyses that `run` hands over array by array, each to its file.
fn write_each(
    layouts: &[Layout],
    paths: &[PathBuf],
    run: impl FnOnce(&mut Sink<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    if layouts.len() != paths.len() {
        return Err(Error::PathCount {
            inputs: layouts.len(),
            paths: paths.len(),
        });
    }
    let mut writers = layouts
        .iter()
        .zip(paths)
        .map(|(layout, path)| Ok(AnalysisWriter::create(path, layout)?))
        .collect::<Result<Vec<_>, Error>>()?;
    run(&mut |index, key, array| Ok(writers[index].write(&key, &array)?))?;
    for writer in writers {
        writer.finish()?;
    }
    Ok(())
}
