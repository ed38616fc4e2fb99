//! `headwater inspect`.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use headwater::checkpoint::{Architecture, Checkpoint};
use serde::Serialize;

use crate::args::InspectArgs;
use crate::failure::{BadInput, printable};
use crate::load;
use crate::memory::{MemoryEstimate, readable};
use crate::output;
use crate::progress::Verbosity;

/// Tokens of the estimate if none are asked for and the model takes as many.
const DEFAULT_TOKENS: usize = 512;

/// What is printed, in the order it is printed in.
#[derive(Serialize)]
struct Description {
    model: String,
    weights_sha256: String,
    architecture: Shape,
    parameters: usize,
    /// Element types in the file, with the number of tensors of each.
    dtypes: BTreeMap<String, usize>,
    /// Whether texts can be analyzed, or token ids only.
    tokenizer: bool,
    memory: Memory,
    used_tensors: Vec<Tensor>,
    unused_tensors: Vec<Tensor>,
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
    bytes: MemoryEstimate,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    dtype: String,
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
        let architecture = checkpoint.architecture();
        let most = architecture.max_positions;
        let tokens = args.tokens.map_or(DEFAULT_TOKENS.min(most), usize::from);
        if tokens > most {
            let message = format!(
                "--tokens {tokens} is more than the {most} that the model has positions for"
            );
            return Err(BadInput(message).into());
        }
        let parameters = checkpoint.parameter_count();
        let precision = args.model.options.dtype;
        let bytes = MemoryEstimate::new(checkpoint, tokens, precision);

        let used = checkpoint.parameters().iter();
        let used: Vec<Tensor> = used
            .map(|used| Tensor::new(&used.name_in_file, &used.shape, used.dtype))
            .collect();
        let unused = checkpoint.unused().iter();
        let mut dtypes = BTreeMap::new();
        for tensor in &used {
            *dtypes.entry(tensor.dtype.clone()).or_default() += 1;
        }
        Ok(Self {
            model: checkpoint.name().to_owned(),
            weights_sha256: checkpoint
                .weights_sha256()
                .map_err(headwater::Error::from)?,
            architecture: Shape::of(architecture),
            parameters,
            dtypes,
            tokenizer: checkpoint.directory().join("tokenizer.json").is_file(),
            memory: Memory {
                tokens,
                dtype: precision.to_string(),
                bytes,
            },
            used_tensors: used,
            unused_tensors: unused
                .map(|unused| Tensor::new(&unused.name, &unused.shape, unused.dtype))
                .collect(),
        })
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

impl Tensor {
    fn new(name: &str, shape: &[usize], dtype: impl fmt::Display) -> Self {
        Self {
            name: name.to_owned(),
            shape: shape.to_vec(),
            dtype: dtype.to_string(),
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = &self.architecture;
        writeln!(f, "model         {}", printable(&self.model))?;
        writeln!(f, "sha256        {}", self.weights_sha256)?;
        writeln!(
            f,
            "architecture  {}: {} layers, {} heads of {}, d_model {}, d_ff {}, {}",
            printable(&shape.model_type),
            shape.n_layers,
            shape.n_heads,
            shape.d_head,
            shape.d_model,
            shape.d_ff,
            shape.activation
        )?;
        writeln!(
            f,
            "input         {} token ids, {} token types, up to {} tokens{}",
            shape.vocab_size,
            shape.token_types,
            shape.max_positions,
            if self.tokenizer {
                ""
            } else {
                "; no tokenizer.json, so --input-ids only"
            }
        )?;
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
        writeln!(
            f,
            "\nmemory for one text of {tokens} tokens in {dtype}, estimated"
        )?;
        for (part, bytes) in [
            ("weights", bytes.weights),
            ("activations", bytes.activations),
            ("maps", bytes.maps),
            ("feed-forward", bytes.feed_forward),
            ("loading", bytes.loading),
            ("total", bytes.total),
        ] {
            writeln!(f, "  {part:<12} {:>9}", readable(bytes))?;
        }

        write_tensors(f, "used", &self.used_tensors)?;
        write_tensors(f, "not used", &self.unused_tensors)
    }
}

fn write_tensors(f: &mut fmt::Formatter<'_>, title: &str, tensors: &[Tensor]) -> fmt::Result {
    writeln!(f, "\n{title}: {} tensors", tensors.len())?;
    for Tensor { name, shape, dtype } in tensors {
        writeln!(
            f,
            "  {dtype:<4} {:<14} {}",
            format!("{shape:?}"),
            printable(name)
        )?;
    }
    Ok(())
}
