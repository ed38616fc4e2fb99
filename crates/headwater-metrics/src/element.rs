//! The element types that values may come in.

use crate::MetricsError;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl<E: Sealed> Sealed for &E {}
}

/// A value as the model computed it: `f32`, `f64`, or a reference to one.
///
/// Everything is accumulated in `f64`, whatever comes in. Because references
/// count, a slice, a `Vec` by reference and an ndarray array of any number of
/// axes by reference can all be passed where an iterator of elements is asked
/// for; arrays are read in logical (row-major) order.
pub trait Element: Copy + sealed::Sealed {
    /// The value, widened without loss.
    fn to_f64(self) -> f64;
}

impl Element for f32 {
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f64 {
    fn to_f64(self) -> f64 {
        self
    }
}

impl<E: Element> Element for &E {
    fn to_f64(self) -> f64 {
        (*self).to_f64()
    }
}

/// The value in `f64`, or an error that says where the value that is not
/// finite stands.
pub(crate) fn finite(
    name: &'static str,
    position: usize,
    value: impl Element,
) -> Result<f64, MetricsError> {
    let value = value.to_f64();
    if value.is_finite() {
        Ok(value)
    } else {
        Err(MetricsError::NotFinite {
            name,
            position,
            value,
        })
    }
}

/// All values in `f64`; the first one that is not finite is an error.
pub(crate) fn all_finite(
    name: &'static str,
    values: impl IntoIterator<Item: Element>,
) -> Result<Vec<f64>, MetricsError> {
    values
        .into_iter()
        .enumerate()
        .map(|(position, value)| finite(name, position, value))
        .collect()
}
