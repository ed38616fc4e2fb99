//! Which parameters a stack needs, and their shapes: a walk of its wiring.

use super::{
    AttentionSpec, BlockSpec, EmbeddingSpec, FeedForwardSpec, GatedSpec, HeadSpec, NormSpec, Over,
    PositionScores, Positions, Sublayer,
};
use crate::Architecture;

/// What a parameter is for; a layer's are told apart by the layer's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    Word,
    Position,
    TokenType,
    EmbeddingNorm,
    EmbeddingProjection,
    FinalNorm,
    Head,
    HeadBias,
    HeadDense,
    HeadNorm,
    Norm(In, Place),
    Query(In),
    Key(In),
    Value(In),
    Output(In),
    QueryNorm,
    KeyNorm,
    Sinks,
    RelativeBias,
    Gate,
    Up,
    Down,
    Router,
    Experts(Expert),
}

/// The sublayer that a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum In {
    Attention,
    CrossAttention,
    FeedForward,
}

/// Where a norm stands in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Before,
    Output,
    Behind,
}

/// The map of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Expert {
    Gate,
    Up,
    Down,
}

/// Which of a module's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Half {
    Weight,
    Bias,
}

/// A parameter that a stack needs.
#[derive(Clone, Debug)]
pub(crate) struct Needed {
    pub(crate) slot: Slot,
    pub(crate) half: Half,
    pub(crate) layer: Option<usize>,
    /// The expert in the layer, and how many there are.
    pub(crate) expert: Option<[usize; 2]>,
    /// This crate's name, without the stack's.
    pub(crate) canonical: String,
    pub(crate) shape: Vec<usize>,
    /// Query heads, key and value heads and their width, of what attention projects.
    pub(crate) heads: Option<[usize; 3]>,
    /// Whether the file may lack it.
    pub(crate) optional: bool,
}

impl In {
    const fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::CrossAttention => "cross_attention",
            Self::FeedForward => "feed_forward",
        }
    }
}

/// Collects parameters of one place.
struct Collector {
    layer: Option<usize>,
    found: Vec<Needed>,
}

impl Collector {
    const fn new(layer: Option<usize>) -> Self {
        let found = Vec::new();
        Self { layer, found }
    }

    fn add(&mut self, slot: Slot, half: Half, name: &str, shape: &[usize]) -> &mut Needed {
        let place = self.layer.map(|layer| format!("layers.{layer}."));
        let end = match half {
            Half::Weight => "weight",
            Half::Bias => "bias",
        };
        self.found.push(Needed {
            slot,
            half,
            layer: self.layer,
            expert: None,
            canonical: format!("{}{name}.{end}", place.unwrap_or_default()),
            shape: shape.to_vec(),
            heads: None,
            optional: false,
        });
        self.found.last_mut().expect("one was pushed")
    }

    fn linear(&mut self, slot: Slot, name: &str, [out, input]: [usize; 2], bias: bool) {
        self.add(slot, Half::Weight, name, &[out, input]);
        if bias {
            self.add(slot, Half::Bias, name, &[out]);
        }
    }

    fn norm(&mut self, slot: Slot, name: &str, norm: Option<NormSpec>, width: usize) {
        if let Some(norm) = norm {
            self.add(slot, Half::Weight, name, &[width]);
            if norm.bias {
                self.add(slot, Half::Bias, name, &[width]);
            }
        }
    }

    fn embeddings(&mut self, spec: &EmbeddingSpec, vocab_size: usize, d_model: usize) {
        let name = |part: &str| format!("embeddings.{part}");
        self.add(
            Slot::Word,
            Half::Weight,
            &name("word"),
            &[vocab_size, spec.width],
        );
        let positions = spec.position_width(d_model);
        match spec.positions {
            Positions::None => (),
            Positions::Learned { rows, .. } => {
                let shape = [rows, positions];
                self.add(Slot::Position, Half::Weight, &name("position"), &shape);
            }
            Positions::Sinusoidal { limit, first, .. } => {
                let shape = [limit.saturating_add(first), positions];
                let table = self.add(Slot::Position, Half::Weight, &name("position"), &shape);
                // Its numbers follow from its size.
                table.optional = true;
            }
        }
        if spec.token_types > 0 {
            let shape = [spec.token_types, spec.width];
            self.add(Slot::TokenType, Half::Weight, &name("token_type"), &shape);
        }
        self.norm(Slot::EmbeddingNorm, &name("norm"), spec.norm, spec.width);
        if spec.width != d_model {
            let slot = Slot::EmbeddingProjection;
            let sizes = [d_model, spec.width];
            self.linear(slot, &name("projection"), sizes, spec.projection_has_bias());
        }
    }

    fn block(&mut self, block: &BlockSpec, d_model: usize) {
        let place = match &block.sublayer {
            Sublayer::Attention(_) => In::Attention,
            Sublayer::CrossAttention(_) => In::CrossAttention,
            Sublayer::FeedForward(_) => In::FeedForward,
        };
        let name = place.name();
        let plain = format!("{name}_norm");
        self.norm(
            Slot::Norm(place, Place::Before),
            &plain,
            block.before,
            d_model,
        );
        match &block.sublayer {
            Sublayer::Attention(spec) | Sublayer::CrossAttention(spec) => {
                self.attention(place, spec, d_model);
            }
            Sublayer::FeedForward(spec) => self.feed_forward(spec, d_model),
        }
        let output = format!("{name}_output_norm");
        self.norm(
            Slot::Norm(place, Place::Output),
            &output,
            block.output,
            d_model,
        );
        let behind = match block.before {
            Some(_) => format!("{name}_norm_behind"),
            None => plain,
        };
        self.norm(
            Slot::Norm(place, Place::Behind),
            &behind,
            block.behind,
            d_model,
        );
    }

    fn attention(&mut self, place: In, spec: &AttentionSpec, d_model: usize) {
        let from = self.found.len();
        let name = |part: &str| format!("{}.{part}", place.name());
        let [query, key, value, output] = spec.biases;
        let (queries, keys) = (spec.query_width(), spec.key_width());
        self.linear(
            Slot::Query(place),
            &name("query"),
            [queries, d_model],
            query,
        );
        self.linear(Slot::Key(place), &name("key"), [keys, d_model], key);
        self.linear(Slot::Value(place), &name("value"), [keys, d_model], value);
        for projected in &mut self.found[from..] {
            projected.heads = Some([spec.heads, spec.groups, spec.d_head]);
        }
        self.linear(
            Slot::Output(place),
            &name("output"),
            [d_model, queries],
            output,
        );
        if let Some((over, norm)) = spec.qk_norm {
            let widths = match over {
                Over::Head => [spec.d_head; 2],
                Over::Projection => [queries, keys],
            };
            self.norm(Slot::QueryNorm, &name("query_norm"), Some(norm), widths[0]);
            self.norm(Slot::KeyNorm, &name("key_norm"), Some(norm), widths[1]);
        }
        if spec.sinks {
            self.add(Slot::Sinks, Half::Weight, &name("sinks"), &[spec.heads]);
        }
        if let PositionScores::Buckets { buckets, .. } = spec.position {
            let shape = [buckets, spec.heads];
            self.add(
                Slot::RelativeBias,
                Half::Weight,
                &name("relative_bias"),
                &shape,
            );
        }
    }

    fn feed_forward(&mut self, spec: &FeedForwardSpec, d_model: usize) {
        match spec {
            FeedForwardSpec::Plain(plain) => {
                let [up, down] = plain.biases;
                self.linear(Slot::Up, "feed_forward.up", [plain.d_ff, d_model], up);
                self.linear(Slot::Down, "feed_forward.down", [d_model, plain.d_ff], down);
            }
            FeedForwardSpec::Gated(gated) => {
                let slots = [Slot::Gate, Slot::Up, Slot::Down];
                self.gated(slots, "feed_forward", gated, d_model);
            }
            FeedForwardSpec::Experts {
                experts,
                router,
                expert,
                ..
            } => {
                let sizes = [*experts, d_model];
                self.linear(Slot::Router, "feed_forward.router", sizes, router.bias);
                let slots = [Expert::Gate, Expert::Up, Expert::Down].map(Slot::Experts);
                for number in 0..*experts {
                    let from = self.found.len();
                    let name = format!("feed_forward.experts.{number}");
                    self.gated(slots, &name, expert, d_model);
                    for needed in &mut self.found[from..] {
                        needed.expert = Some([number, *experts]);
                    }
                }
            }
        }
    }

    fn gated(&mut self, slots: [Slot; 3], name: &str, spec: &GatedSpec, d_model: usize) {
        let GatedSpec { d_ff, biases, .. } = *spec;
        let parts = [
            ("gate", [d_ff, d_model]),
            ("up", [d_ff, d_model]),
            ("down", [d_model, d_ff]),
        ];
        for ((slot, (part, sizes)), bias) in slots.into_iter().zip(parts).zip(biases) {
            self.linear(slot, &format!("{name}.{part}"), sizes, bias);
        }
    }

    /// What logits are made with beside the word embeddings; a file may lack the head.
    fn head(&mut self, spec: &HeadSpec, [vocab_size, width, d_model]: [usize; 3]) {
        let from = self.found.len();
        if let Some(transform) = spec.transform {
            let sizes = [transform.width, d_model];
            self.linear(Slot::HeadDense, "lm_head.dense", sizes, transform.bias);
            let norm = Some(transform.norm);
            self.norm(Slot::HeadNorm, "lm_head.norm", norm, transform.width);
        }
        if !spec.tied {
            self.add(Slot::Head, Half::Weight, "lm_head", &[vocab_size, width]);
        }
        if spec.bias {
            self.add(Slot::HeadBias, Half::Bias, "lm_head", &[vocab_size]);
        }
        for needed in &mut self.found[from..] {
            needed.optional = true;
        }
    }
}

impl Architecture {
    /// Every parameter of the stack in the order in which they are used; lazily,
    /// because a hostile configuration can ask for any number of layers.
    pub(crate) fn needed(&self) -> impl Iterator<Item = Needed> + '_ {
        let mut start = Collector::new(None);
        start.embeddings(&self.wiring.embeddings, self.vocab_size, self.d_model);
        let layers = (0..self.wiring.layers.number).flat_map(|layer| {
            let mut collector = Collector::new(Some(layer));
            for block in &self.wiring.layers.get(layer).blocks {
                collector.block(block, self.d_model);
            }
            collector.found
        });
        let mut end = Collector::new(None);
        end.norm(
            Slot::FinalNorm,
            "final_norm",
            self.wiring.final_norm,
            self.d_model,
        );
        if let Some(head) = &self.wiring.head {
            let width = head.transform.map_or(self.d_model, |t| t.width);
            end.head(head, [self.vocab_size, width, self.d_model]);
        }
        start.found.into_iter().chain(layers).chain(end.found)
    }
}
