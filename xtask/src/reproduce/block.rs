//! The feed-forward block of a layer, as 2023 looks at it.

use headwater::Scope;
use headwater::checkpoint::Architecture;
use headwater::metrics::Region;
use headwater::transformer::Arrangement;
use headwater::transformer::wiring::{Component, LayerSpec, Step};

/// The feed-forward block: its components and the scopes between them.
pub(crate) struct Block {
    pub(crate) layer: LayerSpec,
    pub(crate) arrangement: Arrangement,
    /// Before the block, then behind each component.
    pub(crate) scopes: [Scope; 4],
    /// The paper's names.
    pub(crate) components: [&'static str; 3],
    /// Which of the components is FF.
    pub(crate) feed_forward: usize,
    /// Where maps have entries.
    pub(crate) region: Region,
}

impl Block {
    pub(crate) fn of(architecture: &Architecture) -> Self {
        let arrangement = architecture.arrangement;
        let (scopes, components, feed_forward) = match arrangement {
            Arrangement::PostLn => (
                [Scope::Atb, Scope::AtbFf, Scope::AtbFfRes, Scope::AtbFfResLn],
                ["FF", "RES2", "LN2"],
                0,
            ),
            Arrangement::PreLn => (
                [Scope::Atb, Scope::AtbLn, Scope::AtbLnFf, Scope::AtbLnFfRes],
                ["LN2", "FF", "RES2"],
                1,
            ),
        };
        Self {
            layer: architecture.layer(0),
            arrangement,
            scopes,
            components,
            feed_forward,
            region: region(architecture),
        }
    }

    /// The scopes before and behind FF.
    pub(crate) fn around_feed_forward(&self) -> [Scope; 2] {
        [
            self.scopes[self.feed_forward],
            self.scopes[self.feed_forward + 1],
        ]
    }

    /// The step of FF.
    pub(crate) fn step(&self) -> Step {
        let mut steps = self.layer.steps().into_iter();
        let step = steps.find(|(_, component)| *component == Component::FeedForward);
        step.expect("a layer has a feed-forward block").0
    }

    /// `atb` → `atb_ff` → …
    pub(crate) fn path(&self) -> String {
        self.scopes.map(|scope| format!("`{scope}`")).join(" → ")
    }
}

/// Where a model's maps have entries.
pub(crate) fn region(architecture: &Architecture) -> Region {
    match architecture.causal {
        true => Region::LowerTriangle,
        false => Region::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater::Segment;
    use headwater::checkpoint::{Checkpoint, HubOptions};

    #[test]
    fn scopes_are_the_end_of_the_pipeline() {
        for (family, first, region) in [
            ("bert", "FF", Region::Full),
            ("gpt2", "LN2", Region::LowerTriangle),
            ("opt", "LN2", Region::LowerTriangle),
        ] {
            let directory = headwater_fixtures::golden(family);
            let name = directory.to_str().unwrap();
            let checkpoint = Checkpoint::open(name, &HubOptions::default()).unwrap();
            let block = Block::of(checkpoint.architecture());
            assert!(Segment::Layer.scopes(&block.layer).ends_with(&block.scopes));
            assert_eq!((block.components[0], block.region), (first, region));
            assert_eq!(block.components[block.feed_forward], "FF");
            let behind = block.around_feed_forward()[1];
            let step = Segment::Layer.step_of(behind, &block.layer);
            assert_eq!(step.unwrap(), block.step());
        }
    }
}
