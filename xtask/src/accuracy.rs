//! `cargo xtask accuracy`: how far from another implementation's float64.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Context;
use clap::Args;
use headwater::transformer::{Captures, TokenSequence};
use headwater::{
    Analysis, Analyzer, ArrayKey, DeviceName, LayerArray, LoadOptions, Precision, Request,
    TokenizedInput,
};
use headwater_fixtures::{Case, DECODERS, Deviation, ENCODERS, Expected, cases, golden};

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

/// The columns: what is compared, by the start of its key in the file.
const QUANTITIES: [&str; 8] = [
    "attention_weights",
    "transformed_norms",
    "weighted_norms",
    "norms",
    "preserving_norms",
    "mixing_norms",
    "mixing_ratio",
    "bias_norms",
];

/// What [`Options::check`] holds the errors to.
struct Bounds {
    /// Relative error of every entry of every quantity.
    entrywise: f64,
    /// Absolute error of the last hidden state.
    last_hidden_state: f64,
    reconstruction: f64,
}

impl Bounds {
    fn of(precision: Precision) -> Self {
        match precision {
            Precision::F64 => Self {
                entrywise: 1e-10,
                last_hidden_state: 1e-12,
                reconstruction: 1e-12,
            },
            Precision::F32 => Self {
                entrywise: 1e-4,
                last_hidden_state: 1e-5,
                reconstruction: 1e-5,
            },
        }
    }
}

/// One model in one precision.
struct Measured {
    model: String,
    precision: Precision,
    quantities: BTreeMap<&'static str, Deviation>,
    last_hidden_state: Deviation,
    reconstruction: f64,
}

/// Compares every golden fixture, in both precisions where the device has them.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for model in ENCODERS.into_iter().chain(DECODERS).chain(["minilm"]) {
        let directory = match model {
            "minilm" => minilm::directory()?,
            family => golden(family),
        };
        let location = directory.display().to_string();
        for precision in [Precision::F64, Precision::F32] {
            if !options.device.supports(precision) {
                continue;
            }
            let load = LoadOptions {
                device: options.device,
                precision,
                ..LoadOptions::default()
            };
            let analyzer = Analyzer::load(&location, &load)?;
            let measured = measure(model, &analyzer).with_context(|| model.to_owned())?;
            rows.push(Measured {
                precision,
                ..measured
            });
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
    let mut measured = Measured {
        model: model.to_owned(),
        precision: analyzer.model().precision(),
        quantities: BTreeMap::new(),
        last_hidden_state: Deviation::default(),
        reconstruction: 0.0,
    };
    for batch in batches(cases(model)) {
        let inputs: Vec<_> = batch.iter().map(|(_, case)| tokenized(case)).collect();
        let analyses = analyzer.analyze_tokenized(&inputs, &Request::default())?;
        let hidden = last_hidden_states(analyzer, &batch)?;
        for (((name, _), analysis), hidden) in batch.iter().zip(&analyses).zip(hidden) {
            let expected = expected.case(name);
            measured.compare(analysis, &expected)?;
            let (_, values) = expected["last_hidden_state"];
            let deviation = Deviation::between(hidden, values);
            measured.last_hidden_state = measured.last_hidden_state.max(deviation);
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
    TokenizedInput {
        input_ids: case.input_ids.clone(),
        token_type_ids: case.token_type_ids.clone(),
        tokens: case.input_ids.iter().map(u32::to_string).collect(),
    }
}

impl Measured {
    /// Everything beyond its bound, in words.
    fn excesses(&self) -> Vec<String> {
        let bounds = Bounds::of(self.precision);
        let quantities = self.quantities.iter();
        quantities
            .map(|(quantity, deviation)| (*quantity, deviation.entrywise, bounds.entrywise))
            .chain([
                (
                    "last hidden state",
                    self.last_hidden_state.absolute,
                    bounds.last_hidden_state,
                ),
                (
                    "reconstruction error",
                    self.reconstruction,
                    bounds.reconstruction,
                ),
            ])
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
        analysis: &Analysis,
        all: &BTreeMap<&str, (&[usize], &[f64])>,
    ) -> anyhow::Result<()> {
        for (key, array) in analysis.arrays() {
            let name = key.to_string();
            let expected = all.get(name.as_str());
            if let ArrayKey::Layer {
                array: LayerArray::ReconstructionError(_),
                ..
            } = key
            {
                self.reconstruction = array.iter().fold(self.reconstruction, f64::max);
                continue;
            }
            let (shape, values) = expected.with_context(|| format!("the fixture has no {name}"))?;
            anyhow::ensure!(*shape == array.shape(), "{name} has another shape");
            let deviation = Deviation::between(array.iter(), values);
            // "layers.{l}.{quantity}" and perhaps ".{scope}".
            let quantity = name.split('.').nth(2).unwrap_or(&name);
            let quantity = QUANTITIES.into_iter().find(|known| *known == quantity);
            let quantity = quantity.with_context(|| format!("{name} has no column"))?;
            let worst = self.quantities.entry(quantity).or_default();
            *worst = worst.max(deviation);
        }
        Ok(())
    }
}

fn markdown(device: DeviceName, rows: &[Measured]) -> String {
    let mut text = format!(
        "# Accuracy\n\n\
         Made by `cargo xtask accuracy --write`; do not edit. Device: {device}.\n\n\
         Against `fixtures/golden`: transformers' own activations, taken apart by a float64 \
         program that materialises every part. All scopes of all layers of all cases, padded \
         batches included; the models but minilm (all-MiniLM-L6-v2) are small and random.\n"
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
             Largest absolute error of the last hidden state, and largest \
             `reconstruction_error`.\n\n\
             | model | dtype | last hidden state | reconstruction error |\n|---|---|---:|---:|\n";
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {:.1e} | {:.1e} |",
            row.model, row.precision, row.last_hidden_state.absolute, row.reconstruction
        );
    }
    text
}

fn table(text: &mut String, title: &str, rows: &[Measured], pick: fn(&Deviation) -> f64) {
    let _ = write!(
        text,
        "\n## {}\n\n| model | dtype |",
        title.replace('|', "\\|")
    );
    for quantity in QUANTITIES {
        let _ = write!(text, " {quantity} |");
    }
    let _ = writeln!(text, "\n|---|---|{}", "---:|".repeat(QUANTITIES.len()));
    for row in rows {
        let _ = write!(text, "| {} | {} |", row.model, row.precision);
        for quantity in QUANTITIES {
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
        let analyzer = Analyzer::from_pretrained(&golden("bert").display().to_string()).unwrap();
        let measured = measure("bert", &analyzer).unwrap();
        assert_eq!(measured.quantities.len(), QUANTITIES.len());
        assert!(measured.reconstruction > 0.0 && measured.reconstruction < 1e-5);

        let case = &cases("bert")["short"];
        let analyses = analyzer.analyze_tokenized(&[tokenized(case)], &Request::default());
        let expected = Expected::of("bert");
        let mut expected = expected.case("short");
        let twice: Vec<f64> = expected["layers.1.norms.atb"]
            .1
            .iter()
            .map(|v| 2.0 * v)
            .collect();
        expected.get_mut("layers.1.norms.atb").unwrap().1 = &twice;
        let mut wrong = Measured {
            quantities: BTreeMap::new(),
            ..measured
        };
        wrong.compare(&analyses.unwrap()[0], &expected).unwrap();
        assert!((wrong.quantities["norms"].entrywise - 0.5).abs() < 1e-4);
        assert!(wrong.quantities["bias_norms"].entrywise < 1e-3);
    }
}
