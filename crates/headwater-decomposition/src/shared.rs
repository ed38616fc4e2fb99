//! What all stages of a layer have in common: the attention that the parts
//! start from, and what the CPU's kernels make of it once.

use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;
use headwater_kernels::{self as kernels, HeadGram, HeadShape, HeadVectors, Transformed};
use headwater_transformer::wiring::{Part, Step};
use headwater_transformer::{Host, HostFloats, Layer, LayerCapture, MultiHeadAttention, Sublayer};

use crate::diagonal::{Diagonal, Own};
use crate::form::HeadsForm;
use crate::norm_map::OutputMap;
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
    pub(crate) own: Own,
    pub(crate) options: DecompositionOptions,
    /// The parts of attention alone.
    pub(crate) heads: Arc<HeadsForm>,
    /// What enters the first block, `[batch, target, d_model]`.
    pub(crate) input: Tensor<3>,
    /// γ of the layer norm behind attention, where a scope has it before the
    /// feed-forward block and no other norm.
    pub(crate) norm: OnceLock<Tensor<1>>,
    /// The Gram matrices of the transformed vectors, without and with that
    /// norm, and Σ_h α^h_ii f^h(x_i), if they were made by the CPU's kernels.
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
        let values = attention.repeat_groups(capture.values(step)?);
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
            own,
            options,
            input,
            norm: OnceLock::new(),
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
            d_head: self.values.dims()[3],
            targets,
            sources,
            causal: self.attention.spec.band.ahead == Some(0),
        }
    }

    /// The Gram matrices of the transformed vectors, and behind them those with
    /// the layer norm, if there is one. All are made in one pass, together with
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
            kernels::norm_maps(self.grams(host), weights.slice(), targets)
        });
        let map = &maps[usize::from(!form.map.folds.is_empty())];
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
        let values = host.floats(&self.values);
        let shape = self.head_shape();
        let output = host.contiguous(&self.attention.output.weight);
        let norm = self.norm.get().map(|norm| host.contiguous(norm));
        kernels::transformed(
            host.cpu(),
            shape,
            head_vectors(&values),
            output.slice(),
            self.own_weights(host),
            norm.as_ref().map(HostFloats::slice),
            with_grams,
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
