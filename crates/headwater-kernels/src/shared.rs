//! Memory that is written once, by several threads, each its own part.
//!
//! What the kernels allocate they do not fill with zeros first: that would write
//! it twice, and by one thread. Until it is written it is uninitialized, and so
//! everything here hands out [`MaybeUninit`] numbers, never `&mut [f32]`.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// A slice that several threads write to, each its own part.
#[derive(Clone, Copy)]
pub(crate) struct Shared {
    first: *mut MaybeUninit<f32>,
    length: usize,
}

// SAFETY: numbers may be written from any thread, and `part`, the one way to a
// reference, requires that no two parts overlap while they live.
unsafe impl Send for Shared {}
// SAFETY: as for `Send`; a shared reference to the pointer is a copy of it.
unsafe impl Sync for Shared {}

/// Numbers that are still to be written.
pub(crate) struct Unwritten {
    numbers: Vec<f32>,
    length: usize,
}

impl Unwritten {
    pub(crate) fn new(length: usize) -> Self {
        Self {
            numbers: Vec::with_capacity(length),
            length,
        }
    }

    /// Where to write: as many numbers as were asked for, whatever the
    /// allocator gave.
    pub(crate) fn shared(&mut self) -> Shared {
        Shared::unwritten(self.as_slice())
    }

    /// The same as a slice.
    pub(crate) fn as_slice(&mut self) -> &mut [MaybeUninit<f32>] {
        &mut self.numbers.spare_capacity_mut()[..self.length]
    }

    /// The numbers.
    ///
    /// # Safety
    /// Every number was written.
    pub(crate) unsafe fn written(mut self) -> Vec<f32> {
        // SAFETY: the capacity is at least `length`, and the caller promises
        // that the numbers up to there were written.
        unsafe { self.numbers.set_len(self.length) };
        self.numbers
    }
}

/// `length` numbers that `write` writes.
///
/// # Safety
/// `write` writes every number.
pub(crate) unsafe fn written(length: usize, write: impl FnOnce(Shared)) -> Vec<f32> {
    let mut numbers = Unwritten::new(length);
    write(numbers.shared());
    // SAFETY: the caller promises that `write` wrote every number.
    unsafe { numbers.written() }
}

/// As [`written`], through a slice.
///
/// # Safety
/// As there.
pub(crate) unsafe fn written_as_slice(
    length: usize,
    write: impl FnOnce(&mut [MaybeUninit<f32>]),
) -> Vec<f32> {
    let mut numbers = Unwritten::new(length);
    write(numbers.as_slice());
    // SAFETY: the caller promises that `write` wrote every number.
    unsafe { numbers.written() }
}

/// `count` parts of `length` numbers side by side that `write` writes, each
/// with its place; on all threads.
///
/// # Safety
/// `write` writes every number of a part.
pub(crate) unsafe fn written_in_parts(
    count: usize,
    length: usize,
    write: impl Fn(usize, &mut [MaybeUninit<f32>]) + Sync,
) -> Vec<f32> {
    let all = |numbers: &mut [MaybeUninit<f32>]| {
        numbers
            .par_chunks_mut(length.max(1))
            .enumerate()
            .for_each(|(place, part)| write(place, part));
    };
    // SAFETY: the parts are all of the numbers, and the caller promises that
    // `write` writes all of each.
    unsafe { written_as_slice(count * length, all) }
}

/// Writes one number everywhere.
#[inline(always)]
pub(crate) fn filled(part: &mut [MaybeUninit<f32>], number: f32) -> &mut [f32] {
    for place in part.iter_mut() {
        place.write(number);
    }
    // SAFETY: the loop wrote every number.
    unsafe { part.assume_init_mut() }
}

impl Shared {
    /// Numbers that are still to be written.
    pub(crate) fn unwritten(slice: &mut [MaybeUninit<f32>]) -> Self {
        Self {
            first: slice.as_mut_ptr(),
            length: slice.len(),
        }
    }

    /// Numbers that are there, and may be overwritten.
    pub(crate) fn new(slice: &mut [f32]) -> Self {
        Self {
            first: slice.as_mut_ptr().cast(),
            length: slice.len(),
        }
    }

    /// Where `length` numbers from `start` begin.
    ///
    /// # Panics
    /// They leave the slice.
    #[inline(always)]
    pub(crate) fn at(self, start: usize, length: usize) -> *mut f32 {
        let end = start.checked_add(length);
        let inside = end.is_some_and(|end| end <= self.length);
        assert!(inside, "a part of the slice");
        self.first.wrapping_add(start).cast()
    }

    /// `length` numbers from `start`, to be written.
    ///
    /// # Safety
    /// The slice outlives the result, nobody else reads or writes any of these
    /// numbers while it lives, and nothing but numbers is written where some
    /// were before.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part<'a>(self, start: usize, length: usize) -> &'a mut [MaybeUninit<f32>] {
        let first = self.at(start, length).cast::<MaybeUninit<f32>>();
        // SAFETY: `at` checked that these numbers are within the slice, memory
        // that was never written is a valid `MaybeUninit`, and the caller
        // promises that the slice lives and that the part is this one's alone.
        unsafe { std::slice::from_raw_parts_mut(first, length) }
    }
}
