/// A normalization of the rows of width d.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormSpec {
    /// Whether a mean is taken off.
    pub kind: NormKind,
    /// Whether it has a β.
    pub bias: bool,
    /// Whether the file stores γ − 1 (Gemma). The 1 is added when the vector is
    /// loaded; behind that γ is γ.
    pub plus_one: bool,
    /// ε, added to the mean of squares inside the root.
    pub epsilon: f64,
}

/// What a normalization takes off and divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormKind {
    /// γ ⊙ (x − mean(x)) / s(x) with s(x) = √(var(x) + ε), biased variance.
    Layer,
    /// γ ⊙ x / s(x) with s(x) = √(mean(x²) + ε).
    Rms,
}

impl NormSpec {
    /// Layer normalization with β.
    pub const fn layer(epsilon: f64) -> Self {
        Self {
            kind: NormKind::Layer,
            bias: true,
            plus_one: false,
            epsilon,
        }
    }

    /// RMS normalization; it has no β.
    pub const fn rms(epsilon: f64) -> Self {
        Self {
            kind: NormKind::Rms,
            bias: false,
            plus_one: false,
            epsilon,
        }
    }

    /// The same with or without β.
    pub const fn with_bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// The same, stored as γ − 1.
    pub const fn plus_one(self) -> Self {
        Self {
            plus_one: true,
            ..self
        }
    }
}
