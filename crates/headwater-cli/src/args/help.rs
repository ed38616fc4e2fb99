//! Help by task, and examples.

use std::fmt::Write;

use clap::Command;
use clap::builder::StyledStr;
use clap::builder::styling::{AnsiColor, Style, Styles};

pub(crate) const HEADING: Style = AnsiColor::Green.on_default().bold();
const COMMAND: Style = AnsiColor::Cyan.on_default().bold();

pub(crate) const STYLES: Styles = Styles::styled()
    .header(HEADING)
    .usage(HEADING)
    .literal(COMMAND)
    .placeholder(AnsiColor::Cyan.on_default());

/// What a user wants to do, and the commands that do it.
const TASKS: [(&str, &[&str]); 5] = [
    ("Take texts apart", &["analyze"]),
    ("Align translations", &["align", "translate"]),
    ("See it", &["report", "plot"]),
    ("Know a model", &["inspect", "models"]),
    ("Set up the shell", &["completions"]),
];

/// What a command line does, and the line.
type Example = (&'static str, &'static str);

/// Examples of the whole program and of each command.
const EXAMPLES: [(&str, &[Example]); 12] = [
    (
        "",
        &[
            (
                "How much each token mixes in, and from where",
                "headwater analyze --model bert-base-uncased --text \"The keys are on the table.\"",
            ),
            (
                "One layer's map as a picture for a paper",
                "headwater plot map --model bert-base-uncased --text \"The keys are on the table.\" --layer 3 --output map.svg",
            ),
            (
                "What a model needs before you start",
                "headwater inspect --model bert-base-uncased --tokens 512",
            ),
        ],
    ),
    (
        "analyze",
        &[
            (
                "A table of one text",
                "headwater analyze --model bert-base-uncased --text \"The keys are on the table.\"",
            ),
            (
                "Every array in a file that any language reads",
                "headwater analyze --model bert-base-uncased --text \"The keys.\" --output keys.safetensors",
            ),
            (
                "Only some: faster and smaller",
                "headwater analyze --model gpt2 --text \"The keys.\" --layers 0,6-11 --scopes attn,atb --quantities norms,mixing_ratio --store f16 --output keys.safetensors",
            ),
            (
                "A corpus, one file a line; run it again to go on where it stopped",
                "headwater analyze --model roberta-base --input texts.jsonl --batch-size 16 --output analyses/",
            ),
            (
                "Token ids as they are, as JSON",
                "headwater analyze --model ./my-model --input-ids 101,7592,102 --json",
            ),
        ],
    ),
    (
        "align",
        &[
            (
                "Links of one layer, in the Pharaoh format",
                "headwater align --model Helsinki-NLP/opus-mt-de-en --source text.de --target text.en --layers 4 --measure norm --setting awo > links.txt",
            ),
            (
                "Alignment error rates of every layer against gold links",
                "headwater align --model Helsinki-NLP/opus-mt-de-en --source text.de --target text.en --gold gold.txt",
            ),
            (
                "Every head of two layers, a file each",
                "headwater align --model ./my-model --input pairs.jsonl --layers 3,4 --heads 0-7 --output links/",
            ),
        ],
    ),
    (
        "translate",
        &[
            (
                "One text",
                "headwater translate --model Helsinki-NLP/opus-mt-de-en --text \"Guten Tag.\"",
            ),
            (
                "Translations to align where there are none",
                "headwater translate --model Helsinki-NLP/opus-mt-de-en --source text.de > text.en",
            ),
        ],
    ),
    (
        "plot",
        &[
            (
                "The norms of a layer, from an analysis file",
                "headwater plot map keys.safetensors --layer 3 --scope atb --output map.svg",
            ),
            (
                "Mixing ratios of every layer and token",
                "headwater plot mixing keys.safetensors --output mixing.png",
            ),
            (
                "What the feed-forward block does",
                "headwater plot change keys.safetensors --layer 3 --from atb --to atb_ff --output change.svg",
            ),
        ],
    ),
    (
        "plot map",
        &[
            (
                "The norms of a layer",
                "headwater plot map keys.safetensors --layer 3 --scope atb --output map.svg",
            ),
            (
                "One head, for one column of a paper",
                "headwater plot map keys.safetensors --layer 3 --quantity attention_weights --head 5 --width 80 --font-size 7 --title \"\" --output head.svg",
            ),
            (
                "Straight from a model",
                "headwater plot map --model gpt2 --text \"The keys.\" --layer 0 --shares --output map.png",
            ),
        ],
    ),
    (
        "plot mixing",
        &[(
            "Mixing ratios of the attention block",
            "headwater plot mixing keys.safetensors --measure atb --output mixing.svg",
        )],
    ),
    (
        "plot change",
        &[(
            "What the feed-forward block and its residual do, in shares of each row",
            "headwater plot change keys.safetensors --layer 3 --from atb --to atb_ff_res --shares --output change.svg",
        )],
    ),
    (
        "report",
        &[
            (
                "A text and a model, in the browser",
                "headwater report --model bert-base-uncased --text \"The keys are on the table.\" --output report.html",
            ),
            (
                "Several texts and what they have in common",
                "headwater report one.safetensors two.safetensors three.safetensors --output report.html",
            ),
        ],
    ),
    (
        "inspect",
        &[
            (
                "Shape, tensors, and memory for 512 tokens",
                "headwater inspect --model bert-base-uncased --tokens 512",
            ),
            (
                "The same for a program",
                "headwater inspect --model ./my-model --json",
            ),
        ],
    ),
    ("models", &[("For a program", "headwater models --json")]),
    (
        "completions",
        &[
            (
                "bash",
                "headwater completions bash > ~/.local/share/bash-completion/completions/headwater",
            ),
            (
                "zsh, in a directory of $fpath",
                "headwater completions zsh > ~/.zfunc/_headwater",
            ),
            (
                "fish",
                "headwater completions fish > ~/.config/fish/completions/headwater.fish",
            ),
        ],
    ),
];

/// Adds tasks and examples to a definition.
pub(crate) fn explained(command: Command) -> Command {
    let overview = overview(&command);
    let command = command.help_template(overview).after_help(examples(""));
    with_examples(command, "")
}

/// Adds their examples to all commands below one.
fn with_examples(command: Command, path: &str) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    names.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |command| {
            with_examples(command.after_help(examples(path.trim())), &path)
        })
    })
}

/// The program's help, with its commands by task.
fn overview(command: &Command) -> StyledStr {
    let mut text = String::from("{about}\n\n{usage-heading} {usage}\n");
    for (task, names) in TASKS {
        write_heading(&mut text, task);
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            line(
                &mut text,
                format_args!("  {COMMAND}{name:<12}{COMMAND:#} {about}"),
            );
        }
    }
    write_heading(&mut text, "Options");
    text.push_str("{options}{after-help}");
    text.into()
}

fn examples(command: &str) -> StyledStr {
    let mut text = format!("{HEADING}Examples:{HEADING:#}\n");
    let of_command = EXAMPLES.iter().filter(|(name, _)| *name == command);
    for (what, example) in of_command.flat_map(|(_, examples)| examples.iter()) {
        line(&mut text, format_args!("  {what}:"));
        line(&mut text, format_args!("    {COMMAND}{example}{COMMAND:#}"));
    }
    if command.is_empty() {
        text.push_str("\n`headwater COMMAND --help` explains a command.");
    }
    text.into()
}

/// A line of help to copy: the first example of a command.
pub(crate) fn example(command: &str) -> &'static str {
    let found = EXAMPLES.iter().find(|(name, _)| *name == command);
    let (_, examples) = found.unwrap_or(&EXAMPLES[0]);
    examples[0].1
}

fn write_heading(text: &mut String, heading: &str) {
    line(text, format_args!("\n{HEADING}{heading}:{HEADING:#}"));
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::command;

    /// The commands and those below them, as they are typed.
    fn paths(command: &Command, above: &str) -> Vec<String> {
        let commands = command.get_subcommands().flat_map(|command| {
            let path = format!("{above} {}", command.get_name());
            let below = paths(command, &path);
            [vec![path.trim().to_owned()], below].concat()
        });
        commands.collect()
    }

    #[test]
    fn every_command_has_one_task_and_examples() {
        let command = command();
        let mut names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        let mut listed: Vec<&str> = TASKS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        let mut explained: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
        let mut paths = paths(&command, "");
        names.sort_unstable();
        listed.sort_unstable();
        explained.sort_unstable();
        paths.sort_unstable();
        assert_eq!(listed, names);
        assert_eq!(explained[1..], paths);
    }

    #[test]
    fn every_example_is_a_command_line() {
        for (name, examples) in EXAMPLES {
            for (_, example) in examples {
                let line = example.split(" > ").next().unwrap();
                // Texts in quotes have spaces but nothing else that a shell would read.
                let words = line
                    .split('"')
                    .enumerate()
                    .flat_map(|(index, part)| match index % 2 {
                        0 => part.split_whitespace().collect(),
                        _ => vec![part],
                    });
                let matches = command().try_get_matches_from(words);
                let matches = matches.unwrap_or_else(|error| panic!("{example}: {error}"));
                let found = matches.subcommand_name().unwrap();
                assert!(name.is_empty() || name.starts_with(found), "{example}");
                assert!(
                    example.starts_with(&format!("headwater {name}")),
                    "{example}"
                );
            }
        }
    }
}
