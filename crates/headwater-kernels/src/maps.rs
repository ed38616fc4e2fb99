//! Norms of the parts behind a feed-forward block, `((y_ij W_1) ⊙ slope_i) W_2`,
//! for all pairs of tokens, and of what norms and a residual make of them; or of
//! a gated one, `(y_ij W_g ⊙ a_i + y_ij W_u ⊙ c_i) W_d`.
//!
//! W_1 is applied to each head's values once: `v^h_j (M^h W_1)` for all heads
//! together costs one ordinary feed-forward product. A panel is one source and
//! as many targets as a panel of a product has rows: heads are combined by α
//! into the packed layout itself, multiplied by the slopes, go through W_2, and
//! the norms are taken where they lie. That last product, 2·T²·d_ff·d_model
//! FLOPs (half of it in causal models), is what a map costs.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::heads::VECTOR_SCALE;
use crate::linear::{Affine, Then, linear, linear_packed};
use crate::pair_panels::{
    BySource, Combine, Combined, Normalize, NormalizedSquares, Pair, Squares,
};
use crate::shared::{Shared, filled, written};
use crate::{Cpu, Fold, HeadShape, HeadVectors, Matrix, Packed};

/// A feed-forward block behind attention, whose maps are wanted.
#[derive(Debug, Clone, Copy)]
pub struct FeedForwardMaps<'a> {
    /// W_O, `[d_model, head · d_head]`.
    pub output: Matrix<'a>,
    /// What the norms between attention and the block do, in their order.
    pub folds: &'a [Fold<'a>],
    /// W_1, `[d_ff, d_model]`; of a gated block W_g and W_u.
    pub hidden: &'a [Matrix<'a>],
    /// W_2 or W_d, `[d_model, d_ff]`.
    pub down: Matrix<'a>,
    /// What comes behind the block.
    pub tail: Tail<'a>,
}

/// Components behind the block, in their order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tail<'a> {
    /// The norm on the block's output.
    pub output: Option<Fold<'a>>,
    /// The residual connection.
    pub residual: Option<Residual<'a>>,
    /// The norm behind it.
    pub norm: Option<Fold<'a>>,
}

/// What the residual connection adds: `Σ_h α^h_ij v^h_j M^h`.
#[derive(Debug, Clone, Copy)]
pub struct Residual<'a> {
    /// What the norms do that are in M besides W_O, in their order.
    pub folds: &'a [Fold<'a>],
}

/// A sequence whose maps are wanted.
#[derive(Debug, Clone, Copy)]
pub struct PairMaps<'a> {
    /// The sizes; the batch is not looked at.
    pub shape: HeadShape,
    /// Which sequence of the values this is.
    pub sequence: usize,
    /// v.
    pub values: HeadVectors<'a>,
    /// α of this sequence, `[head, target, source]`.
    pub weights: &'a [f32],
    /// The slopes for each hidden map, a row a target, d_ff columns.
    pub slopes: &'a [&'a Packed],
    /// What the norms before the block divide by together, one a target.
    pub scale: Option<&'a [f32]>,
    /// s_i of the norm on the block's output.
    pub output_scale: Option<&'a [f32]>,
    /// What the norms in what the residual adds divide by together.
    pub residual_scale: Option<&'a [f32]>,
    /// s_i of the norm behind the residual.
    pub tail_scale: Option<&'a [f32]>,
}

/// A block, prepared for any number of sequences.
struct Prepared<'a> {
    block: FeedForwardMaps<'a>,
    d_model: usize,
    d_ff: usize,
    /// M W_1, or M W_g and M W_u, `[head · d_head, d_ff]`.
    hidden: Vec<Vec<f32>>,
    /// M of the residual, `[head · d_head, d_model]`.
    residual: Option<Vec<f32>>,
}

impl FeedForwardMaps<'_> {
    /// Panels that are in memory together.
    pub const PANELS: usize = 32;

    /// ‖y_ij‖ behind the block and behind each component of the tail, for each
    /// sequence: `[sequence][component]` of `[target, source]`.
    ///
    /// 2·d_model²·d_ff FLOPs once for each hidden map, 2·target·source·d_ff·d_model for each
    /// sequence; some tens of panels of `d_ff + d_model` rows in memory.
    ///
    /// # Panics
    /// Sizes that do not fit together.
    pub fn norms(self, sequences: &[PairMaps<'_>]) -> Vec<Vec<Vec<f32>>> {
        let Some(first) = sequences.first() else {
            return Vec::new();
        };
        let [first_slope, ..] = first.slopes else {
            panic!("slopes for each hidden map");
        };
        let cpu = first_slope.cpu;
        let [first_hidden, rest @ ..] = self.hidden else {
            panic!("a hidden map");
        };
        let inner = first.shape.heads * first.shape.d_head;
        let sizes = |map: &Matrix<'_>| [map.outputs(), map.inputs()];
        let [d_ff, d_model] = sizes(first_hidden);
        assert_eq!(sizes(&self.output), [d_model, inner], "W_O");
        let alike = rest.iter().all(|map| sizes(map) == [d_ff, d_model]);
        assert!(alike && rest.len() < 2, "one hidden map or two");
        assert_eq!(sizes(&self.down), [d_model, d_ff], "W_2");
        let of_residual = self
            .tail
            .residual
            .map_or(&[][..], |residual| residual.folds);
        let of_tail = [self.tail.output, self.tail.norm].into_iter().flatten();
        for fold in self.folds.iter().chain(of_residual).copied().chain(of_tail) {
            assert_eq!(fold.weight.len(), d_model, "one γ each");
        }
        for sequence in sequences {
            let HeadShape { heads, d_head, .. } = sequence.shape;
            let of_first = (first.shape.heads, first.shape.d_head);
            assert_eq!((heads, d_head), of_first, "heads of one size");
            sequence.shape.check();
        }
        let before = output_map(cpu, self.output, self.folds);
        let through = |map: &Matrix<'_>| {
            let map = Affine {
                weight: *map,
                bias: None,
            };
            linear(&before, map)
        };
        let prepared = Prepared {
            block: self,
            d_model,
            d_ff,
            hidden: self.hidden.iter().map(through).collect(),
            residual: self.tail.residual.map(|residual| {
                let map = output_map(cpu, self.output, residual.folds);
                map.unpack()
            }),
        };
        sequences
            .iter()
            .map(|sequence| prepared.norms(cpu, sequence))
            .collect()
    }
}

/// M, a row for each number of each head, d_model columns: W_O transposed, and
/// behind norms what they do to it.
fn output_map(cpu: Cpu, output: Matrix<'_>, folds: &[Fold<'_>]) -> Packed {
    struct Copy<'a> {
        output: Matrix<'a>,
        first: usize,
        count: usize,
        rows: &'a mut [f32],
        width: usize,
    }
    impl WithSimd for Copy<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self { output, width, .. } = self;
            let d_model = output.outputs();
            output.copy(simd, 0, d_model, self.first, self.count, self.rows, width);
        }
    }
    let (d_model, inner) = (output.outputs(), output.inputs());
    let width = cpu.width();
    let map = |panel: usize, rows: &mut [MaybeUninit<f32>]| {
        let first = panel * width;
        let count = width.min(inner - first);
        let rows = filled(rows, 0.0);
        cpu.run(Copy {
            output,
            first,
            count,
            rows,
            width,
        });
        for fold in folds {
            let mut means = vec![0.0_f32; width];
            if fold.centre {
                for lanes in rows.chunks_exact(width) {
                    means
                        .iter_mut()
                        .zip(lanes)
                        .for_each(|(mean, &number)| *mean += number);
                }
                means.iter_mut().for_each(|mean| *mean /= d_model as f32);
            }
            for (lanes, &factor) in rows.chunks_exact_mut(width).zip(fold.weight) {
                let lanes = lanes.iter_mut().zip(&means);
                lanes.for_each(|(number, &mean)| *number = (*number - mean) * factor);
            }
        }
    };
    // SAFETY: all of a panel is filled.
    unsafe { Packed::by_panel(cpu, inner, d_model, map) }
}

impl Prepared<'_> {
    fn norms(&self, cpu: Cpu, maps: &PairMaps<'_>) -> Vec<Vec<f32>> {
        let HeadShape {
            heads,
            targets,
            sources,
            band,
            ..
        } = maps.shape;
        assert_eq!(maps.weights.len(), heads * targets * sources, "weights");
        assert_eq!(maps.slopes.len(), self.hidden.len(), "slopes for each map");
        let width = cpu.width();
        for slope in maps.slopes {
            let fits = slope.rows == targets && slope.columns == self.d_ff;
            assert!(fits && slope.width == width, "slopes");
        }
        let tail = self.block.tail;
        let scales = [
            maps.scale,
            maps.output_scale,
            maps.residual_scale,
            maps.tail_scale,
        ];
        for scale in scales {
            assert!(scale.is_none_or(|s| s.len() == targets), "one s a target");
        }
        let target_panels = targets.div_ceil(width);
        let tail_components = [
            tail.output.is_some(),
            tail.residual.is_some(),
            tail.norm.is_some(),
        ];
        let components = 1 + tail_components.into_iter().filter(|&there| there).count();
        let mut norms = vec![vec![0.0; targets * sources]; components];
        let shared: Vec<Shared> = norms.iter_mut().map(|norms| Shared::new(norms)).collect();
        let group = (FeedForwardMaps::PANELS / target_panels.max(1)).max(1);
        for first in (0..sources).step_by(group) {
            let group: Vec<usize> = (first..(first + group).min(sources)).collect();
            let pairs: Vec<Pair> = group
                .iter()
                .flat_map(|&source| (0..target_panels).map(move |panel| Pair { source, panel }))
                // Nothing flows to a target from what it does not see.
                .filter(|pair| {
                    let of_panel = pair.panel * width..targets.min((pair.panel + 1) * width);
                    band.of_targets(&of_panel, sources).contains(&pair.source)
                })
                .collect();
            let hidden: Vec<Vec<f32>> = (self.hidden.iter())
                .map(|map| self.by_source(cpu, maps, &group, map, self.d_ff))
                .collect();
            let residual = self
                .residual
                .as_ref()
                .map(|residual| self.by_source(cpu, maps, &group, residual, self.d_model));
            for pairs in pairs.chunks(FeedForwardMaps::PANELS) {
                let combine = |panel: usize, result: &mut [MaybeUninit<f32>]| {
                    let pair = pairs[panel];
                    let size = self.d_ff * heads;
                    let of_source = (pair.source - first) * size;
                    cpu.run(Combine {
                        maps,
                        pair,
                        by_source: &hidden[0][of_source..][..size],
                        scale: maps.scale,
                        result: match &hidden[..] {
                            [_, other] => Combined::Gated {
                                result,
                                slopes: [maps.slopes[0], maps.slopes[1]],
                                other: &other[of_source..][..size],
                            },
                            _ => Combined::Sloped(result, maps.slopes[0]),
                        },
                    });
                };
                // SAFETY: `Combine` writes all of a panel where it adds to nothing.
                let x = unsafe { Packed::by_panel(cpu, pairs.len() * width, self.d_ff, combine) };
                let down = Affine {
                    weight: self.block.down,
                    bias: None,
                };
                let mut y = linear_packed(&x, down, Then::Nothing);
                y.data
                    .par_chunks_mut(self.d_model * width)
                    .zip(pairs)
                    .for_each(|(panel, pair)| {
                        let size = self.d_model * heads;
                        let of_source = (pair.source - first) * size;
                        let residual = residual.as_ref().map(|all| &all[of_source..][..size]);
                        self.finish(maps, *pair, residual, panel, &shared);
                    });
            }
        }
        norms
    }

    /// The norms of a panel's vectors behind the block, and behind each component of
    /// the tail.
    fn finish(
        &self,
        maps: &PairMaps<'_>,
        pair: Pair,
        residual: Option<&[f32]>,
        panel: &mut [f32],
        norms: &[Shared],
    ) {
        let HeadShape {
            targets, sources, ..
        } = maps.shape;
        let cpu = maps.slopes[0].cpu;
        let width = cpu.width();
        let first = pair.panel * width;
        let mut component = 0;
        let mut keep = |squares: &[f32], scale: Option<&[f32]>| {
            for (lane, &square) in squares.iter().enumerate().take(targets - first) {
                let target = first + lane;
                let scale = scale.map_or(1.0, |scale| scale[target]);
                let norm = square.sqrt() / VECTOR_SCALE / scale;
                // SAFETY: `at` checked that the place is within the map, which lives
                // until all panels are done, and no other panel has this pair.
                unsafe {
                    *norms[component].at(target * sources + pair.source, 1) = norm;
                }
            }
            component += 1;
        };
        let tail = self.block.tail;
        keep(&cpu.run(Squares(panel)), None);
        if let Some(fold) = tail.output {
            // The residual is added to it, so that s_i cannot wait.
            let mut factors = vec![1.0; width];
            if let Some(scale) = maps.output_scale {
                let of_panel = &scale[first..targets.min(first + width)];
                for (factor, scale) in factors.iter_mut().zip(of_panel) {
                    *factor = 1.0 / scale;
                }
            }
            cpu.run(Normalize {
                panel,
                fold,
                factors: &factors,
            });
            keep(&cpu.run(Squares(panel)), None);
        }
        if let Some(by_source) = residual {
            cpu.run(Combine {
                maps,
                pair,
                by_source,
                scale: maps.residual_scale,
                result: Combined::Added(panel),
            });
            keep(&cpu.run(Squares(panel)), None);
        }
        if let Some(fold) = tail.norm {
            keep(&cpu.run(NormalizedSquares { panel, fold }), maps.tail_scale);
        }
    }

    /// `v^h_j (M^h W)` for some sources, `[source][column][head]`.
    fn by_source(
        &self,
        cpu: Cpu,
        maps: &PairMaps<'_>,
        sources: &[usize],
        map: &[f32],
        columns: usize,
    ) -> Vec<f32> {
        let heads = maps.shape.heads;
        let width = cpu.width();
        let write = |result: Shared| {
            (0..columns.div_ceil(width))
                .into_par_iter()
                .for_each(|panel| {
                    cpu.run(BySource {
                        maps,
                        sources,
                        map,
                        columns,
                        first: panel * width,
                        result,
                    });
                });
        };
        // SAFETY: there is a task for every panel of columns, and it writes them for
        // all heads of these sources.
        unsafe { written(sources.len() * columns * heads, write) }
    }
}
