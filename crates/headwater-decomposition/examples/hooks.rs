//! A layer whose activations another program captured, such as hooks in PyTorch:
//! `Captures::quantities` says which, `LayerCapture::insert` takes them.
//!
//!     cargo run --example hooks

#![allow(clippy::print_stdout)]

use burn::tensor::{Tensor, TensorData};
use headwater_checkpoint::Checkpoint;
use headwater_decomposition::{LayerDecomposition, Scope};
use headwater_transformer::{
    Activations, DeviceName, LayerCapture, Model, Precision, TokenSequence,
};

const LAYER: usize = 1;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/bundled-bert");
    let checkpoint = Checkpoint::open_directory(path)?;
    let model = Model::load(&checkpoint, DeviceName::ENABLED[0], Precision::F32)?;
    let layer = &model.layers()[LAYER];
    let scopes = [Scope::Attn, Scope::Atb];
    let needed = LayerDecomposition::captures(&layer.spec, &scopes)?;

    // In the place of the other program: the same model, and numbers on the host.
    let batch = model.batch(&[TokenSequence::new(vec![2, 40, 41, 42, 3])])?;
    let run = model.forward(&batch, &needed.clone().at_layers(&[LAYER]));
    let theirs = &run.layers[0];

    let mut capture = LayerCapture::new(LAYER);
    for quantity in needed.quantities() {
        println!("needs {quantity}");
        match quantity {
            Activations::AttentionWeights(step) => {
                capture.insert(quantity, moved(theirs.attention_weights(step)?))?;
            }
            Activations::Values(step) => capture.insert(quantity, moved(theirs.values(step)?))?,
            Activations::Input => capture.insert(quantity, moved(theirs.input()?))?,
            Activations::State(step) => capture.insert(quantity, moved(theirs.state(step)?))?,
            Activations::NormScale(step) => {
                capture.insert(quantity, moved(theirs.norm_scale(step)?))?;
            }
            other => return Err(format!("{other} is of no scope of the attention block").into()),
        }
    }

    let decomposition = LayerDecomposition::new(layer, &capture, &scopes)?;
    let expected = LayerDecomposition::new(layer, theirs, &scopes)?;
    for scope in scopes {
        let norms = numbers(decomposition.scope(scope)?.norms());
        assert_eq!(norms, numbers(expected.scope(scope)?.norms()));
        println!(
            "{scope}: the first target takes {:.3} from itself",
            norms[0]
        );
    }
    Ok(())
}

/// Through the host, as numbers of another program come.
fn moved<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let (shape, device) = (tensor.dims(), tensor.device());
    Tensor::from_data(TensorData::new(numbers(tensor), shape), &device)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
