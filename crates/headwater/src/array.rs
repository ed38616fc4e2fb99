use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn, Slice};

use crate::transformer::Precision;

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
    pub(crate) fn zip_map(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape, other.shape);
        let values = self.iter().zip(other.iter()).map(|(a, b)| f(a, b));
        match self.values {
            Values::F32(_) => {
                Self::from_f32(self.shape.clone(), values.map(|v| v as f32).collect())
            }
            Values::F64(_) => Self::from_f64(self.shape.clone(), values.collect()),
        }
    }

    /// The largest element as an array of one; not a number if any element is not.
    pub(crate) fn max(&self) -> Self {
        let largest = self
            .iter()
            .fold(0.0, |a: f64, b| if a.is_nan() || b <= a { a } else { b });
        match self.values {
            Values::F32(_) => Self::from_f32(vec![1], vec![largest as f32]),
            Values::F64(_) => Self::from_f64(vec![1], vec![largest]),
        }
    }

    /// The member of a batch of one, which has no padding: drops the first axis
    /// and copies nothing.
    pub(crate) fn only_member(mut self) -> Self {
        assert_eq!(self.shape.remove(0), 1);
        self
    }

    /// One member of a padded batch: drops the first axis and cuts each axis
    /// named in `cuts` (counted without the batch axis) to so many tokens.
    pub(crate) fn member(&self, index: usize, cuts: &[(usize, usize)]) -> Self {
        fn cut<T: Copy>(
            shape: &[usize],
            values: &[T],
            index: usize,
            cuts: &[(usize, usize)],
        ) -> (Vec<usize>, Vec<T>) {
            let view =
                ArrayViewD::from_shape(IxDyn(shape), values).expect("shape and values agree");
            let mut view = view.index_axis_move(Axis(0), index);
            for &(axis, tokens) in cuts {
                view.slice_axis_inplace(Axis(axis), Slice::from(0..tokens));
            }
            // Row by row: elements on their own are taken several times slower.
            let mut taken = Vec::with_capacity(view.len());
            for row in view.rows() {
                taken.extend_from_slice(row.to_slice().expect("rows are contiguous"));
            }
            (view.shape().to_vec(), taken)
        }
        match &self.values {
            Values::F32(values) => {
                let (shape, values) = cut(&self.shape, values, index, cuts);
                Self::from_f32(shape, values)
            }
            Values::F64(values) => {
                let (shape, values) = cut(&self.shape, values, index, cuts);
                Self::from_f64(shape, values)
            }
        }
    }
}
