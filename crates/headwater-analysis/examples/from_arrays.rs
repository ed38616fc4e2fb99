//! An analysis file of numbers that another program computed: `headwater plot` and
//! `headwater report` open it as they open their own.
//!
//!     cargo run --example from_arrays -- rollout.safetensors

#![allow(clippy::print_stdout)]

use headwater_analysis::{Analysis, Array, Error, LayerArray, Scope, Store, TokenizedInput};

fn main() -> Result<(), Error> {
    let path = std::env::args_os()
        .nth(1)
        .unwrap_or_else(|| std::env::temp_dir().join("from_arrays.safetensors").into());
    let tokens = ["the", "girl", "is", "clever"].map(str::to_owned);
    let input = TokenizedInput::new(vec![0, 1, 2, 3], tokens.to_vec())?;

    let mut builder = Analysis::builder(input).metadata("model", "numbers made up here");
    for layer in 0..2 {
        // [head, target, source]: what a target looks at.
        let uniform = vec![0.25; 2 * 4 * 4];
        let weights = Array::from_f32(vec![2, 4, 4], uniform);
        // [target, source]: how much it gets.
        let norms = (0..16).map(|entry| 1.0 + f64::from(entry % 5)).collect();
        let norms = Array::from_f64(vec![4, 4], norms);
        builder = builder
            .array(LayerArray::AttentionWeights.at(layer), weights)?
            .array(LayerArray::Norms(Scope::Atb).at(layer), norms)?;
    }
    // A map of three sources would not be let in.
    let narrow = Array::from_f64(vec![4, 3], vec![1.0; 12]);
    let refused = builder.insert(LayerArray::Norms(Scope::Attn).at(0), narrow);
    println!("{}", refused.expect_err("three sources for four tokens"));

    builder.build().save(&path, Store::F32)?;
    let analysis = Analysis::open(&path)?;
    println!(
        "{} arrays of {:?}",
        analysis.arrays().count(),
        analysis.tokens()
    );
    Ok(())
}
