//! The parts themselves, for whoever wants the vectors.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::diagonal::identity;
use crate::norm_map::OutputMap;

/// y_ij for a range of targets.
///
/// This is the materialised form, [batch, targets, source, d_model]; nothing
/// else in this crate goes through it.
///
/// # Shapes
/// `weights`: `[batch, head, target, source]`; `values`: `[batch, head, source, d_head]`;
/// `scale`: `[batch, target, 1]`; `preserving`: `[batch, target, d_model]`.
pub(crate) fn parts(
    map: &OutputMap,
    weights: Tensor<4>,
    values: Tensor<4>,
    scale: Option<&Tensor<3>>,
    preserving: Tensor<3>,
    targets: Range<usize>,
) -> Tensor<4> {
    let [batch, _, tokens, sources] = weights.dims();
    let d_model = preserving.dims()[2];

    // For each source: [targets, head] · [head, d_model].
    let by_source = weights
        .clone()
        .slice_dim(2, targets.clone())
        .permute([0, 3, 2, 1]);
    let mut parts = by_source.matmul(map.transformed(values)).swap_dims(1, 2);
    if let Some(scale) = scale {
        let scale = scale.clone().slice_dim(1, targets.clone());
        parts = parts / scale.unsqueeze_dim::<4>(3);
    }
    let identity = identity(tokens, &weights)
        .slice_dim(0, targets.clone())
        .reshape([1, targets.len(), sources, 1])
        .expand([batch, targets.len(), sources, 1]);
    let own = preserving
        .slice_dim(1, targets.clone())
        .reshape([batch, targets.len(), 1, d_model]);
    parts * (identity.clone() * -1.0 + 1.0) + own * identity
}
