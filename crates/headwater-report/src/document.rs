//! What a page is about, without the values themselves.

use std::path::Path;

use headwater_analysis::Stack;
use serde::Serialize;

use crate::Error;
use crate::measure::{Contents, array_name};
use crate::packed::{Blobs, Packed, Survey};
use crate::source::Source;
use crate::statistics::{LayerOfText, Statistics, Tables};
use crate::survey::{Digits, Form, Surveyed, allowed_bytes, read, read_layer};

/// A page's table of contents, read by its script.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    title: String,
    version: &'static str,
    texts: Vec<Text>,
    /// One a part.
    statistics: Vec<Tables>,
}

#[derive(Debug, Serialize)]
struct Text {
    name: String,
    model: String,
    architecture: String,
    device: String,
    dtype: String,
    /// Lists of tokens; parts name theirs by index.
    tokens: Vec<Vec<String>>,
    parts: Vec<PartOfText>,
}

/// A part of the layers, whose maps have these tokens as rows (targets) and columns (sources).
#[derive(Debug, Serialize)]
struct PartOfText {
    name: &'static str,
    rows: usize,
    columns: usize,
    layers: Vec<usize>,
    heads: usize,
    maps: Vec<MeasureMaps>,
    /// ‖f(x)‖, `[head, source]` of each layer; there if some map is a product.
    transformed_norms: Vec<Packed>,
    /// Mixing ratios, `[layer, target]`.
    ratios: Vec<Ratio>,
}

#[derive(Debug, Serialize)]
struct MeasureMaps {
    id: String,
    per_head: bool,
    /// `[layer][head]`
    maps: Vec<Vec<Map>>,
}

#[derive(Debug, Serialize)]
struct Map {
    max: f64,
    max_off_diagonal: f64,
    #[serde(flatten)]
    values: Values,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Values {
    Stored(Packed),
    /// Attention weights times ‖f(x)‖.
    Product(()),
    /// The map of the measure before this one, but for its diagonal.
    Diagonal(Packed),
}

#[derive(Debug, Serialize)]
struct Ratio {
    id: String,
    values: Packed,
}

/// Reads all analyses, twice: for their sizes and statistics, and to pack them.
pub(crate) fn build(
    title: Option<&str>,
    sources: &mut [Source],
) -> Result<(Document, Blobs), Error> {
    let parts = common_contents(sources)?;
    let mut statistics: Vec<Statistics> = parts.iter().map(Statistics::new).collect();
    // By text and part; the surveys of a part are by layer and measure.
    let mut surveys = Vec::new();
    for source in sources.iter_mut() {
        for (contents, statistics) in parts.iter().zip(&mut statistics) {
            surveys.push(survey(source, contents, statistics)?);
        }
    }
    let all: Vec<&Surveyed> = surveys.iter().flatten().flatten().collect();
    let allowed = allowed_bytes(&all);
    let (mut texts, mut blobs) = Default::default();
    for digits in Digits::fitting(&all, allowed) {
        (texts, blobs) = pack_all(sources, &parts, &surveys, digits)?;
        if blobs.bytes() as f64 <= allowed {
            break;
        }
    }
    let title = match (title, &texts[..]) {
        (Some(title), _) => title.to_owned(),
        (None, [only]) => only.name.clone(),
        (None, _) => format!("{} texts", texts.len()),
    };
    let document = Document {
        title,
        version: env!("CARGO_PKG_VERSION"),
        texts,
        statistics: statistics.iter().map(Statistics::tables).collect(),
    };
    Ok((document, blobs))
}

/// The texts with their maps packed; `surveys` has an entry for each part of each text.
fn pack_all(
    sources: &mut [Source],
    parts: &[Contents],
    surveys: &[Vec<Vec<Surveyed>>],
    digits: Digits,
) -> Result<(Vec<Text>, Blobs), Error> {
    let mut blobs = Blobs::default();
    let mut texts = Vec::new();
    for (source, surveys) in sources.iter_mut().zip(surveys.chunks(parts.len())) {
        let parts = parts
            .iter()
            .zip(surveys)
            .map(|(contents, surveys)| pack(source, contents, surveys, digits, &mut blobs))
            .collect::<Result<Vec<_>, Error>>()?;
        texts.push(text(source, parts));
    }
    Ok((texts, blobs))
}

/// Statistics need the same layers, heads and arrays in every text, and one model.
fn common_contents(sources: &[Source]) -> Result<Vec<Contents>, Error> {
    let Some((first, others)) = sources.split_first() else {
        return Err(Error::NoAnalysis);
    };
    let contents = Contents::of(first);
    if contents.is_empty() {
        return Err(Error::NothingToShow {
            name: first.name.clone(),
        });
    }
    for other in others {
        let weights = |source: &Source| source.metadata().get("weights_sha256").cloned();
        let what = if weights(other) != weights(first) {
            "weights"
        } else if Contents::of(other) != contents {
            "layers, scopes or quantities"
        } else {
            continue;
        };
        return Err(Error::Unlike {
            name: other.name.clone(),
            first: first.name.clone(),
            what,
        });
    }
    Ok(contents)
}

fn survey(
    source: &mut Source,
    contents: &Contents,
    statistics: &mut Statistics,
) -> Result<Vec<Vec<Surveyed>>, Error> {
    let part = contents.part;
    let targets = source.tokens(part.stack).to_vec();
    let sources = source.tokens(part.sources()).to_vec();
    let mut surveyed = Vec::new();
    for (index, &layer) in contents.layers.iter().enumerate() {
        let maps = read_layer(source, contents, layer)?;
        let transformed_norms = match contents.has_factors {
            true => read(source, part, part.transformed_norms(), layer)?,
            false => Vec::new(),
        };
        let ratios = contents
            .ratios
            .iter()
            .map(|&ratio| read(source, part, ratio, layer))
            .collect::<Result<Vec<_>, Error>>()?;
        let of_layer = LayerOfText {
            layer: index,
            targets: &targets,
            sources: &sources,
            maps: &maps,
            transformed_norms: &transformed_norms,
            ratios: &ratios,
        };
        let pushed = statistics.push(&of_layer);
        pushed.map_err(|error| Error::Metrics {
            name: source.name.clone(),
            source: error,
        })?;
        let survey = maps.iter().map(|maps| maps.survey(contents, sources.len()));
        surveyed.push(survey.collect());
    }
    Ok(surveyed)
}

fn text(source: &Source, parts: Vec<PartOfText>) -> Text {
    let entry = |name: &str| source.metadata().get(name).cloned().unwrap_or_default();
    let stacks = match source.is_translation() {
        true => &[Stack::Encoder, Stack::Decoder][..],
        false => &[Stack::Only],
    };
    let tokens = stacks.iter().map(|&stack| source.readable_tokens(stack));
    Text {
        name: source.name.clone(),
        model: model_name(entry("model")),
        architecture: entry("architecture"),
        device: entry("device"),
        dtype: entry("dtype"),
        tokens: tokens.collect(),
        parts,
    }
}

/// A directory is named without the place it lies in: a page is made to be passed on.
fn model_name(model: String) -> String {
    let path = Path::new(&model);
    match path.file_name() {
        Some(name) if path.is_absolute() => name.to_string_lossy().into_owned(),
        _ => model,
    }
}

fn pack(
    source: &mut Source,
    contents: &Contents,
    surveys: &[Vec<Surveyed>],
    digits: Digits,
    blobs: &mut Blobs,
) -> Result<PartOfText, Error> {
    let part = contents.part;
    let columns = source.tokens(part.sources()).len();
    let mut maps: Vec<MeasureMaps> = contents
        .measures
        .iter()
        .map(|&measure| MeasureMaps {
            id: array_name(part.array(measure)),
            per_head: measure.has_heads(),
            maps: Vec::new(),
        })
        .collect();
    let mut transformed_norms = Vec::new();
    let ratios = contents
        .ratios
        .iter()
        .map(|&ratio| {
            let mut values = Vec::new();
            for &layer in &contents.layers {
                values.extend(read(source, part, ratio, layer)?);
            }
            Ok(Ratio {
                id: array_name(ratio),
                values: blobs.pack_finely(&values),
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    for (&layer, surveys) in contents.layers.iter().zip(surveys) {
        let layer_maps = read_layer(source, contents, layer)?;
        for ((maps, surveyed), measure) in layer_maps.iter().zip(surveys).zip(&mut maps) {
            let size = maps.values.len() / surveyed.maps.len();
            let of_heads = maps.values.chunks(size).zip(&surveyed.maps);
            let packed = of_heads.map(|(values, survey)| {
                let digits = digits.of(surveyed.measure);
                map(surveyed.form, values, survey, digits, columns, blobs)
            });
            measure.maps.push(packed.collect());
        }
        if contents.has_factors {
            let norms = read(source, part, part.transformed_norms(), layer)?;
            transformed_norms.push(blobs.pack_finely(&norms));
        }
    }
    Ok(PartOfText {
        name: part.name(),
        // The encoder's tokens are the first list, a decoder's the second.
        rows: usize::from(part.stack == Stack::Decoder),
        columns: usize::from(part.sources() == Stack::Decoder),
        layers: contents.layers.clone(),
        heads: contents.heads,
        maps,
        transformed_norms,
        ratios,
    })
}

fn map(
    form: Form,
    values: &[f64],
    survey: &Survey,
    digits: i32,
    columns: usize,
    blobs: &mut Blobs,
) -> Map {
    Map {
        max: survey.max,
        max_off_diagonal: survey.max_off_diagonal,
        values: match form {
            Form::Stored => Values::Stored(blobs.pack(values, survey.decimals(digits))),
            Form::Product => Values::Product(()),
            Form::LikeBefore => {
                let diagonal: Vec<f64> = values.iter().copied().step_by(columns + 1).collect();
                Values::Diagonal(blobs.pack_finely(&diagonal))
            }
        },
    }
}
