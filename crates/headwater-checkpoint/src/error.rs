//! Everything that can go wrong between a model's name and its numbers.

use std::path::PathBuf;

use crate::Dtype;
use crate::architecture::Activation;
use crate::families;

/// An error of another library, kept as the source.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a checkpoint cannot be opened or read; every message is one line.
///
/// Text that comes from a file is quoted and escaped, so that it cannot break
/// the line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path is not a directory.
    #[error(
        "{path:?} is not a directory; name the one that holds config.json and model.safetensors"
    )]
    MissingDirectory {
        /// The path given.
        path: PathBuf,
    },
    /// The operating system refused to open or read a file.
    #[error("cannot read {path:?}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A JSON file is larger than any configuration or index is.
    #[error("{path:?} is larger than {limit} bytes, so it is not what its name says")]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size accepted, in bytes.
        limit: u64,
    },

    /// The directory has no `config.json`.
    #[error("no config.json in {directory:?}; copy the one that belongs to the weights there")]
    MissingConfig {
        /// The checkpoint's directory.
        directory: PathBuf,
    },
    /// The directory holds what is added to another model's weights, and no model.
    #[error(
        "{directory:?} holds an adapter (adapter_config.json), not a model; merge it into its model in Python: \
         peft.AutoPeftModel.from_pretrained(DIR).merge_and_unload().save_pretrained(DIR)"
    )]
    AdapterFolder {
        /// The adapter's directory.
        directory: PathBuf,
    },
    /// The weights are not all of the model: an adapter changes what is computed with them.
    #[error(
        "{what} adds an adapter to the weights, which is not supported; merge it into them \
         (merge_and_unload of peft), or take it away to look at the model without"
    )]
    Adapter {
        /// The file or the tensor that shows it.
        what: String,
    },
    /// `config.json` is not a JSON object.
    #[error("{path:?} is not a JSON object; fetch it again")]
    MalformedConfig {
        /// The file.
        path: PathBuf,
        /// Where the parser stopped.
        source: serde_json::Error,
    },
    /// `config.json` lacks a field.
    #[error("config.json has no {field:?}; copy the one that belongs to the weights there")]
    MissingField {
        /// The field.
        field: &'static str,
    },
    /// `config.json` does not say what kind of model it describes.
    #[error(
        "config.json has no \"model_type\"; add the line {}",
        match guess {
            Some(guess) => format!("\"model_type\": {guess:?}"),
            None => format!("\"model_type\": with one of {}", families::supported()),
        }
    )]
    MissingModelType {
        /// What the name of the model's class begins with, where that is known.
        guess: Option<&'static str>,
    },
    /// Two names of one field have different values.
    #[error(
        "config.json: {field:?} is {value}, but {alias:?}, which is another name for it, is {other}; take one of them out"
    )]
    ContradictoryFields {
        /// The field that is read.
        field: &'static str,
        /// Its value, as JSON.
        value: String,
        /// Its other name.
        alias: &'static str,
        /// The value under the other name, as JSON.
        other: String,
    },
    /// A field that model classes know and that would be passed over.
    #[error("config.json: {field:?} is {value}, which is not supported; supported is {default}")]
    UnsupportedKey {
        /// The field.
        field: String,
        /// Its value, as JSON.
        value: String,
        /// The default, as JSON.
        default: String,
    },
    /// The weights are quantized.
    #[error(
        "the weights are quantized{}, which is not supported (config.json: {field:?}); use the model that they were made from",
        method.as_ref().map(|method| format!(" by {method:?}")).unwrap_or_default()
    )]
    Quantized {
        /// The field of `config.json` that says so.
        field: &'static str,
        /// The method named in it.
        method: Option<String>,
    },
    /// A field of `config.json` has a value that it cannot have.
    #[error("config.json: {field:?} is {value}, but has to be {expected}")]
    InvalidField {
        /// The field.
        field: &'static str,
        /// Its value, as JSON.
        value: String,
        /// What was expected, in words.
        expected: &'static str,
    },
    /// The model type is not one that can be computed.
    #[error(
        "model type {model_type:?} is not supported; supported are {}",
        families::supported()
    )]
    UnsupportedModel {
        /// `model_type` of `config.json`.
        model_type: String,
    },
    /// The configuration asks for a variant that would be computed wrongly.
    #[error("config.json: {field:?} is {value}, and {reason}")]
    UnsupportedVariant {
        /// The field.
        field: &'static str,
        /// Its value, as JSON.
        value: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// The nonlinearity is not known.
    #[error(
        "activation {activation:?} is not supported; supported are {}",
        Activation::names()
    )]
    UnsupportedActivation {
        /// The name in `config.json`.
        activation: String,
    },
    /// A setting of generation has a value that it cannot have.
    #[error("{file}: {field:?} is {value}, but has to be {expected}")]
    InvalidGenerationField {
        /// `generation_config.json` or `config.json`.
        file: &'static str,
        /// The field.
        field: &'static str,
        /// Its value, as JSON.
        value: String,
        /// What was expected, in words.
        expected: &'static str,
    },
    /// A setting of generation that would be passed over.
    #[error("{file}: {field:?} is {value}, which is not supported; remove it to generate without")]
    UnsupportedGeneration {
        /// `generation_config.json` or `config.json`.
        file: &'static str,
        /// The field.
        field: &'static str,
        /// Its value, as JSON.
        value: String,
    },
    /// Nothing says which token the decoder starts with.
    #[error("{file} has neither \"decoder_start_token_id\" nor \"bos_token_id\"")]
    MissingStartToken {
        /// `generation_config.json` or `config.json`.
        file: &'static str,
    },
    /// The heads cannot share the hidden state evenly.
    #[error("{n_heads} attention heads do not divide a width of {d_model}; config.json is wrong")]
    IndivisibleHeads {
        /// Heads a layer.
        n_heads: usize,
        /// Width of the hidden states.
        d_model: usize,
    },

    /// The directory has no weights.
    #[error(
        "no model.safetensors and no model.safetensors.index.json in {directory:?}; copy the weights there"
    )]
    MissingWeights {
        /// The checkpoint's directory.
        directory: PathBuf,
    },
    /// The only weights are a Python pickle.
    #[error(
        "{directory:?} has its weights in pytorch_model.bin only; convert them to safetensors in Python: \
         transformers.{class}.from_pretrained(DIR).save_pretrained(DIR, safe_serialization=True)"
    )]
    PickledWeights {
        /// The checkpoint's directory.
        directory: PathBuf,
        /// The class of transformers that keeps all that is needed.
        class: &'static str,
    },
    /// `model.safetensors.index.json` is not an index.
    #[error("{path:?} has no map from tensors to files; fetch it again")]
    MalformedIndex {
        /// The file.
        path: PathBuf,
        /// Where the parser stopped.
        source: serde_json::Error,
    },
    /// The index names something else than a file beside it.
    #[error("{path:?} names {shard:?}, which is not the name of a file beside it")]
    InvalidShardName {
        /// The index.
        path: PathBuf,
        /// The name in it.
        shard: String,
    },
    /// A file that the index names is not there.
    #[error("{path:?} names {shard:?}, which is not there; fetch it")]
    MissingShard {
        /// The index.
        path: PathBuf,
        /// The missing file's name.
        shard: String,
    },
    /// The index puts a tensor into a file that does not hold it.
    #[error("the index puts tensor {name:?} into {shard:?}, which does not hold it")]
    MissingFromShard {
        /// The tensor.
        name: String,
        /// The file.
        shard: String,
    },
    /// A safetensors file ends within its header.
    #[error("{path:?} ends within its header ({found} bytes of {expected}); fetch it again")]
    TruncatedHeader {
        /// The file.
        path: PathBuf,
        /// Bytes that length field and header take.
        expected: u64,
        /// The file's size in bytes.
        found: u64,
    },
    /// A safetensors file announces a header that no real file has.
    #[error(
        "{path:?} announces a header of {length} bytes (at most {limit}); it is no safetensors file, fetch it again"
    )]
    HeaderTooLarge {
        /// The file.
        path: PathBuf,
        /// The length announced.
        length: u64,
        /// The largest accepted.
        limit: u64,
    },
    /// The file is what Git keeps in place of a large file.
    #[error("{path:?} is a Git LFS pointer, not the weights; run `git lfs pull` in its directory")]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// A safetensors header is not one, or contradicts itself.
    #[error("the header of {path:?} is damaged; fetch the file again")]
    MalformedHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A safetensors file is shorter or longer than its header says.
    #[error("{path:?} has {found} bytes, its header says {expected}; fetch it again")]
    WrongFileSize {
        /// The file.
        path: PathBuf,
        /// Bytes by the header.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },

    /// A tensor that the architecture needs is not in the file.
    #[error("no tensor {name:?} in the weights{}", match nearest {
        Some(nearest) => format!("; the nearest name is {nearest:?}"),
        None => "; use the config.json that belongs to them".into(),
    })]
    MissingTensor {
        /// The name looked for.
        name: String,
        /// The most similar name that nothing else uses.
        nearest: Option<String>,
    },
    /// All names begin with something that the model type has not.
    #[error(
        "the names of the tensors begin with {prefix:?}, which those of a {model_type} do not; save that model by \
         itself, or take the prefix off the names"
    )]
    ForeignPrefix {
        /// What stands before the names.
        prefix: String,
        /// `model_type` of `config.json`.
        model_type: String,
    },
    /// The file has more layers than `config.json` says.
    #[error(
        "the weights have tensor {name:?}, a layer more than config.json says; use the config.json that \
         belongs to them"
    )]
    FurtherLayers {
        /// The first tensor of the first layer too many.
        name: String,
    },
    /// Tables that the configuration ties differ.
    #[error(
        "tensors {name:?} and {other:?} differ, but config.json ties them; use the weights that belong \
         to it, or set its tie_word_embeddings to false if they are meant to differ"
    )]
    UnequalTies {
        /// The tensor that is used.
        name: String,
        /// The one that it should equal.
        other: String,
    },
    /// A tensor's shape contradicts `config.json`.
    #[error(
        "tensor {name:?} has shape {found:?}, config.json says {expected:?}{}; use the config.json that \
         belongs to the weights",
        match defaults.as_slice() {
            [] => String::new(),
            defaults => format!(" (it lacks {}, so the defaults count)", defaults.join(", ")),
        }
    )]
    ShapeMismatch {
        /// The tensor's name in the file.
        name: String,
        /// The shape by the configuration.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
        /// The sizes that `config.json` does not state.
        defaults: Vec<&'static str>,
    },
    /// A tensor's element type cannot be computed with.
    #[error(
        "tensor {name:?} holds {dtype}; supported are F32, F16, BF16 and F64, convert it to one of them"
    )]
    UnsupportedDtype {
        /// The tensor's name in the file.
        name: String,
        /// Its element type.
        dtype: Dtype,
    },
    /// A tensor holds an infinity or a NaN.
    #[error("tensor {name:?} holds {value} at element {index}; the weights are damaged")]
    NotFinite {
        /// The tensor's name in the file.
        name: String,
        /// Index of the first such element of the tensor, in row-major order.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// The architecture has no parameter of this canonical name.
    #[error("this architecture has no parameter {name:?}")]
    UnknownParameter {
        /// The canonical name asked for.
        name: String,
    },

    /// The directory has no `tokenizer.json`.
    #[error(
        "no tokenizer.json in {directory:?}; make one in Python: \
         transformers.AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR), or give token ids \
         instead of text, which need none"
    )]
    MissingTokenizer {
        /// The checkpoint's directory.
        directory: PathBuf,
    },
    /// `tokenizer.json` cannot be used.
    #[error("{path:?} is not a tokenizer; fetch it again, or give token ids instead of text")]
    MalformedTokenizer {
        /// The file.
        path: PathBuf,
        /// What the tokenizers library said.
        source: Source,
    },
    /// The tokenizers library does not take what the settings ask for.
    #[error("the settings beside tokenizer.json do not fit it; give token ids instead of text")]
    UnusableTokenizer {
        /// What the tokenizers library said.
        source: Source,
    },
    /// A setting of the tokenizer has a value that it cannot have.
    #[error("{file}: {field:?} is {value}, but has to be {expected}")]
    InvalidTokenizerSetting {
        /// The file.
        file: &'static str,
        /// The field.
        field: String,
        /// Its value, as JSON.
        value: String,
        /// What was expected, in words.
        expected: &'static str,
    },
    /// The tokenizer's files contradict each other, and transformers has no one
    /// answer to it.
    #[error("{what}; {remedy}")]
    ContradictoryTokenizer {
        /// What contradicts what.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A token has another id than its file says.
    #[error(
        "{file} has token {token:?} at id {stated}, {why}; correct the file, or give token ids instead \
         of text"
    )]
    RenumberedToken {
        /// The file.
        file: &'static str,
        /// The token.
        token: String,
        /// Its id by the file.
        stated: u32,
        /// What else the vocabulary says.
        why: String,
    },
    /// The tokenizer is read by a class that is not known here.
    #[error(
        "tokenizer class {class:?} is not supported; save the tokenizer with it, and set \
         \"tokenizer_class\" in tokenizer_config.json to \"PreTrainedTokenizerFast\" if tokenizer.json \
         alone gives the same ids, or give token ids instead of text"
    )]
    UnknownTokenizerClass {
        /// `tokenizer_class` of `tokenizer_config.json` or `config.json`.
        class: String,
    },
    /// The tokenizer is a program of the model's own.
    #[error(
        "\"auto_map\" in tokenizer_config.json names a tokenizer of the model's own code, which is not \
         run; give token ids instead of text"
    )]
    CustomTokenizer,
    /// Nothing names the language of a target.
    #[error(
        "nothing says which language the target is in: no \"tgt_lang\" in tokenizer_config.json, and \
         neither \"forced_bos_token_id\" nor \"decoder_start_token_id\" is a language's; name the \
         target's language"
    )]
    NoTargetLanguage,
    /// Two files name different languages of targets.
    #[error(
        "{first} says that targets are in {one:?}, {second} in {other:?}; name the target's language"
    )]
    TwoTargetLanguages {
        /// Field and file.
        first: &'static str,
        /// Its language.
        one: String,
        /// Field and file.
        second: &'static str,
        /// Its language.
        other: String,
    },

    /// A file that a translation model's tokenizer needs is not there.
    #[error("no {file} in {directory:?}; copy it there, or give token ids instead of text")]
    MissingTokenizerFile {
        /// The checkpoint's directory.
        directory: PathBuf,
        /// The file or files.
        file: &'static str,
    },
    /// `source.spm` or `target.spm` cannot be used.
    #[error(
        "{path:?} is not a SentencePiece model; fetch it again, or give token ids instead of text"
    )]
    MalformedSentencePiece {
        /// The file.
        path: PathBuf,
        /// What the SentencePiece library said.
        source: Source,
    },
    /// `vocab.json` is not a vocabulary.
    #[error("{path:?} is not a map from tokens to ids; fetch it again")]
    MalformedVocabulary {
        /// The file.
        path: PathBuf,
        /// Where the parser stopped.
        source: serde_json::Error,
    },
    /// `vocab.json` lacks a token that every text needs.
    #[error("{path:?} has no token {token:?}, so it belongs to another model; fetch it again")]
    MissingVocabularyToken {
        /// The file.
        path: PathBuf,
        /// The token.
        token: &'static str,
    },
    /// The tokenizer has no code for a language.
    #[error(
        "the tokenizer has no code {code:?} for the {side} language{}",
        nearest.as_ref().map(|n| format!("; the nearest is {n:?}")).unwrap_or_default()
    )]
    UnknownLanguage {
        /// `source` or `target`.
        side: &'static str,
        /// The code given.
        code: String,
        /// The most similar code that it has; none where it marks no language.
        nearest: Option<String>,
    },
    /// A text cannot be turned into tokens.
    #[error("the tokenizer cannot encode the text; give token ids instead")]
    Untokenizable {
        /// What the tokenizer's library said.
        source: Source,
    },
    /// Normalization mixes a word with what is around it.
    #[error(
        "the tokenizer's normalization joins {word:?} to the words around it, so nothing can tell \
         which tokens are its own; give token ids instead of text"
    )]
    InseparableWord {
        /// The word.
        word: String,
    },
    /// Token ids cannot be turned into a text.
    #[error("the tokenizer cannot decode the token ids")]
    Undecodable {
        /// What the tokenizer's library said.
        source: Source,
    },

    /// A hub id was given to a build that has no hub support.
    #[error(
        "{model:?} is not a directory, and this build cannot fetch models; build it with the feature \"hub\""
    )]
    HubDisabled {
        /// What was given.
        model: String,
    },
    /// The name is neither a directory nor a hub id.
    #[error(
        "{model:?} is neither a directory nor a hub id (like \"bert-base-uncased\" or \"owner/name\")"
    )]
    InvalidHubId {
        /// What was given.
        model: String,
    },
    /// The revision cannot be a branch, a tag or a commit.
    #[error("{revision:?} is not the name of a branch, tag or commit")]
    InvalidRevision {
        /// What was given.
        revision: String,
    },
    /// There is no place for downloaded files.
    #[error("no home directory to cache models in; set HF_HOME")]
    NoCacheDirectory,
    /// Only the cache may be read, and it lacks a file.
    #[error(
        "{file} of {model:?} is not in the cache {cache:?}, and the hub is off (HF_HUB_OFFLINE); {}",
        match snapshot {
            Some(snapshot) => format!("the commit {snapshot:?} is there: give it as the revision"),
            None => "go online once".into(),
        }
    )]
    NotCached {
        /// The hub id.
        model: String,
        /// The missing file.
        file: String,
        /// The cache directory.
        cache: PathBuf,
        /// A commit that is in the cache, which nothing there names as the revision asked for.
        snapshot: Option<String>,
    },
    /// The hub has no such file: the model, the revision or the file does not exist.
    #[error("no model {model:?} at revision {revision:?} on the hub, or no {file} in it")]
    NotOnHub {
        /// The hub id.
        model: String,
        /// The revision.
        revision: String,
        /// The file asked for.
        file: String,
        /// What the hub said.
        source: Source,
    },
    /// The hub answered 401 or 403.
    #[error(
        "the hub refuses access to {model:?} (status {status}); check its name, set HF_TOKEN, \
         and accept the model's licence on its page if it has one"
    )]
    HubRefused {
        /// The hub id.
        model: String,
        /// The HTTP status.
        status: u16,
        /// What the hub said.
        source: Source,
    },
    /// No connection to the hub.
    #[error(
        "cannot reach {endpoint}; to use only what is in the cache set HF_HUB_OFFLINE=1, or name a directory"
    )]
    HubUnreachable {
        /// The hub's address.
        endpoint: String,
        /// What the connection said.
        source: Source,
    },
    /// A download failed in another way.
    #[error("cannot fetch {file} of {model:?}; try again")]
    Download {
        /// The hub id.
        model: String,
        /// The file.
        file: String,
        /// What went wrong.
        source: Source,
    },
    /// A download has another size than the hub announced; it was thrown away.
    #[error(
        "{file} of {model:?} arrived with {found} bytes instead of {expected} and was thrown away; try again"
    )]
    IncompleteDownload {
        /// The hub id.
        model: String,
        /// The file.
        file: String,
        /// Bytes announced.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
}

impl Error {
    /// Whether the arguments or the files are to blame, rather than the
    /// machine or the network.
    pub fn is_bad_input(&self) -> bool {
        // Every variant by name: whoever adds one says whose fault it is.
        match self {
            Error::Io { .. }
            | Error::NoCacheDirectory
            | Error::HubUnreachable { .. }
            | Error::Download { .. }
            | Error::IncompleteDownload { .. } => false,
            Error::MissingDirectory { .. }
            | Error::FileTooLarge { .. }
            | Error::MissingConfig { .. }
            | Error::AdapterFolder { .. }
            | Error::Adapter { .. }
            | Error::MalformedConfig { .. }
            | Error::MissingField { .. }
            | Error::MissingModelType { .. }
            | Error::ContradictoryFields { .. }
            | Error::UnsupportedKey { .. }
            | Error::Quantized { .. }
            | Error::InvalidField { .. }
            | Error::UnsupportedModel { .. }
            | Error::UnsupportedVariant { .. }
            | Error::UnsupportedActivation { .. }
            | Error::InvalidGenerationField { .. }
            | Error::UnsupportedGeneration { .. }
            | Error::MissingStartToken { .. }
            | Error::IndivisibleHeads { .. }
            | Error::MissingWeights { .. }
            | Error::PickledWeights { .. }
            | Error::MalformedIndex { .. }
            | Error::InvalidShardName { .. }
            | Error::MissingShard { .. }
            | Error::MissingFromShard { .. }
            | Error::TruncatedHeader { .. }
            | Error::HeaderTooLarge { .. }
            | Error::LfsPointer { .. }
            | Error::MalformedHeader { .. }
            | Error::WrongFileSize { .. }
            | Error::MissingTensor { .. }
            | Error::ForeignPrefix { .. }
            | Error::FurtherLayers { .. }
            | Error::UnequalTies { .. }
            | Error::ShapeMismatch { .. }
            | Error::UnsupportedDtype { .. }
            | Error::NotFinite { .. }
            | Error::UnknownParameter { .. }
            | Error::MissingTokenizer { .. }
            | Error::MalformedTokenizer { .. }
            | Error::UnusableTokenizer { .. }
            | Error::InvalidTokenizerSetting { .. }
            | Error::ContradictoryTokenizer { .. }
            | Error::RenumberedToken { .. }
            | Error::UnknownTokenizerClass { .. }
            | Error::CustomTokenizer
            | Error::NoTargetLanguage
            | Error::TwoTargetLanguages { .. }
            | Error::MissingTokenizerFile { .. }
            | Error::MalformedSentencePiece { .. }
            | Error::MalformedVocabulary { .. }
            | Error::MissingVocabularyToken { .. }
            | Error::UnknownLanguage { .. }
            | Error::Untokenizable { .. }
            | Error::InseparableWord { .. }
            | Error::Undecodable { .. }
            | Error::HubDisabled { .. }
            | Error::InvalidHubId { .. }
            | Error::InvalidRevision { .. }
            | Error::NotCached { .. }
            | Error::NotOnHub { .. }
            | Error::HubRefused { .. } => true,
        }
    }
}

impl Error {
    /// An [`Error::Io`] about `path`, for `map_err`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
