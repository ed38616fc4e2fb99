//! What all stages of a layer have in common: the attention that the parts
//! start from, and what the CPU's kernels make of it once.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use burn::tensor::Tensor;
use headwater_kernels::{self as kernels, HeadGram, HeadShape, HeadVectors, Matrix, Transformed};
use headwater_transformer::wiring::{Part, Step};
use headwater_transformer::{
    Host, HostFloats, Layer, LayerCapture, MultiHeadAttention, Sublayer, band,
};

use crate::diagonal::{Diagonal, Own};
use crate::form::HeadsForm;
use crate::norm_map::{Fold, OutputMap};
use crate::{DecompositionOptions, Error, Segment};

/// What all stages of a layer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layer: Layer,
    /// The attention sublayer that the parts start from.
    pub(crate) attention: MultiHeadAttention,
    /// α, `[batch, head, target, source]`.
    pub(crate) weights: Tensor<4>,
    /// v of the key and value head that each head reads, `[batch, head, source, d_head]`.
    pub(crate) values: Tensor<4>,
    /// v of each key and value head, `[batch, group, source, d_head]`.
    pub(crate) group_values: Tensor<4>,
    pub(crate) own: Own,
    pub(crate) options: DecompositionOptions,
    /// The parts of attention alone.
    pub(crate) heads: Arc<HeadsForm>,
    /// What enters the first block, `[batch, target, d_model]`.
    pub(crate) input: Tensor<3>,
    /// What the norms behind attention do, in their order, as far as scopes have
    /// them before the feed-forward block.
    folds: Mutex<Vec<Fold>>,
    /// The Gram matrices of the transformed vectors, behind 0, 1, … of those norms,
    /// and Σ_h α^h_ii f^h(x_i), if they were made by the CPU's kernels.
    grams: OnceLock<Vec<HeadGram>>,
    own_weights: OnceLock<Vec<f32>>,
    own_sum: OnceLock<Tensor<3>>,
    /// sqrt(α_ijᵀ G_j α_ij) by each of them.
    maps: OnceLock<Vec<Vec<f32>>>,
}

impl Shared {
    pub(crate) fn new(
        layer: &Layer,
        segment: Segment,
        capture: &LayerCapture,
        options: DecompositionOptions,
    ) -> Result<Self, Error> {
        let blocks = segment.blocks(&layer.spec)?;
        let step = Step {
            block: blocks.start as u8,
            part: Part::Sublayer,
        };
        let attention = match &layer.blocks[blocks.start].sublayer {
            Sublayer::Attention(attention) | Sublayer::CrossAttention(attention) => {
                attention.clone()
            }
            Sublayer::FeedForward(_) | Sublayer::Experts(_) => {
                unreachable!("a segment begins with attention")
            }
        };
        let input = match blocks.start.checked_sub(1) {
            None => capture.input()?,
            Some(before) => capture.state(layer.spec.last_step(before))?,
        };
        let weights = capture.attention_weights(step)?;
        let group_values = capture.values(step)?;
        let values = attention.repeat_groups(group_values.clone());
        let own = match segment {
            Segment::CrossAttention => Own::Stream,
            _ => Own::Diagonal(Diagonal::new(weights.dims()[2])),
        };
        Ok(Self {
            heads: Arc::new(HeadsForm::new(OutputMap::attention(&attention), None)),
            layer: layer.clone(),
            attention,
            weights,
            values,
            group_values,
            own,
            options,
            input,
            folds: Mutex::default(),
            grams: OnceLock::new(),
            own_weights: OnceLock::new(),
            own_sum: OnceLock::new(),
            maps: OnceLock::new(),
        })
    }

    /// The sizes of the attention.
    pub(crate) fn head_shape(&self) -> HeadShape {
        let [batch, heads, targets, sources] = self.weights.dims();
        HeadShape {
            batch,
            heads,
            groups: self.group_values.dims()[1],
            d_head: self.values.dims()[3],
            targets,
            sources,
            band: band(self.attention.spec.band),
        }
    }

    /// Says that a scope has these norms behind attention. Scopes have more and more
    /// of the same ones, and all say so before any Gram matrix is asked for.
    pub(crate) fn reach(&self, folds: &[Fold]) {
        let mut reached = self.folds.lock().unwrap_or_else(PoisonError::into_inner);
        if folds.len() > reached.len() {
            *reached = folds.to_vec();
        }
    }

    /// The Gram matrices of the transformed vectors, behind as many of the norms as
    /// scopes have, from none on. All are made in one pass, together with
    /// what a target keeps of itself.
    pub(crate) fn grams(&self, host: Host) -> &[HeadGram] {
        self.grams.get_or_init(|| {
            let transformed = self.transformed(host, true);
            if let Some(own) = transformed.own {
                self.own_sum.get_or_init(|| self.own_tensor(host, own));
            }
            transformed.grams
        })
    }

    /// ‖y_ij‖ of parts that are combined by α, with `own`, `[batch, target]`,
    /// on the diagonal.
    pub(crate) fn host_norms(
        &self,
        host: Host,
        form: &HeadsForm,
        own: Option<&Tensor<2>>,
    ) -> Tensor<3> {
        let [batch, _, targets, sources] = self.weights.dims();
        let maps = self.maps.get_or_init(|| {
            let weights = host.contiguous(&self.weights);
            let pairs = self.grams(host).chunks(2);
            pairs
                .flat_map(|grams| kernels::norm_maps(grams, weights.slice(), targets))
                .collect()
        });
        let map = &maps[form.map.folds.len()];
        let scale = form.scale.as_ref().map(|scale| host.contiguous(scale));
        let own = own.map(|own| host.contiguous(own));
        let norms = kernels::finished_map(
            map,
            [targets, sources],
            scale.as_ref().map(HostFloats::slice),
            own.as_ref().map(HostFloats::slice),
        );
        host.tensor(norms, [batch, targets, sources])
    }

    /// Σ_h α^h_ii f^h(x_i); none in cross-attention.
    pub(crate) fn own_sum(&self, host: Host) -> Option<Tensor<3>> {
        if matches!(self.own, Own::Stream) {
            return None;
        }
        let make = || {
            let own = self.transformed(host, false).own;
            self.own_tensor(host, own.expect("own weights were given"))
        };
        Some(self.own_sum.get_or_init(make).clone())
    }

    /// α_ii, `[batch, head, target]`; none in cross-attention.
    pub(crate) fn own_weights(&self, host: Host) -> Option<&[f32]> {
        let Own::Diagonal(_) = self.own else {
            return None;
        };
        let weights = self.own_weights.get_or_init(|| {
            let [.., tokens] = self.weights.dims();
            kernels::diagonal(host.contiguous(&self.weights).slice(), tokens)
        });
        Some(weights)
    }

    fn own_tensor(&self, host: Host, own: Vec<f32>) -> Tensor<3> {
        host.tensor(own, self.input.dims())
    }

    fn transformed(&self, host: Host, with_grams: bool) -> Transformed {
        let values = host.floats(&self.group_values);
        let shape = self.head_shape();
        let output = host.contiguous(&self.attention.output.weight);
        let reached = self.folds.lock().unwrap_or_else(PoisonError::into_inner);
        let weights: Vec<_> = reached
            .iter()
            .map(|fold| host.contiguous(&fold.weight))
            .collect();
        let folds: Vec<kernels::Fold<'_>> = (reached.iter().zip(&weights))
            .map(|(fold, weight)| fold.on_host(weight))
            .collect();
        let families: Vec<usize> = match with_grams {
            true => (0..=folds.len()).collect(),
            false => Vec::new(),
        };
        kernels::transformed(
            host.cpu(),
            shape,
            head_vectors(&values),
            Matrix::rows(output.slice(), output.shape[1]),
            self.own_weights(host),
            &folds,
            &families,
        )
    }
}

/// Vectors by token and head, `[batch, head, token, d_head]`, as the kernels take them.
pub(crate) fn head_vectors(vectors: &HostFloats<4>) -> HeadVectors<'_> {
    let [batch_stride, head_stride, token_stride, _] = vectors.strides;
    HeadVectors {
        data: vectors.slice(),
        batch_stride,
        head_stride,
        token_stride,
    }
}
