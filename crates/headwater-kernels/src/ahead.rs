//! Asking for memory before it is needed.

/// Rows that will be read soon: asked for from memory while there is something to compute.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    pub(crate) first: *const f32,
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    /// Numbers of a row.
    pub(crate) numbers: usize,
}

impl Ahead {
    /// None.
    pub(crate) const NOTHING: Self = Self {
        first: std::ptr::null(),
        stride: 0,
        rows: 0,
        numbers: 0,
    };

    /// Asks for some of the rows; the others are left.
    #[inline(always)]
    pub(crate) fn fetch(&mut self, rows: usize) {
        let rows = rows.min(self.rows);
        for at in (0..rows * self.numbers).step_by(LINE) {
            let (row, p) = (at / self.numbers, at % self.numbers);
            let address = self.first.wrapping_add(row * self.stride + p);
            #[cfg(target_arch = "x86_64")]
            // SAFETY: any address can be asked for; every such machine can.
            unsafe {
                use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
                _mm_prefetch::<_MM_HINT_T1>(address.cast());
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = address;
        }
        self.first = self.first.wrapping_add(rows * self.stride);
        self.rows -= rows;
    }
}

/// Numbers of a cache line.
const LINE: usize = 16;
