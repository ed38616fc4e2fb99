//! The micro view of 2023: which pairs of tokens FF amplifies.

use headwater::Analysis;
use headwater::metrics::{
    AmplificationOrder, AmplifiedPair, OwnEntry, PairKind, PairKindShares, PairSelection,
    amplified_pairs,
};

use super::block::Block;
use super::table::{Row, Table};

/// Pairs of a text whose kinds count, and pairs of a layer that are listed.
const PAIRS: usize = 10;

/// The most amplified pairs of the texts so far.
pub(crate) struct Amplified {
    /// Among the most amplified pairs of each text.
    most: PairKindShares,
    /// Among all pairs of each text, the same in every layer.
    all: PairKindShares,
    /// By layer.
    listed: Vec<Vec<Listed>>,
}

struct Listed {
    pair: AmplifiedPair,
    target: String,
    source: String,
    kind: PairKind,
    text: String,
}

impl Amplified {
    pub(crate) fn new(layers: usize) -> Self {
        Self {
            most: PairKindShares::new(layers),
            all: PairKindShares::new(1),
            listed: (0..layers).map(|_| Vec::new()).collect(),
        }
    }

    /// Adds a text: its norms before and behind FF, and the word of each token.
    pub(crate) fn push(
        &mut self,
        id: &str,
        analysis: &Analysis,
        words: &[Option<usize>],
        block: &Block,
    ) -> anyhow::Result<()> {
        let tokens = analysis.tokens();
        for (layer, listed) in self.listed.iter_mut().enumerate() {
            let [before, after] = block
                .around_feed_forward()
                .map(|scope| analysis.norms(layer, scope).expect("asked for"));
            let pairs = |count| {
                let selection = PairSelection {
                    count,
                    order: AmplificationOrder::MostAmplified,
                    region: block.region,
                    own_entry: OwnEntry::Excluded,
                };
                amplified_pairs(before.view(), after.view(), &selection)
            };
            let most = pairs(PAIRS)?;
            self.most.push(layer, &most, tokens, words)?;
            if layer == 0 {
                self.all.push(0, &pairs(usize::MAX)?, tokens, words)?;
            }
            for pair in most {
                listed.push(Listed {
                    pair,
                    target: tokens[pair.target].clone(),
                    source: tokens[pair.source].clone(),
                    kind: PairKind::of(pair.target, pair.source, tokens, words)?,
                    text: id.to_owned(),
                });
            }
            // A stable sort: of equal ones the earlier text comes first.
            listed.sort_by(|a, b| b.pair.amount.total_cmp(&a.pair.amount));
            listed.truncate(PAIRS);
        }
        Ok(())
    }

    pub(crate) fn tables(&self) -> [Table; 2] {
        [self.shares(), self.list()]
    }

    fn shares(&self) -> Table {
        let most = self.most.table();
        let mut rows = Table::layers(&most, 100.0, "all layers");
        let all = self.all.table();
        let all = all.rows().iter();
        rows.extend(all.map(|cells| {
            let cells = cells.iter().map(|cell| cell.map(|share| 100.0 * share));
            Row::new("all pairs, amplified or not", cells.collect())
        }));
        Table {
            id: "amplified_kinds".into(),
            title: format!("Kinds of the {PAIRS} pairs that FF amplifies most, in %"),
            note: format!(
                "FF-amp is the norm map behind FF minus the one before it. Mean over texts of the \
                 share of each kind among the {PAIRS} pairs of two positions with the largest \
                 FF-amp; a pair is of the first kind that fits: special token, pieces of a word, \
                 same token, adjacent words, other. The last row is what chance would give."
            ),
            rows_are: "layer",
            columns: most.columns().to_vec(),
            decimals: 1,
            rows,
            absent: None,
        }
    }

    fn list(&self) -> Table {
        let columns = [
            "FF-amp",
            "norm before FF",
            "norm behind FF",
            "target",
            "source",
            "kind",
            "text",
        ];
        let row = |layer: usize, listed: &Listed| {
            let pair = &listed.pair;
            let values = [pair.amount, pair.before, pair.after].map(Some);
            Row::new((layer + 1).to_string(), values.to_vec()).with_texts([
                code(&listed.target, pair.target),
                code(&listed.source, pair.source),
                listed.kind.to_string(),
                listed.text.clone(),
            ])
        };
        let layers = self.listed.iter().enumerate();
        Table {
            id: "amplified_pairs".into(),
            title: format!("The {PAIRS} most amplified pairs of each layer, over all texts"),
            note: "Behind a token its position, the first of a text being 1. Pairs of a position \
                   with itself do not compete. Where FF shortens every part the amounts are \
                   negative."
                .into(),
            rows_are: "layer",
            columns: columns.map(String::from).to_vec(),
            decimals: 3,
            rows: layers
                .flat_map(|(layer, pairs)| pairs.iter().map(move |pair| row(layer, pair)))
                .collect(),
            absent: None,
        }
    }
}

/// A token as it is, `<s>` included, and its position.
fn code(token: &str, position: usize) -> String {
    format!("`{token}` {}", position + 1)
}
