use pulp::{Simd, WithSimd};

/// The instruction set that the kernels run on.
///
/// Results differ between instruction sets at most in the order of a sum;
/// on one instruction set they depend neither on the number of threads nor on
/// how many rows are computed together.
#[derive(Debug, Clone, Copy)]
pub struct Cpu(Level);

#[derive(Debug, Clone, Copy)]
enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
}

impl Cpu {
    /// The best instruction set of this machine; `None` where there is none
    /// with fused multiplication and addition.
    pub fn detect() -> Option<Self> {
        Self::all().into_iter().next()
    }

    /// Every instruction set of this machine that the kernels can use, best first.
    pub fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let levels = [
            pulp::x86::V4::try_new().map(Level::Avx512),
            pulp::x86::V3::try_new().map(Level::Avx2),
        ];
        #[cfg(target_arch = "aarch64")]
        let levels = [pulp::aarch64::Neon::try_new().map(Level::Neon)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let levels: [Option<Level>; 0] = [];
        levels.into_iter().flatten().map(Self).collect()
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
        }
    }
}
