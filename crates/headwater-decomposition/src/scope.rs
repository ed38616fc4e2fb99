use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use headwater_transformer::wiring::{LayerSpec, Part, Reads, Step};

use crate::Error;

/// A prefix of a layer's components, named as in the papers: ATB is the
/// attention block, and `ln` a norm of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// `attn`: multi-head attention alone (2020; ATTN-N of 2021), of the normalized
    /// input where a norm comes first.
    Attn,
    /// `attn_ln`: and the norm of its output. Sandwich and norm on output.
    AttnLn,
    /// `attn_res`: attention and residual connection (ATTNRES-N of 2021). Post-LN and parallel.
    AttnRes,
    /// `atb`: the attention block: with its layer normalization in post-LN
    /// models (ATTNRESLN-N of 2021), with its residual in others.
    Atb,
    /// `atb_ln`: the attention block and the norm before the feed-forward block. Pre-LN and sandwich.
    AtbLn,
    /// `atb_ff`: through the feed-forward sublayer (2023). Post-LN and norm on output.
    AtbFf,
    /// `atb_ff_ln`: through the norm of its output. Norm on output.
    AtbFfLn,
    /// `atb_ff_ln_res`: the whole layer. Norm on output.
    AtbFfLnRes,
    /// `atb_ff_res`: through its residual connection. Post-LN.
    AtbFfRes,
    /// `atb_ff_res_ln`: the whole layer. Post-LN.
    AtbFfResLn,
    /// `atb_ln_ff`: through the feed-forward sublayer (2023). Pre-LN and sandwich.
    AtbLnFf,
    /// `atb_ln_ff_ln`: through the norm of its output. Sandwich.
    AtbLnFfLn,
    /// `atb_ln_ff_ln_res`: the whole layer. Sandwich.
    AtbLnFfLnRes,
    /// `atb_ln_ff_res`: the whole layer. Pre-LN.
    AtbLnFfRes,
    /// `layer`: the whole layer, where its blocks stand side by side.
    Layer,
    /// `cross_attn`: multi-head attention to an encoder alone (the translation part of 2020).
    CrossAttn,
    /// `cross_attn_res`: and the residual connection, which brings in the target's own stream.
    CrossAttnRes,
    /// `cross_attn_res_ln`: and the next layer normalization: the block's own
    /// (post-LN) or the feed-forward block's (pre-LN).
    CrossAttnResLn,
    /// `cross_attn_res_ln_ff`: through the feed-forward sublayer.
    CrossAttnResLnFf,
    /// `cross_attn_res_ln_ff_res`: through its residual connection.
    CrossAttnResLnFfRes,
    /// `cross_attn_res_ln_ff_res_ln`: through the last layer normalization. Post-LN.
    CrossAttnResLnFfResLn,
}

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

impl Scope {
    /// Every scope of every model, in the order of computation.
    pub const ALL: [Scope; 21] = [
        Scope::Attn,
        Scope::AttnLn,
        Scope::AttnRes,
        Scope::Atb,
        Scope::AtbLn,
        Scope::AtbFf,
        Scope::AtbFfLn,
        Scope::AtbFfLnRes,
        Scope::AtbFfRes,
        Scope::AtbFfResLn,
        Scope::AtbLnFf,
        Scope::AtbLnFfLn,
        Scope::AtbLnFfLnRes,
        Scope::AtbLnFfRes,
        Scope::Layer,
        Scope::CrossAttn,
        Scope::CrossAttnRes,
        Scope::CrossAttnResLn,
        Scope::CrossAttnResLnFf,
        Scope::CrossAttnResLnFfRes,
        Scope::CrossAttnResLnFfResLn,
    ];

    /// The scopes of a layer without cross-attention, shortest first.
    pub fn of(layer: &LayerSpec) -> Vec<Scope> {
        Segment::Layer.scopes(layer)
    }

    /// Whether the sources are the tokens of an encoder.
    pub fn is_cross(self) -> bool {
        self >= Scope::CrossAttn
    }

    /// The name in files and options, such as `atb_ff_res`.
    pub fn slug(self) -> &'static str {
        match self {
            Scope::Attn => "attn",
            Scope::AttnLn => "attn_ln",
            Scope::AttnRes => "attn_res",
            Scope::Atb => "atb",
            Scope::AtbLn => "atb_ln",
            Scope::AtbFf => "atb_ff",
            Scope::AtbFfLn => "atb_ff_ln",
            Scope::AtbFfLnRes => "atb_ff_ln_res",
            Scope::AtbFfRes => "atb_ff_res",
            Scope::AtbFfResLn => "atb_ff_res_ln",
            Scope::AtbLnFf => "atb_ln_ff",
            Scope::AtbLnFfLn => "atb_ln_ff_ln",
            Scope::AtbLnFfLnRes => "atb_ln_ff_ln_res",
            Scope::AtbLnFfRes => "atb_ln_ff_res",
            Scope::Layer => "layer",
            Scope::CrossAttn => "cross_attn",
            Scope::CrossAttnRes => "cross_attn_res",
            Scope::CrossAttnResLn => "cross_attn_res_ln",
            Scope::CrossAttnResLnFf => "cross_attn_res_ln_ff",
            Scope::CrossAttnResLnFfRes => "cross_attn_res_ln_ff_res",
            Scope::CrossAttnResLnFfResLn => "cross_attn_res_ln_ff_res_ln",
        }
    }
}

fn slugs(scopes: &[Scope]) -> String {
    let slugs: Vec<_> = scopes.iter().map(|scope| scope.slug()).collect();
    slugs.join(", ")
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.slug())
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Scope::ALL
            .into_iter()
            .find(|scope| scope.slug() == name)
            .ok_or_else(|| Error::UnknownScope {
                name: name.to_owned(),
                known: slugs(&Scope::ALL),
            })
    }
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
