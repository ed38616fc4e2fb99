use headwater_checkpoint::Error as CheckpointError;

/// What can go wrong while a model is loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A parameter has another rank than the sublayer that takes it.
    #[error(
        "parameter `{name}` has shape {found:?}, but a tensor of rank {expected} is needed here"
    )]
    Rank {
        /// The parameter's canonical name.
        name: String,
        /// The rank that the sublayer takes.
        expected: usize,
        /// The shape in the checkpoint.
        found: Vec<usize>,
    },
    /// A device name that does not exist, or whose backend was not compiled in.
    #[error("no device `{name}`; this build has: {enabled} (the others are Cargo features)")]
    UnknownDevice {
        /// What was asked for.
        name: String,
        /// The names that this build knows, comma separated.
        enabled: String,
    },
    /// The device cannot compute in this precision.
    #[error("device `{device}` cannot compute in {precision}; use f32, or the device flex")]
    UnsupportedPrecision {
        /// The device.
        device: String,
        /// The precision that was asked for.
        precision: String,
    },
    /// A translation model where one stack of layers is expected.
    #[error(
        "a {model_type} model is an encoder and a decoder; it needs a text and its translation (in Rust: load it as an EncoderDecoder)"
    )]
    EncoderDecoder {
        /// `model_type` of the configuration.
        model_type: String,
    },
    /// A model without cross-attention where a translation model is expected.
    #[error(
        "a {model_type} model has no decoder that attends to an encoder; name a translation model (marian, bart or mbart)"
    )]
    NoDecoder {
        /// `model_type` of the configuration.
        model_type: String,
    },
    /// A model that has nothing to make words of its hidden states with.
    #[error(
        "the weights have no lm_head and config.json ties none (a classifier's have not): the model can be analysed, but it cannot translate"
    )]
    NoHead,
    /// A batch without a sequence, or a sequence without a token.
    #[error("sequence {index} has no tokens; give at least one token id")]
    EmptySequence {
        /// Which sequence of the batch, from 0.
        index: usize,
    },
    /// A sequence is longer than the model's position embeddings.
    #[error(
        "the input has {tokens} tokens, but the model has positions for {max_positions}; shorten the text"
    )]
    TooLong {
        /// Tokens in the sequence.
        tokens: usize,
        /// Positions the model has.
        max_positions: usize,
    },
    /// A token id that the model has no embedding for.
    #[error("token id {id} at position {position} is outside the vocabulary of {vocab_size} ids (0 to {last})", last = vocab_size - 1)]
    TokenOutOfVocabulary {
        /// The id.
        id: u32,
        /// Its position in the sequence, from 0.
        position: usize,
        /// Ids the model knows.
        vocab_size: usize,
    },
    /// A token type id that the model has no embedding for.
    #[error(
        "token type id {id} at position {position} is not one of the model's {token_types} token types"
    )]
    TokenTypeOutOfRange {
        /// The id.
        id: u32,
        /// Its position in the sequence, from 0.
        position: usize,
        /// Token types the model knows.
        token_types: usize,
    },
    /// Token ids and token type ids of different lengths.
    #[error("{tokens} token ids but {token_types} token type ids; give one type for each token")]
    TokenTypesLength {
        /// Token ids given.
        tokens: usize,
        /// Token type ids given.
        token_types: usize,
    },
    /// Something was asked of a layer that was not captured.
    #[error("{quantity} of layer {layer} was not captured; add it to the captures of this run")]
    NotCaptured {
        /// The quantity's name.
        quantity: String,
        /// The layer, from 0.
        layer: usize,
    },
    /// A sublayer that this build cannot run.
    #[error("{what} is not supported")]
    NotSupported {
        /// The sublayer.
        what: &'static str,
    },
    /// A tensor of another rank than the quantity that it is given for.
    #[error(
        "{quantity} has {expected} axes, not {found}; give it in the shape that `Activations` says"
    )]
    CapturedRank {
        /// The quantity's name.
        quantity: String,
        /// The axes it has.
        expected: usize,
        /// The axes of the tensor given.
        found: usize,
    },
    /// A layer that the model does not have.
    #[error("the model has no layer {layer}; its layers are 0 to {last}", last = n_layers - 1)]
    NoSuchLayer {
        /// The layer asked for.
        layer: usize,
        /// Layers the model has.
        n_layers: usize,
    },
}
