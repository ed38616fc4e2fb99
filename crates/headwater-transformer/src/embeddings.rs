use burn::tensor::{Int, Tensor, TensorData};
use headwater_checkpoint::{Architecture, Positions};

use crate::reader::ParameterReader;
use crate::{Error, LayerNorm, Linear, TokenBatch};

/// Token, position and type embeddings, with their layer norm.
#[derive(Debug, Clone)]
pub struct Embeddings {
    word: Tensor<2>,
    /// What word embeddings are multiplied by.
    scale: f64,
    position: Tensor<2>,
    token_type: Option<Tensor<2>>,
    norm: Option<LayerNorm>,
    projection: Option<Linear>,
}

impl Embeddings {
    pub(crate) fn load(
        reader: &ParameterReader<'_>,
        architecture: &Architecture,
        word: Tensor<2>,
    ) -> Result<Self, Error> {
        const POSITION: &str = "embeddings.position.weight";
        let position = match architecture.positions {
            Positions::Sinusoidal if !reader.has(POSITION) => Tensor::from_data(
                sinusoids(architecture.max_positions, architecture.d_embedding),
                (reader.device, reader.precision.dtype()),
            ),
            _ => reader.tensor(POSITION)?,
        };
        Ok(Self {
            word,
            scale: architecture.embedding_scale,
            position,
            token_type: reader
                .has("embeddings.token_type.weight")
                .then(|| reader.tensor("embeddings.token_type.weight"))
                .transpose()?,
            norm: reader.optional_layer_norm("embeddings.norm", architecture.layer_norm_eps)?,
            projection: reader
                .has("embeddings.projection.weight")
                .then(|| reader.linear("embeddings.projection"))
                .transpose()?,
        })
    }

    pub(crate) fn forward(&self, batch: &TokenBatch) -> Tensor<3> {
        let mut word = rows(&self.word, &batch.input_ids);
        if self.scale != 1.0 {
            word = word * self.scale;
        }
        let mut x = word + rows(&self.position, &batch.position_ids);
        if let Some(table) = &self.token_type {
            x = x + rows(table, &batch.token_type_ids);
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(x).0;
        }
        match &self.projection {
            Some(projection) => projection.forward(x),
            None => x,
        }
    }
}

/// Rows of a table: `[rows, width]` and `[batch, token]` to `[batch, token, width]`.
fn rows(table: &Tensor<2>, ids: &Tensor<2, Int>) -> Tensor<3> {
    let [batch, token] = ids.dims();
    let width = table.dims()[1];
    table
        .clone()
        .select(0, ids.clone().reshape([batch * token]))
        .reshape([batch, token, width])
}

/// `[positions, width]`: sines in the first half of a row, cosines in the second.
///
/// In float32, as the models were trained with, whatever the precision of the rest.
fn sinusoids(positions: usize, width: usize) -> TensorData {
    let sines = width.div_ceil(2);
    let values: Vec<f32> = (0..positions)
        .flat_map(|position| {
            (0..width).map(move |column| {
                let (k, function): (usize, fn(f64) -> f64) = if column < sines {
                    (column, f64::sin)
                } else {
                    (column - sines, f64::cos)
                };
                let wavelength = 10_000_f64.powf(2.0 * k as f64 / width as f64);
                function(position as f64 / wavelength) as f32
            })
        })
        .collect();
    TensorData::new(values, [positions, width])
}
