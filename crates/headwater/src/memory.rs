//! How much memory an analysis needs, before it is run.

use std::collections::HashSet;

use headwater_kernels::{FeedForwardMaps, Packed};

use crate::Precision;
use crate::checkpoint::wiring::Positions;
use crate::checkpoint::{Architecture, Checkpoint, Dtype, Parameter};
use crate::decomposition::DecompositionOptions;

/// What the program takes before it has loaded anything: its code, and the
/// stacks and buffers of its threads.
const PROGRAM: usize = 14 << 20;
/// Bytes that a tokenizer takes for each byte of its files; 16 to 36 were
/// measured, most for vocabularies with scores.
const TOKENIZER: usize = 24;

/// An estimate of the memory, in bytes, of analyzing one text of T tokens in
/// every quantity and scope, each array written out as soon as it is computed.
///
/// With e bytes an element, P parameters, H heads, D = `d_model` and
/// F = `d_ff`:
///
/// ```text
/// weights       e P, and e N D for N positions that are computed and not read
/// loading       the largest of: e × the parameters up to one + the size in the file of its
///               tensor, if that is not looked at where it lies
/// program       14 MiB + 24 × the size of the tokenizer's files
/// total         program + max(loading, weights + activations + max(maps, e H T² + feed_forward))
/// ```
///
/// In float32, with the CPU's own kernels, which make parts of s sources for p
/// panels of 32 targets at a time:
///
/// ```text
/// activations   e T (12 D + 5 F)
/// maps          2 e H T²
/// feed_forward  e D (F + D) + e (32 p + s H) (F + D) + 3 e T²
/// ```
///
/// In float64, with s ≤ T sources and t ≤ T targets in a tile of feed-forward parts:
///
/// ```text
/// activations   e T (20 D + 4 F) + 2 e H² T + min(32 MiB, e T H D)
/// maps          4 e H T²
/// feed_forward  e D F + e s H (F + D) + e s t (F + 2 D)
/// ```
///
/// A translation model's estimate is for a text and a translation of T tokens
/// each: all parameters, a table that is used twice counted once, and the
/// layer of the stack whose layers need more. The two stacks run one after the
/// other, and of the encoder only its outputs are kept.
///
/// Estimates were between 6 % below and 4 % above measured peaks, for models of
/// 31 thousand to 124 million parameters, texts of 16 to 1024 tokens and
/// translations of 32 to 512 tokens on each side, on a processor with AVX-512.
///
/// A batch needs the activations and maps of each of its members at the
/// length of the longest. On a device with its own memory the estimate is
/// for that memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEstimate {
    /// All parameters, one copy.
    pub weights: usize,
    /// Vectors of one layer: its captures, the sums of each scope, the
    /// feed-forward block, transformed vectors and their Gram matrices.
    pub activations: usize,
    /// Matrices of one layer, from targets to sources by head: the attention
    /// weights and the largest step of the work on them.
    pub maps: usize,
    /// The parts behind the feed-forward block that are in memory together,
    /// and what they are made with.
    pub feed_forward: usize,
    /// The peak while the parameters are read one by one: a large vocabulary
    /// makes it the largest of all, if it has to be converted.
    pub loading: usize,
    /// The program and the tokenizer.
    pub program: usize,
    /// All in all.
    pub total: usize,
}

impl MemoryEstimate {
    /// The estimate for a text of `tokens` tokens.
    pub fn new(checkpoint: &Checkpoint, tokens: usize, precision: Precision) -> Self {
        let element = precision.bytes();
        let stacks = std::iter::once(checkpoint.architecture()).chain(checkpoint.decoder());
        let (mut weights, mut loading) = (0, 0);
        let mut read = HashSet::new();
        for parameter in checkpoint.parameters() {
            if read.insert((&parameter.name_in_file, parameter.layout)) {
                let elements: usize = parameter.shape.iter().product();
                weights += element * elements;
                loading = loading.max(weights + converted(parameter, precision));
            }
        }
        let computed = stacks
            .clone()
            .filter(|stack| matches!(stack.embeddings().positions, Positions::Sinusoidal { .. }));
        let computed: usize = computed
            .map(|stack| element * stack.max_positions * stack.d_embedding)
            .sum();
        weights += computed;

        let layers = stacks.map(|stack| LayerEstimate::new(stack, tokens, precision));
        let layer = layers.max_by_key(LayerEstimate::peak);
        let layer = layer.expect("a model has a stack of layers");
        let program = PROGRAM + TOKENIZER * tokenizer_files(checkpoint);
        Self {
            weights,
            activations: layer.activations,
            maps: layer.maps,
            feed_forward: layer.feed_forward,
            loading,
            program,
            total: program + loading.max(weights + layer.peak()),
        }
    }
}

/// Bytes of the file that are in memory beside a parameter while it is loaded:
/// none if it stays in the file.
fn converted(parameter: &Parameter, precision: Precision) -> usize {
    let as_stored = parameter.is_whole() && parameter.dtype == Dtype::F32;
    if as_stored && precision == Precision::F32 {
        return 0;
    }
    // Each part of a tensor is cut from all of it.
    let elements: usize = parameter.shape_in_file.iter().product();
    elements * parameter.dtype.bitsize() / 8
}

/// Bytes of the files of the tokenizer, if there is one: Marian's, or the one
/// that other models have.
fn tokenizer_files(checkpoint: &Checkpoint) -> usize {
    let directory = checkpoint.directory();
    let marian = checkpoint.decoder().is_some() && directory.join("source.spm").is_file();
    let names: &[&str] = match marian {
        true => &[
            "source.spm",
            "target.spm",
            "vocab.json",
            "target_vocab.json",
        ],
        false => &["tokenizer.json"],
    };
    let files = names.iter().filter_map(|name| {
        let file = std::fs::metadata(directory.join(name)).ok()?;
        usize::try_from(file.len()).ok()
    });
    files.sum()
}

/// What the work on one layer takes.
struct LayerEstimate {
    activations: usize,
    maps: usize,
    /// Of the maps, the attention weights, which stay.
    weights: usize,
    feed_forward: usize,
}

/// Targets in a panel, with the widest vectors.
const PANEL: usize = Packed::WIDEST;
/// Panels of feed-forward parts that are in memory together.
const PANELS: usize = FeedForwardMaps::PANELS;

impl LayerEstimate {
    fn new(stack: &Architecture, tokens: usize, precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::of_kernels(stack, tokens),
            Precision::F64 => Self::of_tensors(stack, tokens, precision.bytes()),
        }
    }

    /// With the CPU's own kernels.
    fn of_kernels(stack: &Architecture, tokens: usize) -> Self {
        let &Architecture {
            d_model,
            d_ff,
            n_heads,
            ..
        } = stack;
        let element = size_of::<f32>();
        let of_source = tokens.div_ceil(PANEL);
        let sources = (PANELS / of_source).clamp(1, tokens);
        let panels = PANELS.min(sources * of_source);
        let weights = element * n_heads * tokens * tokens;
        Self {
            activations: element * tokens * (12 * d_model + 5 * d_ff),
            maps: 2 * weights,
            weights,
            feed_forward: element
                * ((d_model + PANEL * panels + sources * n_heads) * (d_ff + d_model)
                    + 3 * tokens * tokens),
        }
    }

    /// With Burn's operations.
    fn of_tensors(stack: &Architecture, tokens: usize, element: usize) -> Self {
        let &Architecture {
            d_model,
            d_ff,
            n_heads,
            ..
        } = stack;
        let transformed = (element * tokens * n_heads * d_model).min(32 << 20);
        let activations = element * tokens * (20 * d_model + 4 * d_ff)
            + 2 * element * n_heads * n_heads * tokens
            + transformed;
        let tile = DecompositionOptions::default().tile_bytes;
        let sources = (tile / 4 / (element * n_heads * d_ff)).clamp(1, tokens);
        let targets = (tile * 3 / 4 / (2 * element * sources * (d_ff + d_model))).clamp(1, tokens);
        let weights = element * n_heads * tokens * tokens;
        Self {
            activations,
            maps: 4 * weights,
            weights,
            feed_forward: element
                * (d_model * d_ff
                    + sources * n_heads * (d_ff + d_model)
                    + sources * targets * (d_ff + 2 * d_model)),
        }
    }

    fn peak(&self) -> usize {
        self.activations + self.maps.max(self.weights + self.feed_forward)
    }
}
