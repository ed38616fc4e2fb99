//! `cargo xtask reproduce-docs`: docs/REPRODUCTION.md and its pictures.

use std::fs;

use anyhow::Context;
use clap::Parser;

use super::report::{Picture, write as write_file};
use super::{Options, run};

/// The runs that docs/REPRODUCTION.md shows: the words after `reproduce`, and
/// the layer whose norm maps are shown.
const RUNS: [(&[&str], &str, usize); 4] = [
    (&["--model", "bundled-bert"], "bundled-bert", 4),
    (&["--model", "bundled-gpt2"], "bundled-gpt2", 4),
    (&["--model", "minilm"], "minilm", 4),
    (&["--nmt-model", "bundled-marian"], "bundled-marian", 1),
];

#[derive(Parser)]
struct Words {
    #[command(flatten)]
    options: Options,
}

/// Runs the bundled models and MiniLM, and writes what they show into docs/.
pub(crate) fn write() -> anyhow::Result<()> {
    let docs = crate::repository().join("docs");
    let figures = docs.join("figures");
    fs::create_dir_all(&figures).with_context(|| format!("cannot create {}", figures.display()))?;
    let mut text = String::from(
        "# Reproduction\n\n\
         Made by `cargo xtask reproduce-docs`; do not edit. Each part is the report of the \
         command above it. The maps of one layer are shown; the command draws all.\n",
    );
    for (words, prefix, layer) in RUNS {
        let words_after = ["reproduce"].iter().chain(words);
        let options = Words::try_parse_from(words_after)?.options;
        let report = run::reproduce(&options)?;
        let shown = |picture: &Picture| {
            let map = picture.name.split_once("_maps_layer_");
            map.is_none_or(|(_, number)| number == layer.to_string())
        };
        let file = |picture: &Picture| format!("{prefix}-{}.svg", picture.name.replace('_', "-"));
        for picture in report.pictures().filter(|picture| shown(picture)) {
            write_file(&figures.join(file(picture)), &picture.svg)?;
        }
        let command = ["cargo", "xtask", "reproduce"].iter().chain(words);
        let command: Vec<_> = command.copied().collect();
        text += &format!("\n## {}\n\n    {}\n\n", report.model, command.join(" "));
        text += &report.markdown("###", |picture| {
            shown(picture).then(|| format!("figures/{}", file(picture)))
        });
    }
    let path = docs.join("REPRODUCTION.md");
    write_file(&path, &text)?;
    println!("{}", path.display());
    Ok(())
}
