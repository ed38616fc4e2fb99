//! The innermost loop of every product: a tile of the result in registers.

use pulp::Simd;

/// Rows of a tile where the machine has 32 vector registers.
pub(crate) const MAX_ROWS: usize = 14;

/// Rows of a tile: with two vectors each, two for `b` and one for `a`, they
/// fill the registers.
#[inline(always)]
pub(crate) fn rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MAX_ROWS } else { 6 }
}

/// Columns of the left factor that are multiplied at a time.
pub(crate) const DEPTH: usize = 512;
/// How far apart the rows of a left factor are that is copied for it. Known to
/// the compiler, it leaves one address to count up instead of one a row; and
/// rows a power of two apart would displace each other from the cache.
pub(crate) const STRIDE: usize = DEPTH + 16;

/// Where the rows of the left factor begin, and how far apart they are.
#[derive(Clone, Copy)]
pub(crate) enum Left {
    /// [`STRIDE`] apart.
    Copied(*const f32),
    /// So far apart.
    Strided(*const f32, usize),
}

/// Where the rows of the right factor begin, and how far apart they are.
#[derive(Clone, Copy)]
pub(crate) struct Right {
    pub(crate) first: *const f32,
    pub(crate) stride: usize,
}

/// Where the rows of a tile begin, and how far apart they are.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub(crate) first: *mut f32,
    pub(crate) stride: usize,
    /// Whether the product is added to what is there.
    pub(crate) accumulate: bool,
}

/// `tile[i] (+)= Σ_p left[i][p] · right[p]`, summed in the order of p; each
/// `right[p]` and each row of the tile is two vectors wide.
///
/// # Safety
/// `left` has `count` rows of `k` numbers, `right` `k` rows of two vectors, `tile`
/// `count` rows of two vectors that nobody else reads or writes; where the tile is
/// not accumulated it may be uninitialized.
///
/// # Panics
/// `count` is not in 1..=[`MAX_ROWS`].
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd>(
    simd: S,
    count: usize,
    k: usize,
    left: Left,
    right: Right,
    tile: Tile,
) {
    macro_rules! of_rows {
        ($($rows:literal)*) => {
            match count {
                $($rows => match left {
                    Left::Copied(first) => {
                        // SAFETY: `count` is this number of rows, STRIDE is how
                        // far apart copied ones are, and the caller promises the rest.
                        unsafe { fixed::<S, $rows>(simd, k, first, STRIDE, right, tile) }
                    }
                    Left::Strided(first, stride) => {
                        // SAFETY: `count` is this number of rows, and the caller
                        // promises the rest.
                        unsafe { fixed::<S, $rows>(simd, k, first, stride, right, tile) }
                    }
                },)*
                _ => unreachable!("a tile has at most {MAX_ROWS} rows"),
            }
        };
    }
    of_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

/// [`multiply`] for a number of rows that the compiler knows.
///
/// # Safety
/// `left` has `ROWS` rows of `k` numbers, `stride` apart, `right` `k` rows of two
/// vectors, `tile` `ROWS` rows of two vectors; where the tile is not accumulated
/// it may be uninitialized.
#[inline(always)]
unsafe fn fixed<S: Simd, const ROWS: usize>(
    simd: S,
    k: usize,
    left: *const f32,
    stride: usize,
    right: Right,
    tile: Tile,
) {
    let lanes = S::F32_LANES;
    let mut first = [simd.splat_f32s(0.0); ROWS];
    let mut second = [simd.splat_f32s(0.0); ROWS];
    // Indices, not iterators: the compiler keeps only arrays that it can take
    // apart in registers.
    #[allow(clippy::needless_range_loop)]
    // SAFETY: i < ROWS and p < k, for which the caller promises that these numbers
    // are there; vectors are nothing but numbers and are read and written without
    // alignment.
    unsafe {
        if tile.accumulate {
            for i in 0..ROWS {
                let row = tile.first.add(i * tile.stride);
                first[i] = row.cast::<S::f32s>().read_unaligned();
                second[i] = row.add(lanes).cast::<S::f32s>().read_unaligned();
            }
        }
        for p in 0..k {
            let right = right.first.add(p * right.stride);
            let right_first = right.cast::<S::f32s>().read_unaligned();
            let right_second = right.add(lanes).cast::<S::f32s>().read_unaligned();
            for i in 0..ROWS {
                let factor = simd.splat_f32s(*left.add(i * stride + p));
                first[i] = simd.mul_add_f32s(factor, right_first, first[i]);
                second[i] = simd.mul_add_f32s(factor, right_second, second[i]);
            }
        }
        for i in 0..ROWS {
            let row = tile.first.add(i * tile.stride);
            row.cast::<S::f32s>().write_unaligned(first[i]);
            row.add(lanes).cast::<S::f32s>().write_unaligned(second[i]);
        }
    }
}
