//! `cargo xtask accuracy`: how far from another implementation's float64.

mod translation;

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Context;
use clap::Args;
use headwater::transformer::{Captures, TokenSequence};
use headwater::{
    Analyzer, Array, ArrayKey, DeviceName, LayerArray, LoadOptions, Precision, Quantity, Request,
    Scope, TokenizedInput, Translator,
};
use headwater_fixtures::{
    Case, DECODERS, Deviation, ENCODER_DECODERS, ENCODERS, Expected, cases, golden,
};

use crate::minilm;
use crate::reproduce::write_file;

/// Where to compute, and where the table goes.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to compute
    #[arg(long, value_name = "NAME", default_value_t = DeviceName::ENABLED[0])]
    device: DeviceName,

    /// Write docs/ACCURACY.md in place of printing
    #[arg(long)]
    write: bool,

    /// Fail where an error is beyond its bound
    #[arg(long)]
    check: bool,
}

/// The columns: every array that is compared, those of cross-attention with the
/// others of their name.
fn columns() -> Vec<&'static str> {
    let arrays = LayerArray::all(&[Scope::Attn]).into_iter();
    let compared = arrays.filter(|array| array.quantity() != Quantity::ReconstructionError);
    let mut columns: Vec<&str> = Vec::new();
    for array in compared {
        let column = column(array);
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

fn column(array: LayerArray) -> &'static str {
    array.name().trim_start_matches("cross_")
}

/// What [`Options::check`] holds the errors to.
struct Bounds {
    /// Relative error of every entry of every quantity.
    entrywise: f64,
    /// Absolute error of the last hidden state.
    last_hidden_state: f64,
    /// Absolute error of the logits.
    logits: f64,
    reconstruction: f64,
}

impl Bounds {
    fn of(precision: Precision) -> Self {
        match precision {
            Precision::F64 => Self {
                entrywise: 1e-10,
                last_hidden_state: 1e-12,
                logits: 1e-11,
                reconstruction: 1e-12,
            },
            Precision::F32 => Self {
                entrywise: 1e-4,
                last_hidden_state: 1e-5,
                logits: 1e-4,
                reconstruction: 1e-5,
            },
        }
    }
}

/// One model, or a part of one, in one precision.
struct Measured {
    model: String,
    precision: Precision,
    quantities: BTreeMap<&'static str, Deviation>,
    last_hidden_state: Option<Deviation>,
    logits: Option<Deviation>,
    reconstruction: f64,
}

/// Compares every golden fixture, in both precisions where the device has them.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let models = ENCODERS.into_iter().chain(DECODERS).chain(["minilm"]);
    for model in models.chain(ENCODER_DECODERS) {
        let directory = match model {
            "minilm" => minilm::directory()?,
            family => golden(family),
        };
        let location = directory.display().to_string();
        for precision in [Precision::F64, Precision::F32] {
            if !options.device.supports(precision) {
                continue;
            }
            let load = LoadOptions::new()
                .device(options.device)
                .precision(precision);
            let measured = if ENCODER_DECODERS.contains(&model) {
                translation::measure(model, &Translator::load(&location, &load)?)
            } else {
                measure(model, &Analyzer::load(&location, &load)?).map(|row| vec![row])
            };
            rows.extend(measured.with_context(|| model.to_owned())?);
        }
    }
    let text = markdown(options.device, &rows);
    if options.write {
        let path = crate::repository().join("docs/ACCURACY.md");
        write_file(&path, &text)?;
        println!("{}", path.display());
    } else {
        print!("{text}");
    }
    let excesses: Vec<String> = rows.iter().flat_map(Measured::excesses).collect();
    anyhow::ensure!(
        !options.check || excesses.is_empty(),
        "beyond their bounds: {}",
        excesses.join("; ")
    );
    Ok(())
}

fn measure(model: &str, analyzer: &Analyzer) -> anyhow::Result<Measured> {
    let expected = Expected::of(model);
    let mut measured = Measured::new(model.to_owned(), analyzer.model().precision());
    for batch in batches(cases(model)) {
        let inputs: Vec<_> = batch.iter().map(|(_, case)| tokenized(case)).collect();
        let analyses = analyzer.analyze_tokenized(&inputs, &Request::new())?;
        let hidden = last_hidden_states(analyzer, &batch)?;
        for (((name, _), analysis), hidden) in batch.iter().zip(&analyses).zip(hidden) {
            let expected = expected.case(name);
            for (key, array) in analysis.arrays() {
                measured.compare(key, array, &expected)?;
            }
            let (_, values) = expected["last_hidden_state"];
            measured.saw_last_hidden_state(Deviation::between(hidden, values));
        }
    }
    Ok(measured)
}

/// What the model returns, behind a decoder's final norm, without padding.
fn last_hidden_states(
    analyzer: &Analyzer,
    batch: &[(String, Case)],
) -> anyhow::Result<Vec<Vec<f64>>> {
    let sequences: Vec<_> = batch
        .iter()
        .map(|(_, case)| TokenSequence {
            input_ids: case.input_ids.clone(),
            token_type_ids: case.token_type_ids.clone(),
        })
        .collect();
    let model = analyzer.model();
    let output = model.forward(&model.batch(&sequences)?, &Captures::none());
    let members = sequences.iter().enumerate().map(|(index, sequence)| {
        let member = output
            .last_hidden_state
            .clone()
            .slice([index..index + 1, 0..sequence.input_ids.len()]);
        member.into_data().iter::<f64>().collect()
    });
    Ok(members.collect())
}

/// Cases named `batch.0`, `batch.1` and so on go together, so that padding is
/// part of what is measured.
fn batches(cases: BTreeMap<String, Case>) -> Vec<Vec<(String, Case)>> {
    let mut batches: BTreeMap<String, Vec<(String, Case)>> = BTreeMap::new();
    for (name, case) in cases {
        let batch = name
            .split_once('.')
            .map_or(name.as_str(), |(batch, _)| batch)
            .to_owned();
        batches.entry(batch).or_default().push((name, case));
    }
    batches.into_values().collect()
}

fn tokenized(case: &Case) -> TokenizedInput {
    let tokens = case.input_ids.iter().map(u32::to_string);
    TokenizedInput::with_token_types(
        case.input_ids.clone(),
        case.token_type_ids.clone(),
        tokens.collect(),
    )
    .expect("a fixture has a token type for every id")
}

impl Measured {
    fn new(model: String, precision: Precision) -> Self {
        Self {
            model,
            precision,
            quantities: BTreeMap::new(),
            last_hidden_state: None,
            logits: None,
            reconstruction: 0.0,
        }
    }

    fn saw_last_hidden_state(&mut self, deviation: Deviation) {
        let worst = self.last_hidden_state.unwrap_or_default();
        self.last_hidden_state = Some(worst.max(deviation));
    }

    /// Everything beyond its bound, in words.
    fn excesses(&self) -> Vec<String> {
        let bounds = Bounds::of(self.precision);
        let quantities = self.quantities.iter();
        let outputs = [
            (
                "last hidden state",
                self.last_hidden_state,
                bounds.last_hidden_state,
            ),
            ("logits", self.logits, bounds.logits),
        ];
        let outputs = outputs
            .into_iter()
            .filter_map(|(what, deviation, bound)| Some((what, deviation?.absolute, bound)));
        quantities
            .map(|(quantity, deviation)| (*quantity, deviation.entrywise, bounds.entrywise))
            .chain(outputs)
            .chain([(
                "reconstruction error",
                self.reconstruction,
                bounds.reconstruction,
            )])
            // Not a number is beyond every bound.
            .filter(|(_, error, bound)| error.is_nan() || error > bound)
            .map(|(what, error, bound)| {
                let (model, precision) = (&self.model, self.precision);
                format!("{model} in {precision}: {what} {error:.1e} > {bound:.0e}")
            })
            .collect()
    }

    fn compare(
        &mut self,
        key: &ArrayKey,
        array: &Array,
        expected: &BTreeMap<&str, (&[usize], &[f64])>,
    ) -> anyhow::Result<()> {
        if let Some(LayerArray::ReconstructionError(_)) = key.array() {
            self.reconstruction = array.iter().fold(self.reconstruction, f64::max);
            return Ok(());
        }
        let name = key.to_string();
        let (shape, values) = expected
            .get(name.as_str())
            .with_context(|| format!("the fixture has no {name}"))?;
        anyhow::ensure!(*shape == array.shape(), "{name} has another shape");
        let deviation = Deviation::between(array.iter(), values);
        let array = key.array().context("an array of a layer")?;
        let quantity = column(array);
        let worst = self.quantities.entry(quantity).or_default();
        *worst = worst.max(deviation);
        Ok(())
    }
}

fn markdown(device: DeviceName, rows: &[Measured]) -> String {
    let mut text = format!(
        "# Accuracy\n\n\
         Made by `cargo xtask accuracy --write`; do not edit. Device: {device}.\n\n\
         Against `fixtures/golden`: transformers' own activations, taken apart by a float64 \
         program that materialises every part. All scopes of all layers of all cases, padded \
         batches included; the models but minilm (all-MiniLM-L6-v2) are small, and random or \
         hardly trained. Of the \
         translation models, all cases are one padded batch; the decoder's row is its \
         self-attention, that of cross-attention all that follows it in a layer, whose sources \
         are the encoder's tokens.\n"
    );
    table(
        &mut text,
        "Largest relative error, entry by entry: max |found − expected| / |expected|",
        rows,
        |deviation| deviation.entrywise,
    );
    table(
        &mut text,
        "Largest error relative to the largest entry of the array",
        rows,
        |deviation| deviation.of_largest,
    );
    text += "\n## The forward pass, and the identity\n\n\
             Largest absolute error of the last hidden state and of the logits, and largest \
             `reconstruction_error`.\n\n\
             | model | dtype | last hidden state | logits | reconstruction error |\n\
             |---|---|---:|---:|---:|\n";
    let absolute = |deviation: Option<Deviation>| match deviation {
        Some(deviation) => format!("{:.1e}", deviation.absolute),
        None => "–".to_owned(),
    };
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.1e} |",
            row.model,
            row.precision,
            absolute(row.last_hidden_state),
            absolute(row.logits),
            row.reconstruction
        );
    }
    text
}

fn table(text: &mut String, title: &str, rows: &[Measured], pick: fn(&Deviation) -> f64) {
    let columns = columns();
    let _ = write!(
        text,
        "\n## {}\n\n| model | dtype |",
        title.replace('|', "\\|")
    );
    for &quantity in &columns {
        let _ = write!(text, " {quantity} |");
    }
    let _ = writeln!(text, "\n|---|---|{}", "---:|".repeat(columns.len()));
    for row in rows {
        let _ = write!(text, "| {} | {} |", row.model, row.precision);
        for quantity in &columns {
            let _ = match row.quantities.get(quantity) {
                Some(deviation) => write!(text, " {:.1e} |", pick(deviation)),
                None => write!(text, " – |"),
            };
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_cases_are_one_batch() {
        let batches = batches(cases("bert"));
        let sizes: BTreeMap<_, _> = batches.iter().map(|b| (b[0].0.as_str(), b.len())).collect();
        let expected = [("pair", 1), ("padded.0", 3), ("short", 1), ("single", 1)];
        assert_eq!(sizes, BTreeMap::from(expected));
    }

    #[test]
    fn a_wrong_number_shows_in_its_column() {
        let analyzer = Analyzer::from_pretrained(golden("bert").display().to_string()).unwrap();
        let measured = measure("bert", &analyzer).unwrap();
        assert_eq!(measured.quantities.len(), columns().len());
        assert!(measured.reconstruction > 0.0 && measured.reconstruction < 1e-5);

        let case = &cases("bert")["short"];
        let analyses = analyzer.analyze_tokenized(&[tokenized(case)], &Request::new());
        let expected = Expected::of("bert");
        let mut expected = expected.case("short");
        let twice: Vec<f64> = expected["layers.1.norms.atb"]
            .1
            .iter()
            .map(|v| 2.0 * v)
            .collect();
        expected.get_mut("layers.1.norms.atb").unwrap().1 = &twice;
        let mut wrong = Measured::new("bert".to_owned(), measured.precision);
        for (key, array) in analyses.unwrap()[0].arrays() {
            wrong.compare(key, array, &expected).unwrap();
        }
        assert!((wrong.quantities["norms"].entrywise - 0.5).abs() < 1e-4);
        assert!(wrong.quantities["bias_norms"].entrywise < 1e-3);
    }
}
