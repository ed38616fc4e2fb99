//! What is wrong with a command line, in one line that says what to type.

use std::ffi::OsString;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use crate::args::{command, example};
use crate::failure::printable;

/// clap's explanation on one line, with the word that was meant.
pub(crate) fn line(error: &Error, arguments: &[OsString]) -> String {
    let program = command();
    let used = used(&program, arguments);
    let asked = Asked {
        error,
        program: &program,
        used,
    };
    printable(&asked.line(arguments))
}

/// The command that the arguments name, and how it is typed.
fn used<'a>(program: &'a Command, arguments: &[OsString]) -> Option<(&'a Command, String)> {
    let mut found = None;
    let mut path = String::new();
    for word in arguments.iter().skip(1) {
        let current = found.unwrap_or(program);
        if let Some(below) = current.find_subcommand(word) {
            path = format!("{path} {}", below.get_name());
            found = Some(below);
        }
    }
    Some((found?, path.trim().to_owned()))
}

struct Asked<'a> {
    error: &'a Error,
    program: &'a Command,
    used: Option<(&'a Command, String)>,
}

impl Asked<'_> {
    fn line(&self, arguments: &[OsString]) -> String {
        let invalid = |kind| self.text(kind).unwrap_or_default();
        match self.error.kind() {
            ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let before = self
                    .used
                    .as_ref()
                    .map(|(_, path)| format!(" behind {path}"));
                let before = before.unwrap_or_default();
                format!(
                    "name a command{before}: {}; {}",
                    self.commands(),
                    self.help()
                )
            }
            ErrorKind::InvalidSubcommand => {
                self.unknown_command(&invalid(ContextKind::InvalidSubcommand))
            }
            ErrorKind::UnknownArgument => {
                self.unknown_argument(&invalid(ContextKind::InvalidArg), arguments)
            }
            ErrorKind::MissingRequiredArgument => {
                let missing = self.list(ContextKind::InvalidArg);
                let missing: Vec<String> = missing.iter().map(|name| plain(name)).collect();
                let are = if missing.len() > 1 { "are" } else { "is" };
                let missing = missing.join(" and ");
                format!("{missing} {are} missing; for example: {}", self.example())
            }
            ErrorKind::ArgumentConflict => {
                let first = invalid(ContextKind::InvalidArg);
                let others = self.list(ContextKind::PriorArg).join(", ");
                if others.is_empty() || others == first {
                    format!("{first} is given twice; keep one")
                } else {
                    format!("{first} cannot be used with {others}; keep one of them")
                }
            }
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                self.value(&invalid(ContextKind::InvalidArg))
            }
            _ => format!("{}; {}", first_paragraph(self.error), self.help()),
        }
    }

    fn unknown_command(&self, word: &str) -> String {
        if let Some(meant) = self.text(ContextKind::SuggestedSubcommand) {
            return format!("there is no command {word}; did you mean {meant}?");
        }
        if word.contains(char::is_whitespace) {
            return format!(
                "a text goes behind --text; for example: {}",
                example("analyze")
            );
        }
        format!(
            "there is no command {word}; the commands are {}",
            self.commands()
        )
    }

    fn unknown_argument(&self, word: &str, arguments: &[OsString]) -> String {
        let Some((used, name)) = &self.used else {
            let has = |command: &Command| {
                let mut options = command.get_arguments().filter_map(|arg| arg.get_long());
                options.any(|long| Some(long) == word.strip_prefix("--"))
            };
            let owner = self.program.get_subcommands().find(|command| has(command));
            let owner = owner.map_or("analyze", Command::get_name);
            return format!(
                "a command comes before {word}; for example: {}",
                example(owner)
            );
        };
        if let Some(meant) = self.text(ContextKind::SuggestedArg) {
            return format!("{name} has no option {word}; did you mean {meant}?");
        }
        if word.starts_with('-') {
            return format!("{name} has no option {word}; {}", self.help());
        }
        let given = |option: &str| arguments.iter().any(|argument| argument == option);
        let has = |option| {
            used.get_arguments()
                .any(|arg| arg.get_long() == Some(option))
        };
        let order = match word.contains(char::is_whitespace) {
            true => ["text", "model", "output"],
            false => ["model", "text", "output"],
        };
        let meant = order
            .into_iter()
            .find(|option| has(option) && !given(&format!("--{option}")));
        match meant {
            Some(option) => format!(
                "{word:?} stands alone; did you mean --{option} {word:?}? For example: {}",
                self.example()
            ),
            None => format!(
                "{word:?} is one word too many; a value with spaces needs quotes, and {}",
                self.help()
            ),
        }
    }

    /// A value that its option does not take; `source` of the error says why.
    fn value(&self, option: &str) -> String {
        let value = self.text(ContextKind::InvalidValue).unwrap_or_default();
        if value.is_empty() {
            return format!("{option} needs a value; for example: {}", self.example());
        }
        let why = match std::error::Error::source(self.error) {
            Some(source) => reason(source),
            None => {
                let known = self.list(ContextKind::ValidValue).join(", ");
                match self.text(ContextKind::SuggestedValue) {
                    Some(meant) => format!("did you mean {meant}? It takes {known}"),
                    None => format!("it takes {known}"),
                }
            }
        };
        let option = option.split(' ').next().unwrap_or(option);
        format!("{option} {value}: {why}")
    }

    fn text(&self, kind: ContextKind) -> Option<String> {
        let value = self.error.get(kind)?;
        Some(match value {
            ContextValue::Strings(values) => values.first()?.clone(),
            ContextValue::StyledStrs(values) => values.first()?.to_string(),
            value => value.to_string(),
        })
    }

    fn list(&self, kind: ContextKind) -> Vec<String> {
        match self.error.get(kind) {
            Some(ContextValue::Strings(values)) => values.clone(),
            Some(ContextValue::String(value)) => vec![value.clone()],
            _ => Vec::new(),
        }
    }

    fn commands(&self) -> String {
        let command = self.used.as_ref().map_or(self.program, |(used, _)| used);
        let names = command.get_subcommands().map(Command::get_name);
        names.collect::<Vec<_>>().join(", ")
    }

    fn example(&self) -> &'static str {
        example(self.used.as_ref().map_or("", |(_, path)| path))
    }

    fn help(&self) -> String {
        match &self.used {
            Some((used, path)) if used.has_subcommands() => {
                format!("headwater {path} --help explains them")
            }
            Some((_, path)) => format!("headwater {path} --help lists the options"),
            None => "headwater --help explains them".to_owned(),
        }
    }
}

/// Why a value is refused; what Rust says of numbers names its types.
fn reason(source: &(dyn std::error::Error + 'static)) -> String {
    let number = source.downcast_ref::<ParseIntError>();
    match number.map(ParseIntError::kind) {
        Some(IntErrorKind::Zero) => "give 1 or more".to_owned(),
        Some(IntErrorKind::PosOverflow) => "give a smaller number".to_owned(),
        Some(_) => "give a whole number".to_owned(),
        None if source.is::<ParseFloatError>() => "give a number".to_owned(),
        None => source.to_string(),
    }
}

/// `<FILE|--model <DIR|HUB_ID>>` as `FILE or --model <DIR|HUB_ID>`.
fn plain(group: &str) -> String {
    let alternatives = group
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .filter(|alternatives| alternatives.contains("|-"));
    match alternatives {
        Some(alternatives) => alternatives.replace("|-", " or -"),
        None => group.to_owned(),
    }
}

/// What clap says before its tips and its usage.
fn first_paragraph(error: &Error) -> String {
    let rendered = error.render().to_string();
    let lines = rendered.lines().map(str::trim);
    let lines: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let explanation = lines.join(" ");
    explanation
        .strip_prefix("error: ")
        .unwrap_or(&explanation)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refusal(words: &[&str]) -> String {
        let arguments: Vec<OsString> = ["headwater"].iter().chain(words).map(Into::into).collect();
        let error = command().try_get_matches_from(&arguments).unwrap_err();
        line(&error, &arguments)
    }

    /// Each command line, and what its error has to say.
    #[test]
    fn a_wrong_line_says_what_to_type() {
        for (words, expected) in [
            (&[][..], "name a command: analyze, "),
            (&["analyse"], "did you mean analyze?"),
            (&["frobnicate"], "the commands are analyze, "),
            (&["The keys"], "behind --text"),
            (
                &["--model", "m", "--text", "a"],
                "a command comes before --model",
            ),
            (
                &["analyze", "--text", "a"],
                "--model <DIR|HUB_ID> is missing",
            ),
            (
                &["analyze", "--model", "m"],
                "--text <TEXT> or --input-ids <IDS> or --input <FILE.jsonl> is missing",
            ),
            (
                &["analyze", "--model"],
                "--model <DIR|HUB_ID> needs a value",
            ),
            (
                &["analyze", "--model", "m", "The keys"],
                "did you mean --text \"The keys\"?",
            ),
            (
                &["analyze", "--model", "m", "--text", "The", "keys"],
                "did you mean --output",
            ),
            (&["models", "bert"], "one word too many"),
            (&["inspect", "bert"], "did you mean --model \"bert\"?"),
            (
                &["analyze", "--model", "m", "--txt", "a"],
                "did you mean --text?",
            ),
            (
                &["analyze", "--model", "m", "--text", "a", "--layer", "3"],
                "did you mean --layers?",
            ),
            (
                &["analyze", "--model", "m", "--text", "a", "--layers", "-1"],
                "--layers -1: '-1' is neither",
            ),
            (
                &["analyze", "--model", "m", "--text", "a", "-z"],
                "analyze --help",
            ),
            (
                &["analyze", "--model", "m", "--text", "a", "--text", "b"],
                "is given twice",
            ),
            (
                &[
                    "analyze", "--model", "m", "--text", "a", "--json", "--output", "x",
                ],
                "--json cannot be used with --output",
            ),
            (
                &["inspect", "--model", "m", "--tokens", "0"],
                "--tokens 0: give 1 or more",
            ),
            (
                &["inspect", "--model", "m", "--tokens", "many"],
                "--tokens many: give a whole number",
            ),
            (
                &[
                    "inspect",
                    "--model",
                    "m",
                    "--tokens",
                    "99999999999999999999",
                ],
                "give a smaller number",
            ),
            (
                &["plot", "map", "a", "--output", "b.svg", "--dpi", "high"],
                "--dpi high: give a number",
            ),
            (
                &["align", "--model", "m", "--gold-first", "one"],
                "--gold-first one: give a whole number",
            ),
            (
                &["plot"],
                "name a command behind plot: map, mixing, change; headwater plot --help",
            ),
            (&["plot", "maps"], "did you mean map?"),
            (
                &["plot", "keys.safetensors"],
                "the commands are map, mixing, change",
            ),
            (
                &["plot", "map", "--output", "a.svg"],
                "ANALYSIS.safetensors",
            ),
            (
                &["plot", "map", "a", "--output", "a.svg", "--lyaer", "3"],
                "did you mean --layer?",
            ),
            (
                &[
                    "plot",
                    "map",
                    "a",
                    "--output",
                    "a.svg",
                    "--quantity",
                    "norm",
                ],
                "did you mean norms?",
            ),
            (
                &["plot", "map", "a", "--text", "b", "--output", "a.svg"],
                "cannot be used with",
            ),
            (
                &["plot", "change", "a", "--from", "attn", "--output", "a.svg"],
                "--to <SCOPE> is missing",
            ),
            (
                &[
                    "plot", "map", "a", "--model", "m", "--text", "b", "--output", "a.svg",
                ],
                "cannot be used with",
            ),
            (&["completions", "bsh"], "did you mean bash?"),
            (&["completions", "cmd"], "it takes bash, "),
            (&["completions"], "<SHELL> is missing"),
        ] {
            let line = refusal(words);
            assert!(line.contains(expected), "{words:?}: {line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn a_line_break_stays_visible() {
        assert!(refusal(&["ana\nlyze"]).contains("ana\\n"));
    }
}
