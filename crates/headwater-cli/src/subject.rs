//! What is analyzed: a text by a model with one stack of layers, or a text and
//! its translation by a translation model.

use std::path::{Path, PathBuf};

use headwater::checkpoint::Checkpoint;
use headwater::{
    Analysis, Analyzer, DeviceName, Error, Input, Precision, Request, Store, TokenizedInput,
    TokenizedPair, Translator,
};

use crate::args::LanguageArgs;
use crate::failure::BadInput;
use crate::progress;

/// A loaded model.
pub(crate) enum Subject {
    Analyzer(Box<Analyzer>),
    Translator(Box<Translator>),
}

/// What was given for one analysis.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) input: Input,
    /// The translation, for translation models; without it the model's own.
    pub(crate) target: Option<Input>,
}

/// The same in tokens.
#[derive(Debug, Clone)]
pub(crate) enum Encoded {
    Text(TokenizedInput),
    Pair(TokenizedPair),
}

impl Encoded {
    /// Tokens of the longer side.
    pub(crate) fn tokens(&self) -> usize {
        match self {
            Encoded::Text(input) => input.len(),
            Encoded::Pair(pair) => pair.source.len().max(pair.target.len()),
        }
    }

    /// Tokens in each stack of layers.
    pub(crate) fn lengths(&self) -> [usize; 2] {
        match self {
            Encoded::Text(input) => [input.len(), 0],
            Encoded::Pair(pair) => [pair.source.len(), pair.target.len()],
        }
    }

    fn text(&self) -> Option<&TokenizedInput> {
        match self {
            Encoded::Text(input) => Some(input),
            Encoded::Pair(_) => None,
        }
    }

    fn pair(&self) -> Option<&TokenizedPair> {
        match self {
            Encoded::Text(_) => None,
            Encoded::Pair(pair) => Some(pair),
        }
    }
}

impl Subject {
    pub(crate) fn from_checkpoint(
        checkpoint: Checkpoint,
        device: DeviceName,
        precision: Precision,
    ) -> Result<Self, Error> {
        Ok(match checkpoint.decoder() {
            None => {
                let analyzer = Analyzer::from_checkpoint(checkpoint, device, precision)?
                    .on_layer(progress::count_layer);
                Self::Analyzer(Box::new(analyzer))
            }
            Some(_) => {
                let translator = Translator::from_checkpoint(checkpoint, device, precision)?
                    .on_layer(progress::count_layer);
                Self::Translator(Box::new(translator))
            }
        })
    }

    /// The model for texts in languages that it marks.
    ///
    /// # Errors
    /// A language that the model does not mark.
    pub(crate) fn in_languages(self, languages: &LanguageArgs) -> anyhow::Result<Self> {
        match self {
            Self::Translator(translator) => {
                let translator = languages.of(*translator)?;
                Ok(Self::Translator(Box::new(translator)))
            }
            Self::Analyzer(_) if !languages.is_empty() => {
                let message = "--source-language and --target-language are for translation \
                               models; leave them out";
                Err(BadInput(message.to_owned()).into())
            }
            analyzer => Ok(analyzer),
        }
    }

    pub(crate) fn checkpoint(&self) -> &Checkpoint {
        match self {
            Self::Analyzer(analyzer) => analyzer.checkpoint(),
            Self::Translator(translator) => translator.checkpoint(),
        }
    }

    /// Layers of the deeper stack: those that can be asked for.
    pub(crate) fn n_layers(&self) -> usize {
        let checkpoint = self.checkpoint();
        let stacks = std::iter::once(checkpoint.architecture()).chain(checkpoint.decoder());
        stacks.map(|stack| stack.n_layers).max().unwrap_or(0)
    }

    pub(crate) fn weights_sha256(&self) -> Result<&str, Error> {
        match self {
            Self::Analyzer(analyzer) => analyzer.weights_sha256(),
            Self::Translator(translator) => translator.weights_sha256(),
        }
    }

    pub(crate) fn encode(&self, given: &Given) -> anyhow::Result<Encoded> {
        Ok(match (self, &given.target) {
            (Self::Analyzer(analyzer), None) => Encoded::Text(analyzer.encode(&given.input)?),
            (Self::Analyzer(_), Some(_)) => {
                let model_type = &self.checkpoint().architecture().model_type;
                let message = format!(
                    "a {model_type} model has no decoder that reads a translation; leave out the \
                     target, or name a translation model"
                );
                return Err(BadInput(message).into());
            }
            (Self::Translator(translator), Some(target)) => {
                Encoded::Pair(translator.encode(&given.input, target)?)
            }
            (Self::Translator(translator), None) => {
                Encoded::Pair(translator.translate(&given.input, None)?.pair)
            }
        })
    }

    pub(crate) fn analyze(&self, input: &Encoded, request: &Request) -> Result<Analysis, Error> {
        let mut analyses = match (self, input) {
            (Self::Analyzer(analyzer), Encoded::Text(input)) => {
                analyzer.analyze_tokenized(std::slice::from_ref(input), request)?
            }
            (Self::Translator(translator), Encoded::Pair(pair)) => {
                translator.analyze_tokenized(std::slice::from_ref(pair), request)?
            }
            _ => unreachable!("the model has encoded its input"),
        };
        // One input, one analysis.
        Ok(analyses.remove(0))
    }

    pub(crate) fn write_analysis(
        &self,
        inputs: &[Encoded],
        request: &Request,
        store: Store,
        paths: &[PathBuf],
    ) -> Result<(), Error> {
        match self {
            Self::Analyzer(analyzer) => {
                let inputs: Vec<_> = inputs.iter().filter_map(Encoded::text).cloned().collect();
                analyzer.write_analysis(&inputs, request, store, paths)
            }
            Self::Translator(translator) => {
                let pairs: Vec<_> = inputs.iter().filter_map(Encoded::pair).cloned().collect();
                translator.write_analysis(&pairs, request, store, paths)
            }
        }
    }

    pub(crate) fn is_written(
        &self,
        input: &Encoded,
        request: &Request,
        store: Store,
        path: &Path,
    ) -> Result<bool, Error> {
        match (self, input) {
            (Self::Analyzer(analyzer), Encoded::Text(input)) => {
                analyzer.is_written(input, request, store, path)
            }
            (Self::Translator(translator), Encoded::Pair(pair)) => {
                translator.is_written(pair, request, store, path)
            }
            _ => unreachable!("the model has encoded its input"),
        }
    }
}
