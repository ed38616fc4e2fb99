//! How high each method ranks the token that decides a masked one.

use std::collections::BTreeMap;

use headwater::metrics::{DecidingRanks, OwnEntry, Summary, deciding_rank};
use headwater::{Analysis, Scope};
use ndarray::{Array2, Axis};

use super::corpus::Probe;
use super::table::{Row, Table};

/// The contribution maps that are compared.
#[derive(Clone, Copy)]
enum Method {
    AttentionWeights,
    WeightedNorms,
    Norms(Scope),
}

const METHODS: [(Method, &str); 5] = [
    (Method::AttentionWeights, "α, mean of heads"),
    (Method::WeightedNorms, "‖αf(x)‖, mean of heads"),
    (Method::Norms(Scope::Attn), "‖y‖ `attn`"),
    (Method::Norms(Scope::AttnRes), "‖y‖ `attn_res`"),
    (Method::Norms(Scope::Atb), "‖y‖ `atb`"),
];

/// The ranks of the deciding tokens over the probes so far.
pub(crate) struct Deciding {
    layers: usize,
    /// By name; without one, all probes together.
    kinds: BTreeMap<Option<String>, Kind>,
}

struct Kind {
    /// `[layer][method]`
    ranks: Vec<[DecidingRanks; METHODS.len()]>,
    chance_reciprocal: Summary,
    chance_normalised: Summary,
}

impl Deciding {
    pub(crate) fn new(layers: usize) -> Self {
        Self {
            layers,
            kinds: BTreeMap::new(),
        }
    }

    /// Adds a text with a probe: its attention weights, transformed norms and
    /// norms at every scope.
    pub(crate) fn push(&mut self, analysis: &Analysis, probe: &Probe) -> anyhow::Result<()> {
        let mut ranks = Vec::with_capacity(self.layers);
        for layer in 0..self.layers {
            let rank = |(method, _): (Method, _)| {
                let map = method.map(analysis, layer);
                let row = map.row(probe.masked);
                deciding_rank(row, probe.masked, &probe.deciding, OwnEntry::Excluded)
            };
            ranks.push(
                METHODS
                    .into_iter()
                    .map(rank)
                    .collect::<Result<Vec<_>, _>>()?,
            );
        }
        let (reciprocal, normalised) = chance(analysis.input.len() - 1, probe.deciding.len());
        for name in [None, Some(probe.kind.clone())] {
            let kind = self
                .kinds
                .entry(name)
                .or_insert_with(|| Kind::new(self.layers));
            kind.chance_reciprocal.push(reciprocal)?;
            kind.chance_normalised.push(normalised)?;
            for (means, ranks) in kind.ranks.iter_mut().zip(&ranks) {
                means
                    .iter_mut()
                    .zip(ranks)
                    .for_each(|(mean, rank)| mean.push(rank));
            }
        }
        Ok(())
    }

    /// Two tables a kind of probe; none if there was no probe.
    pub(crate) fn tables(&self) -> Vec<Table> {
        // All probes of one kind are that kind.
        let skipped = usize::from(self.kinds.len() == 2);
        let kinds = self.kinds.iter().skip(skipped);
        kinds
            .flat_map(|(name, kind)| kind.tables(name.as_deref().unwrap_or("all")))
            .collect()
    }
}

impl Kind {
    fn new(layers: usize) -> Self {
        Self {
            ranks: vec![[DecidingRanks::new(); METHODS.len()]; layers],
            chance_reciprocal: Summary::new(),
            chance_normalised: Summary::new(),
        }
    }

    fn tables(&self, name: &str) -> [Table; 2] {
        let count = self.chance_reciprocal.count();
        let table = |id, what: &str, note, chance: Option<f64>, pick: fn(&DecidingRanks) -> _| {
            Table {
                id: format!("{id}.{name}"),
                title: format!("Deciding token, {name} probes ({count}): {what}"),
                note: format!(
                    "Among the other tokens as sources of the masked one; of several deciding tokens \
                 the highest counts. {note}"
                ),
                rows_are: "layer",
                columns: METHODS.map(|(_, name)| name.to_owned()).to_vec(),
                decimals: 2,
                rows: {
                    let layers = self.ranks.iter().enumerate();
                    let mut rows: Vec<Row> = layers
                        .map(|(layer, ranks)| {
                            Row::new((layer + 1).to_string(), ranks.iter().map(pick).collect())
                        })
                        .collect();
                    rows.push(Row::new("chance", vec![chance; METHODS.len()]));
                    rows
                },
                absent: None,
            }
        };
        [
            table(
                "deciding_reciprocal_rank",
                "mean reciprocal rank",
                "1: always the highest.",
                self.chance_reciprocal.mean(),
                DecidingRanks::mean_reciprocal_rank,
            ),
            table(
                "deciding_normalised_rank",
                "mean normalised rank",
                "0: always the highest; 1: always the lowest.",
                self.chance_normalised.mean(),
                DecidingRanks::mean_normalised_rank,
            ),
        ]
    }
}

impl Method {
    /// [target, source]
    fn map(self, analysis: &Analysis, layer: usize) -> Array2<f64> {
        let weights = || analysis.attention_weights(layer).expect("asked for");
        let map = match self {
            Self::AttentionWeights => weights().mean_axis(Axis(0)),
            Self::WeightedNorms => {
                let norms = analysis.transformed_norms(layer).expect("asked for");
                (weights() * norms.insert_axis(Axis(1))).mean_axis(Axis(0))
            }
            Self::Norms(scope) => analysis.norms(layer, scope),
        };
        map.expect("asked for, and there is a head")
    }
}

/// The expected reciprocal and normalised rank of the best of `deciding`
/// tokens among `candidates` in random order.
///
/// The best has rank r if the others lie among the candidates − r behind it:
/// P(r) = C(candidates − r, deciding − 1) / C(candidates, deciding); its mean
/// rank is (candidates + 1)/(deciding + 1).
fn chance(candidates: usize, deciding: usize) -> (f64, f64) {
    let (n, m) = (candidates as f64, deciding as f64);
    let mut probability = m / n;
    let mut reciprocal = 0.0;
    for rank in 1..=candidates + 1 - deciding {
        let r = rank as f64;
        reciprocal += probability / r;
        // C(n − r − 1, m − 1) / C(n − r, m − 1)
        probability *= (n - r - m + 1.0) / (n - r).max(1.0);
    }
    let mean = (n + 1.0) / (m + 1.0);
    (reciprocal, (mean - 1.0) / (n - 1.0).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_by_hand() {
        // One of four: (1 + 1/2 + 1/3 + 1/4)/4, and the middle.
        let (reciprocal, normalised) = chance(4, 1);
        assert!((reciprocal - 25.0 / 48.0).abs() < 1e-15);
        assert_eq!(normalised, 0.5);
        // Two of three: best first in 2 of 3 orders, else second.
        let (reciprocal, normalised) = chance(3, 2);
        assert!((reciprocal - (2.0 / 3.0 + 1.0 / 6.0)).abs() < 1e-15);
        assert!((normalised - (4.0 / 3.0 - 1.0) / 2.0).abs() < 1e-15);
        // All candidates decide: the best is first.
        assert_eq!(chance(3, 3), (1.0, 0.0));
        assert_eq!(chance(1, 1), (1.0, 0.0));
    }
}
