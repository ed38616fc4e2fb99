//! The kernels against plain sums in float64, on every instruction set of the
//! machine, at sizes that do not fit their tiles.
//!
//! `HEADWATER_LEVELS=avx2,emulated` has them run on those instruction sets only:
//! memory checkers do not know all that machines have. The emulated one is there
//! with the feature `emulated`, and under Miri it is the only one.

mod attention;
mod curves;
mod gates;
mod heads;
mod maps;
mod matrices;
mod products;
mod rotations;
mod rows;

use headwater_kernels::{Band, Cpu};

/// Numbers in −1..1 that depend on nothing but the seed.
fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| 2.0 * random.f32() - 1.0).collect()
}

/// Every row sums to 1; outside of the band there is nothing.
fn random_weights(maps: usize, targets: usize, sources: usize, band: Band) -> Vec<f32> {
    let mut weights = random(maps * targets * sources, 5);
    for (row, weights) in weights.chunks_exact_mut(sources).enumerate() {
        let seen = band.sources(row % targets, sources);
        weights[..seen.start].fill(0.0);
        weights[seen.end..].fill(0.0);
        let sum: f32 = weights.iter().map(|weight| weight.abs()).sum();
        weights
            .iter_mut()
            .for_each(|weight| *weight = weight.abs() / sum);
    }
    weights
}

/// Fails where two lists differ by more than `tolerance` times the largest expected number.
fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected
        .iter()
        .fold(0.0_f64, |largest, x| largest.max(x.abs()));
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let apart = (f64::from(found) - expected).abs();
        assert!(
            apart <= tolerance * largest,
            "{what}: at {index} {found} is {apart:e} from {expected}"
        );
    }
}

/// Runs something on one, two and three threads: every bit is the same.
fn same_on_any_threads<T: PartialEq + std::fmt::Debug + Send>(run: impl Fn() -> T + Sync) -> T {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(&run)
    };
    let alone = on(1);
    assert_eq!(alone, on(2));
    assert_eq!(alone, on(3));
    alone
}

fn on_every_cpu(test: impl Fn(Cpu)) {
    #[allow(unused_mut)]
    let mut cpus = Cpu::all();
    #[cfg(any(feature = "emulated", miri))]
    cpus.push(Cpu::emulated());
    if let Ok(levels) = std::env::var("HEADWATER_LEVELS") {
        for level in levels.split(',') {
            let known = cpus.iter().any(|cpu| cpu.to_string() == level);
            assert!(known, "no instruction set {level} here, only {cpus:?}");
        }
        cpus.retain(|cpu| levels.split(',').any(|level| level == cpu.to_string()));
    }
    assert!(!cpus.is_empty(), "build with the feature `emulated`");
    cpus.into_iter().for_each(test);
}

/// Sizes of which an interpreter does the first ones only.
fn sizes<T>(all: &[T], interpreted: usize) -> &[T] {
    match cfg!(miri) {
        true => &all[..interpreted],
        false => all,
    }
}
