//! The members of a padded batch, taken out of arrays that hold all of them.

use ndarray::{ArrayViewD, Axis, IxDyn, Slice};

use crate::{Array, Precision};

/// The member of a batch of one, which has no padding: drops the first axis
/// and copies nothing.
pub(crate) fn only_member(array: Array) -> Array {
    let (batch, shape) = array.shape().split_first().expect("a batch axis");
    assert_eq!(*batch, 1);
    let shape = shape.to_vec();
    array.reshaped(shape)
}

/// One member of a padded batch: drops the first axis and cuts each axis
/// named in `cuts` (counted without the batch axis) to so many tokens.
pub(crate) fn member(array: &Array, index: usize, cuts: &[(usize, usize)]) -> Array {
    fn cut<T: Copy>(
        shape: &[usize],
        values: &[T],
        index: usize,
        cuts: &[(usize, usize)],
    ) -> (Vec<usize>, Vec<T>) {
        let view = ArrayViewD::from_shape(IxDyn(shape), values).expect("shape and values agree");
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
    match (array.as_f32(), array.as_f64()) {
        (Some(values), _) => {
            let (shape, values) = cut(array.shape(), values, index, cuts);
            Array::from_f32(shape, values)
        }
        (_, Some(values)) => {
            let (shape, values) = cut(array.shape(), values, index, cuts);
            Array::from_f64(shape, values)
        }
        (None, None) => unreachable!("an array of neither precision"),
    }
}

/// The largest element as an array of one; not a number if any element is not.
pub(crate) fn max(array: &Array) -> Array {
    let largest = array
        .iter()
        .fold(0.0, |a: f64, b| if a.is_nan() || b <= a { a } else { b });
    match array.precision() {
        Precision::F32 => Array::from_f32(vec![1], vec![largest as f32]),
        Precision::F64 => Array::from_f64(vec![1], vec![largest]),
    }
}
