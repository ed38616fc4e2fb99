//! Parts behind the feed-forward block, a tile of targets and sources at a time.
//!
//! W_1 is applied per head and source first: v^h_j has d_head numbers, so
//! `v^h_j (M^h W_1)` for all heads together costs one ordinary feed-forward
//! product. A tile then combines heads by α, multiplies by the slopes and goes
//! through W_2. That last product, 2·T²·d_ff·d_model FLOPs a layer (half of it
//! in causal models), is what a map costs; everything else is small beside it.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use burn::tensor::{IndexingUpdateOp, Tensor};
use headwater_kernels::{self as kernels, Matrix, Packed, PairMaps};
use headwater_transformer::{Host, HostFloats, Linear, index_of};

use crate::form::{ExpertWork, FeedForwardForm, Tail, Work, maps_into};
use crate::norm_map::{Fold, VECTOR_SCALE};
use crate::shared::{Shared, head_vectors};

/// The feed-forward scopes of a layer that were asked for, computed in one pass.
#[derive(Debug)]
pub(crate) struct FeedForwardMaps {
    shared: Arc<Shared>,
    form: Arc<FeedForwardForm>,
    /// The components behind the block, of the longest scope.
    tail: Vec<Tail>,
    /// For each scope, how many components of the tail are in it.
    scopes: Vec<usize>,
    maps: OnceLock<Vec<Tensor<3>>>,
}

/// A tile of the token-to-token plane of one member of a batch.
struct Tile {
    member: usize,
    targets: Range<usize>,
    sources: Range<usize>,
}

impl FeedForwardMaps {
    pub(crate) fn new(
        shared: Arc<Shared>,
        form: Arc<FeedForwardForm>,
        tail: Vec<Tail>,
        scopes: Vec<usize>,
    ) -> Self {
        Self {
            shared,
            form,
            tail,
            scopes,
            maps: OnceLock::new(),
        }
    }

    /// ‖y_ij‖ of one scope, right off the diagonal; `tail` is how many
    /// components it has behind the block.
    ///
    /// # Shapes
    /// `[batch, target, source]`.
    pub(crate) fn norms(&self, tail: usize) -> Tensor<3> {
        let maps = self.maps.get_or_init(|| self.compute());
        let index = self
            .scopes
            .iter()
            .position(|&scope| scope == tail)
            .expect("scopes are registered when the layer is decomposed");
        maps[index].clone()
    }

    fn compute(&self) -> Vec<Tensor<3>> {
        if let Some(maps) = Host::of(&self.shared.weights).and_then(|host| self.on_host(host)) {
            return maps;
        }
        let [batch, _, targets, sources] = self.shared.weights.dims();
        // Members by source blocks by target tiles, for each scope.
        let mut members: Vec<Vec<Tensor<2>>> = vec![Vec::new(); self.scopes.len()];
        for member in 0..batch {
            let mut columns: Vec<Vec<Tensor<2>>> = vec![Vec::new(); self.scopes.len()];
            for sources in ranges(sources, self.source_block()) {
                let source = SourceBlock::new(self, member, sources.clone());
                let mut rows: Vec<Vec<Tensor<2>>> = vec![Vec::new(); self.scopes.len()];
                for targets in ranges(targets, self.target_tile(sources.len())) {
                    let tile = Tile {
                        member,
                        targets,
                        sources: sources.clone(),
                    };
                    if self.is_unseen(&tile) {
                        let zeros = self.zeros(&tile);
                        rows.iter_mut().for_each(|rows| rows.push(zeros.clone()));
                        continue;
                    }
                    self.visit(&source, &tile, &mut |tail, vectors| {
                        if let Some(index) = self.scopes.iter().position(|&scope| scope == tail) {
                            let norms: Tensor<2> =
                                vectors.square().sum_dim(2).sqrt().squeeze_dim(2);
                            rows[index].push(norms.transpose() / VECTOR_SCALE);
                        }
                    });
                }
                for (columns, rows) in columns.iter_mut().zip(rows) {
                    columns.push(Tensor::cat(rows, 0));
                }
            }
            for (members, columns) in members.iter_mut().zip(columns) {
                members.push(Tensor::cat(columns, 1));
            }
        }
        members
            .into_iter()
            .map(|members| Tensor::stack(members, 0))
            .collect()
    }

    /// The same by the CPU's own kernels, a member at a time, where they have
    /// what is behind attention and behind the block.
    fn on_host(&self, host: Host) -> Option<Vec<Tensor<3>>> {
        let shared = &self.shared;
        let [batch, heads, targets, sources] = shared.weights.dims();
        let Work::One(block, slopes) = &self.form.work else {
            return None;
        };
        // At most a norm on the output, the residual and a norm behind it.
        let mut components = self.tail.iter().peekable();
        let is_norm = |component: &&Tail| matches!(component, Tail::Norm { .. });
        let output_norm = match components.next_if(is_norm) {
            Some(Tail::Norm { fold, scale }) => Some((fold, scale)),
            _ => None,
        };
        let residual = match components.next_if(|component| !is_norm(component)) {
            Some(Tail::Residual(form)) => Some(form),
            _ => None,
        };
        let last_norm = match components.next() {
            Some(Tail::Norm { fold, scale }) if residual.is_some() => Some((fold, scale)),
            Some(_) => return None,
            None => None,
        };
        if components.next().is_some() {
            return None;
        }
        let on_host = |folds: &[Fold]| -> Vec<HostFloats<1>> {
            let weights = folds.iter().map(|fold| host.contiguous(&fold.weight));
            weights.collect()
        };
        let input = &self.form.input;
        let none = Vec::new();
        let of_residual = residual.map_or(&none, |form| &form.map.folds);
        let of_tail: Vec<Fold> = [output_norm, last_norm]
            .into_iter()
            .flatten()
            .map(|(fold, _)| fold.clone())
            .collect();
        let gammas = [&input.map.folds, of_residual, &of_tail].map(|folds| on_host(folds));
        let [folds, residual_folds, tail_folds] = [&input.map.folds, of_residual, &of_tail];
        let [folds, residual_folds, tail_folds]: [Vec<kernels::Fold<'_>>; 3] = [
            (folds, &gammas[0]),
            (residual_folds, &gammas[1]),
            (tail_folds, &gammas[2]),
        ]
        .map(|(folds, gammas)| {
            let folds = folds.iter().zip(gammas);
            folds.map(|(fold, gamma)| fold.on_host(gamma)).collect()
        });
        let scale_of = |scale: &Tensor<3>| host.contiguous(scale);
        let output = host.contiguous(&input.map.output);
        let hidden: Vec<HostFloats<2>> = maps_into(block)
            .map(|map| host.contiguous(&map.weight))
            .collect();
        let hidden: Vec<Matrix<'_>> = hidden.iter().map(matrix).collect();
        let down = host.contiguous(&block.down.weight);
        let scales = [
            input.scale.as_ref(),
            output_norm.map(|(_, scale)| scale),
            residual.and_then(|form| form.scale.as_ref()),
            last_norm.map(|(_, scale)| scale),
        ]
        .map(|scale| scale.map(scale_of));
        let weights = host.contiguous(&shared.weights);
        let values = host.floats(&shared.group_values);
        let shape = shared.head_shape();
        let slopes = slopes.by_member(host, [batch, targets]);
        let slopes: Vec<Vec<&Packed>> = (slopes.iter())
            .map(|slopes| slopes.iter().map(|slopes| &**slopes).collect())
            .collect();
        let size = heads * targets * sources;
        let sequences: Vec<PairMaps<'_>> = (0..batch)
            .map(|member| {
                let [scale, output_scale, residual_scale, tail_scale] =
                    scales.each_ref().map(|scale| {
                        let scale = scale.as_ref();
                        scale.map(|scale| &scale.slice()[member * targets..][..targets])
                    });
                PairMaps {
                    shape,
                    sequence: member,
                    values: head_vectors(&values),
                    weights: &weights.slice()[member * size..][..size],
                    slopes: &slopes[member],
                    scale,
                    output_scale,
                    residual_scale,
                    tail_scale,
                }
            })
            .collect();
        let mut of_tail = tail_folds.into_iter();
        let maps = kernels::FeedForwardMaps {
            output: matrix(&output),
            folds: &folds,
            hidden: &hidden,
            down: matrix(&down),
            tail: kernels::Tail {
                output: output_norm.and_then(|_| of_tail.next()),
                residual: residual.map(|_| kernels::Residual {
                    folds: &residual_folds,
                }),
                norm: last_norm.and_then(|_| of_tail.next()),
            },
        };
        let mut members = maps.norms(&sequences);
        let of_scope = |&tail: &usize| {
            let mut norms = Vec::with_capacity(batch * targets * sources);
            for components in &mut members {
                norms.append(&mut components[tail]);
            }
            host.tensor(norms, [batch, targets, sources])
        };
        Some(self.scopes.iter().map(of_scope).collect())
    }

    /// The parts as vectors for a range of targets; right off the diagonal.
    ///
    /// # Shapes
    /// `[batch, targets, source, d_model]`.
    pub(crate) fn parts(&self, tail: usize, targets: Range<usize>) -> Tensor<4> {
        let [batch, _, _, sources] = self.shared.weights.dims();
        let members = (0..batch)
            .map(|member| {
                let blocks = ranges(sources, self.source_block())
                    .map(|sources| {
                        let source = SourceBlock::new(self, member, sources.clone());
                        let tile = Tile {
                            member,
                            targets: targets.clone(),
                            sources,
                        };
                        let mut parts = None;
                        self.visit(&source, &tile, &mut |reached, vectors| {
                            if reached == tail {
                                parts = Some(vectors.swap_dims(0, 1) / VECTOR_SCALE);
                            }
                        });
                        parts.expect("every tail length up to the longest is visited")
                    })
                    .collect();
                Tensor::cat(blocks, 1)
            })
            .collect();
        Tensor::stack(members, 0)
    }

    /// Whether no target of a tile sees any of its sources.
    fn is_unseen(&self, tile: &Tile) -> bool {
        let band = self.shared.attention.spec.band;
        let [.., sources] = self.shared.weights.dims();
        let first = band.sources(tile.targets.start, sources).start;
        let end = band.sources(tile.targets.end - 1, sources).end;
        tile.sources.start >= end || tile.sources.end <= first
    }

    fn zeros(&self, tile: &Tile) -> Tensor<2> {
        let weights = &self.shared.weights;
        Tensor::zeros(
            [tile.targets.len(), tile.sources.len()],
            (&weights.device(), weights.dtype()),
        )
    }

    /// Sources for which `v (M W_1)`, `[source, head, d_ff]`, takes a quarter of the budget.
    fn source_block(&self) -> usize {
        let [_, heads, _, sources] = self.shared.weights.dims();
        let bytes = heads * self.form.source_width() * self.shared.weights.dtype().size();
        (self.shared.options.tile_bytes / 4 / bytes).clamp(1, sources)
    }

    /// Targets for which the tile's pre-activations, twice, and its vectors,
    /// twice, take the rest.
    fn target_tile(&self, sources: usize) -> usize {
        let [_, _, targets, _] = self.shared.weights.dims();
        let bytes = sources * 2 * self.form.pair_width() * self.shared.weights.dtype().size();
        (self.shared.options.tile_bytes * 3 / 4 / bytes).clamp(1, targets)
    }

    /// Hands over the parts of a tile, `[source, target, d_model]` times
    /// [`VECTOR_SCALE`], behind the block and behind each component of the tail.
    fn visit(&self, source: &SourceBlock, tile: &Tile, visit: &mut dyn FnMut(usize, Tensor<3>)) {
        let weights: Tensor<3> = self
            .shared
            .weights
            .clone()
            .slice([
                tile.member..tile.member + 1,
                0..self.shared.weights.dims()[1],
                tile.targets.clone(),
                tile.sources.clone(),
            ])
            .squeeze_dim::<3>(0)
            .permute([2, 1, 0]);
        let of_targets = |v: &Tensor<3>| -> Tensor<3> {
            v.clone()
                .slice_dim(0, tile.member..tile.member + 1)
                .slice_dim(1, tile.targets.clone())
        };

        let scale = self.form.input.scale.as_ref().map(of_targets);
        let mut vectors = match &self.form.work {
            Work::One(block, slopes) => {
                let slopes = slopes.tensors();
                let slopes = slopes.iter().map(|slope| match &scale {
                    Some(scale) => of_targets(slope) / scale.clone(),
                    None => of_targets(slope),
                });
                let hidden = source.hidden.iter().zip(slopes);
                let hidden =
                    hidden.map(|(hidden, slope)| weights.clone().matmul(hidden.clone()) * slope);
                let hidden = hidden.reduce(|a, b| a + b).expect("a block has a map");
                rows_through(&block.down, hidden)
            }
            Work::Experts(experts) => {
                let parts = weights.clone().matmul(source.hidden[0].clone());
                let parts = match &scale {
                    Some(scale) => parts / scale.clone(),
                    None => parts,
                };
                self.through_experts(experts, parts, tile)
            }
        };
        visit(0, vectors.clone());

        for (index, component) in self.tail.iter().enumerate() {
            vectors = match component {
                Tail::Residual(form) => {
                    let transformed = source.residuals[index]
                        .clone()
                        .expect("made for every residual of the tail");
                    let mut residual = weights.clone().matmul(transformed);
                    if let Some(scale) = &form.scale {
                        residual = residual / of_targets(scale);
                    }
                    vectors + residual
                }
                Tail::Norm { fold, scale } => fold.apply(vectors) / of_targets(scale),
            };
            visit(index + 1, vectors.clone());
        }
    }
}

impl FeedForwardMaps {
    /// The parts of a tile `[source, target, d_model]` behind the experts of each target.
    fn through_experts(&self, experts: &[ExpertWork], parts: Tensor<3>, tile: &Tile) -> Tensor<3> {
        let [_, _, targets, _] = self.shared.weights.dims();
        let first = tile.member * targets + tile.targets.start;
        let mut sum = parts.zeros_like();
        for expert in experts {
            // Rows are in rising order.
            let rows = &expert.rows.rows;
            let chosen = rows.partition_point(|&row| row < first)
                ..rows.partition_point(|&row| row < first + tile.targets.len());
            if chosen.is_empty() {
                continue;
            }
            let of_tile: Vec<usize> = rows[chosen.clone()].iter().map(|row| row - first).collect();
            let index = index_of(&of_tile, &parts);
            let picked = parts.clone().select(1, index.clone());
            let hidden = maps_into(&expert.block).zip(&expert.slopes);
            let hidden = hidden.map(|(map, slope)| {
                rows_through(map, picked.clone()) * slope.clone().slice_dim(1, chosen.clone())
            });
            let hidden = hidden.reduce(|a, b| a + b).expect("a block has a map");
            let y = rows_through(&expert.block.down, hidden);
            sum = sum.select_assign(1, index, y, IndexingUpdateOp::Add);
        }
        sum
    }
}

/// `x Wᵀ` of all rows in one product.
fn rows_through(map: &Linear, x: Tensor<3>) -> Tensor<3> {
    let [sources, targets, input] = x.dims();
    let [output, _] = map.weight.dims();
    x.reshape([sources * targets, input])
        .matmul(map.weight.clone().transpose())
        .reshape([sources, targets, output])
}

fn matrix(weight: &HostFloats<2>) -> Matrix<'_> {
    Matrix::rows(weight.slice(), weight.shape[1])
}

/// What all tiles of a block of sources share.
struct SourceBlock {
    /// `v (M W)` for each map into the block, scaled, `[source, head, d_ff]`; `v M`
    /// where there are experts.
    hidden: Vec<Tensor<3>>,
    /// For each residual of the tail its `v M`, scaled, `[source, head, d_model]`.
    residuals: Vec<Option<Tensor<3>>>,
}

impl SourceBlock {
    fn new(maps: &FeedForwardMaps, member: usize, sources: Range<usize>) -> Self {
        let values: Tensor<3> = maps
            .shared
            .values
            .clone()
            .slice_dim(0, member..member + 1)
            .slice_dim(2, sources)
            .squeeze_dim::<3>(0)
            * VECTOR_SCALE;
        let by_source = |by_head: Tensor<3>| values.clone().matmul(by_head).swap_dims(0, 1);
        Self {
            hidden: maps
                .form
                .source_maps()
                .iter()
                .cloned()
                .map(by_source)
                .collect(),
            residuals: maps
                .tail
                .iter()
                .map(|component| match component {
                    Tail::Residual(form) => Some(by_source(form.map.by_head())),
                    Tail::Norm { .. } => None,
                })
                .collect(),
        }
    }
}

/// `0..length` in steps.
fn ranges(length: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length)
        .step_by(step)
        .map(move |start| start..(start + step).min(length))
}
