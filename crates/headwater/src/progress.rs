use std::ops::ControlFlow;

use crate::{Error, Place};

/// How far an analysis has come: told after every layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The layer that has been run.
    pub place: Place,
    /// Layers of its stack that this analysis runs.
    pub layers: usize,
}

/// What is called after every layer. Without a callback nothing happens.
#[derive(Default)]
pub(crate) struct Listener {
    callback: Option<Box<dyn Fn(Progress) -> ControlFlow<()> + Send + Sync>>,
}

impl Listener {
    pub(crate) fn new(
        callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            callback: Some(Box::new(callback)),
        }
    }

    /// # Errors
    /// [`Error::Cancelled`]: the callback wants no more.
    pub(crate) fn hear(&self, place: Place, layers: usize) -> Result<(), Error> {
        match &self.callback {
            Some(callback) if callback(Progress { place, layers }).is_break() => {
                Err(Error::Cancelled)
            }
            _ => Ok(()),
        }
    }
}
