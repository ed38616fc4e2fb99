use burn::tensor::{Int, Tensor, TensorData};
use headwater_checkpoint::Architecture;
use headwater_checkpoint::wiring::{Positions, Projection, Sinusoids};

use crate::reader::ParameterReader;
use crate::{Error, Linear, Norm, TokenBatch, dtype};

/// Token, position and type embeddings, with their layer norm.
#[derive(Debug, Clone)]
pub struct Embeddings {
    word: Tensor<2>,
    /// What word embeddings are multiplied by.
    scale: f64,
    position: Option<Tensor<2>>,
    token_type: Option<Tensor<2>>,
    norm: Option<Norm>,
    projection: Option<Linear>,
    /// What goes through the projection.
    projected: Projection,
}

impl Embeddings {
    pub(crate) fn load(
        reader: &ParameterReader<'_>,
        architecture: &Architecture,
        word: Tensor<2>,
    ) -> Result<Self, Error> {
        const POSITION: &str = "embeddings.position.weight";
        let spec = architecture.embeddings();
        let position = match spec.positions {
            Positions::None => None,
            Positions::Sinusoidal {
                limit,
                first,
                frequencies,
            } if !reader.has(POSITION) => Some(Tensor::from_data(
                sinusoids(limit.saturating_add(first), spec.width, frequencies),
                (reader.device, dtype(reader.precision)),
            )),
            Positions::Learned { .. } | Positions::Sinusoidal { .. } => {
                Some(reader.tensor(POSITION)?)
            }
        };
        let projects = spec.width != architecture.d_model;
        Ok(Self {
            word,
            scale: spec.scale,
            position,
            token_type: reader.present("embeddings.token_type.weight", spec.token_types > 0)?,
            norm: reader.optional_norm("embeddings.norm", spec.norm)?,
            projection: projects
                .then(|| reader.linear("embeddings.projection", spec.projection_has_bias()))
                .transpose()?,
            projected: spec.projection,
        })
    }

    pub(crate) fn forward(&self, batch: &TokenBatch) -> Tensor<3> {
        let mut word = rows(&self.word, &batch.input_ids);
        if self.scale != 1.0 {
            word = word * self.scale;
        }
        let project = |x: Tensor<3>, what| match &self.projection {
            Some(projection) if self.projected == what => projection.forward(x),
            _ => x,
        };
        let word = project(word, Projection::OfWords);
        let mut x = match &self.position {
            Some(table) => word + rows(table, &batch.position_ids),
            None => word,
        };
        if let Some(table) = &self.token_type {
            x = x + rows(table, &batch.token_type_ids);
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(x).0;
        }
        project(x, Projection::OfSum)
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
fn sinusoids(positions: usize, width: usize, frequencies: Sinusoids) -> TensorData {
    let sines = width.div_ceil(2);
    let exponent = |k: usize| match frequencies {
        Sinusoids::ByWidth => 2.0 * k as f64 / width as f64,
        Sinusoids::ByHalf => k as f64 / (sines as f64 - 1.0),
    };
    let values: Vec<f32> = (0..positions)
        .flat_map(|position| {
            (0..width).map(move |column| {
                let (k, function): (usize, fn(f64) -> f64) = if column < sines {
                    (column, f64::sin)
                } else {
                    (column - sines, f64::cos)
                };
                let wavelength = 10_000_f64.powf(exponent(k));
                function(position as f64 / wavelength) as f32
            })
        })
        .collect();
    TensorData::new(values, [positions, width])
}
