//! What was wanted, beside what was measured.

use serde::Serialize;

use super::flops;
use super::report::Report;
use super::statistics::Spread;
use super::work::Work;
use crate::random_model::Shape;

/// A number that something should not exceed, or should reach.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) bound: Bound,
    pub(crate) unit: &'static str,
    /// `None`: this run did not measure it.
    pub(crate) measured: Option<Spread>,
}

impl Goal {
    /// Whether the median keeps to the bound.
    pub(crate) fn verdict(&self) -> &'static str {
        let reached = self.measured.map(|measured| match self.bound {
            Bound::AtMost(most) => measured.median <= most,
            Bound::AtLeast(least) => measured.median >= least,
        });
        match reached {
            Some(true) => "reached",
            Some(false) => "**missed**",
            None => "not measured",
        }
    }
}

/// Texts whose times are compared.
const TOKENS: [usize; 2] = [128, 512];
/// How many times faster than the plain PyTorch program, at [`TOKENS`].
const FASTER: [f64; 2] = [20.0, 150.0];

/// The goals, in the order of the table.
pub(crate) fn goals(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut goal = |what: String, bound, unit, measured| {
        goals.push(Goal {
            what,
            bound,
            unit,
            measured,
        });
    };
    let base = |tokens| report.case(Shape::Base, tokens, 1);
    for tokens in TOKENS {
        goal(
            format!("BERT-base, T = {tokens}: forward pass / PyTorch's"),
            Bound::AtMost(1.0),
            "",
            base(tokens).and_then(|case| case.to_torch(Work::Forward)),
        );
    }
    for (work, most) in [(Work::AttentionMaps, 1.25), (Work::MixingRatios, 2.2)] {
        for tokens in TOKENS {
            goal(
                format!(
                    "BERT-base, T = {tokens}: {} / own forward pass (FLOPs: {:.2})",
                    work.name(),
                    flops::to_forward(work, Shape::Base, tokens)
                ),
                Bound::AtMost(most),
                "",
                base(tokens).map(|case| case.to_forward(work)),
            );
        }
    }
    for (tokens, times) in TOKENS.into_iter().zip(FASTER) {
        goal(
            format!("BERT-base, T = {tokens}: materialised PyTorch program / attention-block maps"),
            Bound::AtLeast(times),
            "",
            base(tokens)
                .and_then(|case| case.to_torch(Work::AttentionMaps))
                .map(|ratio| ratio.map(f64::recip)),
        );
    }
    for tokens in TOKENS {
        let measured = report.feed_forward(tokens);
        goal(
            format!("BERT-base, T = {tokens}: FF maps' product, rate / best large product's"),
            Bound::AtLeast(0.85),
            "",
            measured.map(|measured| measured.streamed_to_best()),
        );
        goal(
            format!("BERT-base, T = {tokens}: all of the FF maps, rate / best large product's"),
            Bound::AtLeast(0.75),
            "",
            measured.map(|measured| measured.maps_to_best()),
        );
    }
    for memory in report.memory.iter().filter(|memory| memory.tokens == 512) {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        goal(
            format!("BERT-base, T = 512, peak memory: {}", memory.what),
            Bound::AtMost(megabytes(memory.goal)),
            " MB",
            Some(Spread::of([megabytes(memory.peak)])),
        );
        if let Some(predicted) = memory.predicted {
            let apart = (predicted as f64 / memory.peak as f64 - 1.0).abs();
            goal(
                "`headwater inspect`'s estimate of that peak, distance from it".to_owned(),
                Bound::AtMost(0.2),
                "",
                Some(Spread::of([apart])),
            );
        }
    }
    goal(
        "MiniLM, one short text: `headwater analyze`, start to end".to_owned(),
        Bound::AtMost(0.35),
        " s",
        Some(report.start_up.seconds),
    );
    for throughput in &report.throughput {
        goal(
            format!(
                "MiniLM, many short texts, {}: rate / one-by-one rate",
                throughput.what
            ),
            Bound::AtLeast(1.6),
            "",
            Some(Spread::of_ratios(
                &throughput.one_by_one,
                &throughput.batched,
            )),
        );
    }
    goals
}

/// The goals as a table.
pub(crate) fn table(goals: &[Goal]) -> String {
    let mut table = "| goal | measured | wanted | |\n|---|---:|---:|---|\n".to_owned();
    for goal in goals {
        let (sign, bound) = match goal.bound {
            Bound::AtMost(bound) => ('≤', bound),
            Bound::AtLeast(bound) => ('≥', bound),
        };
        let digits = if bound >= 10.0 { 0 } else { 2 };
        let unit = goal.unit;
        let measured = goal.measured.map_or("–".to_owned(), |measured| {
            format!("{}{unit}", measured.display(digits))
        });
        let verdict = goal.verdict();
        table += &format!(
            "| {} | {measured} | {sign} {bound:.digits$}{unit} | {verdict} |\n",
            goal.what
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(bound: Bound, values: &[f64]) -> Goal {
        Goal {
            what: "a ratio".to_owned(),
            bound,
            unit: "",
            measured: (!values.is_empty()).then(|| Spread::of(values.iter().copied())),
        }
    }

    #[test]
    fn a_goal_is_reached_at_its_bound_and_missed_beyond_it() {
        assert_eq!(goal(Bound::AtMost(1.0), &[1.0]).verdict(), "reached");
        assert_eq!(goal(Bound::AtMost(1.0), &[1.01]).verdict(), "**missed**");
        assert_eq!(goal(Bound::AtLeast(20.0), &[20.0]).verdict(), "reached");
        assert_eq!(goal(Bound::AtLeast(20.0), &[19.9]).verdict(), "**missed**");
        assert_eq!(goal(Bound::AtLeast(20.0), &[]).verdict(), "not measured");
        // One round in luck does not make a goal reached.
        let lucky = goal(Bound::AtMost(1.0), &[0.5, 1.2, 1.3]);
        assert_eq!(lucky.verdict(), "**missed**");
    }

    #[test]
    fn the_table_shows_the_spread_and_the_bound() {
        let goals = [
            goal(Bound::AtMost(1.25), &[1.0, 1.1, 1.2]),
            goal(Bound::AtLeast(150.0), &[]),
        ];
        let table = table(&goals);
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| a ratio | 1.10 (1.05–1.15) | ≤ 1.25 | reached |",
                "| a ratio | – | ≥ 150 | not measured |",
            ]
        );
    }
}
