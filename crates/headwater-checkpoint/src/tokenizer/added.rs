//! Special tokens and tables of added tokens.

use std::collections::BTreeMap;

use tokenizers::{AddedToken, Tokenizer};

use super::class::{Class, CodePlace, Kind, standard_names};
use super::file::{StatedToken, check_id};
use super::laid_over::unusable;
use super::settings::{ADDED, SETTINGS, Settings, Token};
use crate::Error;

/// The special tokens that have a name, such as `mask_token`.
pub(super) struct Named {
    /// By name, in the order in which they are added.
    tokens: Vec<(&'static str, Token)>,
    /// Those that a file names, and not the class alone.
    from_files: Vec<String>,
}

impl Named {
    pub(super) fn of(class: &Class, settings: &Settings) -> Result<Self, Error> {
        let mut tokens = Vec::new();
        let mut from_files = Vec::new();
        for &name in standard_names() {
            let given = settings.named(name)?;
            let default = class.named.iter().find(|(other, _)| *other == name);
            let token = match given {
                Some(given) => {
                    from_files.extend(given.iter().map(|token| token.content().to_owned()));
                    given
                }
                None => default.map(|&(_, token)| Token::Spelt(token.to_owned())),
            };
            let token = match token {
                Some(Token::Spelt(content)) if name == "mask_token" && class.mask_strips => Some(
                    Token::Described(AddedToken::from(content, true).lstrip(true)),
                ),
                other => other,
            };
            tokens.extend(token.map(|token| (name, token)));
        }
        Ok(Self { tokens, from_files })
    }

    /// How the token of this name is spelt.
    pub(super) fn content(&self, name: &str) -> Option<&str> {
        let named = self.tokens.iter().find(|(other, _)| *other == name);
        named.map(|(_, token)| token.content())
    }
}

/// Adds what the settings name to what the file has, in transformers' order:
/// the table by id, special tokens by name, further ones.
pub(super) fn add(
    tokenizer: &mut Tokenizer,
    class: &Class,
    settings: &Settings,
    named: &Named,
    of_file: &[StatedToken],
) -> Result<(), Error> {
    let further = settings.further()?;
    let (file, table) = match settings.table()? {
        Some(table) => (SETTINGS, table),
        None => (
            ADDED,
            older_table(settings, named, further.as_ref(), of_file),
        ),
    };
    let mut special: Vec<AddedToken> = named.tokens.iter().map(|(_, t)| as_special(t)).collect();
    special.extend(settings.own_names(standard_names())?.iter().map(as_special));
    let own = class.further.iter();
    let own = own.map(|&token| AddedToken::from(token, true));
    match &further {
        None => special.extend(own),
        Some(further) => {
            let listed = further.tokens.iter().map(as_special);
            // The list of special_tokens_map.json adds to mBART's languages, and
            // any other takes their place.
            match class.languages.filter(|_| !further.counted) {
                None => special.extend(listed),
                Some(CodePlace::Behind) => special.extend(own.chain(listed)),
                Some(CodePlace::Front) => special.extend(listed.chain(own)),
            }
        }
    }
    if file == SETTINGS && class.kind != Kind::AsItStands {
        check_complete(class, of_file, &table, &special)?;
    }
    tokenizer
        .add_tokens(table.values().cloned())
        .map_err(unusable)?;
    for (&id, token) in &table {
        check_id(tokenizer, file, &token.content, id)?;
    }
    for token in special {
        let known = tokenizer.get_added_vocabulary().get_vocab();
        if !known.contains_key(&token.content) {
            tokenizer.add_tokens([token]).map_err(unusable)?;
        }
    }
    Ok(())
}

fn as_special(token: &Token) -> AddedToken {
    match token {
        Token::Spelt(content) => AddedToken::from(content.clone(), true),
        Token::Described(token) => token.clone().special(true),
    }
}

/// What `added_tokens.json` adds; the file's own tokens keep their flags.
fn older_table(
    settings: &Settings,
    named: &Named,
    further: Option<&super::settings::Further>,
    of_file: &[StatedToken],
) -> BTreeMap<u32, AddedToken> {
    let further = further.filter(|further| further.counted);
    let is_special = |token: &String| {
        let mut listed = further.iter().flat_map(|further| &further.tokens);
        named.from_files.contains(token) || listed.any(|other| other.content() == token)
    };
    let own = |id: &u32| of_file.iter().any(|token| token.id == *id);
    let added = settings.added().iter().filter(|(id, _)| !own(id));
    let token = |token: &String| AddedToken::from(token.clone(), is_special(token));
    added.map(|(&id, content)| (id, token(content))).collect()
}

/// Classes that make their tokenizer anew in transformers 5 forget tokens of the
/// file that the table does not have.
fn check_complete(
    class: &Class,
    of_file: &[StatedToken],
    table: &BTreeMap<u32, AddedToken>,
    special: &[AddedToken],
) -> Result<(), Error> {
    // Of these classes the file's parts are followed in other ways, too.
    let of_file_alone = matches!(class.kind, Kind::XlmRoberta | Kind::Mbart | Kind::Llama);
    let kept = |token: &AddedToken| {
        let in_table = table.values().any(|other| other.content == token.content);
        let again = special.iter().find(|other| other.content == token.content);
        in_table || again.is_some_and(|again| of_file_alone || again == token)
    };
    match of_file.iter().find(|stated| !kept(&stated.token)) {
        None => Ok(()),
        Some(stated) => Err(Error::ContradictoryTokenizer {
            what: format!(
                "\"added_tokens_decoder\" in {SETTINGS} lacks token {:?} of tokenizer.json, which a {} \
                 then forgets",
                stated.token.content, class.name
            ),
            remedy: "add it to the table, or take the table out",
        }),
    }
}
