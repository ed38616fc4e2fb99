//! The machine: what it is, how fast its memory is.

use std::fs;
use std::time::Instant;

use serde::Serialize;

use super::statistics::Spread;

/// float32 numbers in each of the three arrays: 256 MiB, far beyond any cache.
const ELEMENTS: usize = 64 << 20;

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    /// Processes that wanted to run in the minute before: 0 on an idle machine.
    pub(crate) load_before: Option<f64>,
}

impl Machine {
    pub(crate) fn this() -> Self {
        Self {
            processor: processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: cores(),
            load_before: fs::read_to_string("/proc/loadavg")
                .ok()
                .and_then(|text| text.split_whitespace().next()?.parse().ok()),
        }
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Seconds of all processors that the host gave to others since this system was
/// started; 0 where it does not say.
pub(super) fn taken_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("cpu "));
    // user nice system idle iowait irq softirq steal
    let stolen = line.and_then(|l| l.split_whitespace().nth(7)?.parse::<f64>().ok());
    stolen.unwrap_or(0.0) / TICKS_PER_SECOND
}

/// Bytes of memory that a new program can have; `None` where the system does not say.
pub(super) fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The processor's name, with the widest vectors it has.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let name = field("model name")?;
    let flags = field("flags").unwrap_or_default();
    let vectors = [("avx512f", "AVX-512"), ("avx2", "AVX2")];
    let vectors = vectors.iter().find(|(flag, _)| flags.contains(flag));
    Some(match vectors {
        Some((_, vectors)) => format!("{name} with {vectors}"),
        None => name,
    })
}

/// Bytes a second, all cores together.
#[derive(Debug, Serialize)]
pub(crate) struct Bandwidth {
    /// a = b: 8 bytes an element.
    pub(crate) copy: Spread,
    /// a = b + s·c: 12 bytes an element.
    pub(crate) triad: Spread,
}

/// Measures memory bandwidth.
pub(crate) fn bandwidth(rounds: usize) -> Bandwidth {
    let mut a = vec![0.0_f32; ELEMENTS];
    let (b, c) = (vec![1.0_f32; ELEMENTS], vec![2.0_f32; ELEMENTS]);
    let mut run = |bytes: usize, one: fn(&mut [f32], &[f32], &[f32])| {
        let share = ELEMENTS.div_ceil(cores());
        let start = Instant::now();
        std::thread::scope(|scope| {
            let inputs = b.chunks(share).zip(c.chunks(share));
            for (a, (b, c)) in a.chunks_mut(share).zip(inputs) {
                scope.spawn(move || one(a, b, c));
            }
        });
        (bytes * ELEMENTS) as f64 / start.elapsed().as_secs_f64()
    };
    let copy = |a: &mut [f32], b: &[f32], _: &[f32]| a.copy_from_slice(b);
    let triad = |a: &mut [f32], b: &[f32], c: &[f32]| {
        for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
            *a = b + 3.0 * c;
        }
    };
    // The first round is the one in which the pages are made.
    run(8, copy);
    let rates: Vec<_> = (0..rounds)
        .map(|_| (run(8, copy), run(12, triad)))
        .collect();
    Bandwidth {
        copy: Spread::of(rates.iter().map(|rates| rates.0)),
        triad: Spread::of(rates.iter().map(|rates| rates.1)),
    }
}
