//! A program outside of this workspace: built with the lines that the README
//! gives to others, and timed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;

/// 24 tokens to MiniLM, the marks at both ends included.
const SENTENCE: &str = "The keys to the cabinets near the door, which nobody had opened \
                        in years, were lying on the table.";
const TOKENS: usize = 24;
/// Of so many runs the quickest counts: the machine may be busy.
const RUNS: usize = 5;

const PROGRAM: &str = r#"//! One sentence, from loading to its mixing ratios.
use headwater::{Analyzer, Scope};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (model, text) = (arguments.next().unwrap(), arguments.next().unwrap());
    let analysis = Analyzer::from_pretrained(model)?.analyze(text.as_str())?;
    let layers = analysis.layers();
    for &layer in &layers {
        let ratios = analysis.mixing_ratio(layer, Scope::Atb).unwrap();
        assert!(ratios.iter().all(|ratio| (0.0..=1.0).contains(ratio)));
    }
    println!("{}", analysis.tokens().len());
    Ok(())
}
"#;

#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Leave out the lines of the profile, as those do who have not read the README
    #[arg(long)]
    without_profile: bool,
    /// The most seconds that a sentence may take
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    limit: f64,
}

/// Builds a project that depends on the facade with `cargo build`, lets it
/// analyze a sentence with MiniLM, and prints how long that takes.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let model = crate::minilm::directory()?;
    let project = tempfile::tempdir()?;
    let readme = fs::read_to_string(crate::repository().join("README.md"))?;
    let manifest = manifest(&readme, crate::repository(), options.without_profile)?;
    fs::write(project.path().join("Cargo.toml"), manifest)?;
    fs::create_dir(project.path().join("src"))?;
    fs::write(project.path().join("src/main.rs"), PROGRAM)?;
    // The versions of this workspace, which are compiled already for the most part.
    let versions = crate::repository().join("Cargo.lock");
    fs::copy(versions, project.path().join("Cargo.lock"))?;

    let target = crate::cargo_target();
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .arg("build")
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(project.path())
        .output()
        .context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the project outside does not build: {said}"
    );
    let warned = said.contains("is built without optimisation");
    ensure!(
        warned == options.without_profile,
        "cargo should warn of arithmetic without optimisation where it is, and only there: {said}"
    );

    let mut quickest = Duration::MAX;
    for _ in 0..RUNS {
        let begin = Instant::now();
        let output = Command::new(target.join("debug/headwater-outside"))
            .arg(&model)
            .arg(SENTENCE)
            .output()?;
        quickest = quickest.min(begin.elapsed());
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "the program outside failed: {error}"
        );
        let tokens = String::from_utf8_lossy(&output.stdout);
        ensure!(
            tokens.trim() == TOKENS.to_string(),
            "the sentence has {} tokens, and {TOKENS} were meant",
            tokens.trim()
        );
        if quickest.as_secs_f64() > 5.0 {
            break;
        }
    }
    let seconds = quickest.as_secs_f64();
    println!(
        "a debug build outside of the workspace, {} tokens, all-MiniLM-L6-v2: {seconds:.2} s",
        TOKENS
    );
    ensure!(
        seconds <= options.limit,
        "{seconds:.2} s are more than {} s",
        options.limit
    );
    Ok(())
}

/// The manifest of a project that has nothing but the README's lines.
fn manifest(readme: &str, repository: &Path, without_profile: bool) -> anyhow::Result<String> {
    let lines = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .find(|block| block.contains("[dependencies]"))
        .context("the README has no [dependencies]")?;
    let (dependencies, profile) = lines
        .split_once("[profile")
        .context("the README has no [profile.…]")?;
    let placeholder = "path/to/headwater/";
    ensure!(
        dependencies.contains(placeholder),
        "the README does not say `{placeholder}`"
    );
    let place = repository
        .to_str()
        .context("the repository's path is not UTF-8")?
        .replace('\\', "/");
    let dependencies = dependencies.replace(placeholder, &format!("{place}/"));
    let mut manifest = format!(
        "[package]\nname = \"headwater-outside\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         {dependencies}"
    );
    if !without_profile {
        manifest.push_str(&format!("[profile{profile}"));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_lines_that_others_need() {
        let readme = include_str!("../../README.md");
        let with = manifest(readme, Path::new("/a b/c"), false).unwrap();
        assert!(
            with.contains("path = \"/a b/c/crates/headwater\""),
            "{with}"
        );
        assert!(
            with.contains("[profile.dev.package.\"*\"]\nopt-level"),
            "{with}"
        );
        let without = manifest(readme, Path::new("/a b/c"), true).unwrap();
        assert!(!without.contains("profile.dev"), "{without}");
    }
}
