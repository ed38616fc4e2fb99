//! `headwater analyze`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use headwater::{Analysis, Array, Request};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::args::AnalyzeArgs;
use crate::corpus::Run;
use crate::failure::BadInput;
use crate::jsonl::Items;
use crate::load;
use crate::output;
use crate::outputs::{Kind, Reads};
use crate::progress::Verbosity;
use crate::subject::{Encoded, Subject};
use crate::table::{self, Summary};

pub(crate) fn run(args: &AnalyzeArgs, verbosity: Verbosity) -> anyhow::Result<ExitCode> {
    // What is wrong with the paths is said before a model is loaded.
    let items = args.input.as_deref().map(Items::open).transpose()?;
    let mut reads = Reads::default().model(args.model.model.as_ref());
    if let Some(input) = &args.input {
        reads = reads.file("--input", input);
    }
    if let (None, Some(path)) = (&items, &args.output) {
        check_output_kind(path)?;
        reads.check(path, Kind::Analysis)?;
    }
    if args.hidden_states && args.output.is_none() && !args.json {
        let message = "--hidden-states has no place in a table; add --output or --json";
        return Err(BadInput(message.to_owned()).into());
    }

    let subject = load::subject(
        &args.model.model,
        &args.model.options,
        args.compute.device,
        verbosity,
    )?
    .in_languages(&args.languages)?;
    // A model from the hub lies somewhere in a cache.
    reads = reads.model(subject.checkpoint().directory());
    let n_layers = subject.n_layers();
    let mut request = Request::new()
        .quantities(args.quantities.0.clone())
        .hidden_states(args.hidden_states)
        .bias_treatment(args.compute.bias_treatment);
    request.scopes.clone_from(&args.scopes.0);
    let layers = args.layers.as_ref();
    request.layers = layers.map(|layers| layers.resolve(n_layers)).transpose()?;
    let store = args.store.unwrap_or_default();

    if let (Some(items), Some(directory)) = (items, &args.output) {
        let run = Run {
            subject: &subject,
            request: &request,
            store,
            directory,
            reads: &reads,
            batch_size: args.batch_size.get(),
            device: args.compute.device,
            verbosity,
        };
        return run.run(items);
    }
    let given = args.text.given();
    let input = subject.encode(&given.context("clap lets no call through without an input")?)?;
    match &args.output {
        Some(path) => {
            reads.check(path, Kind::Analysis)?;
            let _bar = load::layers(&subject, &request, verbosity)?;
            subject.write_analysis(&[input], &request, store, std::slice::from_ref(path))?;
        }
        None => show(&subject, &input, &request, args.json, verbosity)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Names of files that hold something else than an analysis, by what makes them.
const OTHER_KINDS: [(&str, &str); 6] = [
    ("html", "headwater report makes a page"),
    ("svg", "headwater plot draws a picture"),
    ("png", "headwater plot draws a picture"),
    ("json", "--json prints JSON"),
    ("jsonl", "--json prints JSON"),
    ("txt", "without --output a table is printed"),
];

/// A picture or a text was not meant to be an analysis file.
fn check_output_kind(path: &Path) -> anyhow::Result<()> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let found = OTHER_KINDS
        .iter()
        .find(|(kind, _)| extension.is_some_and(|extension| extension.eq_ignore_ascii_case(kind)));
    match found {
        Some((_, instead)) => Err(BadInput(format!(
            "--output {} would hold an analysis, so its name has to end in .safetensors; {instead}",
            path.display()
        ))
        .into()),
        None => Ok(()),
    }
}

/// Prints one analysis as a table or as JSON.
fn show(
    subject: &Subject,
    input: &Encoded,
    request: &Request,
    json: bool,
    verbosity: Verbosity,
) -> anyhow::Result<()> {
    let request = if json {
        request.clone()
    } else {
        table::shown(request, input.tokens())
    };
    let analysis = load::analyze(subject, input, &request, verbosity)?;
    let summary = Summary::new(&analysis, &request);
    if json {
        let document = Document::new(&analysis, &summary)?;
        output::print(|out| {
            serde_json::to_writer(&mut *out, &document)?;
            writeln!(out)
        })
    } else {
        output::print(|out| out.write_all(summary.render(&analysis).as_bytes()))
    }
}

/// What `--json` prints: the file's metadata and arrays by the file's names,
/// and what the table is made of.
#[derive(serde::Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    metadata: BTreeMap<&'a str, serde_json::Value>,
    #[serde(flatten)]
    ids: BTreeMap<&'static str, &'a [u32]>,
    summary: &'a Summary,
    arrays: BTreeMap<String, Nested<'a>>,
}

impl<'a> Document<'a> {
    fn new(analysis: &'a Analysis, summary: &'a Summary) -> anyhow::Result<Self> {
        let mut metadata = BTreeMap::new();
        for (name, value) in &analysis.metadata {
            let value = match name.as_str() {
                // Lists of tokens, of one stack of layers or of each of two.
                name if name.ends_with("tokens") => serde_json::from_str(value)?,
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
            ids: analysis.id_lists().into_iter().collect(),
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
