//! How much memory an analysis needs, before it is run.

use headwater::Precision;
use headwater::checkpoint::{Architecture, Checkpoint};
use headwater::decomposition::DecompositionOptions;
use serde::Serialize;

/// What the program takes before it has loaded anything: its code, and the
/// stacks and buffers of its threads.
const PROGRAM: usize = 16 << 20;

/// An estimate of the memory, in bytes, of analyzing one text of T tokens in
/// every quantity and scope, each array written out as soon as it is computed.
///
/// With e bytes an element, P parameters, H heads, D = `d_model` and
/// F = `d_ff`:
///
/// ```text
/// weights       e P
/// activations   e T (20 D + 4 F) + 2 e H² T + min(32 MiB, e T H D)
/// maps          4 e H T²
/// feed_forward  e D F + e s H (F + D) + e s t (F + 2 D)
/// loading       the largest of: e × the parameters up to one + the size of that one in the file
/// total         16 MiB + max(loading, weights + activations + max(maps, maps / 4 + feed_forward))
/// ```
///
/// with s ≤ T sources and t ≤ T targets in a tile of feed-forward parts.
///
/// Measured peaks, for models of 31 thousand to 110 million parameters and
/// texts of 16 to 2048 tokens, lay between 10 % above and 30 % below.
///
/// A batch needs the activations and maps of each of its members at the
/// length of the longest. On a device with its own memory the estimate is
/// for that memory. `--json` also holds all arrays until they are printed.
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
    /// One tile of the parts behind the feed-forward block.
    pub(crate) feed_forward: usize,
    /// The peak while the parameters are read one by one: a large vocabulary
    /// makes it the largest of all.
    pub(crate) loading: usize,
    /// All in all.
    pub(crate) total: usize,
}

impl MemoryEstimate {
    /// The estimate for a text of `tokens` tokens.
    pub(crate) fn new(checkpoint: &Checkpoint, tokens: usize, precision: Precision) -> Self {
        let element = precision.bytes();
        let Architecture {
            d_model,
            d_ff,
            n_heads,
            ..
        } = *checkpoint.architecture();
        let transformed = (element * tokens * n_heads * d_model).min(32 << 20);
        let activations = element * tokens * (20 * d_model + 4 * d_ff)
            + 2 * element * n_heads * n_heads * tokens
            + transformed;
        let maps = 4 * element * n_heads * tokens * tokens;

        let tile = DecompositionOptions::default().tile_bytes;
        let sources = (tile / 4 / (element * n_heads * d_ff)).clamp(1, tokens);
        let targets = (tile * 3 / 4 / (2 * element * sources * (d_ff + d_model))).clamp(1, tokens);
        let feed_forward = element
            * (d_model * d_ff
                + sources * n_heads * (d_ff + d_model)
                + sources * targets * (d_ff + 2 * d_model));

        let (mut weights, mut loading) = (0, 0);
        for parameter in checkpoint.parameters() {
            let elements: usize = parameter.shape.iter().product();
            weights += element * elements;
            loading = loading.max(weights + elements * parameter.dtype.bitsize() / 8);
        }
        let total =
            PROGRAM + loading.max(weights + activations + maps.max(maps / 4 + feed_forward));
        Self {
            weights,
            activations,
            maps,
            feed_forward,
            loading,
            total,
        }
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
