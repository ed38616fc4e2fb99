//! Large matrix products by every implementation that this program has.

use std::time::Instant;

use anyhow::Context;
use burn::tensor::{Distribution, Tensor};
use headwater::DeviceName;
use headwater_kernels::{self as kernels, Affine, Cpu, Matrix, Packed, Then};

/// Sizes of a product: [m, k] by the transpose of [n, k], as a layer's
/// parameters lie in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) m: usize,
    pub(crate) k: usize,
    pub(crate) n: usize,
}

impl Sizes {
    /// What a machine is judged by.
    pub(crate) const LARGE: Sizes = Sizes {
        m: 2048,
        k: 2048,
        n: 2048,
    };

    pub(crate) fn flops(self) -> f64 {
        2.0 * (self.m * self.k * self.n) as f64
    }
}

/// One implementation, with factors of given sizes at hand.
pub(crate) trait Product {
    fn name(&self) -> String;
    /// Multiplies; returns the seconds it took and the first number of the result.
    fn run(&mut self) -> (f64, f32);
}

/// Every implementation; Burn's on the default device comes first.
pub(crate) fn implementations(sizes: Sizes) -> Vec<Box<dyn Product>> {
    let mut products: Vec<Box<dyn Product>> =
        vec![Box::new(Burn::new(sizes)), Box::new(Gemm::new(sizes))];
    if let Some(cpu) = Cpu::detect() {
        products.push(Box::new(Own::new(cpu, sizes)));
    }
    products
}

/// This project's kernel, packing and unpacking included.
struct Own {
    cpu: Cpu,
    sizes: Sizes,
    a: Vec<f32>,
    b: Vec<f32>,
    product: Vec<f32>,
}

impl Own {
    fn new(cpu: Cpu, sizes: Sizes) -> Self {
        let Gemm { a, b, product, .. } = Gemm::new(sizes);
        Self {
            cpu,
            sizes,
            a,
            b,
            product,
        }
    }
}

impl Product for Own {
    fn name(&self) -> String {
        "headwater-kernels".to_owned()
    }

    fn run(&mut self) -> (f64, f32) {
        let start = Instant::now();
        let a = Packed::new(self.cpu, &self.a, self.sizes.k);
        let b = Affine {
            weight: Matrix::rows(&self.b, self.sizes.k),
            bias: None,
        };
        self.product = kernels::linear(&a, b);
        (start.elapsed().as_secs_f64(), self.product[0])
    }
}

/// The product that feed-forward maps are streamed through: the pairs are
/// packed already, and so is what comes out.
pub(crate) struct Streamed {
    a: Packed,
    k: usize,
    b: Vec<f32>,
}

impl Streamed {
    /// # Errors
    /// A machine that the kernels cannot run on.
    pub(crate) fn new(sizes: Sizes) -> anyhow::Result<Self> {
        let cpu = Cpu::detect().context("the kernels need AVX2 or NEON")?;
        let Gemm { a, b, .. } = Gemm::new(sizes);
        Ok(Self {
            a: Packed::new(cpu, &a, sizes.k),
            k: sizes.k,
            b,
        })
    }

    pub(crate) fn seconds(&self) -> f64 {
        let start = Instant::now();
        let b = Affine {
            weight: Matrix::rows(&self.b, self.k),
            bias: None,
        };
        let product = kernels::linear_packed(&self.a, b, Then::Nothing);
        let seconds = start.elapsed().as_secs_f64();
        drop(product);
        seconds
    }
}

pub(crate) struct Burn {
    device: DeviceName,
    a: Tensor<2>,
    b: Tensor<2>,
}

impl Burn {
    pub(crate) fn new(sizes: Sizes) -> Self {
        let device = DeviceName::ENABLED[0];
        let random = |rows, columns| {
            let distribution = Distribution::Uniform(-1.0, 1.0);
            Tensor::random([rows, columns], distribution, &device.device())
        };
        Self {
            device,
            a: random(sizes.m, sizes.k),
            b: random(sizes.n, sizes.k),
        }
    }
}

impl Product for Burn {
    fn name(&self) -> String {
        format!("Burn, {}", self.device)
    }

    fn run(&mut self) -> (f64, f32) {
        let (a, b) = (self.a.clone(), self.b.clone());
        let start = Instant::now();
        let product = a.matmul(b.transpose()).into_data();
        let seconds = start.elapsed().as_secs_f64();
        (seconds, product.iter::<f32>().next().unwrap_or(f32::NAN))
    }
}

/// The gemm crate called directly, on all cores.
struct Gemm {
    sizes: Sizes,
    a: Vec<f32>,
    b: Vec<f32>,
    product: Vec<f32>,
}

impl Gemm {
    fn new(sizes: Sizes) -> Self {
        let mut random = fastrand::Rng::with_seed(0);
        let mut values = |count| (0..count).map(|_| 2.0 * random.f32() - 1.0).collect();
        Self {
            sizes,
            a: values(sizes.m * sizes.k),
            b: values(sizes.n * sizes.k),
            product: vec![0.0; sizes.m * sizes.n],
        }
    }
}

impl Product for Gemm {
    fn name(&self) -> String {
        "gemm crate".to_owned()
    }

    fn run(&mut self) -> (f64, f32) {
        let Sizes { m, k, n } = self.sizes;
        let start = Instant::now();
        // SAFETY: the three vectors have m·n, m·k and n·k elements, and the
        // strides stay within them.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                self.product.as_mut_ptr(),
                1,
                n as isize,
                false,
                self.a.as_ptr(),
                1,
                k as isize,
                self.b.as_ptr(),
                k as isize,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::Rayon(0),
            );
        }
        (start.elapsed().as_secs_f64(), self.product[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { m: 7, k: 5, n: 3 };

    #[test]
    fn every_implementation_multiplies_by_the_transpose() {
        let mut burn = Burn::new(SIZES);
        let row = |tensor: &Tensor<2>| -> Vec<f32> {
            let row = tensor.clone().slice_dim(0, 0..1).into_data();
            row.iter().collect()
        };
        let (a, b) = (row(&burn.a), row(&burn.b));
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        assert!((burn.run().1 - dot(&a, &b)).abs() < 1e-5);
        let mut gemm = Gemm::new(SIZES);
        let expected = dot(&gemm.a[..5], &gemm.b[..5]);
        assert!((gemm.run().1 - expected).abs() < 1e-5);
        for mut product in implementations(SIZES).into_iter().skip(1) {
            assert!((product.run().1 - expected).abs() < 1e-5);
        }
    }
}
