//! The one table of what an analysis has of a layer.

use crate::{ArrayKey, MixingMeasure, Place, Quantity, Scope, Stack};

/// What an axis of an array counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Axis {
    /// Attention heads.
    Head,
    /// The tokens whose representations are taken apart.
    Target,
    /// The tokens that the parts come from.
    Source,
}

/// What there is an array for each of: scopes, or measures.
trait Parameter: Copy {
    /// All of them where a layer has these scopes.
    fn all(scopes: &[Scope]) -> Vec<Self>;
    fn slug(self) -> &'static str;
    fn scope(self) -> Option<Scope>;
}

impl Parameter for Scope {
    fn all(scopes: &[Scope]) -> Vec<Self> {
        scopes.to_vec()
    }

    fn slug(self) -> &'static str {
        self.slug()
    }

    fn scope(self) -> Option<Scope> {
        Some(self)
    }
}

impl Parameter for MixingMeasure {
    fn all(scopes: &[Scope]) -> Vec<Self> {
        let by_weights = [
            MixingMeasure::AttentionWeights,
            MixingMeasure::AttentionWeightsResidual,
        ];
        let by_scope = scopes.iter().copied().map(MixingMeasure::Scope);
        by_weights.into_iter().chain(by_scope).collect()
    }

    fn slug(self) -> &'static str {
        self.slug()
    }

    fn scope(self) -> Option<Scope> {
        match self {
            MixingMeasure::Scope(scope) => Some(scope),
            _ => None,
        }
    }
}

/// Makes the enum and everything that is known of its values from rows of
/// name, axes, quantity and sources.
macro_rules! table {
    ($(
        $(#[$doc:meta])*
        $variant:ident $(($parameter:ty))?:
            $name:literal, [$($axis:ident),*], $quantity:ident, $sources:ident;
    )*) => {
        /// The arrays of one layer. Sources are the tokens of the stack itself; of the
        /// cross-attention arrays and scopes they are those of the encoder.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum LayerArray {
            $($(#[$doc])* $variant $(($parameter))?,)*
        }

        impl LayerArray {
            /// Every array that a layer of some model with these scopes can
            /// have, in the order of a file.
            // A row may be one array or one a scope.
            #[allow(clippy::vec_init_then_push)]
            pub fn all(scopes: &[Scope]) -> Vec<Self> {
                let mut arrays = Vec::new();
                $(table!(@push arrays, scopes, $variant $(, $parameter)?);)*
                arrays
            }

            fn row(self) -> &'static Row {
                match self {
                    $(table!(@pattern $variant $(, $parameter)?) => &Row {
                        name: $name,
                        axes: &[$(Axis::$axis),*],
                        quantity: Quantity::$quantity,
                        sources: Sources::$sources,
                    },)*
                }
            }

            /// The slug and the scope of what there is one array for each of.
            fn parameter(self) -> Option<(&'static str, Option<Scope>)> {
                match self {
                    $(table!(@bind parameter, $variant $(, $parameter)?) =>
                        table!(@parameter parameter $(, $parameter)?),)*
                }
            }
        }
    };
    (@push $arrays:ident, $scopes:ident, $variant:ident) => {
        $arrays.push(LayerArray::$variant)
    };
    (@push $arrays:ident, $scopes:ident, $variant:ident, $parameter:ty) => {
        $arrays.extend(
            <$parameter as Parameter>::all($scopes)
                .into_iter()
                .map(LayerArray::$variant),
        )
    };
    (@pattern $variant:ident) => { LayerArray::$variant };
    (@pattern $variant:ident, $parameter:ty) => { LayerArray::$variant(_) };
    (@bind $bound:ident, $variant:ident) => { LayerArray::$variant };
    (@bind $bound:ident, $variant:ident, $parameter:ty) => { LayerArray::$variant($bound) };
    (@parameter $bound:ident) => { None };
    (@parameter $bound:ident, $parameter:ty) => {
        Some((Parameter::slug($bound), Parameter::scope($bound)))
    };
}

/// What is known of an array.
struct Row {
    /// The name in files, without the parameter.
    name: &'static str,
    /// None is a single number.
    axes: &'static [Axis],
    /// The quantity that asks for it.
    quantity: Quantity,
    sources: Sources,
}

/// Whose tokens the sources are, where no scope says it.
#[derive(PartialEq)]
enum Sources {
    /// Those of the stack itself.
    Own,
    /// Those of the encoder.
    Encoder,
}

// In the order of a file.
table! {
    /// α, `[head, target, source]`.
    AttentionWeights: "attention_weights", [Head, Target, Source], AttentionWeights, Own;
    /// ‖f^h(x_j)‖, `[head, source]`.
    TransformedNorms: "transformed_norms", [Head, Source], TransformedNorms, Own;
    /// ‖α f^h(x_j)‖, `[head, target, source]`.
    WeightedNorms: "weighted_norms", [Head, Target, Source], WeightedNorms, Own;
    /// α of cross-attention, `[head, target, source]`.
    CrossAttentionWeights: "cross_attention_weights", [Head, Target, Source], AttentionWeights, Encoder;
    /// ‖f^h(x_j)‖ of cross-attention, `[head, source]`.
    CrossTransformedNorms: "cross_transformed_norms", [Head, Source], TransformedNorms, Encoder;
    /// ‖α f^h(x_j)‖ of cross-attention, `[head, target, source]`.
    CrossWeightedNorms: "cross_weighted_norms", [Head, Target, Source], WeightedNorms, Encoder;
    /// ‖y_ij‖, `[target, source]`.
    Norms(Scope): "norms", [Target, Source], Norms, Own;
    /// ‖y_ii‖, `[target]`.
    PreservingNorms(Scope): "preserving_norms", [Target], MixingRatio, Own;
    /// ‖Σ_{j≠i} y_ij‖, `[target]`.
    MixingNorms(Scope): "mixing_norms", [Target], MixingRatio, Own;
    /// mixing / (mixing + preserving), `[target]`.
    MixingRatio(MixingMeasure): "mixing_ratio", [Target], MixingRatio, Own;
    /// ‖b_i‖, `[target]`.
    BiasNorms(Scope): "bias_norms", [Target], BiasNorms, Own;
    /// max over targets of the relative reconstruction error, `[1]`.
    ReconstructionError(Scope): "reconstruction_error", [], ReconstructionError, Own;
}

impl LayerArray {
    /// The key of this array in a layer of a model with one stack of layers.
    pub fn at(self, layer: usize) -> ArrayKey {
        self.of(Stack::Only, layer)
    }

    /// The key of this array in a layer of a stack.
    pub fn of(self, stack: Stack, layer: usize) -> ArrayKey {
        ArrayKey::Layer {
            stack,
            layer,
            array: self,
        }
    }

    /// The key of this array at a place.
    pub fn in_layer(self, Place { stack, layer }: Place) -> ArrayKey {
        self.of(stack, layer)
    }

    /// The name in files without scope or measure: `norms` of `norms.atb`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether its sources are the tokens of an encoder.
    pub fn is_cross(self) -> bool {
        self.row().sources == Sources::Encoder || self.scope().is_some_and(Scope::is_cross)
    }

    /// The scope it belongs to; what is measured on attention weights has none.
    pub fn scope(self) -> Option<Scope> {
        self.parameter()?.1
    }

    /// The quantity that asks for it.
    pub fn quantity(self) -> Quantity {
        self.row().quantity
    }

    /// What its axes count; none is a single number.
    pub fn axes(self) -> &'static [Axis] {
        self.row().axes
    }

    /// Its shape for so many target and source tokens and a model of `heads` heads.
    pub fn shape(self, heads: usize, targets: usize, sources: usize) -> Vec<usize> {
        let shape: Vec<usize> = self
            .axes()
            .iter()
            .map(|axis| match axis {
                Axis::Head => heads,
                Axis::Target => targets,
                Axis::Source => sources,
            })
            .collect();
        if shape.is_empty() { vec![1] } else { shape }
    }

    /// The array of a name as [`fmt::Display`](std::fmt::Display) writes it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (name, parameter) = match name.split_once('.') {
            Some((name, parameter)) => (name, Some(parameter)),
            None => (name, None),
        };
        LayerArray::all(&Scope::ALL).into_iter().find(|array| {
            array.name() == name && array.parameter().map(|(slug, _)| slug) == parameter
        })
    }
}

/// The key without its layer, such as `norms.atb`.
impl std::fmt::Display for LayerArray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())?;
        match self.parameter() {
            Some((slug, _)) => write!(f, ".{slug}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name of format 1, with its quantity, axes and sources: a file's
    /// reader counts on them, so that none may change and none be lost.
    #[test]
    fn names_of_the_format_stay() {
        let name = |array: &LayerArray| format!("{array}");
        let found: Vec<String> = LayerArray::all(&[Scope::Atb, Scope::CrossAttn])
            .iter()
            .map(|array| {
                let axes = array.axes();
                let cross = if array.is_cross() { " cross" } else { "" };
                format!("{} {} {axes:?}{cross}", name(array), array.quantity())
            })
            .collect();
        assert_eq!(
            found,
            [
                "attention_weights attention_weights [Head, Target, Source]",
                "transformed_norms transformed_norms [Head, Source]",
                "weighted_norms weighted_norms [Head, Target, Source]",
                "cross_attention_weights attention_weights [Head, Target, Source] cross",
                "cross_transformed_norms transformed_norms [Head, Source] cross",
                "cross_weighted_norms weighted_norms [Head, Target, Source] cross",
                "norms.atb norms [Target, Source]",
                "norms.cross_attn norms [Target, Source] cross",
                "preserving_norms.atb mixing_ratio [Target]",
                "preserving_norms.cross_attn mixing_ratio [Target] cross",
                "mixing_norms.atb mixing_ratio [Target]",
                "mixing_norms.cross_attn mixing_ratio [Target] cross",
                "mixing_ratio.attn_w mixing_ratio [Target]",
                "mixing_ratio.attn_res_w mixing_ratio [Target]",
                "mixing_ratio.atb mixing_ratio [Target]",
                "mixing_ratio.cross_attn mixing_ratio [Target] cross",
                "bias_norms.atb bias_norms [Target]",
                "bias_norms.cross_attn bias_norms [Target] cross",
                "reconstruction_error.atb reconstruction_error []",
                "reconstruction_error.cross_attn reconstruction_error [] cross",
            ]
        );
    }

    #[test]
    fn every_quantity_has_an_array_and_no_two_arrays_a_name() {
        let arrays = LayerArray::all(&Scope::ALL);
        for quantity in Quantity::ALL {
            let mut of_quantity = arrays.iter().filter(|array| array.quantity() == quantity);
            assert!(of_quantity.next().is_some(), "{quantity}");
        }
        let mut names: Vec<String> = arrays.iter().map(LayerArray::to_string).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), arrays.len());
    }
}
