//! A mixture of experts: a router sends each token to a few feed-forward blocks.

use std::sync::Arc;

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};
use headwater_checkpoint::wiring::{FeedForwardSpec, GatedSpec, RouterSpec, RouterWeights};

use crate::capture::{Activations, Captures, LayerCapture};
use crate::reader::ParameterReader;
use crate::{Error, FeedForward, Linear};

/// Σ_e w_e(x) · expert_e(x) over the experts that a router chose for a token.
#[derive(Debug, Clone)]
pub struct Experts {
    /// `[experts, d_model]`: the logits of the router.
    pub router: Linear,
    /// How logits become weights.
    pub weights: RouterWeights,
    /// How many experts a token is sent to.
    pub used: usize,
    /// The experts, all with a gate.
    pub experts: Vec<FeedForward>,
}

/// Which tokens of a batch were sent to each expert, with which weights.
///
/// The choice is read back to the host: the one result of a layer that is.
#[derive(Debug, Clone, PartialEq)]
pub struct Routing {
    /// For each expert the tokens, counted through the batch in rising order,
    /// and their weights.
    pub by_expert: Vec<Vec<(usize, f64)>>,
}

impl Experts {
    /// The router's choice for every token.
    ///
    /// # Shapes
    /// `x`: `[batch, token, d_model]`.
    pub fn route(&self, x: &Tensor<3>) -> Routing {
        let logits: Vec<f64> = (self.router.forward(x.clone()).into_data())
            .iter::<f64>()
            .collect();
        let experts = self.experts.len();
        let mut by_expert = vec![Vec::new(); experts];
        for (token, logits) in logits.chunks_exact(experts).enumerate() {
            for (expert, weight) in choice(logits, self.used, self.weights) {
                by_expert[expert].push((token, weight));
            }
        }
        Routing { by_expert }
    }

    /// # Shapes
    /// `[batch, token, d_model]` to the same; 6·used·batch·token·d_model·d_ff FLOPs.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        captures: &Captures,
        capture: &mut LayerCapture,
    ) -> Tensor<3> {
        let routing = Arc::new(self.route(&x));
        if capture.keeps(captures, Activations::PreActivation) {
            capture.keep_routing(Arc::clone(&routing));
        }
        let mut sum = x.zeros_like();
        for (number, expert) in self.experts.iter().enumerate() {
            let Some(rows) = routing.rows(number, &x) else {
                continue;
            };
            let y = expert.apply(rows.pick(&x)) * rows.weights.clone();
            sum = rows.add(sum, y);
        }
        sum
    }

    pub(crate) fn load(
        reader: &ParameterReader<'_>,
        name: &str,
        [experts, used]: [usize; 2],
        router: RouterSpec,
        expert: GatedSpec,
    ) -> Result<Self, Error> {
        let spec = FeedForwardSpec::Gated(expert);
        Ok(Self {
            router: reader.linear(&format!("{name}.router"), router.bias)?,
            weights: router.weights,
            used,
            experts: (0..experts)
                .map(|e| FeedForward::load(reader, &format!("{name}.experts.{e}"), &spec))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// The largest logits, the first of equal ones, and the weights of their experts.
fn choice(logits: &[f64], used: usize, weights: RouterWeights) -> Vec<(usize, f64)> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let largest = logits[order[0]];
    let exponential = |expert: usize| (logits[expert] - largest).exp();
    let chosen = &order[..used.min(logits.len())];
    let sum: f64 = match weights {
        RouterWeights::SoftmaxThenTop => order.iter().copied().map(exponential).sum(),
        // The softmax of the chosen logits is that of all, divided by its sum.
        RouterWeights::SoftmaxThenTopToOne | RouterWeights::TopThenSoftmax => {
            chosen.iter().copied().map(exponential).sum()
        }
    };
    let weighted = chosen.iter().map(|&e| (e, exponential(e) / sum));
    weighted.collect()
}

/// The rows of a batch that one expert has, and their weights.
#[derive(Debug, Clone)]
pub struct ExpertRows {
    /// Counted through the batch, in rising order.
    pub rows: Vec<usize>,
    index: Tensor<1, Int>,
    /// `[1, row, 1]`.
    pub weights: Tensor<3>,
}

impl Routing {
    /// What an expert has of a batch, on the device and in the precision of `like`;
    /// nothing if no token was sent to it.
    pub fn rows(&self, expert: usize, like: &Tensor<3>) -> Option<ExpertRows> {
        let chosen = &self.by_expert[expert];
        if chosen.is_empty() {
            return None;
        }
        let weights: Vec<f64> = chosen.iter().map(|&(_, weight)| weight).collect();
        let weights = TensorData::new(weights, [1, chosen.len(), 1]);
        let rows: Vec<usize> = chosen.iter().map(|&(row, _)| row).collect();
        Some(ExpertRows {
            index: index_of(&rows, like),
            weights: Tensor::from_data(weights, (&like.device(), like.dtype())),
            rows,
        })
    }
}

impl ExpertRows {
    /// Those rows of all tokens.
    ///
    /// # Shapes
    /// `[batch, token, width]` to `[1, row, width]`.
    pub fn pick(&self, x: &Tensor<3>) -> Tensor<3> {
        let [batch, token, width] = x.dims();
        let all: Tensor<3> = x.clone().reshape([1, batch * token, width]);
        all.select(1, self.index.clone())
    }

    /// Adds rows to their places among all tokens.
    ///
    /// # Shapes
    /// `sum`: `[batch, token, width]`, as the result; `rows`: `[1, row, width]`.
    pub fn add(&self, sum: Tensor<3>, rows: Tensor<3>) -> Tensor<3> {
        let shape @ [batch, token, width] = sum.dims();
        let all: Tensor<3> = sum.reshape([1, batch * token, width]);
        all.select_assign(1, self.index.clone(), rows, IndexingUpdateOp::Add)
            .reshape(shape)
    }
}

/// Row numbers as a tensor.
pub fn index_of(rows: &[usize], like: &Tensor<3>) -> Tensor<1, Int> {
    let numbers: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    Tensor::from_data(TensorData::new(numbers, [rows.len()]), &like.device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_logits_are_chosen_and_weighted() {
        let logits = [0.0, 2.0_f64.ln(), 0.0, 5.0_f64.ln()];
        let of = |weights| choice(&logits, 2, weights);
        let close = |found: Vec<(usize, f64)>, expected: [(usize, f64); 2]| {
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.0, expected.0);
                assert!((found.1 - expected.1).abs() < 1e-15, "{found:?}");
            }
        };
        close(
            of(RouterWeights::SoftmaxThenTop),
            [(3, 5.0 / 9.0), (1, 2.0 / 9.0)],
        );
        close(
            of(RouterWeights::SoftmaxThenTopToOne),
            [(3, 5.0 / 7.0), (1, 2.0 / 7.0)],
        );
        close(
            of(RouterWeights::TopThenSoftmax),
            [(3, 5.0 / 7.0), (1, 2.0 / 7.0)],
        );
    }

    #[test]
    fn equal_logits_go_to_the_first_experts() {
        let chosen = choice(&[1.0; 4], 2, RouterWeights::TopThenSoftmax);
        assert_eq!(chosen, [(0, 0.5), (1, 0.5)]);
    }
}
