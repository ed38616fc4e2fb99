//! A corpus in batches, array by array, with progress and an end on demand:
//! nothing but the numbers that are kept stays in memory.
//!
//!     cargo run --example corpus

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use headwater::{Analyzer, Error, Input, LayerArray, Quantity, Request, Scope};

const TEXTS: [&str; 3] = [
    "The girl near the sisters is clever.",
    "The keys to the cabinet are on the table.",
    "The boys smile.",
];

fn main() -> Result<(), Error> {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/bundled-bert");
    let layers = AtomicUsize::new(0);
    let analyzer = Analyzer::from_pretrained(model)?.on_layer(move |progress| {
        eprintln!("{} of {} has been run", progress.place, progress.layers);
        // A program breaks here when its user has had enough.
        match layers.fetch_add(1, Ordering::Relaxed) {
            0..100 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    });
    let inputs = TEXTS
        .iter()
        .map(|&text| analyzer.encode(&Input::from(text)))
        .collect::<Result<Vec<_>, Error>>()?;
    let request = Request::new()
        .scopes([Scope::Atb])
        .quantities([Quantity::MixingRatio]);

    let mut means = vec![Vec::new(); inputs.len()];
    analyzer.analyze_each(&inputs, &request, &mut |text, key, array| {
        if key.array() == Some(LayerArray::MixingRatio(Scope::Atb.into())) {
            means[text].push(array.iter().sum::<f64>() / array.len() as f64);
        }
        Ok(())
    })?;
    for (text, means) in TEXTS.iter().zip(means) {
        let means: Vec<String> = means.iter().map(|mean| format!("{mean:.3}")).collect();
        println!("{}  {text}", means.join("  "));
    }
    Ok(())
}
