//! `cargo xtask memory`: how much memory an analysis takes, measured.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;

use crate::child;
use crate::random_model::Shape;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Number of tokens, special ones included; of a translation model on each side
    #[arg(long, default_value_t = 512)]
    tokens: usize,
    /// Sizes of the model
    #[arg(long, value_enum, default_value_t = Shape::Base)]
    shape: Shape,
    /// Scopes, with commas between them, as `headwater analyze` takes them
    #[arg(long, default_value = "all")]
    scopes: String,
    /// Quantities, likewise
    #[arg(long, default_value = "all")]
    quantities: String,
    /// Layers, likewise [default: every layer]
    #[arg(long)]
    layers: Option<String>,
}

/// Writes a model of random weights, analyzes one input of random ids with
/// the chosen scopes, quantities and layers in a process of its own, and prints
/// its peak.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(options.tokens > 0, "--tokens must be at least 1");
    let program = child::headwater()?;
    std::fs::create_dir_all(crate::target())?;
    let work = tempfile::tempdir_in(crate::target()).context("cannot write to target")?;
    let shape = options.shape;
    shape.write(work.path(), options.tokens)?;
    let weights = std::fs::metadata(work.path().join("model.safetensors"))?.len();

    let ids = shape.ids(options.tokens, &mut fastrand::Rng::with_seed(2021));
    let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
    let output = work.path().join("analysis.safetensors");
    let layers = options.layers.iter();
    // The same ids on both sides: memory depends on how many they are.
    let target = shape.is_translation().then(|| ids.join(","));
    let usage = child::run(
        Command::new(&program)
            .args(["analyze", "--scopes", &options.scopes, "--quantities"])
            .args([&options.quantities, "--dtype", "f32", "--model"])
            .arg(work.path())
            .args(["--input-ids", &ids.join(","), "--output"])
            .arg(&output)
            .args(target.iter().flat_map(|ids| ["--decoder-input-ids", ids]))
            .args(layers.flat_map(|layers| ["--layers", layers])),
    )?;
    let written = std::fs::metadata(&output)
        .context("the analysis wrote no file")?
        .len();
    eprintln!("analyzed in {:.1} s", usage.seconds);

    let estimate = estimate(&program, work.path(), options.tokens)?;
    let map = (shape.heads() * options.tokens.pow(2) * shape.d_model() * 4) as u64;
    println!(
        "model: {} layers, d_model {}, {} heads, random float32 weights\n\
         input: {} tokens; scopes: {}; quantities: {}; layers: {}\n\
         weights: {}\n\
         analysis file: {}\n\
         one layer's [head, target, source, d_model] tensor, which is never made: {}\n\
         peak memory of the process: {}\n\
         estimated by `headwater inspect` for all quantities and scopes: {} ({:.2} times the peak)",
        shape.layers(),
        shape.d_model(),
        shape.heads(),
        options.tokens,
        options.scopes,
        options.quantities,
        options.layers.as_deref().unwrap_or("all"),
        megabytes(weights),
        megabytes(written),
        megabytes(map),
        megabytes(usage.peak),
        megabytes(estimate),
        estimate as f64 / usage.peak as f64,
    );
    Ok(())
}

/// What `headwater inspect` says that such an analysis needs.
fn estimate(program: &Path, model: &Path, tokens: usize) -> anyhow::Result<u64> {
    let output = Command::new(program)
        .args(["inspect", "--quiet", "--json", "--dtype", "f32", "--tokens"])
        .arg(tokens.to_string())
        .arg("--model")
        .arg(model)
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let description: serde_json::Value = serde_json::from_slice(&output.stdout)
        .context("headwater inspect did not describe the model")?;
    let total = description["memory"]["total"].as_u64();
    total.context("headwater inspect estimated nothing")
}

/// Bytes in words.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
