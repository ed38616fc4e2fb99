//! Which class of transformers reads a tokenizer, and what it lays over the file.

use std::path::Path;

use serde_json::{Map, Value};

use super::settings::Settings;
use crate::Error;
use crate::config::read_json;

/// A tokenizer class of transformers 5, as far as it differs from reading
/// `tokenizer.json` as it stands.
#[derive(Debug)]
pub(super) struct Class {
    /// The class's name, without `Fast` behind it.
    pub(super) name: &'static str,
    /// The part that the class makes anew.
    pub(super) kind: Kind,
    /// Its special tokens where no file names others, in the order in which
    /// transformers adds them.
    pub(super) named: &'static [(&'static str, &'static str)],
    /// Whether the mask takes the space before it along where no file says so.
    pub(super) mask_strips: bool,
    /// Further special tokens where no file lists others.
    pub(super) further: &'static [&'static str],
    /// Whether `model_input_names` has token types where no file says otherwise.
    pub(super) token_types: bool,
    /// Where texts carry their language.
    pub(super) languages: Option<CodePlace>,
}

/// The kinds of tokenizers that classes make anew from a vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `tokenizer.json` as it stands.
    AsItStands,
    /// WordPiece with BERT's normalizer.
    Bert,
    /// Byte-level BPE; the file says what stands around texts.
    ByteLevel,
    /// Byte-level BPE, texts between two marks.
    Roberta,
    /// A Unigram model, texts between two marks.
    XlmRoberta,
    /// A Unigram model, texts with their language.
    Mbart,
    /// BPE with spaces as marks.
    Llama,
}

/// Where a text carries the code of its language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodePlace {
    /// In front of the text.
    Front,
    /// Behind its end mark.
    Behind,
}

const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// The names of special tokens that all classes know, in transformers' order.
pub(super) fn standard_names() -> &'static [&'static str] {
    &NAMES
}

const BERT: &[(&str, &str)] = &[
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];
const GPT2: &[(&str, &str)] = &[
    ("bos_token", "<|endoftext|>"),
    ("eos_token", "<|endoftext|>"),
    ("unk_token", "<|endoftext|>"),
];
const ROBERTA: &[(&str, &str)] = &[
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];
/// mBART-50 has no token in front of texts.
const MBART50: &[(&str, &str)] = &[
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];
const LLAMA: &[(&str, &str)] = &[
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
];
const MBART_LANGUAGES: &[&str] = &[
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN", "hi_IN",
    "it_IT", "ja_XX", "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP", "nl_XX", "ro_RO",
    "ru_RU", "si_LK", "tr_TR", "vi_VN", "zh_CN",
];
const MBART50_LANGUAGES: &[&str] = &[
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN", "hi_IN",
    "it_IT", "ja_XX", "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP", "nl_XX", "ro_RO",
    "ru_RU", "si_LK", "tr_TR", "vi_VN", "zh_CN", "af_ZA", "az_AZ", "bn_IN", "fa_IR", "he_IL",
    "hr_HR", "id_ID", "ka_GE", "km_KH", "mk_MK", "ml_IN", "mn_MN", "mr_IN", "pl_PL", "ps_AF",
    "pt_XX", "sv_SE", "sw_KE", "ta_IN", "te_IN", "th_TH", "tl_XX", "uk_UA", "ur_PK", "xh_ZA",
    "gl_ES", "sl_SI",
];

const AS_IT_STANDS: Class = Class {
    name: "PreTrainedTokenizerFast",
    kind: Kind::AsItStands,
    named: &[],
    mask_strips: false,
    further: &[],
    token_types: false,
    languages: None,
};
const BERT_CLASS: Class = Class {
    name: "BertTokenizer",
    kind: Kind::Bert,
    named: BERT,
    token_types: true,
    ..AS_IT_STANDS
};
const ROBERTA_CLASS: Class = Class {
    name: "RobertaTokenizer",
    kind: Kind::Roberta,
    named: ROBERTA,
    ..AS_IT_STANDS
};

/// One row a class.
static CLASSES: [Class; 14] = [
    AS_IT_STANDS,
    Class {
        name: "TokenizersBackend",
        ..AS_IT_STANDS
    },
    BERT_CLASS,
    Class {
        name: "ElectraTokenizer",
        ..BERT_CLASS
    },
    Class {
        name: "DistilBertTokenizer",
        token_types: false,
        ..BERT_CLASS
    },
    Class {
        name: "GPT2Tokenizer",
        kind: Kind::ByteLevel,
        named: GPT2,
        ..AS_IT_STANDS
    },
    ROBERTA_CLASS,
    Class {
        name: "BartTokenizer",
        ..ROBERTA_CLASS
    },
    Class {
        name: "XLMRobertaTokenizer",
        kind: Kind::XlmRoberta,
        ..ROBERTA_CLASS
    },
    Class {
        name: "CamembertTokenizer",
        kind: Kind::XlmRoberta,
        mask_strips: true,
        further: &["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"],
        ..ROBERTA_CLASS
    },
    Class {
        name: "MBartTokenizer",
        kind: Kind::Mbart,
        mask_strips: true,
        further: MBART_LANGUAGES,
        languages: Some(CodePlace::Behind),
        ..ROBERTA_CLASS
    },
    Class {
        name: "MBart50Tokenizer",
        kind: Kind::Mbart,
        named: MBART50,
        mask_strips: true,
        further: MBART50_LANGUAGES,
        languages: Some(CodePlace::Front),
        ..AS_IT_STANDS
    },
    Class {
        name: "LlamaTokenizer",
        kind: Kind::Llama,
        named: LLAMA,
        ..AS_IT_STANDS
    },
    Class {
        name: "BloomTokenizer",
        ..AS_IT_STANDS
    },
];

/// The class of a model type whose files name none.
const OF_MODEL_TYPES: [(&str, &str); 12] = [
    ("bart", "BartTokenizer"),
    ("bert", "BertTokenizer"),
    ("camembert", "CamembertTokenizer"),
    ("distilbert", "DistilBertTokenizer"),
    ("electra", "ElectraTokenizer"),
    ("gpt2", "GPT2Tokenizer"),
    ("llama", "LlamaTokenizer"),
    ("mbart", "MBartTokenizer"),
    ("opt", "GPT2Tokenizer"),
    ("roberta", "RobertaTokenizer"),
    ("xlm-roberta", "XLMRobertaTokenizer"),
    ("bloom", "BloomTokenizer"),
];

/// The class that `AutoTokenizer` chooses: the one that `tokenizer_config.json`
/// names, else `config.json`, else that of the model type.
pub(super) fn of(directory: &Path, settings: &Settings) -> Result<&'static Class, Error> {
    let path = directory.join("config.json");
    let config: Map<String, Value> = match path.is_file() {
        true => read_json(&path, |path, source| Error::MalformedConfig {
            path: path.to_owned(),
            source,
        })?,
        false => Map::new(),
    };
    let text = |field: &str| config.get(field).and_then(Value::as_str);
    let given = match settings.text("tokenizer_class")? {
        Some(name) => Some(name),
        None => text("tokenizer_class"),
    };
    if let Some(name) = given {
        let bare = match name {
            "PreTrainedTokenizerFast" => name,
            _ => name.strip_suffix("Fast").unwrap_or(name),
        };
        let class = CLASSES.iter().find(|class| class.name == bare);
        return class.ok_or_else(|| Error::UnknownTokenizerClass {
            class: name.to_owned(),
        });
    }
    let of_type = OF_MODEL_TYPES
        .iter()
        .find(|(model_type, _)| text("model_type") == Some(model_type))
        .and_then(|(_, name)| CLASSES.iter().find(|class| class.name == *name));
    Ok(of_type.unwrap_or(&CLASSES[0]))
}
