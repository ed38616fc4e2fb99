//! Lays the settings over the file: first its parts, then its tokens.

use serde_json::{Value, json};
use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{Encoding, PostProcessor, Token, Tokenizer};

use super::added::{self, Named};
use super::class::{Class, CodePlace, Kind};
use super::file::{File, StatedModel};
use super::settings::{SETTINGS, Settings};
use crate::Error;

const TAKE_FILE: &str = "set \"tokenizer_class\" to \"PreTrainedTokenizerFast\" in \
                         tokenizer_config.json if tokenizer.json is right as it stands";

/// Makes of the file what the class makes of file and settings.
pub(super) fn lay_over(
    file: File,
    class: &'static Class,
    settings: &Settings,
) -> Result<Tokenizer, Error> {
    let File {
        mut tokenizer,
        stated,
    } = file;
    let named = Named::of(class, settings)?;
    match class.kind {
        Kind::AsItStands => check_prefix_space(&tokenizer, settings)?,
        Kind::Bert => {
            check_word_piece(class, &tokenizer, &stated.model, named.content("unk_token"))?;
            set_bert_normalizer(class, &mut tokenizer, settings)?;
        }
        Kind::ByteLevel | Kind::Roberta => {
            check_byte_level(class, &tokenizer, &stated.model)?;
            set_prefix_space(class, &mut tokenizer, settings)?;
        }
        Kind::XlmRoberta | Kind::Mbart => {
            check_unigram(class, &tokenizer)?;
            if class.kind == Kind::XlmRoberta {
                refuse_switch(settings, "add_prefix_space", false, class)?;
            }
        }
        Kind::Llama => refuse_switch(settings, "add_prefix_space", false, class)?,
    }
    added::add(
        &mut tokenizer,
        class,
        settings,
        &named,
        &stated.added_tokens,
    )?;
    surround(class, &mut tokenizer, settings, &named)?;
    if settings.switch("split_special_tokens")? == Some(true) {
        tokenizer.set_encode_special_tokens(true);
    }
    Ok(tokenizer)
}

/// Where the class would make a part anew that differs from the file's.
fn differs(class: &Class, part: &str) -> Error {
    Error::ContradictoryTokenizer {
        what: format!(
            "tokenizer.json has another {part} than the tokenizer class {} makes",
            class.name
        ),
        remedy: TAKE_FILE,
    }
}

/// The two versions of transformers disagree about a switch in this position.
fn refuse_switch(
    settings: &Settings,
    field: &'static str,
    refused: bool,
    class: &Class,
) -> Result<(), Error> {
    if settings.switch(field)? != Some(refused) {
        return Ok(());
    }
    Err(contradiction(field, refused, class))
}

fn contradiction(field: &str, value: bool, class: &Class) -> Error {
    Error::ContradictoryTokenizer {
        what: format!(
            "{SETTINGS} sets \"{field}\" to {value} for a {}, and tokenizer.json does otherwise",
            class.name
        ),
        remedy: "take the setting out, or save the tokenizer anew with it",
    }
}

/// 4.57 lays `add_prefix_space` over the file, 5.24 does not.
fn check_prefix_space(tokenizer: &Tokenizer, settings: &Settings) -> Result<(), Error> {
    let given = settings.switch("add_prefix_space")?;
    match (tokenizer.get_pre_tokenizer(), given) {
        (Some(PreTokenizerWrapper::ByteLevel(level)), Some(given))
            if level.add_prefix_space != given =>
        {
            Err(Error::ContradictoryTokenizer {
                what: format!(
                    "{SETTINGS} sets \"add_prefix_space\" to {given}, and tokenizer.json does otherwise"
                ),
                remedy: "take the setting out if tokenizer.json is right, or name the model's own \
                         \"tokenizer_class\"",
            })
        }
        _ => Ok(()),
    }
}

fn check_word_piece(
    class: &Class,
    tokenizer: &Tokenizer,
    stated: &StatedModel,
    unknown: Option<&str>,
) -> Result<(), Error> {
    let is_word_piece = matches!(tokenizer.get_model(), ModelWrapper::WordPiece(_));
    let same = stated.unk_token.as_deref().unwrap_or("[UNK]") == unknown.unwrap_or_default()
        && stated.continuing_subword_prefix.as_deref().unwrap_or("##") == "##"
        && stated.max_input_chars_per_word.unwrap_or(100) == 100;
    if !is_word_piece || !same {
        return Err(differs(class, "model"));
    }
    match tokenizer.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::BertPreTokenizer(_)) => Ok(()),
        _ => Err(differs(class, "pre-tokenizer")),
    }
}

fn set_bert_normalizer(
    class: &Class,
    tokenizer: &mut Tokenizer,
    settings: &Settings,
) -> Result<(), Error> {
    let mut normalizer = match tokenizer.get_normalizer() {
        // One that leaves control characters is made anew by 5.24 alone.
        Some(NormalizerWrapper::BertNormalizer(bert)) if bert.clean_text => *bert,
        _ => return Err(differs(class, "normalizer")),
    };
    normalizer.lowercase = settings.switch("do_lower_case")?.unwrap_or(true);
    normalizer.strip_accents = settings.switch("strip_accents")?;
    let ideographs = settings.switch("tokenize_chinese_chars")?;
    normalizer.handle_chinese_chars = ideographs.unwrap_or(true);
    let set = tokenizer.with_normalizer(Some(normalizer));
    set.map(drop).map_err(unusable)
}

fn check_byte_level(
    class: &Class,
    tokenizer: &Tokenizer,
    stated: &StatedModel,
) -> Result<(), Error> {
    let ModelWrapper::BPE(_) = tokenizer.get_model() else {
        return Err(differs(class, "model"));
    };
    let empty = |affix: &Option<String>| affix.as_deref().unwrap_or_default().is_empty();
    let on = |switch: Option<bool>| switch == Some(true);
    let same = empty(&stated.continuing_subword_prefix)
        && empty(&stated.end_of_word_suffix)
        && !on(stated.ignore_merges)
        && !on(stated.byte_fallback);
    // What has no token is dropped where there is no unknown one.
    let complete = || {
        let mut alphabet = ByteLevel::alphabet().into_iter();
        alphabet.all(|character| tokenizer.token_to_id(&character.to_string()).is_some())
    };
    if !same || stated.unk_token.is_some() && !complete() {
        return Err(differs(class, "model"));
    }
    match tokenizer.get_normalizer() {
        None => Ok(()),
        Some(_) => Err(differs(class, "normalizer")),
    }
}

fn set_prefix_space(
    class: &Class,
    tokenizer: &mut Tokenizer,
    settings: &Settings,
) -> Result<(), Error> {
    let mut level = match tokenizer.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::ByteLevel(level)) if level.use_regex => *level,
        _ => return Err(differs(class, "pre-tokenizer")),
    };
    level.add_prefix_space = settings.switch("add_prefix_space")?.unwrap_or(false);
    tokenizer.with_pre_tokenizer(Some(level));
    Ok(())
}

fn check_unigram(class: &Class, tokenizer: &Tokenizer) -> Result<(), Error> {
    match tokenizer.get_model() {
        ModelWrapper::Unigram(_) => Ok(()),
        _ => Err(differs(class, "model")),
    }
}

/// What stands around texts: the class's own, which has to be the file's too,
/// but for languages.
fn surround(
    class: &Class,
    tokenizer: &mut Tokenizer,
    settings: &Settings,
    named: &Named,
) -> Result<(), Error> {
    let mark = |name: &str| {
        let content = named.content(name)?;
        Some((content.to_owned(), tokenizer.token_to_id(content)?))
    };
    let made = match class.kind {
        Kind::AsItStands | Kind::ByteLevel => return Ok(()),
        Kind::Llama => return check_ends(class, tokenizer, settings, named),
        Kind::Bert => mark("cls_token").zip(mark("sep_token")).map(|(cls, sep)| {
            template(
                &[Place::of(&cls, 0), Place::A, Place::of(&sep, 0)],
                &[
                    Place::of(&cls, 0),
                    Place::A,
                    Place::of(&sep, 0),
                    Place::B(1),
                    Place::of(&sep, 1),
                ],
            )
        }),
        Kind::Roberta => mark("cls_token").zip(mark("sep_token")).map(|(cls, sep)| {
            json!({
                "type": "RobertaProcessing", "sep": sep, "cls": cls,
                "trim_offsets": true,
                "add_prefix_space": prefix_space(tokenizer),
            })
        }),
        Kind::XlmRoberta => mark("bos_token").zip(mark("eos_token")).map(|(bos, eos)| {
            let (bos, eos) = (Place::of(&bos, 0), Place::of(&eos, 0));
            let pair = [bos, Place::A, eos, eos, Place::B(0), eos];
            template(&pair[..3], &pair)
        }),
        Kind::Mbart => {
            let code = settings.text("src_lang")?.unwrap_or("en_XX");
            let Some(id) = tokenizer.token_to_id(code) else {
                return Err(Error::UnknownLanguage {
                    side: "source",
                    code: code.to_owned(),
                    nearest: None,
                });
            };
            let code = (code.to_owned(), id);
            mark("eos_token").map(|eos| {
                let (code, eos) = (Place::of(&code, 0), Place::of(&eos, 0));
                let (single, pair) = match class.languages {
                    Some(CodePlace::Front) => (
                        vec![code, Place::A, eos],
                        vec![code, Place::A, Place::B(0), eos],
                    ),
                    _ => (
                        vec![Place::A, eos, code],
                        vec![Place::A, Place::B(0), eos, code],
                    ),
                };
                template(&single, &pair)
            })
        }
    };
    let made = made.and_then(|made| serde_json::from_value::<PostProcessorWrapper>(made).ok());
    let made = made.ok_or_else(|| differs(class, "post-processor"))?;
    if class.kind != Kind::Mbart {
        let types = class.token_types;
        let [own, others] = [tokenizer.get_post_processor(), Some(&made)]
            .map(|processor| surrounded(processor, types));
        if own != others {
            return Err(differs(class, "post-processor"));
        }
    }
    tokenizer.with_post_processor(Some(made));
    Ok(())
}

fn prefix_space(tokenizer: &Tokenizer) -> bool {
    match tokenizer.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::ByteLevel(level)) => level.add_prefix_space,
        _ => false,
    }
}

/// A place of a template: a special token with its type, or a text.
#[derive(Clone, Copy)]
enum Place<'a> {
    Mark(&'a str, u32, u32),
    A,
    B(u32),
}

impl<'a> Place<'a> {
    fn of((content, id): &'a (String, u32), type_id: u32) -> Self {
        Self::Mark(content, *id, type_id)
    }

    fn json(self) -> Value {
        match self {
            Self::Mark(content, _, kind) => {
                json!({"SpecialToken": {"id": content, "type_id": kind}})
            }
            Self::A => json!({"Sequence": {"id": "A", "type_id": 0}}),
            Self::B(kind) => json!({"Sequence": {"id": "B", "type_id": kind}}),
        }
    }
}

fn template(single: &[Place<'_>], pair: &[Place<'_>]) -> Value {
    let marks = pair.iter().filter_map(|place| match place {
        Place::Mark(content, id, _) => {
            let token = json!({"id": content, "ids": [id], "tokens": [content]});
            Some(((*content).to_owned(), token))
        }
        _ => None,
    });
    json!({
        "type": "TemplateProcessing",
        "single": single.iter().map(|place| place.json()).collect::<Vec<_>>(),
        "pair": pair.iter().map(|place| place.json()).collect::<Vec<_>>(),
        "special_tokens": marks.collect::<serde_json::Map<_, _>>(),
    })
}

/// Ids and types of a text and of a pair with what stands around them.
fn surrounded(
    processor: Option<&PostProcessorWrapper>,
    with_types: bool,
) -> Option<[Vec<(u32, u32)>; 2]> {
    // Ids that stand for texts.
    let text = |id| Encoding::from_tokens(vec![Token::new(id, "a".to_owned(), (0, 1))], 0);
    let process = |pair| {
        let processed = processor?.process(text(u32::MAX), pair, true).ok()?;
        let types = processed.get_type_ids().iter();
        let types = types.map(|&kind| if with_types { kind } else { 0 });
        Some(processed.get_ids().iter().copied().zip(types).collect())
    };
    Some([process(None)?, process(Some(text(u32::MAX - 1)))?])
}

/// 4.57 makes what stands around texts anew from two settings, 5.24 takes the
/// file's.
fn check_ends(
    class: &Class,
    tokenizer: &Tokenizer,
    settings: &Settings,
    named: &Named,
) -> Result<(), Error> {
    let found = surrounded(tokenizer.get_post_processor(), false);
    let single = found.map_or(vec![(u32::MAX, 0)], |[single, _]| single);
    let text = single.iter().position(|&(id, _)| id == u32::MAX);
    let (before, behind) = single.split_at(text.unwrap_or(0));
    let behind = behind.get(1..).unwrap_or_default();
    for (field, mark, default, marks) in [
        ("add_bos_token", "bos_token", true, before),
        ("add_eos_token", "eos_token", false, behind),
    ] {
        let wanted = settings.switch(field)?.unwrap_or(default);
        let id = named
            .content(mark)
            .and_then(|content| tokenizer.token_to_id(content));
        let expected: Vec<_> = id
            .filter(|_| wanted)
            .map(|id| (id, 0))
            .into_iter()
            .collect();
        if marks != expected {
            return Err(contradiction(field, wanted, class));
        }
    }
    Ok(())
}

pub(super) fn unusable(source: tokenizers::Error) -> Error {
    Error::UnusableTokenizer { source }
}
