use headwater_kernels::*;
use std::time::Instant;
fn main() {
    let cpu = Cpu::detect().unwrap();
    for (m, n, k) in [
        (8, 384, 384),
        (32, 768, 768),
        (128, 768, 768),
        (128, 3072, 768),
        (128, 768, 3072),
        (512, 768, 768),
        (512, 3072, 768),
        (512, 768, 3072),
        (2048, 2048, 2048),
    ] {
        let x: Vec<f32> = (0..m * k)
            .map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5)
            .collect();
        let w: Vec<f32> = (0..n * k)
            .map(|i| ((i * 104729) % 1000) as f32 / 1000.0 - 0.5)
            .collect();
        let mut y = vec![0f32; m * n];
        let (mut a, mut b, mut g) = (f64::MAX, f64::MAX, f64::MAX);
        let reps = (2e10 / (2.0 * (m * n * k) as f64)).clamp(3.0, 200.0) as usize;
        let map = Affine {
            weight: &w,
            bias: None,
        };
        for _ in 0..reps {
            let t = Instant::now();
            let p = Packed::new(cpu, &x, k);
            let tp = t.elapsed().as_secs_f64();
            linear(cpu, &p, map, &mut y);
            a = a.min(t.elapsed().as_secs_f64());
            b = b.min(tp);
            let t = Instant::now();
            let z = linear_packed(cpu, &p, map, Then::Activation(Curve::Gelu), None);
            g = g.min(t.elapsed().as_secs_f64());
            drop(z);
        }
        let (i, j) = (m - 1, n - 2);
        let r: f64 = (0..k)
            .map(|p| x[i * k + p] as f64 * w[j * k + p] as f64)
            .sum();
        let f = 2.0 * (m * n * k) as f64 / 1e9;
        println!(
            "{m:5} {n:5} {k:5}: {:6.1} GFLOP/s pack {:.3} ms of {:.3}; gelu packed {:.1}  diff {:.1e}",
            f / a,
            b * 1e3,
            a * 1e3,
            f / g,
            r - y[i * n + j] as f64
        );
    }
}
