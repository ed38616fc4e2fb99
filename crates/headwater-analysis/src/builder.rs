use std::collections::BTreeMap;

use crate::shapes::Shapes;
use crate::{Analysis, Array, ArrayKey, Error, FORMAT, TokenizedInput};

/// An analysis put together from arrays, whoever computed them.
///
/// Every array is checked as a reader of the file would: its shape has to fit
/// the tokens and the arrays before it.
///
/// ```
/// use headwater_analysis::{Analysis, Array, LayerArray, TokenizedInput};
///
/// let tokens = ["Head", "water"].map(str::to_owned).to_vec();
/// let input = TokenizedInput::new(vec![7, 8], tokens)?;
/// let weights = Array::from_f32(vec![1, 2, 2], vec![1.0, 0.0, 0.25, 0.75]);
/// let analysis = Analysis::builder(input)
///     .metadata("model", "made by hand")
///     .array(LayerArray::AttentionWeights.at(0), weights)?
///     .build();
/// assert_eq!(analysis.attention_weights(0).unwrap()[[0, 1, 0]], 0.25);
/// # Ok::<(), headwater_analysis::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct AnalysisBuilder {
    analysis: Analysis,
    shapes: Shapes,
}

impl Analysis {
    /// An analysis of a text, without arrays as yet.
    ///
    /// [`AnalysisBuilder::target`] makes it one of a translation model.
    pub fn builder(input: TokenizedInput) -> AnalysisBuilder {
        AnalysisBuilder {
            analysis: Analysis {
                input,
                target: None,
                metadata: BTreeMap::new(),
                arrays: BTreeMap::new(),
            },
            shapes: Shapes::default(),
        }
    }
}

impl AnalysisBuilder {
    /// What the decoder of a translation model read; the arrays that come now
    /// are the encoder's and the decoder's.
    pub fn target(mut self, target: TokenizedInput) -> Self {
        self.analysis.target = Some(target);
        self
    }

    /// An entry of the file's metadata, such as `model`. `format` and the
    /// tokens are set by [`AnalysisBuilder::build`].
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.analysis.metadata.insert(name.into(), value.into());
        self
    }

    /// Adds an array.
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::NoSuchStack`]; [`Error::UnlikeLengths`] of an input.
    pub fn array(mut self, key: ArrayKey, array: Array) -> Result<Self, Error> {
        self.insert(key, array)?;
        Ok(self)
    }

    /// Adds an array to a builder that is kept somewhere.
    ///
    /// # Errors
    /// As [`AnalysisBuilder::array`].
    pub fn insert(&mut self, key: ArrayKey, array: Array) -> Result<(), Error> {
        let inputs = self.analysis.inputs();
        for &stack in inputs.stacks() {
            inputs.of(stack).check()?;
        }
        self.shapes.check(inputs, &key, array.shape())?;
        self.analysis.arrays.insert(key, array);
        Ok(())
    }

    /// The analysis of the arrays that were added.
    pub fn build(mut self) -> Analysis {
        let mut metadata = std::mem::take(&mut self.analysis.metadata);
        metadata.insert("format".to_owned(), FORMAT.to_owned());
        for (name, tokens) in self.analysis.inputs().token_lists() {
            metadata.insert(name.to_owned(), serde_json::Value::from(tokens).to_string());
        }
        if let Some((name, spelling)) = self.analysis.inputs().spelling_entry() {
            metadata.insert(name.to_owned(), spelling);
        }
        self.analysis.metadata = metadata;
        self.analysis
    }
}
