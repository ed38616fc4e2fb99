use std::collections::BTreeMap;

use headwater_analysis::{Analysis, AnalysisReader, ArrayKey, Stack, TokenizedInput};

use crate::Error;

/// One text of a report: an analysis in memory, or a file that is read array by array.
pub(crate) struct Source {
    pub(crate) name: String,
    arrays: Arrays,
}

enum Arrays {
    Memory(Box<Analysis>),
    File(Box<AnalysisReader>),
}

impl Source {
    pub(crate) fn memory(name: String, analysis: Analysis) -> Self {
        let arrays = Arrays::Memory(Box::new(analysis));
        Self { name, arrays }
    }

    pub(crate) fn file(name: String, reader: AnalysisReader) -> Self {
        let arrays = Arrays::File(Box::new(reader));
        Self { name, arrays }
    }

    /// The tokens of a stack's inputs, as the vocabulary spells them.
    pub(crate) fn tokens(&self, stack: Stack) -> &[String] {
        &self.input(stack).tokens
    }

    /// The same as people read them.
    pub(crate) fn readable_tokens(&self, stack: Stack) -> Vec<String> {
        self.input(stack).readable_tokens()
    }

    fn input(&self, stack: Stack) -> &TokenizedInput {
        let (input, target): (&TokenizedInput, _) = match &self.arrays {
            Arrays::Memory(analysis) => (&analysis.input, analysis.target.as_ref()),
            Arrays::File(reader) => (reader.input(), reader.target()),
        };
        match (stack, target) {
            (Stack::Decoder, Some(target)) => target,
            _ => input,
        }
    }

    /// Whether there are two texts, of an encoder and a decoder.
    pub(crate) fn is_translation(&self) -> bool {
        match &self.arrays {
            Arrays::Memory(analysis) => analysis.target.is_some(),
            Arrays::File(reader) => reader.target().is_some(),
        }
    }

    pub(crate) fn metadata(&self) -> &BTreeMap<String, String> {
        match &self.arrays {
            Arrays::Memory(analysis) => &analysis.metadata,
            Arrays::File(reader) => reader.metadata(),
        }
    }

    pub(crate) fn keys(&self) -> Vec<ArrayKey> {
        match &self.arrays {
            Arrays::Memory(analysis) => analysis.arrays().map(|(key, _)| *key).collect(),
            Arrays::File(reader) => reader.keys().copied().collect(),
        }
    }

    pub(crate) fn shape(&self, key: &ArrayKey) -> Option<&[usize]> {
        match &self.arrays {
            Arrays::Memory(analysis) => Some(analysis.array(key)?.shape()),
            Arrays::File(reader) => reader.shape(key),
        }
    }

    /// The values of an array, which must all be finite and not negative: norms,
    /// weights and ratios are. `None` if the analysis does not have it.
    pub(crate) fn values(&mut self, key: &ArrayKey) -> Result<Option<Vec<f64>>, Error> {
        let values: Vec<f64> = match &mut self.arrays {
            Arrays::Memory(analysis) => match analysis.array(key) {
                Some(array) => array.iter().collect(),
                None => return Ok(None),
            },
            Arrays::File(reader) => match reader.array(key)? {
                Some(array) => array.iter().collect(),
                None => return Ok(None),
            },
        };
        match values
            .iter()
            .find(|&&value| !(0.0..f64::INFINITY).contains(&value))
        {
            Some(&value) => Err(Error::NotAMagnitude {
                name: self.name.clone(),
                key: key.to_string(),
                value,
            }),
            None => Ok(Some(values)),
        }
    }
}
