//! Rotary positions.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Cpu;
use crate::rows::rows_of_task;
use crate::shared::written_as_slice;

/// Which numbers of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// Number i of the first half of those that are rotated with i of the second.
    Halves,
    /// Numbers 2i and 2i + 1.
    Neighbours,
}

/// Rotates the first r numbers of every head by the angles of its token:
/// `(a, b)` to `(a cos − b sin, b cos + a sin)`. The others stay.
///
/// `x`: `[batch, token, head · d_head]`, as the result; `cos`, `sin`:
/// `[tokens, r/2]` of all tokens of the batch, or of those of one sequence for all.
/// Every product and every sum is rounded by itself.
///
/// # Panics
/// Sizes that do not fit together.
pub fn rotate(
    cpu: Cpu,
    x: &[f32],
    [heads, d_head]: [usize; 2],
    [cos, sin]: [&[f32]; 2],
    tokens: usize,
    pairs: Pairs,
) -> Vec<f32> {
    struct Rotate<'a> {
        x: &'a [f32],
        heads: usize,
        cos: &'a [f32],
        sin: &'a [f32],
        pairs: Pairs,
        result: &'a mut [f32],
    }
    impl WithSimd for Rotate<'_> {
        type Output = ();
        // Plain loops over slices of one length: the compiler takes whole vectors.
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let half = self.cos.len();
            let d_head = self.x.len() / self.heads;
            let (cos, sin) = (self.cos, &self.sin[..half]);
            let results = self.result.chunks_exact_mut(d_head);
            for (x, result) in self.x.chunks_exact(d_head).zip(results) {
                match self.pairs {
                    Pairs::Halves => {
                        let (a, b) = x[..2 * half].split_at(half);
                        let (to_a, to_b) = result[..2 * half].split_at_mut(half);
                        for i in 0..half {
                            to_a[i] = a[i] * cos[i] - b[i] * sin[i];
                            to_b[i] = b[i] * cos[i] + a[i] * sin[i];
                        }
                    }
                    Pairs::Neighbours => {
                        let x = x[..2 * half].chunks_exact(2);
                        let result = result[..2 * half].chunks_exact_mut(2);
                        for (((x, result), &cos), &sin) in x.zip(result).zip(cos).zip(sin) {
                            result[0] = x[0] * cos - x[1] * sin;
                            result[1] = x[1] * cos + x[0] * sin;
                        }
                    }
                }
            }
        }
    }
    let columns = heads * d_head;
    if x.is_empty() || tokens == 0 {
        assert!(x.is_empty(), "tokens of x");
        return Vec::new();
    }
    let rows = x.len() / columns;
    assert!(
        x.len() == rows * columns && rows.is_multiple_of(tokens),
        "whole rows of whole sequences"
    );
    let half = cos.len() / tokens;
    let of_tokens = cos.len() == half * tokens && sin.len() == cos.len();
    assert!(of_tokens && 2 * half <= d_head, "angles of each token");
    let each = rows_of_task(columns);
    let task = |(task, result): (usize, &mut [MaybeUninit<f32>])| {
        let first = task * each;
        let result = result.write_copy_of_slice(&x[first * columns..][..result.len()]);
        for (row, result) in result.chunks_exact_mut(columns).enumerate() {
            let row = first + row;
            let of_token = row % tokens * half..(row % tokens + 1) * half;
            cpu.run(Rotate {
                x: &x[row * columns..][..columns],
                heads,
                cos: &cos[of_token.clone()],
                sin: &sin[of_token],
                pairs,
                result,
            });
        }
    };
    let rotate = |result: &mut [MaybeUninit<f32>]| {
        result
            .par_chunks_mut(each * columns)
            .enumerate()
            .for_each(task);
    };
    // SAFETY: every task copies x to all of its rows first.
    unsafe { written_as_slice(x.len(), rotate) }
}
