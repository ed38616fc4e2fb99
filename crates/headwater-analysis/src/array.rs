use ndarray::{ArrayD, IxDyn};

use crate::Precision;

/// An array on the host, in the precision it was computed in.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Values,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Array {
    /// An array of float32 values in row-major order.
    ///
    /// # Panics
    /// The number of values is not the product of the shape.
    pub fn from_f32(shape: Vec<usize>, values: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Self {
            shape,
            values: Values::F32(values),
        }
    }

    /// An array of float64 values in row-major order.
    ///
    /// # Panics
    /// The number of values is not the product of the shape.
    pub fn from_f64(shape: Vec<usize>, values: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Self {
            shape,
            values: Values::F64(values),
        }
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether some axis has length 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The precision of the elements.
    pub fn precision(&self) -> Precision {
        match self.values {
            Values::F32(_) => Precision::F32,
            Values::F64(_) => Precision::F64,
        }
    }

    /// The elements in row-major order, if they are float32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.values {
            Values::F32(values) => Some(values),
            Values::F64(_) => None,
        }
    }

    /// The elements in row-major order, if they are float64.
    pub fn as_f64(&self) -> Option<&[f64]> {
        match &self.values {
            Values::F32(_) => None,
            Values::F64(values) => Some(values),
        }
    }

    /// The elements in row-major order, widened.
    pub fn iter(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        match &self.values {
            Values::F32(values) => Box::new(values.iter().map(|&value| f64::from(value))),
            Values::F64(values) => Box::new(values.iter().copied()),
        }
    }

    /// A float64 copy as an `ndarray` array.
    pub fn to_f64(&self) -> ArrayD<f64> {
        let values: Vec<f64> = self.iter().collect();
        // The constructors have checked the count.
        ArrayD::from_shape_vec(IxDyn(&self.shape), values).expect("shape and values agree")
    }

    /// Combines two arrays of one shape element by element, in the precision of the first.
    ///
    /// # Panics
    /// The shapes differ.
    pub fn zip_map(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape, other.shape);
        let values = self.iter().zip(other.iter()).map(|(a, b)| f(a, b));
        match self.values {
            Values::F32(_) => {
                Self::from_f32(self.shape.clone(), values.map(|v| v as f32).collect())
            }
            Values::F64(_) => Self::from_f64(self.shape.clone(), values.collect()),
        }
    }

    /// The same elements in another shape; nothing is copied.
    ///
    /// # Panics
    /// The number of elements is not the product of the shape.
    pub fn reshaped(mut self, shape: Vec<usize>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), self.len());
        self.shape = shape;
        self
    }
}
