/// A slice that several threads write to, each its own part.
#[derive(Clone, Copy)]
pub(crate) struct Shared {
    first: *mut f32,
    length: usize,
}

// SAFETY: every use says which part of the slice it has for itself.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(slice: &mut [f32]) -> Self {
        Self {
            first: slice.as_mut_ptr(),
            length: slice.len(),
        }
    }

    /// Where `length` numbers from `start` begin.
    ///
    /// # Panics
    /// They leave the slice.
    #[inline(always)]
    pub(crate) fn at(self, start: usize, length: usize) -> *mut f32 {
        assert!(start + length <= self.length, "a part of the slice");
        self.first.wrapping_add(start)
    }

    /// `length` numbers from `start`.
    ///
    /// # Safety
    /// Nobody else has any of them while the result lives, and the slice lives.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part<'a>(self, start: usize, length: usize) -> &'a mut [f32] {
        let first = self.at(start, length);
        // SAFETY: within the slice by `at`; the caller's for the rest.
        unsafe { std::slice::from_raw_parts_mut(first, length) }
    }
}
