use std::fmt;

use pulp::{Simd, WithSimd};

/// The instruction set that the kernels run on.
///
/// Results differ between instruction sets at most in the order of a sum;
/// on one instruction set they depend neither on the number of threads nor on
/// how many rows are computed together.
#[derive(Debug, Clone, Copy)]
pub struct Cpu(Level);

/// An instruction set, by a value that exists only on machines that have it.
#[derive(Debug, Clone, Copy)]
enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    #[cfg(any(feature = "emulated", miri))]
    Emulated(pulp::Scalar256b),
}

impl Cpu {
    /// The best instruction set of this machine; `None` where there is none
    /// with fused multiplication and addition.
    pub fn detect() -> Option<Self> {
        Self::all().into_iter().next()
    }

    /// Every instruction set of this machine that the kernels can use, best first.
    pub fn all() -> Vec<Self> {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        let levels = [
            pulp::x86::V4::try_new().map(Level::Avx512),
            pulp::x86::V3::try_new().map(Level::Avx2),
        ];
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        let levels = [pulp::aarch64::Neon::try_new().map(Level::Neon)];
        // An interpreter has no vectors, whatever the machine below it has.
        #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
        let levels: [Option<Level>; 0] = [];
        levels.into_iter().flatten().map(Self).collect()
    }

    /// Vectors of eight numbers made of plain arithmetic, on any machine: for
    /// tests under interpreters and memory checkers, and far too slow for use.
    #[cfg(any(feature = "emulated", miri))]
    pub fn emulated() -> Self {
        Self(Level::Emulated(pulp::Scalar256b))
    }

    /// Rows that are computed side by side: two vectors.
    pub(crate) fn width(self) -> usize {
        struct Width;
        impl WithSimd for Width {
            type Output = usize;
            fn with_simd<S: Simd>(self, _: S) -> usize {
                2 * S::F32_LANES
            }
        }
        self.run(Width)
    }

    /// Compiles `operation` for this instruction set and runs it.
    #[inline]
    pub(crate) fn run<O: WithSimd>(self, operation: O) -> O::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(simd) => Simd::vectorize(simd, operation),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(simd) => Simd::vectorize(simd, operation),
            #[cfg(target_arch = "aarch64")]
            Level::Neon(simd) => Simd::vectorize(simd, operation),
            #[cfg(any(feature = "emulated", miri))]
            Level::Emulated(simd) => Simd::vectorize(simd, operation),
        }
    }
}

/// `avx512`, `avx2`, `neon` or `emulated`.
impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Level::Neon(_) => "neon",
            #[cfg(any(feature = "emulated", miri))]
            Level::Emulated(_) => "emulated",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_panel_is_wider_than_the_widest() {
        for cpu in Cpu::all() {
            assert!(cpu.width() <= crate::Packed::WIDEST, "{cpu:?}");
        }
    }
}
