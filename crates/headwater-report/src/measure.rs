use headwater_analysis::{LayerArray, Scope, Stack};

use crate::source::Source;

/// A kind of token-to-token map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    AttentionWeights,
    WeightedNorms,
    Norms(Scope),
}

impl Measure {
    pub(crate) fn has_heads(self) -> bool {
        !matches!(self, Measure::Norms(_))
    }
}

/// The layers of a stack with one set of sources: its own tokens, or through
/// cross-attention those of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) stack: Stack,
    pub(crate) is_cross: bool,
}

impl Part {
    const ALL: [Part; 4] = [
        Part::new(Stack::Only, false),
        Part::new(Stack::Encoder, false),
        Part::new(Stack::Decoder, false),
        Part::new(Stack::Decoder, true),
    ];

    const fn new(stack: Stack, is_cross: bool) -> Self {
        Self { stack, is_cross }
    }

    pub(crate) fn name(self) -> &'static str {
        match (self.stack, self.is_cross) {
            (Stack::Only, _) => "layers",
            (Stack::Encoder, _) => "encoder",
            (Stack::Decoder, false) => "decoder, self-attention",
            (Stack::Decoder, true) => "decoder, cross-attention",
        }
    }

    /// The stack that the sources are tokens of.
    pub(crate) fn sources(self) -> Stack {
        match self.is_cross {
            true => Stack::Encoder,
            false => self.stack,
        }
    }

    pub(crate) fn array(self, measure: Measure) -> LayerArray {
        match measure {
            Measure::AttentionWeights if self.is_cross => LayerArray::CrossAttentionWeights,
            Measure::AttentionWeights => LayerArray::AttentionWeights,
            Measure::WeightedNorms if self.is_cross => LayerArray::CrossWeightedNorms,
            Measure::WeightedNorms => LayerArray::WeightedNorms,
            Measure::Norms(scope) => LayerArray::Norms(scope),
        }
    }

    pub(crate) fn transformed_norms(self) -> LayerArray {
        match self.is_cross {
            true => LayerArray::CrossTransformedNorms,
            false => LayerArray::TransformedNorms,
        }
    }
}

/// The key of an array without its layer: its name in a page.
pub(crate) fn array_name(array: LayerArray) -> String {
    let key = array.at(0).to_string();
    key.trim_start_matches("layers.0.").to_owned()
}

/// What of a part is shown: every array that all of its layers have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contents {
    pub(crate) part: Part,
    pub(crate) layers: Vec<usize>,
    /// 0 where no array has heads.
    pub(crate) heads: usize,
    pub(crate) measures: Vec<Measure>,
    /// Whether there are attention weights and ‖f(x)‖, whose product are the weighted norms.
    pub(crate) has_factors: bool,
    /// Mixing ratios.
    pub(crate) ratios: Vec<LayerArray>,
}

impl Contents {
    /// The parts of an analysis that have something to show.
    pub(crate) fn of(source: &Source) -> Vec<Self> {
        let parts = Part::ALL.into_iter();
        let contents = parts.map(|part| Self::of_part(source, part));
        contents.filter(|contents| !contents.is_empty()).collect()
    }

    fn of_part(source: &Source, part: Part) -> Self {
        let keys: Vec<(usize, LayerArray)> = source
            .keys()
            .into_iter()
            .filter(|key| key.stack() == part.stack)
            .filter_map(|key| Some((key.layer()?, key.array()?)))
            .filter(|(_, array)| array.is_cross() == part.is_cross)
            .collect();
        let mut layers: Vec<usize> = keys.iter().map(|(layer, _)| *layer).collect();
        layers.dedup();
        let everywhere = |array: LayerArray| {
            let found = keys.iter().filter(|(_, other)| *other == array).count();
            found == layers.len()
        };
        let of_first: Vec<LayerArray> = keys
            .iter()
            .filter(|(layer, array)| Some(layer) == layers.first() && everywhere(*array))
            .map(|(_, array)| *array)
            .collect();
        let has = |array| of_first.contains(&array);
        let has_weights = has(part.array(Measure::AttentionWeights));
        let has_factors = has_weights && has(part.transformed_norms());
        let mut measures = Vec::new();
        if has_weights {
            measures.push(Measure::AttentionWeights);
        }
        if has_factors || has(part.array(Measure::WeightedNorms)) {
            measures.push(Measure::WeightedNorms);
        }
        measures.extend(of_first.iter().filter_map(|array| match array {
            LayerArray::Norms(scope) => Some(Measure::Norms(*scope)),
            _ => None,
        }));
        let is_ratio = |array: &LayerArray| matches!(array, LayerArray::MixingRatio(_));
        let heads = of_first.iter().find_map(|array| {
            let shape = source.shape(&array.of(part.stack, layers[0]))?;
            (shape.len() == 3).then(|| shape[0])
        });
        Self {
            part,
            heads: heads.unwrap_or(0),
            measures,
            has_factors,
            ratios: of_first.iter().copied().filter(is_ratio).collect(),
            layers,
        }
    }

    fn is_empty(&self) -> bool {
        self.measures.is_empty() && self.ratios.is_empty()
    }
}
