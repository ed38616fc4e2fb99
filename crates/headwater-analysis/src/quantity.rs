use crate::named::named;

named! {
    /// A quantity of an analysis; what is not asked for costs neither time nor memory.
    ///
    /// The arrays of each are the rows of [`LayerArray`](crate::LayerArray)'s
    /// table that name it.
    pub enum Quantity, name, UnknownQuantity {
        /// α.
        AttentionWeights = "attention_weights",
        /// ‖f^h(x_j)‖.
        TransformedNorms = "transformed_norms",
        /// ‖α f^h(x_j)‖.
        WeightedNorms = "weighted_norms",
        /// ‖y_ij‖ at each scope.
        Norms = "norms",
        /// Mixing ratios at each scope and on the attention weights, with the two norms they are made of.
        MixingRatio = "mixing_ratio",
        /// ‖b_i‖ at each scope.
        BiasNorms = "bias_norms",
        /// How well parts and bias sum to the representation, at each scope.
        ReconstructionError = "reconstruction_error",
    }
}

/// A set of quantities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantitySet(Vec<Quantity>);

impl QuantitySet {
    /// Every quantity.
    pub fn all() -> Self {
        Self(Quantity::ALL.to_vec())
    }

    /// Whether the set has the quantity.
    pub fn contains(&self, quantity: Quantity) -> bool {
        self.0.contains(&quantity)
    }

    /// The quantities, in the order of [`Quantity::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Quantity> + '_ {
        self.0.iter().copied()
    }
}

impl IntoIterator for QuantitySet {
    type Item = Quantity;
    type IntoIter = std::vec::IntoIter<Quantity>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<Quantity> for QuantitySet {
    fn from_iter<I: IntoIterator<Item = Quantity>>(quantities: I) -> Self {
        let mut quantities: Vec<_> = quantities.into_iter().collect();
        quantities.sort_unstable();
        quantities.dedup();
        Self(quantities)
    }
}
