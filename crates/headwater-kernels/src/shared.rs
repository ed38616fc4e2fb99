use rayon::prelude::*;

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

/// Numbers that are still to be written. Memory that is filled with zeros
/// first is written twice, and by one thread.
pub(crate) struct Unwritten(Vec<f32>);

impl Unwritten {
    pub(crate) fn new(length: usize) -> Self {
        Self(Vec::with_capacity(length))
    }

    /// Where to write.
    pub(crate) fn shared(&mut self) -> Shared {
        Shared {
            first: self.0.as_mut_ptr(),
            length: self.0.capacity(),
        }
    }

    /// # Safety
    /// The first `length` numbers were written.
    pub(crate) unsafe fn written(mut self, length: usize) -> Vec<f32> {
        // SAFETY: the caller's.
        unsafe { self.0.set_len(length) };
        self.0
    }
}

/// `length` numbers that `write` writes.
///
/// # Safety
/// `write` writes every number, and reads none before that.
pub(crate) unsafe fn written(length: usize, write: impl FnOnce(Shared)) -> Vec<f32> {
    let mut numbers = Unwritten::new(length);
    write(numbers.shared());
    // SAFETY: the caller's.
    unsafe { numbers.written(length) }
}

/// As [`written`], through a slice.
///
/// # Safety
/// As there.
pub(crate) unsafe fn written_as_slice(length: usize, write: impl FnOnce(&mut [f32])) -> Vec<f32> {
    // SAFETY: the caller's; nobody else has any of it.
    unsafe { written(length, |numbers| write(numbers.part(0, length))) }
}

/// `count` parts of `length` numbers side by side that `write` writes, each
/// with its place; on all threads.
///
/// # Safety
/// `write` writes every number of a part, and reads none before that.
pub(crate) unsafe fn written_in_parts(
    count: usize,
    length: usize,
    write: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    // SAFETY: the caller's; every task has a part of its own.
    unsafe {
        written(count * length, |numbers| {
            (0..count)
                .into_par_iter()
                .for_each(|place| write(place, numbers.part(place * length, length)));
        })
    }
}

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
