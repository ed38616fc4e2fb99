use std::ops::Range;

use headwater_analysis::Scope;
use headwater_transformer::wiring::{LayerSpec, Part, Reads, Step};

use crate::Error;

/// A stretch of a layer whose parts have one set of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// A layer without cross-attention, whole. Its sources are its own tokens.
    Layer,
    /// The self-attention block of a layer with cross-attention.
    SelfAttention,
    /// The cross-attention block and the feed-forward block behind it. Its
    /// sources are the encoder's tokens; what a target brings along itself, its
    /// own stream, is one more source, never mixed with them.
    CrossAttention,
}

impl Segment {
    /// The segments of a layer.
    pub fn of(layer: &LayerSpec) -> &'static [Segment] {
        match layer.cross_attention() {
            Some(_) => &[Segment::SelfAttention, Segment::CrossAttention],
            None => &[Segment::Layer],
        }
    }

    /// The blocks of the segment.
    ///
    /// # Errors
    /// The layer has no such segment.
    pub(crate) fn blocks(self, layer: &LayerSpec) -> Result<Range<usize>, Error> {
        if !Self::of(layer).contains(&self) {
            return Err(Error::NoSuchSegment { segment: self });
        }
        Ok(match self {
            Segment::Layer => 0..layer.blocks.len(),
            Segment::SelfAttention => 0..1,
            Segment::CrossAttention => 1..layer.blocks.len(),
        })
    }

    /// The steps of the segment at which parts exist, in order: from attention on.
    ///
    /// # Errors
    /// The layer has no such segment.
    pub fn steps(self, layer: &LayerSpec) -> Result<Vec<Step>, Error> {
        let blocks = self.blocks(layer)?;
        let attention = Step {
            block: blocks.start as u8,
            part: Part::Sublayer,
        };
        let reads_input = |step: &Step| {
            let block = &layer.blocks[usize::from(step.block)];
            // The norm before a block beside another one maps no part.
            block.reads == Reads::LayerInput && step.part == Part::Before
        };
        let steps = layer.steps().into_iter().map(|(step, _)| step);
        Ok(steps
            .filter(|step| blocks.contains(&usize::from(step.block)))
            .filter(|step| *step >= attention && !reads_input(step))
            .collect())
    }

    /// The scopes of the segment, shortest first, with the last step of each; none
    /// if the layer has no such segment or is wired in a way that the slugs do
    /// not describe.
    ///
    /// `attn`, then `_ln` and `_res` as components follow; the last step of the
    /// attention block is `atb`, and behind it `_ln`, `_ff` and `_res` are
    /// appended. Behind cross-attention everything is. In a layer whose
    /// feed-forward block stands beside attention, the last step is `layer`, and
    /// the steps of that block have no scope.
    pub fn scopes_at(self, layer: &LayerSpec) -> Vec<(Scope, Step)> {
        let Ok(steps) = self.steps(layer) else {
            return Vec::new();
        };
        let scopes = steps
            .iter()
            .filter_map(|&step| self.slug(layer, &steps, step).map(|slug| (slug, step)))
            .map(|(slug, step)| Some((slug.parse().ok()?, step)));
        scopes.collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    /// The scopes of the segment, shortest first.
    pub fn scopes(self, layer: &LayerSpec) -> Vec<Scope> {
        let scopes = self.scopes_at(layer).into_iter();
        scopes.map(|(scope, _)| scope).collect()
    }

    /// The name of the prefix that ends at a step, if it has one.
    fn slug(self, layer: &LayerSpec, steps: &[Step], last: Step) -> Option<String> {
        let is_parallel = layer.blocks.iter().any(|b| b.reads == Reads::LayerInput);
        if is_parallel && last.block > 0 {
            let is_last = steps.last() == Some(&last);
            return (is_last && self == Segment::Layer).then(|| "layer".to_owned());
        }
        let mut slug = match self {
            Segment::Layer | Segment::SelfAttention => "attn".to_owned(),
            Segment::CrossAttention => "cross_attn".to_owned(),
        };
        let first = steps.first()?.block;
        for &step in steps.iter().filter(|&&step| step <= last) {
            let ends_attention = step == layer.last_step(usize::from(first));
            match step.part {
                Part::Sublayer if step.block == first => {}
                Part::Sublayer => slug += "_ff",
                Part::Residual => slug += "_res",
                Part::Before | Part::Output | Part::Behind => slug += "_ln",
            }
            if ends_attention && self != Segment::CrossAttention && !is_parallel {
                slug = "atb".to_owned();
            }
        }
        Some(slug)
    }

    /// The last step of a scope.
    ///
    /// # Errors
    /// The segment has no such scope.
    pub fn step_of(self, scope: Scope, layer: &LayerSpec) -> Result<Step, Error> {
        let scopes = self.scopes_at(layer);
        let found = scopes.iter().find(|(known, _)| *known == scope);
        found.map(|&(_, step)| step).ok_or_else(|| {
            let known: Vec<Scope> = scopes.iter().map(|&(scope, _)| scope).collect();
            Error::ScopeNotInArrangement {
                scope,
                known: match known.is_empty() {
                    true => format!("none: its steps are {}", step_names(self, layer)),
                    false => slugs(&known),
                },
            }
        })
    }
}

/// The steps of a segment, for an error message.
fn step_names(segment: Segment, layer: &LayerSpec) -> String {
    let steps = segment.steps(layer).unwrap_or_default();
    let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
    steps.join(", ")
}

fn slugs(scopes: &[Scope]) -> String {
    let slugs: Vec<_> = scopes.iter().map(|scope| scope.slug()).collect();
    slugs.join(", ")
}

#[cfg(test)]
mod tests {
    use headwater_transformer::Activation;
    use headwater_transformer::wiring::{
        AttentionSpec, BlockSpec, FeedForwardSpec, NormSpec, PlainSpec, Sublayer,
    };

    use super::*;

    /// A layer of two or three blocks, each wired by `wire`.
    fn layer(cross: bool, wire: impl Fn(BlockSpec) -> BlockSpec) -> LayerSpec {
        let attention = AttentionSpec::new(2, 4);
        let plain = PlainSpec::new(8, Activation::Relu);
        let cross = cross.then(|| Sublayer::CrossAttention(attention.clone()));
        let blocks = [Some(Sublayer::Attention(attention)), cross]
            .into_iter()
            .chain([Some(Sublayer::FeedForward(FeedForwardSpec::Plain(plain)))])
            .flatten();
        LayerSpec {
            blocks: blocks
                .map(|sublayer| wire(BlockSpec::new(sublayer)))
                .collect(),
        }
    }

    fn slugs_of(segment: Segment, layer: &LayerSpec) -> String {
        slugs(&segment.scopes(layer))
    }

    #[test]
    fn the_rule_names_the_scopes_of_every_arrangement() {
        let norm = NormSpec::layer(1e-5);
        let of_layer = |wire: fn(BlockSpec, NormSpec) -> BlockSpec| {
            slugs_of(Segment::Layer, &layer(false, |block| wire(block, norm)))
        };
        assert_eq!(
            of_layer(BlockSpec::behind),
            "attn, attn_res, atb, atb_ff, atb_ff_res, atb_ff_res_ln"
        );
        assert_eq!(
            of_layer(BlockSpec::before),
            "attn, atb, atb_ln, atb_ln_ff, atb_ln_ff_res"
        );
        assert_eq!(
            of_layer(|block, norm| block.before(norm).output(norm)),
            "attn, attn_ln, atb, atb_ln, atb_ln_ff, atb_ln_ff_ln, atb_ln_ff_ln_res"
        );
        assert_eq!(
            of_layer(BlockSpec::output),
            "attn, attn_ln, atb, atb_ff, atb_ff_ln, atb_ff_ln_res"
        );
        let beside = |block: BlockSpec, norm| match block.sublayer {
            Sublayer::FeedForward(_) => block.before(norm).reading(Reads::LayerInput),
            _ => block.before(norm),
        };
        assert_eq!(of_layer(beside), "attn, attn_res, layer");
    }

    #[test]
    fn the_rule_names_the_scopes_of_decoders_behind_an_encoder() {
        let norm = NormSpec::layer(1e-5);
        let post = layer(true, |block| block.behind(norm));
        let pre = layer(true, |block| block.before(norm));
        assert_eq!(
            slugs_of(Segment::SelfAttention, &post),
            "attn, attn_res, atb"
        );
        assert_eq!(slugs_of(Segment::SelfAttention, &pre), "attn, atb");
        let cross = "cross_attn, cross_attn_res, cross_attn_res_ln, cross_attn_res_ln_ff, \
                     cross_attn_res_ln_ff_res";
        assert_eq!(slugs_of(Segment::CrossAttention, &pre), cross);
        let last = format!("{cross}, cross_attn_res_ln_ff_res_ln");
        assert_eq!(slugs_of(Segment::CrossAttention, &post), last);
        assert_eq!(slugs_of(Segment::Layer, &post), "");
    }

    #[test]
    fn other_wirings_have_steps_and_no_scopes() {
        let norm = NormSpec::layer(1e-5);
        let all = layer(false, |block| block.before(norm).output(norm).behind(norm));
        assert_eq!(Segment::Layer.scopes(&all), []);
        assert_eq!(Segment::Layer.steps(&all).unwrap().len(), 9);
        let error = Segment::Layer.step_of(Scope::Atb, &all).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("the sublayer of block 1"), "{error}");
    }

    #[test]
    fn all_scopes_are_in_order_and_have_names_of_their_own() {
        assert!(Scope::ALL.is_sorted());
        for scope in Scope::ALL {
            assert_eq!(scope.slug().parse::<Scope>().unwrap(), scope);
        }
    }
}
