//! Matrices as they lie in a file: of one of three types of numbers, in one of a
//! few layouts.
//!
//! No kernel multiplies with anything but float32. A matrix is widened where
//! strips of its rows are copied for the innermost loop, which float32 is too:
//! each number once a product for up to sixteen panels of rows, and no widened
//! copy of the whole exists.

use pulp::Simd;

use crate::transpose::{Rows, transpose};

/// The numbers of a file.
#[derive(Debug, Clone, Copy)]
pub enum Numbers<'a> {
    /// float32.
    F32(&'a [f32]),
    /// bfloat16, by its bits: the upper half of a float32.
    BFloat16(&'a [u16]),
    /// float16 (binary16), by its bits.
    Float16(&'a [u16]),
}

/// Which rows of a stored matrix are a parameter's, and which way they lie: row r
/// of the parameter is row `first + r/run·step + r%run` of the stored matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Where the stored matrix begins, in numbers.
    pub start: usize,
    /// Rows of the stored matrix.
    pub rows: usize,
    /// The parameter's first row.
    pub first: usize,
    /// Rows that lie side by side.
    pub run: usize,
    /// From one run to the next.
    pub step: usize,
    /// Whether rows are stored as columns, `[in, out]`.
    pub turned: bool,
}

impl Layout {
    /// A matrix `[rows, in]` that is all of it.
    pub fn whole(rows: usize) -> Self {
        Self {
            start: 0,
            rows,
            first: 0,
            run: rows.max(1),
            step: rows,
            turned: false,
        }
    }

    /// The stored row of a parameter's row.
    #[inline(always)]
    fn stored(&self, row: usize) -> usize {
        self.first + row / self.run * self.step + row % self.run
    }
}

/// W, `[out, in]`, as it lies in a file.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    numbers: Numbers<'a>,
    outputs: usize,
    inputs: usize,
    layout: Layout,
}

impl<'a> Matrix<'a> {
    /// A matrix in some layout.
    ///
    /// # Panics
    /// A row is not in the stored matrix, or that not in the numbers.
    pub fn new(numbers: Numbers<'a>, [outputs, inputs]: [usize; 2], layout: Layout) -> Self {
        let length = match numbers {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::BFloat16(numbers) | Numbers::Float16(numbers) => numbers.len(),
        };
        let size = layout.rows.checked_mul(inputs);
        let end = size.and_then(|size| size.checked_add(layout.start));
        assert!(end.is_some_and(|end| end <= length), "the stored matrix");
        assert!(layout.run > 0, "runs of rows");
        // The last row of the last run, and the last of a whole run before it.
        let runs = outputs.div_ceil(layout.run);
        let fits = match runs.checked_sub(1) {
            None => true,
            Some(last) => {
                let begin = last.checked_mul(layout.step);
                let begin = begin.and_then(|begin| begin.checked_add(layout.first));
                let in_last = outputs - last * layout.run;
                let end = begin.and_then(|begin| begin.checked_add(in_last));
                let before = layout.run + layout.first + last.saturating_sub(1) * layout.step;
                end.is_some_and(|end| end <= layout.rows) && (last == 0 || before <= layout.rows)
            }
        };
        assert!(fits, "rows of the stored matrix");
        Self {
            numbers,
            outputs,
            inputs,
            layout,
        }
    }

    /// float32 numbers, row by row.
    ///
    /// # Panics
    /// They are not whole rows.
    pub fn rows(numbers: &'a [f32], inputs: usize) -> Self {
        let outputs = numbers.len().checked_div(inputs).unwrap_or(0);
        assert_eq!(numbers.len(), outputs * inputs, "whole rows of W");
        let layout = Layout::whole(outputs);
        Self::new(Numbers::F32(numbers), [outputs, inputs], layout)
    }

    /// Rows of W.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Columns of W.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// A row where it lies, if it needs no copy.
    #[inline(always)]
    pub(crate) fn plain(&self, row: usize) -> Option<&'a [f32]> {
        match self.numbers {
            Numbers::F32(numbers) if !self.layout.turned => {
                let start = self.layout.start + self.layout.stored(row) * self.inputs;
                Some(&numbers[start..start + self.inputs])
            }
            _ => None,
        }
    }

    /// Copies `depth` columns of `count` rows, widened, rows `stride` apart.
    ///
    /// # Panics
    /// There are no such rows or columns, or `to` is too short.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn copy<S: Simd>(
        &self,
        simd: S,
        first: usize,
        count: usize,
        column: usize,
        depth: usize,
        to: &mut [f32],
        stride: usize,
    ) {
        assert!(
            first + count <= self.outputs && column + depth <= self.inputs,
            "in W"
        );
        if self.layout.turned {
            return self.turn(simd, [first, count], [column, depth], to, stride);
        }
        for row in 0..count {
            let start = self.layout.start + self.layout.stored(first + row) * self.inputs + column;
            let to = &mut to[row * stride..][..depth];
            match self.numbers {
                Numbers::F32(numbers) => to.copy_from_slice(&numbers[start..start + depth]),
                Numbers::BFloat16(numbers) => {
                    from_bfloat16(&numbers[start..start + depth], to);
                }
                Numbers::Float16(numbers) => from_float16(&numbers[start..start + depth], to),
            }
        }
    }

    /// The same of a matrix whose rows are stored as columns.
    #[inline(always)]
    fn turn<S: Simd>(
        &self,
        simd: S,
        [first, count]: [usize; 2],
        [column, depth]: [usize; 2],
        to: &mut [f32],
        stride: usize,
    ) {
        if depth == 0 {
            return;
        }
        let mut row = 0;
        while row < count {
            // Rows of one run lie side by side.
            let index = first + row;
            let run = (self.layout.run - index % self.layout.run).min(count - row);
            let stored = self.layout.stored(index);
            let to = &mut to[row * stride..];
            assert!((run - 1) * stride + depth <= to.len(), "rows of the copy");
            let at = |column: usize| self.layout.start + column * self.layout.rows + stored;
            match self.numbers {
                Numbers::F32(numbers) => {
                    let numbers = &numbers[at(column)..at(column + depth - 1) + run];
                    let from = Rows {
                        first: numbers.as_ptr(),
                        stride: self.layout.rows,
                    };
                    let to = Rows {
                        first: to.as_mut_ptr(),
                        stride,
                    };
                    // SAFETY: the slice ends with the last of `run` numbers of the last
                    // of `depth` columns; the assertion says that the copy has `run`
                    // rows of `depth` numbers, and it is borrowed mutably.
                    unsafe { transpose(simd, depth, run, from, to) };
                }
                Numbers::BFloat16(numbers) => {
                    let widen = |bits| f32::from_bits(u32::from(bits) << 16);
                    for input in 0..depth {
                        let numbers = &numbers[at(column + input)..][..run];
                        for (row, &bits) in numbers.iter().enumerate() {
                            to[row * stride + input] = widen(bits);
                        }
                    }
                }
                Numbers::Float16(numbers) => {
                    for input in 0..depth {
                        let numbers = &numbers[at(column + input)..][..run];
                        for (row, &bits) in numbers.iter().enumerate() {
                            to[row * stride + input] = widened_float16(bits);
                        }
                    }
                }
            }
            row += run;
        }
    }
}

/// A plain loop: the compiler shifts whole vectors.
#[inline(always)]
fn from_bfloat16(from: &[u16], to: &mut [f32]) {
    for (to, &bits) in to.iter_mut().zip(from) {
        *to = f32::from_bits(u32::from(bits) << 16);
    }
}

#[inline(always)]
fn from_float16(from: &[u16], to: &mut [f32]) {
    for (to, &bits) in to.iter_mut().zip(from) {
        *to = widened_float16(bits);
    }
}

/// float16 to float32 by whole numbers and one subtraction, exactly: the exponent
/// is moved from offset 15 to 127; subnormal numbers get a leading one, which is
/// taken off again. (Multiplied by 2¹¹² they would be subnormal operands, on which
/// processors stall.) Infinities and NaNs are refused when a file is opened.
#[inline(always)]
fn widened_float16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let is_subnormal = magnitude < 1 << 23;
    let normal = magnitude + (112 << 23);
    let subnormal = f32::from_bits(magnitude + (113 << 23)) - f32::from_bits(113 << 23);
    let magnitude = if is_subnormal {
        subnormal.to_bits()
    } else {
        normal
    };
    f32::from_bits(magnitude | sign)
}
