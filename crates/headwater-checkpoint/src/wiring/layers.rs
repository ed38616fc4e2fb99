use super::{LayerSpec, Sublayer};

/// The layers of a stack, by kind: never listed up to their number, which a
/// configuration may put at anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// How many there are.
    pub number: usize,
    /// The kinds of layers.
    pub kinds: Vec<LayerSpec>,
    /// Which layer is of which kind.
    pub pattern: Pattern,
    /// Whether scores of layer l are divided by l + 1 (GPT-2's
    /// `scale_attn_by_inverse_layer_idx`).
    pub scale_by_number: bool,
}

/// Which layer is of which kind; kinds are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// All of kind 0.
    One,
    /// Kind 1 where l mod `period` is `at`, else kind 0.
    Every {
        /// Layers from one of kind 1 to the next.
        period: usize,
        /// The first layer of kind 1; below `period`.
        at: usize,
    },
    /// As `Every`, but layer 0 is of kind 2.
    FirstAndEvery {
        /// Layers from one of kind 1 to the next.
        period: usize,
        /// The first layer of kind 1; below `period`.
        at: usize,
    },
    /// Kind 1 below this layer, else kind 0.
    First(usize),
    /// Kind 1 from this layer on, else kind 0.
    From(usize),
    /// The kind of every layer.
    Listed(Vec<u8>),
}

impl Pattern {
    /// The kind of layer `l`; behind the last that is listed, the kind of that.
    ///
    /// # Panics
    /// None is listed.
    pub fn kind(&self, l: usize) -> usize {
        match self {
            Pattern::One => 0,
            Pattern::Every { period, at } => usize::from(l % period == *at),
            Pattern::FirstAndEvery { .. } if l == 0 => 2,
            Pattern::FirstAndEvery { period, at } => usize::from(l % period == *at),
            Pattern::First(end) => usize::from(l < *end),
            Pattern::From(start) => usize::from(l >= *start),
            // One layer more than there are is looked for in files.
            Pattern::Listed(kinds) => usize::from(kinds[l.min(kinds.len() - 1)]),
        }
    }
}

impl Layers {
    /// Layers of one kind.
    pub fn alike(number: usize, kind: LayerSpec) -> Self {
        Self {
            number,
            kinds: vec![kind],
            pattern: Pattern::One,
            scale_by_number: false,
        }
    }

    /// Layer `l`.
    ///
    /// # Panics
    /// There is no such layer.
    pub fn get(&self, l: usize) -> LayerSpec {
        assert!(l < self.number, "layer {l} of {}", self.number);
        let mut layer = self.kinds[self.pattern.kind(l)].clone();
        if self.scale_by_number {
            for block in &mut layer.blocks {
                match &mut block.sublayer {
                    Sublayer::Attention(attention) => attention.scale /= (l + 1) as f64,
                    // GPT-2 has no other attention.
                    Sublayer::CrossAttention(_) | Sublayer::FeedForward(_) => {}
                }
            }
        }
        layer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_say_the_kind_of_every_layer() {
        let kinds = |pattern: Pattern| (0..6).map(|l| pattern.kind(l)).collect::<Vec<_>>();
        assert_eq!(kinds(Pattern::One), [0; 6]);
        let (period, at) = (3, 2);
        assert_eq!(kinds(Pattern::Every { period, at }), [0, 0, 1, 0, 0, 1]);
        let first = Pattern::FirstAndEvery { period, at: 0 };
        assert_eq!(kinds(first), [2, 0, 0, 1, 0, 0]);
        assert_eq!(kinds(Pattern::First(2)), [1, 1, 0, 0, 0, 0]);
        assert_eq!(kinds(Pattern::From(2)), [0, 0, 1, 1, 1, 1]);
        let listed = vec![0, 1, 1, 0, 2, 0];
        assert_eq!(kinds(Pattern::Listed(listed)), [0, 1, 1, 0, 2, 0]);
    }
}
