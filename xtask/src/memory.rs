//! `cargo xtask memory`: how much memory an analysis takes, measured.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use safetensors::{Dtype, View};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Number of tokens, special ones included
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

#[derive(Clone, Copy, ValueEnum)]
enum Shape {
    /// BERT-base: 12 layers, d_model 768, 12 heads
    Base,
    /// MiniLM: 6 layers, d_model 384, 12 heads
    Minilm,
}

const VOCABULARY: usize = 30522;

impl Shape {
    /// Layers, d_model, heads.
    fn sizes(self) -> (usize, usize, usize) {
        match self {
            Self::Base => (12, 768, 12),
            Self::Minilm => (6, 384, 12),
        }
    }
}

/// Writes a model of random weights, analyzes one input of random ids with
/// the chosen scopes, quantities and layers in a process of its own, and prints
/// its peak.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(options.tokens > 0, "--tokens must be at least 1");
    let program = headwater()?;
    let (layers, d_model, heads) = options.shape.sizes();
    std::fs::create_dir_all(crate::target())?;
    let work = tempfile::tempdir_in(crate::target()).context("cannot write to target")?;
    let weights = write_checkpoint(work.path(), options)?;

    let mut random = fastrand::Rng::with_seed(2021);
    let ids: Vec<_> = (0..options.tokens)
        .map(|_| random.usize(1000..VOCABULARY).to_string())
        .collect();
    let output = work.path().join("analysis.safetensors");
    let start = Instant::now();
    let child = Command::new(&program)
        .args(["analyze", "--scopes", &options.scopes, "--quantities"])
        .args([&options.quantities, "--dtype", "f32", "--model"])
        .arg(work.path())
        .args(["--input-ids", &ids.join(","), "--output"])
        .arg(&output)
        .args(
            options
                .layers
                .iter()
                .flat_map(|layers| ["--layers", layers]),
        )
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let (status, peak) = wait_with_peak(child)?;
    ensure!(status.success(), "{} failed: {status}", program.display());
    let written = std::fs::metadata(&output)
        .context("the analysis wrote no file")?
        .len();
    eprintln!("analyzed in {:.1} s", start.elapsed().as_secs_f64());

    let map = (heads * options.tokens.pow(2) * d_model * 4) as u64;
    println!(
        "model: {layers} layers, d_model {d_model}, {heads} heads, random float32 weights\n\
         input: {} tokens; scopes: {}; quantities: {}; layers: {}\n\
         weights: {}\n\
         analysis file: {}\n\
         one layer's [head, target, source, d_model] tensor, which is never made: {}\n\
         peak memory of the process: {}",
        options.tokens,
        options.scopes,
        options.quantities,
        options.layers.as_deref().unwrap_or("all"),
        megabytes(weights),
        megabytes(written),
        megabytes(map),
        megabytes(peak),
    );
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

/// The `headwater` program beside this one, built first.
fn headwater() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let status = Command::new(env!("CARGO"))
        // The whole workspace, so that Cargo resolves the same features again.
        .args(["build", "--quiet", "--workspace", "--bin", "headwater"])
        .current_dir(crate::repository())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "headwater-cli does not build");
    let program = own.with_file_name(format!("headwater{}", std::env::consts::EXE_SUFFIX));
    ensure!(
        program.is_file(),
        "{} is not there; run this as `cargo xtask memory`",
        program.display()
    );
    Ok(program)
}

/// Writes `config.json` and `model.safetensors`, a tensor at a time, and
/// returns the size of the latter.
fn write_checkpoint(directory: &Path, options: &Options) -> anyhow::Result<u64> {
    let (layers, d_model, heads) = options.shape.sizes();
    let positions = options.tokens.max(512);
    let config = serde_json::json!({
        "model_type": "bert",
        "vocab_size": VOCABULARY,
        "hidden_size": d_model,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * d_model,
        "max_position_embeddings": positions,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    });
    std::fs::write(directory.join("config.json"), config.to_string())?;

    let mut tensors = vec![
        (
            "embeddings.word_embeddings.weight".to_owned(),
            Random::new(&[VOCABULARY, d_model]),
        ),
        (
            "embeddings.position_embeddings.weight".to_owned(),
            Random::new(&[positions, d_model]),
        ),
        (
            "embeddings.token_type_embeddings.weight".to_owned(),
            Random::new(&[2, d_model]),
        ),
    ];
    let mut norm = |name: String| {
        tensors.push((format!("{name}.weight"), Random::around_one(d_model)));
        tensors.push((format!("{name}.bias"), Random::new(&[d_model])));
    };
    norm("embeddings.LayerNorm".to_owned());
    for layer in 0..layers {
        norm(format!("encoder.layer.{layer}.attention.output.LayerNorm"));
        norm(format!("encoder.layer.{layer}.output.LayerNorm"));
    }
    for layer in 0..layers {
        for (name, rows, columns) in [
            ("attention.self.query", d_model, d_model),
            ("attention.self.key", d_model, d_model),
            ("attention.self.value", d_model, d_model),
            ("attention.output.dense", d_model, d_model),
            ("intermediate.dense", 4 * d_model, d_model),
            ("output.dense", d_model, 4 * d_model),
        ] {
            let name = format!("encoder.layer.{layer}.{name}");
            tensors.push((format!("{name}.weight"), Random::new(&[rows, columns])));
            tensors.push((format!("{name}.bias"), Random::new(&[rows])));
        }
    }
    let path = directory.join("model.safetensors");
    safetensors::serialize_to_file(tensors, None, &path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(std::fs::metadata(&path)?.len())
}

/// A float32 tensor that exists only while it is written.
struct Random {
    shape: Vec<usize>,
    center: f32,
}

impl Random {
    fn new(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            center: 0.0,
        }
    }

    fn around_one(length: usize) -> Self {
        Self {
            shape: vec![length],
            center: 1.0,
        }
    }
}

impl View for Random {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        // A spread of 0.02, as BERT is initialised with.
        let half_width = 0.02 * 3.0_f32.sqrt();
        let mut random = fastrand::Rng::with_seed(self.data_len() as u64);
        let count = self.shape.iter().product();
        let values = (0..count)
            .flat_map(|_| (self.center + half_width * (2.0 * random.f32() - 1.0)).to_le_bytes());
        Cow::Owned(values.collect())
    }

    fn data_len(&self) -> usize {
        4 * self.shape.iter().product::<usize>()
    }
}

/// Waits for a child and returns its largest resident set in bytes.
#[cfg(unix)]
fn wait_with_peak(child: Child) -> anyhow::Result<(ExitStatus, u64)> {
    use std::os::unix::process::ExitStatusExt;

    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live locals of the types that wait4 fills
    // in, and the child, which nobody else waits for, is taken by value.
    let waited = unsafe {
        libc::wait4(
            child.id() as libc::pid_t,
            &mut status,
            0,
            usage.as_mut_ptr(),
        )
    };
    ensure!(
        waited > 0,
        "cannot wait for the analysis: {}",
        std::io::Error::last_os_error()
    );
    // SAFETY: wait4 succeeded, and all zeros are a valid rusage besides.
    let peak = unsafe { usage.assume_init() }.ru_maxrss as u64;
    // Linux counts in kilobytes, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Ok((ExitStatus::from_raw(status), peak * unit))
}

#[cfg(not(unix))]
fn wait_with_peak(_: Child) -> anyhow::Result<(ExitStatus, u64)> {
    anyhow::bail!("the peak memory of a process is measured on Unix only")
}
