//! `headwater analyze`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use headwater::checkpoint::HubOptions;
use headwater::{Analysis, Analyzer, Array, Input, LoadOptions, Request, TokenizedInput};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::args::{AnalyzeArgs, ModelArgs};
use crate::corpus::Run;
use crate::failure::BadInput;
use crate::jsonl::Lines;
use crate::output;
use crate::table::{self, Summary};

pub(crate) fn run(args: &AnalyzeArgs) -> anyhow::Result<ExitCode> {
    // What is wrong with the paths is said before a model is loaded.
    let lines = args.input.as_deref().map(Lines::open).transpose()?;
    if let (None, Some(path)) = (&lines, &args.output) {
        check_output_file(path)?;
    }
    if args.hidden_states && args.output.is_none() && !args.json {
        let message = "--hidden-states has no place in a table; add --output or --json";
        return Err(BadInput(message.to_owned()).into());
    }

    let options = LoadOptions {
        device: args.device,
        precision: args.model.dtype,
        hub: hub_options(&args.model)?,
    };
    let analyzer = Analyzer::load(&args.model.model, &options)?;
    let n_layers = analyzer.model().architecture().n_layers;
    let request = Request {
        scopes: args.scopes.0.clone(),
        layers: args
            .layers
            .as_ref()
            .map(|layers| layers.resolve(n_layers))
            .transpose()?,
        quantities: args.quantities.0.clone(),
        hidden_states: args.hidden_states,
        bias_treatment: args.bias_treatment,
    };
    let store = args.store.unwrap_or_default();

    if let (Some(lines), Some(directory)) = (lines, &args.output) {
        let run = Run {
            analyzer: &analyzer,
            request: &request,
            store,
            directory,
            batch_size: args.batch_size.get(),
        };
        return run.run(lines);
    }
    let input = analyzer.encode(&input(args))?;
    match &args.output {
        Some(path) => {
            analyzer.write_analysis(&[input], &request, store, std::slice::from_ref(path))?;
        }
        None => show(&analyzer, input, &request, args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a model comes from.
///
/// # Errors
/// A revision of a directory.
pub(crate) fn hub_options(args: &ModelArgs) -> anyhow::Result<HubOptions> {
    if args.revision.is_some() && Path::new(&args.model).is_dir() {
        let message = format!(
            "--revision is for models from the hub, but --model {} is a directory",
            args.model
        );
        return Err(BadInput(message).into());
    }
    Ok(HubOptions {
        revision: args.revision.clone(),
        progress: true,
        ..HubOptions::default()
    })
}

/// A file of an analysis is put in place by renaming, which would turn a
/// device or a pipe into a file.
fn check_output_file(path: &Path) -> anyhow::Result<()> {
    let wrong = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => "is a directory; name a file in it",
        Ok(metadata) if !metadata.is_file() => "is not a regular file; name another",
        _ => return Ok(()),
    };
    Err(BadInput(format!("--output {} {wrong}", path.display())).into())
}

fn input(args: &AnalyzeArgs) -> Input {
    match (&args.text, &args.text_pair, &args.input_ids) {
        (Some(text), Some(pair), _) => Input::Pair(text.clone(), pair.clone()),
        (Some(text), None, _) => Input::Text(text.clone()),
        (None, _, Some(ids)) => Input::Ids {
            input_ids: ids.0.clone(),
            token_type_ids: args.token_type_ids.as_ref().map(|ids| ids.0.clone()),
        },
        (None, _, None) => unreachable!("clap lets no call through without an input"),
    }
}

/// Prints one analysis as a table or as JSON.
fn show(
    analyzer: &Analyzer,
    input: TokenizedInput,
    request: &Request,
    json: bool,
) -> anyhow::Result<()> {
    let request = if json {
        request.clone()
    } else {
        table::shown(request, input.input_ids.len())
    };
    for analysis in analyzer.analyze_tokenized(&[input], &request)? {
        let summary = Summary::new(&analysis, &request);
        if json {
            let document = Document::new(&analysis, &summary)?;
            output::print(|out| {
                serde_json::to_writer(&mut *out, &document)?;
                writeln!(out)
            })?;
        } else {
            output::print(|out| out.write_all(summary.render(&analysis).as_bytes()))?;
        }
    }
    Ok(())
}

/// What `--json` prints: the file's metadata and arrays by the file's names,
/// and what the table is made of.
#[derive(serde::Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    metadata: BTreeMap<&'a str, serde_json::Value>,
    input_ids: &'a [u32],
    token_type_ids: &'a [u32],
    summary: &'a Summary,
    arrays: BTreeMap<String, Nested<'a>>,
}

impl<'a> Document<'a> {
    fn new(analysis: &'a Analysis, summary: &'a Summary) -> anyhow::Result<Self> {
        let mut metadata = BTreeMap::new();
        for (name, value) in &analysis.metadata {
            let value = match name.as_str() {
                "tokens" => serde_json::to_value(&analysis.input.tokens)?,
                _ => value.as_str().into(),
            };
            metadata.insert(name.as_str(), value);
        }
        let nested = |array: &'a Array| Nested {
            array,
            shape: array.shape(),
            start: 0,
        };
        Ok(Self {
            metadata,
            input_ids: &analysis.input.input_ids,
            token_type_ids: &analysis.input.token_type_ids,
            summary,
            arrays: analysis
                .arrays()
                .map(|(key, array)| (key.to_string(), nested(array)))
                .collect(),
        })
    }
}

/// Part of an array as lists in lists, float32 with its own digits.
struct Nested<'a> {
    array: &'a Array,
    shape: &'a [usize],
    start: usize,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((&length, rest)) = self.shape.split_first() else {
            return match (self.array.as_f32(), self.array.as_f64()) {
                (Some(values), _) => values[self.start].serialize(serializer),
                (_, Some(values)) => values[self.start].serialize(serializer),
                (None, None) => serializer.serialize_none(),
            };
        };
        let stride: usize = rest.iter().product();
        let mut list = serializer.serialize_seq(Some(length))?;
        for index in 0..length {
            let start = self.start + index * stride;
            list.serialize_element(&Nested {
                array: self.array,
                shape: rest,
                start,
            })?;
        }
        list.end()
    }
}
