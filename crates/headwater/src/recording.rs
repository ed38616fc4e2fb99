//! An analysis on its way into memory or into a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::checkpoint::Checkpoint;
use crate::decomposition::BiasTreatment;
use crate::file::{self, FORMAT, Layout, Store};
use crate::input::Given;
use crate::layer_arrays::Sink;
use crate::plan::Plan;
use crate::transformer::Model;
use crate::{Analysis, Error, Request};

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
    pub(crate) fn metadata(&self, given: Given<'_>) -> Result<BTreeMap<String, String>, Error> {
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
            .chain(treatment)
            .map(|(key, value)| (key.to_owned(), value))
            .collect())
    }

    fn layout(&self, given: Given<'_>, store: Store) -> Result<Layout, Error> {
        let arrays = self.plans.iter().flat_map(|plan| plan.arrays(given));
        let arrays: Vec<_> = arrays.collect();
        let precision = self.model.precision();
        let metadata = self.metadata(given)?;
        Ok(Layout::new(&metadata, &arrays, given, precision, store))
    }

    /// The analyses of inputs in memory.
    pub(crate) fn collect(
        &self,
        inputs: &[Given<'_>],
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
        inputs: &[Given<'_>],
        store: Store,
        paths: &[PathBuf],
        run: impl FnOnce(&mut Sink<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let layouts = inputs.iter().map(|&given| self.layout(given, store));
        let layouts: Vec<Layout> = layouts.collect::<Result<_, Error>>()?;
        file::write_each(&layouts, paths, run)
    }

    /// Whether a file holds exactly what [`Recording::write`] would write.
    pub(crate) fn is_written(
        &self,
        given: Given<'_>,
        store: Store,
        path: &Path,
    ) -> Result<bool, Error> {
        Ok(file::matches(path, &self.layout(given, store)?))
    }
}

/// Analyses of inputs that have arrays and no metadata.
pub(crate) fn arrays(
    inputs: &[Given<'_>],
    run: impl FnOnce(&mut Sink<'_>) -> Result<(), Error>,
) -> Result<Vec<Analysis>, Error> {
    let analysis = |given: &Given<'_>| {
        let target = given.target.cloned();
        Analysis::new(given.input.clone(), target, BTreeMap::new())
    };
    let mut analyses: Vec<Analysis> = inputs.iter().map(analysis).collect();
    run(&mut |index, key, array| {
        analyses[index].insert(key, array);
        Ok(())
    })?;
    Ok(analyses)
}
