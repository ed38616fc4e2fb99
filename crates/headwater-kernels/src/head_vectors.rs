//! The vectors of all heads: their sizes, and where they lie.

use std::ops::Range;

/// The sizes of a multi-head attention.
#[derive(Debug, Clone, Copy)]
pub struct HeadShape {
    /// Sequences.
    pub batch: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads, each shared by as many query heads that lie side by
    /// side; as many as query heads where none is shared.
    pub groups: usize,
    /// Numbers of a head's query, key or value.
    pub d_head: usize,
    /// Tokens of a sequence that ask.
    pub targets: usize,
    /// Tokens of a sequence that are looked at.
    pub sources: usize,
    /// Which of them a target sees.
    pub band: Band,
}

/// The sources that a target sees, by their distance: target i sees the sources
/// i − back ..= i + ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Band {
    /// How far back; `None`: to the first.
    pub back: Option<usize>,
    /// How far ahead; `None`: to the last.
    pub ahead: Option<usize>,
}

impl Band {
    /// Every target sees every source.
    pub const WHOLE: Self = Self {
        back: None,
        ahead: None,
    };
    /// No target sees a source behind itself.
    pub const CAUSAL: Self = Self {
        back: None,
        ahead: Some(0),
    };

    /// The sources that a target sees, of so many that there are.
    ///
    /// Both ends rise with the target or stay.
    pub fn sources(self, target: usize, sources: usize) -> Range<usize> {
        self.of_targets(&(target..target + 1), sources)
    }

    /// The sources that any of some targets sees; none of no target.
    pub(crate) fn of_targets(self, targets: &Range<usize>, sources: usize) -> Range<usize> {
        let last = targets.end.saturating_sub(1);
        let end = match self.ahead {
            Some(ahead) => last.saturating_add(ahead).saturating_add(1).min(sources),
            None => sources,
        };
        let first = self
            .back
            .map_or(0, |back| targets.start.saturating_sub(back));
        first.min(end)..end
    }
}

impl HeadShape {
    /// That heads come in groups of one size, each of a key and value head.
    ///
    /// # Panics
    /// They do not.
    pub(crate) fn check(self) {
        let of_one_size = self.groups > 0 && self.heads.is_multiple_of(self.groups);
        assert!(
            of_one_size || self.heads == 0,
            "groups of heads of one size"
        );
    }

    /// The key and value head of a query head.
    #[inline(always)]
    pub(crate) fn group(self, head: usize) -> usize {
        head / (self.heads / self.groups)
    }
}

/// Vectors by token and head: that of head h of token t of sequence b begins at
/// `b·batch_stride + t·token_stride + h·head_stride`.
#[derive(Debug, Clone, Copy)]
pub struct HeadVectors<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// From one sequence to the next.
    pub batch_stride: usize,
    /// From one head to the next.
    pub head_stride: usize,
    /// From one token to the next.
    pub token_stride: usize,
}

impl<'a> HeadVectors<'a> {
    /// Rows of a product, `[batch, token, head · d_head]`.
    pub fn rows(data: &'a [f32], tokens: usize, heads: usize, d_head: usize) -> Self {
        Self {
            data,
            batch_stride: tokens * heads * d_head,
            head_stride: d_head,
            token_stride: heads * d_head,
        }
    }

    pub(crate) fn of(self, sequence: usize, head: usize) -> &'a [f32] {
        &self.data[sequence * self.batch_stride + head * self.head_stride..]
    }

    /// That there is a vector for each token and each of `heads`; of nothing
    /// there need be none.
    ///
    /// # Panics
    /// The numbers end before the last vector does.
    pub(crate) fn check(self, shape: HeadShape, heads: usize, tokens: usize) {
        if shape.batch * heads * tokens * shape.d_head == 0 {
            return;
        }
        let last = (shape.batch - 1) * self.batch_stride
            + (heads - 1) * self.head_stride
            + (tokens - 1) * self.token_stride;
        assert!(
            last + shape.d_head <= self.data.len(),
            "a vector for each token and head"
        );
    }
}
