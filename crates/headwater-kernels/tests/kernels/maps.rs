use headwater_kernels::{
    Band, FeedForwardMaps, Fold, HeadShape, HeadVectors, Matrix, Packed, PairMaps, Residual, Tail,
};

use crate::attention::{AROUND, WINDOW, grouped, shape};
use crate::heads::{folded, vectors};
use crate::{assert_close, on_every_cpu, random, random_weights, same_on_any_threads, sizes};

const SHAPES: [HeadShape; 7] = [
    shape(1, 1, 1, 1, 1, false),
    shape(2, 3, 4, 9, 9, false),
    grouped(shape(1, 4, 3, 37, 37, true), 2, WINDOW),
    grouped(shape(2, 2, 5, 50, 50, false), 1, AROUND),
    grouped(shape(1, 4, 3, 5, 35, false), 2, Band::WHOLE),
    shape(1, 2, 9, 40, 40, true),
    shape(2, 2, 5, 3, 35, false),
];

const D_MODEL: usize = 19;
const D_FF: usize = 35;

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn times(map: &[f32], x: &[f64]) -> Vec<f64> {
    let rows = map.chunks_exact(x.len());
    let row = |row: &[f32]| row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum();
    rows.map(row).collect()
}

/// What is behind attention and behind the block, by the numbers of the norms.
struct Wiring {
    /// Between attention and the block.
    before: usize,
    gated: bool,
    output: bool,
    /// Behind how many of the norms before the block the residual begins.
    residual: Option<usize>,
    behind: bool,
}

const WIRINGS: [Wiring; 5] = [
    // Post-LN: the residual has the norm.
    Wiring {
        before: 1,
        gated: false,
        output: false,
        residual: Some(1),
        behind: true,
    },
    // Pre-LN: it has none, and nothing follows.
    Wiring {
        before: 1,
        gated: true,
        output: false,
        residual: Some(0),
        behind: false,
    },
    // Norms on the outputs.
    Wiring {
        before: 2,
        gated: true,
        output: true,
        residual: Some(1),
        behind: false,
    },
    // Everything that there may be.
    Wiring {
        before: 3,
        gated: true,
        output: true,
        residual: Some(2),
        behind: true,
    },
    // Nothing at all.
    Wiring {
        before: 0,
        gated: false,
        output: false,
        residual: None,
        behind: false,
    },
];

#[test]
fn maps_are_the_norms_of_parts_that_are_made_one_by_one() {
    on_every_cpu(|cpu| {
        for &shape in sizes(&SHAPES, 2) {
            for wiring in &WIRINGS {
                check(cpu, shape, wiring);
            }
        }
    });
}

fn check(cpu: headwater_kernels::Cpu, shape: HeadShape, wiring: &Wiring) {
    let HeadShape {
        batch,
        heads,
        groups,
        d_head,
        targets,
        sources,
        band,
    } = shape;
    let values = random(batch * sources * groups * d_head, 1);
    let output = random(D_MODEL * heads * d_head, 2);
    let gammas = [3, 4, 5, 6, 7].map(|seed| random(D_MODEL, seed));
    let norms = [
        Fold::layer_norm(&gammas[0]),
        Fold::rms_norm(&gammas[1]),
        Fold::layer_norm(&gammas[2]),
    ];
    let behind_output = Fold::layer_norm(&gammas[3]);
    let behind_residual = Fold::rms_norm(&gammas[4]);
    let maps = [8, 9].map(|seed| random(D_FF * D_MODEL, seed));
    let maps = &maps[..1 + usize::from(wiring.gated)];
    let hidden: Vec<Matrix<'_>> = maps.iter().map(|map| Matrix::rows(map, D_MODEL)).collect();
    let down = random(D_FF * D_MODEL, 10);
    let slopes = [11, 12].map(|seed| random(batch * targets * D_FF, seed));
    let weights = random_weights(batch * heads, targets, sources, band);
    let scales = [13, 14, 15, 16].map(|seed| -> Vec<f32> {
        let numbers = random(batch * targets, seed);
        numbers.iter().map(|s| 1.5 + s).collect()
    });
    let packed: Vec<Vec<Packed>> = (0..batch)
        .map(|b| {
            let of_member = slopes[..maps.len()].iter();
            let size = targets * D_FF;
            let pack = |slopes: &Vec<f32>| Packed::new(cpu, &slopes[b * size..][..size], D_FF);
            of_member.map(pack).collect()
        })
        .collect();
    let packed: Vec<Vec<&Packed>> = packed
        .iter()
        .map(|slopes| slopes.iter().collect())
        .collect();
    let size = heads * targets * sources;
    let sequences: Vec<PairMaps<'_>> = (0..batch)
        .map(|b| {
            let of = |scale: usize| &scales[scale][b * targets..][..targets];
            PairMaps {
                shape,
                sequence: b,
                values: HeadVectors::rows(&values, sources, groups, d_head),
                weights: &weights[b * size..][..size],
                slopes: &packed[b],
                scale: (wiring.before > 0).then(|| of(0)),
                output_scale: Some(of(1)),
                residual_scale: wiring.residual.filter(|&n| n > 0).map(|_| of(2)),
                tail_scale: Some(of(3)),
            }
        })
        .collect();
    let block = FeedForwardMaps {
        output: Matrix::rows(&output, heads * d_head),
        folds: &norms[..wiring.before],
        hidden: &hidden,
        down: Matrix::rows(&down, D_FF),
        tail: Tail {
            output: wiring.output.then_some(behind_output),
            residual: wiring.residual.map(|residual| Residual {
                folds: &norms[..residual],
            }),
            norm: wiring.behind.then_some(behind_residual),
        },
    };
    let found = same_on_any_threads(|| block.norms(&sequences));
    let before = vectors(shape, &values, &output, &norms[..wiring.before]);
    let of_residual = vectors(
        shape,
        &values,
        &output,
        &norms[..wiring.residual.unwrap_or(0)],
    );
    for (b, found) in found.iter().enumerate() {
        let mut expected: Vec<Vec<f64>> = Vec::new();
        for (t, s) in (0..targets * sources).map(|at| (at / sources, at % sources)) {
            let row = b * targets + t;
            let scale = |kind: usize| f64::from(scales[kind][row]);
            let sum = |u: &[Vec<f64>], scale: f64| -> Vec<f64> {
                let mut part = vec![0.0; D_MODEL];
                for h in 0..heads {
                    let weight = weights[((b * heads + h) * targets + t) * sources + s];
                    let u = &u[(b * sources + s) * heads + h];
                    let numbers = part.iter_mut().zip(u);
                    numbers.for_each(|(part, u)| *part += f64::from(weight) * u / scale);
                }
                part
            };
            let part = sum(&before, if wiring.before > 0 { scale(0) } else { 1.0 });
            let mut inner = vec![0.0; D_FF];
            for (map, slopes) in maps.iter().zip(&slopes) {
                let numbers = times(map, &part).into_iter().zip(&slopes[row * D_FF..]);
                let numbers = inner.iter_mut().zip(numbers);
                numbers.for_each(|(inner, (x, &slope))| *inner += x * f64::from(slope));
            }
            let mut y = times(&down, &inner);
            let mut lengths = vec![norm(&y)];
            if wiring.output {
                folded(behind_output, &mut y);
                y.iter_mut().for_each(|y| *y /= scale(1));
                lengths.push(norm(&y));
            }
            if let Some(folds) = wiring.residual {
                let residual = sum(&of_residual, if folds > 0 { scale(2) } else { 1.0 });
                y.iter_mut().zip(residual).for_each(|(y, x)| *y += x);
                lengths.push(norm(&y));
            }
            if wiring.behind {
                folded(behind_residual, &mut y);
                lengths.push(norm(&y) / scale(3));
            }
            expected.resize(lengths.len(), Vec::new());
            let components = expected.iter_mut().zip(lengths);
            components.for_each(|(component, length)| component.push(length));
        }
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(found, expected, 3e-6, "maps");
        }
    }
}

#[test]
#[should_panic(expected = "one γ each")]
fn a_norm_of_another_width_is_refused() {
    on_every_cpu(|cpu| {
        let slope = Packed::new(cpu, &[1.0], 1);
        let gamma = [1.0; 2];
        let maps = FeedForwardMaps {
            output: Matrix::rows(&[1.0], 1),
            folds: &[],
            hidden: &[Matrix::rows(&[1.0], 1)],
            down: Matrix::rows(&[1.0], 1),
            tail: Tail {
                norm: Some(Fold::layer_norm(&gamma)),
                ..Tail::default()
            },
        };
        maps.norms(&[PairMaps {
            shape: shape(1, 1, 1, 1, 1, false),
            sequence: 0,
            values: HeadVectors::rows(&[1.0], 1, 1, 1),
            weights: &[1.0],
            slopes: &[&slope],
            scale: None,
            output_scale: None,
            residual_scale: None,
            tail_scale: None,
        }]);
    });
}
