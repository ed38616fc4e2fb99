//! Alignment error rates of every layer and head over a corpus.

use std::collections::BTreeMap;

use crate::alignment::{Aligner, AlignmentMeasure, ParallelText, links};
use crate::metrics::{
    AlignmentErrorRate, AlignmentSetting, GoldLinks, Links, MetricsError, Symmetrization, WordMap,
    spearman,
};
use crate::{Analysis, Error};

/// How well each layer and each head of a translation model aligns words, and
/// how large the norms of their weighted vectors are, added up pair by pair.
///
/// # Source
/// Kobayashi et al. 2020, word alignment.
#[derive(Debug, Clone)]
pub struct AlignmentScores {
    aligners: Vec<Aligner>,
    symmetrization: Option<Symmetrization>,
    rates: BTreeMap<Aligner, AlignmentErrorRate>,
    /// Sum and number of the entries of the norm maps, by layer and head.
    norms: BTreeMap<(usize, Option<usize>), (f64, usize)>,
}

impl AlignmentScores {
    /// For these aligners.
    pub fn new(aligners: Vec<Aligner>, symmetrization: Option<Symmetrization>) -> Self {
        Self {
            rates: aligners.iter().map(|&a| (a, Default::default())).collect(),
            aligners,
            symmetrization,
            norms: BTreeMap::new(),
        }
    }

    /// For every measure and setting of these layers and of each of their heads.
    pub fn of_layers(layers: impl IntoIterator<Item = usize>, n_heads: usize) -> Self {
        let places = layers.into_iter().flat_map(|layer| {
            let heads = std::iter::once(None).chain((0..n_heads).map(Some));
            heads.map(move |head| (layer, head))
        });
        let aligners = places.flat_map(|(layer, head)| {
            AlignmentMeasure::ALL.into_iter().flat_map(move |measure| {
                AlignmentSetting::ALL.map(|setting| Aligner {
                    layer,
                    head,
                    measure,
                    setting,
                })
            })
        });
        Self::new(aligners.collect(), None)
    }

    /// Adds a pair that was analysed with [`Aligner::request`].
    ///
    /// # Errors
    /// As [`Aligner::word_map`].
    pub fn push(
        &mut self,
        analysis: &Analysis,
        texts: &ParallelText,
        gold: &GoldLinks,
    ) -> Result<(), Error> {
        for aligner in &self.aligners {
            let map = aligner.token_map(analysis)?;
            let words = WordMap::new(
                map.view(),
                &texts.source_words,
                &texts.target_words,
                aligner.setting,
            )?;
            let links = links(&words, self.symmetrization);
            self.rates.entry(*aligner).or_default().push(&links, gold);
            // Both settings read the same map.
            let is_first = aligner.setting == AlignmentSetting::ALL[0];
            if aligner.measure == AlignmentMeasure::Norm && is_first {
                let place = (aligner.layer, aligner.head);
                let (sum, entries) = self.norms.entry(place).or_default();
                *sum += map.sum();
                *entries += map.len();
            }
        }
        Ok(())
    }

    /// Adds a pair whose links are known, one set an aligner in their order. Mean
    /// norms do not grow by it.
    ///
    /// # Errors
    /// [`MetricsError::LengthMismatch`](crate::metrics::MetricsError::LengthMismatch).
    pub fn push_links(&mut self, links: &[Links], gold: &GoldLinks) -> Result<(), Error> {
        if links.len() != self.aligners.len() {
            return Err(MetricsError::LengthMismatch {
                name: "links",
                expected: self.aligners.len(),
                found: links.len(),
            }
            .into());
        }
        for (aligner, links) in self.aligners.iter().zip(links) {
            self.rates.entry(*aligner).or_default().push(links, gold);
        }
        Ok(())
    }

    /// The aligners, in order.
    pub fn aligners(&self) -> impl Iterator<Item = &Aligner> {
        self.aligners.iter()
    }

    /// The error rate of an aligner; `None` if it is not among them.
    pub fn rate(&self, aligner: &Aligner) -> Option<&AlignmentErrorRate> {
        self.rates.get(aligner)
    }

    /// Mean of ‖α f^h(x_j)‖ over all rows and source tokens of the corpus; of
    /// all heads that of ‖Σ_h α f^h(x_j)‖. `None` if [`AlignmentMeasure::Norm`]
    /// in [`AlignmentSetting::Awi`] is not among the aligners.
    pub fn mean_norm(&self, layer: usize, head: Option<usize>) -> Option<f64> {
        let (sum, entries) = self.norms.get(&(layer, head))?;
        Some(sum / *entries as f64)
    }

    /// Spearman's ρ between the heads' error rates by norm and their mean norms.
    pub fn error_rate_and_norm(&self, setting: AlignmentSetting) -> Option<f64> {
        let heads = self.aligners.iter().filter(|aligner| {
            aligner.head.is_some()
                && aligner.measure == AlignmentMeasure::Norm
                && aligner.setting == setting
        });
        let (rates, norms): (Vec<f64>, Vec<f64>) = heads
            .filter_map(|aligner| {
                let norm = self.mean_norm(aligner.layer, aligner.head)?;
                Some((self.rates[aligner].error_rate(), norm))
            })
            .unzip();
        spearman(&rates, &norms).ok().flatten()
    }
}
