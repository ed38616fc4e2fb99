//! How much memory an analysis needs, before it is run.

use headwater::Precision;
use headwater::checkpoint::Architecture;
use serde::Serialize;

/// An estimate of the memory, in bytes, of analyzing one text of T tokens in
/// every quantity and scope, each array written out as soon as it is computed.
///
/// With e bytes an element, P parameters, H heads, D = `d_model` and
/// F = `d_ff`:
///
/// ```text
/// weights      e P
/// activations  e T (14 D + 3 F) + 2 e H² T + min(32 MiB, e T H D)
/// maps         4 e H T²
/// ```
///
/// A batch needs the activations and maps of each of its members at the
/// length of the longest. It leaves out what does not grow with the model or
/// the text: the program itself, the tokenizer, buffers of the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct MemoryEstimate {
    /// All parameters, one copy.
    pub(crate) weights: usize,
    /// Vectors of one layer: its captures, the sums of each scope, the
    /// feed-forward block, a block of transformed vectors and their Gram matrices.
    pub(crate) activations: usize,
    /// Matrices of one layer, from targets to sources by head: the attention
    /// weights and the largest step of the work on them.
    pub(crate) maps: usize,
}

impl MemoryEstimate {
    /// The estimate for a text of `tokens` tokens.
    pub(crate) fn new(
        architecture: &Architecture,
        parameters: usize,
        tokens: usize,
        precision: Precision,
    ) -> Self {
        let element = precision.bytes();
        let Architecture {
            d_model,
            d_ff,
            n_heads,
            ..
        } = *architecture;
        let transformed = (element * tokens * n_heads * d_model).min(32 << 20);
        Self {
            weights: element * parameters,
            activations: element * tokens * (14 * d_model + 3 * d_ff)
                + 2 * element * n_heads * n_heads * tokens
                + transformed,
            maps: 4 * element * n_heads * tokens * tokens,
        }
    }

    /// The sum.
    pub(crate) fn total(&self) -> usize {
        self.weights + self.activations + self.maps
    }
}

/// Bytes in words: `1.3 GB`.
pub(crate) fn readable(bytes: usize) -> String {
    const UNITS: [(&str, f64); 3] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let bytes = bytes as f64;
    match UNITS.into_iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes / size),
        None => format!("{bytes} B"),
    }
}
