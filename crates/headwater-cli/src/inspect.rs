//! `headwater inspect`.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::process::ExitCode;

use headwater::MemoryEstimate;
use headwater::checkpoint::{Architecture, Checkpoint, Error, TranslationTokenizer};
use serde::Serialize;

use crate::args::InspectArgs;
use crate::failure::{BadInput, printable};
use crate::load;
use crate::output;
use crate::progress::Verbosity;
use crate::tensors::{self, Tensor};

/// Tokens of the estimate if none are asked for and the model takes as many.
const DEFAULT_TOKENS: usize = 512;

/// What is printed, in the order it is printed in.
#[derive(Serialize)]
struct Description {
    model: String,
    weights_sha256: String,
    /// The only stack of layers, or the encoder.
    architecture: Shape,
    /// The decoder of a translation model.
    #[serde(skip_serializing_if = "Option::is_none")]
    decoder: Option<Shape>,
    parameters: usize,
    /// Element types in the file, with the number of tensors of each.
    dtypes: BTreeMap<String, usize>,
    /// Whether texts can be analyzed, or token ids only.
    tokenizer: bool,
    /// The file of the tokenizer that is missing.
    #[serde(skip)]
    missing: Option<&'static str>,
    memory: Memory,
    used_tensors: Vec<Tensor>,
    unused_tensors: Vec<Tensor>,
    /// Whether those of every layer are listed.
    #[serde(skip)]
    each: bool,
}

#[derive(Serialize)]
struct Shape {
    model_type: String,
    n_layers: usize,
    n_heads: usize,
    d_model: usize,
    d_head: usize,
    d_ff: usize,
    activation: String,
    vocab_size: usize,
    max_positions: usize,
    token_types: usize,
}

#[derive(Serialize)]
struct Memory {
    tokens: usize,
    dtype: String,
    #[serde(flatten)]
    bytes: Bytes,
}

/// The library's estimate, as it is printed.
#[derive(Serialize)]
struct Bytes {
    weights: usize,
    activations: usize,
    maps: usize,
    feed_forward: usize,
    loading: usize,
    program: usize,
    total: usize,
}

impl From<MemoryEstimate> for Bytes {
    fn from(estimate: MemoryEstimate) -> Self {
        Self {
            weights: estimate.weights,
            activations: estimate.activations,
            maps: estimate.maps,
            feed_forward: estimate.feed_forward,
            loading: estimate.loading,
            program: estimate.program,
            total: estimate.total,
        }
    }
}

pub(crate) fn run(args: &InspectArgs, verbosity: Verbosity) -> anyhow::Result<ExitCode> {
    let checkpoint = load::checkpoint(&args.model.model, &args.model.options, verbosity)?;
    let description = Description::new(&checkpoint, args)?;
    output::print(|out| {
        if args.json {
            serde_json::to_writer_pretty(&mut *out, &description)?;
            writeln!(out)
        } else {
            write!(out, "{description}")
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

impl Description {
    fn new(checkpoint: &Checkpoint, args: &InspectArgs) -> anyhow::Result<Self> {
        let stacks = std::iter::once(checkpoint.architecture()).chain(checkpoint.decoder());
        let most = stacks.map(|stack| stack.max_positions).min().unwrap_or(0);
        let tokens = args.tokens.map_or(DEFAULT_TOKENS.min(most), usize::from);
        if tokens > most {
            let message = format!(
                "--tokens {tokens} is more than the {most} that the model has positions for"
            );
            return Err(BadInput(message).into());
        }
        let parameters = checkpoint.parameter_count();
        let precision = args.model.options.dtype;
        let bytes = Bytes::from(MemoryEstimate::new(checkpoint, tokens, precision));

        // A table that two stacks share is one tensor.
        let mut listed = HashSet::new();
        let used = checkpoint.parameters().iter();
        let used: Vec<Tensor> = used
            .filter(|used| listed.insert((&used.name_in_file, used.layout)))
            .map(|used| Tensor::new(&used.name_in_file, &used.shape, used.dtype))
            .collect();
        let unused = checkpoint.unused().iter();
        let missing = missing_tokenizer(checkpoint)?;
        let mut dtypes = BTreeMap::new();
        for tensor in &used {
            *dtypes.entry(tensor.dtype.clone()).or_default() += 1;
        }
        Ok(Self {
            model: checkpoint.name().to_owned(),
            weights_sha256: checkpoint
                .weights_sha256()
                .map_err(headwater::Error::from)?
                .to_owned(),
            architecture: Shape::of(checkpoint.architecture()),
            decoder: checkpoint.decoder().map(Shape::of),
            parameters,
            dtypes,
            tokenizer: missing.is_none(),
            missing,
            memory: Memory {
                tokens,
                dtype: precision.to_string(),
                bytes,
            },
            used_tensors: used,
            unused_tensors: unused
                .map(|unused| Tensor::new(&unused.name, &unused.shape, unused.dtype))
                .collect(),
            each: args.tensors,
        })
    }
}

/// The first file that is missing for texts to be read.
fn missing_tokenizer(checkpoint: &Checkpoint) -> Result<Option<&'static str>, headwater::Error> {
    let directory = checkpoint.directory();
    if checkpoint.decoder().is_none() {
        let file = "tokenizer.json";
        return Ok((!directory.join(file).is_file()).then_some(file));
    }
    match TranslationTokenizer::open(directory) {
        Ok(_) => Ok(None),
        Err(Error::MissingTokenizerFile { file, .. }) => Ok(Some(file)),
        Err(error) => Err(error.into()),
    }
}

impl Shape {
    fn of(architecture: &Architecture) -> Self {
        Self {
            model_type: architecture.model_type.clone(),
            n_layers: architecture.n_layers,
            n_heads: architecture.n_heads,
            d_model: architecture.d_model,
            d_head: architecture.d_head(),
            d_ff: architecture.d_ff,
            activation: format!("{:?}", architecture.activation),
            vocab_size: architecture.vocab_size,
            max_positions: architecture.max_positions,
            token_types: architecture.token_types,
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = &self.architecture;
        writeln!(f, "model         {}", printable(&self.model))?;
        writeln!(f, "sha256        {}", self.weights_sha256)?;
        let model_type = printable(&shape.model_type);
        match &self.decoder {
            None => {
                writeln!(f, "architecture  {model_type}: {shape}")?;
                write!(
                    f,
                    "input         {} token ids, {} token types, up to {} tokens",
                    shape.vocab_size, shape.token_types, shape.max_positions
                )?;
                if let Some(file) = self.missing {
                    write!(f, "; no {file}, so --input-ids only")?;
                }
                writeln!(f)?;
            }
            Some(decoder) => {
                writeln!(f, "architecture  {model_type}: an encoder and a decoder")?;
                for (name, stack) in [("encoder", shape), ("decoder", decoder)] {
                    writeln!(f, "{name}       {stack}")?;
                    writeln!(
                        f,
                        "              {} token ids, up to {} tokens",
                        stack.vocab_size, stack.max_positions
                    )?;
                }
                match self.missing {
                    None => writeln!(f, "tokenizer     for both sides")?,
                    Some(file) => writeln!(
                        f,
                        "tokenizer     no {file}, so --input-ids and --decoder-input-ids only"
                    )?,
                }
            }
        }
        let dtypes: Vec<String> = self
            .dtypes
            .iter()
            .map(|(dtype, tensors)| format!("{tensors} {dtype}"))
            .collect();
        writeln!(
            f,
            "parameters    {} in {} tensors ({})",
            self.parameters,
            self.used_tensors.len(),
            dtypes.join(", ")
        )?;

        let Memory {
            tokens,
            dtype,
            bytes,
        } = &self.memory;
        let text = match self.decoder {
            None => format!("one text of {tokens} tokens"),
            Some(_) => format!("one text and a translation of {tokens} tokens each"),
        };
        writeln!(f, "\nmemory for {text} in {dtype}, estimated")?;
        for (part, bytes) in [
            ("weights", bytes.weights),
            ("activations", bytes.activations),
            ("maps", bytes.maps),
            ("feed-forward", bytes.feed_forward),
            ("loading", bytes.loading),
            ("program", bytes.program),
            ("total", bytes.total),
        ] {
            writeln!(f, "  {part:<12} {:>9}", readable(bytes))?;
        }

        tensors::write(f, "used", &self.used_tensors, self.each)?;
        tensors::write(f, "not used", &self.unused_tensors, self.each)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} layers, {} heads of {}, d_model {}, d_ff {}, {}",
            self.n_layers, self.n_heads, self.d_head, self.d_model, self.d_ff, self.activation
        )
    }
}

/// Bytes in words: `1.3 GB`.
fn readable(bytes: usize) -> String {
    const UNITS: [(&str, f64); 3] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let bytes = bytes as f64;
    match UNITS.into_iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes / size),
        None => format!("{bytes} B"),
    }
}
