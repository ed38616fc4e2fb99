//! What `headwater analyze` does with one text, part by part.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use headwater::transformer::{Captures, TokenSequence};
use headwater::{Analyzer, Input, Request, Store};
use serde::{Deserialize, Serialize};

/// Takes apart what `headwater analyze` does with one text, in this process.
#[derive(Args)]
pub(crate) struct StartUpOptions {
    model: String,
    text: String,
    output: PathBuf,
}

/// Seconds by name, in order.
#[derive(Serialize, Deserialize)]
pub(super) struct Parts(pub(super) Vec<(String, f64)>);

impl Parts {
    pub(super) fn of_a_new_process(
        own: &Path,
        model: &str,
        text: &str,
        output: &str,
    ) -> anyhow::Result<Self> {
        let output = Command::new(own)
            .args(["bench-start-up", model, text, output])
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "bench-start-up failed");
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Prints the seconds of each part as JSON. Run by [`Program::start_up`](super::program::Program::start_up): only
/// a process that has done nothing yet is as slow as one.
pub(crate) fn start_up_parts(options: &StartUpOptions) -> anyhow::Result<()> {
    let mut parts = Vec::new();
    let mut start = Instant::now();
    let mut lap = |name: &str| {
        parts.push((name.to_owned(), start.elapsed().as_secs_f64()));
        start = Instant::now();
    };
    let analyzer = Analyzer::from_pretrained(&options.model)?;
    lap("load the model");
    analyzer.weights_sha256()?;
    lap("hash the weights");
    let input = analyzer.encode(&Input::from(options.text.as_str()))?;
    lap("open the tokenizer and tokenize");
    let sequence = TokenSequence::new(input.input_ids.clone());
    let batch = analyzer.model().batch(&[sequence])?;
    let forward = || {
        let output = analyzer.model().forward(&batch, &Captures::none());
        output.last_hidden_state.into_data()
    };
    let _ = forward();
    lap("forward pass, the first");
    let _ = forward();
    lap("forward pass, another");
    let analyses = analyzer.analyze_tokenized(&[input], &Request::default())?;
    lap("forward pass and decomposition");
    analyses[0].save(&options.output, Store::Full)?;
    lap("write");
    println!("{}", serde_json::to_string(&Parts(parts))?);
    Ok(())
}
