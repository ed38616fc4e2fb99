//! Whatever a file holds is multiplied as the widened, cut-out and turned copy of
//! it would be, to the bit.

use headwater_kernels::{
    Affine, Band, FeedForwardMaps, Fold, HeadShape, HeadVectors, Layout, Matrix, Numbers, Packed,
    PairMaps, Residual, Tail, Then, linear, linear_packed, rows_times_vector, transformed,
};

use crate::{on_every_cpu, random, sizes};

/// Numbers as a file holds them, and what they are.
enum Stored {
    F32(Vec<f32>),
    BFloat16(Vec<u16>),
    Float16(Vec<u16>),
}

impl Stored {
    /// Random bits of each type, with zeros, subnormal and large numbers among them.
    fn all(count: usize, seed: u64) -> [Self; 3] {
        let numbers = random(count, seed);
        let bits = |at: usize| numbers[at].to_bits();
        let bfloat16 = |at: usize| (bits(at) >> 16) as u16;
        let float16 = |at: usize| {
            let half = half::f16::from_f32(numbers[at]).to_bits();
            match at % 11 {
                0 => half & 0x83ff,
                1 => 0x8000 * (at as u16 % 2),
                2 => half & 0x8000 | 1,
                _ => half,
            }
        };
        [
            Self::F32(numbers.clone()),
            Self::BFloat16((0..count).map(bfloat16).collect()),
            Self::Float16((0..count).map(float16).collect()),
        ]
    }

    fn numbers(&self) -> Numbers<'_> {
        match self {
            Self::F32(numbers) => Numbers::F32(numbers),
            Self::BFloat16(numbers) => Numbers::BFloat16(numbers),
            Self::Float16(numbers) => Numbers::Float16(numbers),
        }
    }

    fn widened(&self, at: usize) -> f32 {
        match self {
            Self::F32(numbers) => numbers[at],
            Self::BFloat16(numbers) => half::bf16::from_bits(numbers[at]).to_f32(),
            Self::Float16(numbers) => half::f16::from_bits(numbers[at]).to_f32(),
        }
    }

    /// Row by row, and only the parameter's rows.
    fn copy(&self, [outputs, inputs]: [usize; 2], layout: Layout) -> Vec<f32> {
        let place = |row: usize, input: usize| {
            let stored = layout.first + row / layout.run * layout.step + row % layout.run;
            layout.start
                + match layout.turned {
                    true => input * layout.rows + stored,
                    false => stored * inputs + input,
                }
        };
        (0..outputs * inputs)
            .map(|at| self.widened(place(at / inputs, at % inputs)))
            .collect()
    }
}

/// Every kind of layout with so many rows, all in a stored matrix of `3·outputs + 5`.
fn layouts(outputs: usize, inputs: usize) -> Vec<Layout> {
    let rows = 3 * outputs + 5;
    let cut = |start: usize, first: usize, run: usize, step: usize| Layout {
        start,
        rows,
        first,
        run,
        step,
        turned: false,
    };
    let upright = [
        cut(0, 0, outputs, 0),
        // The second of three blocks, and one in a tensor of more matrices.
        cut(0, outputs, outputs, 0),
        cut(rows * inputs, 3, outputs, 0),
        // By head: runs of two in three.
        cut(7, 4, 2, 6),
        // Alternating.
        cut(0, 1, 1, 2),
    ];
    let turned = upright.map(|layout| Layout {
        turned: true,
        ..layout
    });
    upright.into_iter().chain(turned).collect()
}

fn on_every_matrix(
    sizes @ [outputs, inputs]: [usize; 2],
    seed: u64,
    test: impl Fn(Matrix<'_>, Matrix<'_>),
) {
    for layout in layouts(outputs, inputs) {
        let length = layout.start + layout.rows * inputs;
        for stored in Stored::all(length, seed) {
            let copy = stored.copy(sizes, layout);
            let matrix = Matrix::new(stored.numbers(), sizes, layout);
            test(matrix, Matrix::rows(&copy, inputs));
        }
    }
}

#[test]
fn products_of_stored_matrices_are_those_of_copies() {
    const SIZES: [(usize, [usize; 2]); 4] = [
        (3, [7, 5]),
        (17, [40, 33]),
        (35, [30, 530]),
        (300, [20, 64]),
    ];
    on_every_cpu(|cpu| {
        for &(rows, size @ [_, inputs]) in sizes(&SIZES, 2) {
            let x = Packed::new(cpu, &random(rows * inputs, 1), inputs);
            let vector = random(inputs, 2);
            on_every_matrix(size, 3, |stored, copy| {
                let map = |weight| Affine { weight, bias: None };
                let rows = linear(&x, map(stored));
                assert_eq!(rows, linear(&x, map(copy)));
                let packed = linear_packed(&x, map(stored), Then::Nothing);
                assert_eq!(packed.unpack(), rows);
                assert_eq!(
                    rows_times_vector(cpu, stored, &vector),
                    rows_times_vector(cpu, copy, &vector)
                );
            });
        }
    });
}

#[test]
fn maps_of_stored_matrices_are_those_of_copies() {
    let (d_model, d_ff) = (22, 18);
    on_every_cpu(|cpu| {
        let shape = HeadShape {
            batch: 1,
            heads: 4,
            groups: 2,
            d_head: 5,
            targets: 19,
            sources: 19,
            band: Band::CAUSAL,
        };
        let (inner, tokens) = (20, 19);
        let values = random(tokens * 2 * 5, 1);
        let rows = HeadVectors::rows(&values, tokens, 2, 5);
        let weights = crate::random_weights(4, tokens, tokens, shape.band);
        let gammas = [2, 3].map(|seed| random(d_model, seed));
        let folds = [Fold::layer_norm(&gammas[0]), Fold::layer_norm(&gammas[1])];
        on_every_matrix([d_model, inner], 4, |stored, copy| {
            let norms = |output| {
                let all = transformed(cpu, shape, rows, output, None, &folds, &[0, 1, 2]);
                let norms = all.grams.iter().map(|gram| gram.transformed_norms());
                norms.collect::<Vec<_>>()
            };
            assert_eq!(norms(stored), norms(copy));
        });
        let slopes = [5, 6].map(|seed| Packed::new(cpu, &random(tokens * d_ff, seed), d_ff));
        let slopes: Vec<&Packed> = slopes.iter().collect();
        let maps = |output: Matrix<'_>, hidden: [Matrix<'_>; 2], down: Matrix<'_>| {
            let maps = FeedForwardMaps {
                output,
                folds: &folds[..1],
                hidden: &hidden,
                down,
                tail: Tail {
                    residual: Some(Residual { folds: &[] }),
                    ..Tail::default()
                },
            };
            maps.norms(&[PairMaps {
                shape,
                sequence: 0,
                values: rows,
                weights: &weights,
                slopes: &slopes,
                scale: None,
                output_scale: None,
                residual_scale: None,
                tail_scale: None,
            }])
        };
        let [plain_output, plain_up, plain_down] = [
            random(d_model * inner, 7),
            random(d_ff * d_model, 8),
            random(d_model * d_ff, 9),
        ];
        let output = Matrix::rows(&plain_output, inner);
        let up = Matrix::rows(&plain_up, d_model);
        let down = Matrix::rows(&plain_down, d_ff);
        on_every_matrix([d_model, inner], 4, |stored, copy| {
            assert_eq!(maps(stored, [up; 2], down), maps(copy, [up; 2], down));
        });
        on_every_matrix([d_ff, d_model], 5, |stored, copy| {
            let [found, expected] = [stored, copy].map(|gate| maps(output, [gate, up], down));
            assert_eq!(found, expected);
        });
        on_every_matrix([d_model, d_ff], 6, |stored, copy| {
            let [found, expected] = [stored, copy].map(|down| maps(output, [up; 2], down));
            assert_eq!(found, expected);
        });
    });
}

#[test]
fn every_number_of_sixteen_bits_is_widened_exactly() {
    on_every_cpu(|cpu| {
        // As the right factor of 1: infinities and NaNs are refused at load.
        let bits: Vec<u16> = (0..=u16::MAX)
            .filter(|bits| bits & 0x7c00 != 0x7c00)
            .collect();
        let bits = match cfg!(miri) {
            true => &bits[..200],
            false => &bits[..],
        };
        let one = Packed::new(cpu, &[1.0], 1);
        let size = [bits.len(), 1];
        let of = |numbers| {
            let weight = Matrix::new(numbers, size, Layout::whole(bits.len()));
            linear(&one, Affine { weight, bias: None })
        };
        let halves = bits.iter().map(|&bits| half::f16::from_bits(bits).to_f32());
        assert_eq!(of(Numbers::Float16(bits)), halves.collect::<Vec<_>>());
        let uppers = bits
            .iter()
            .map(|&bits| half::bf16::from_bits(bits).to_f32());
        assert_eq!(of(Numbers::BFloat16(bits)), uppers.collect::<Vec<_>>());
    });
}

#[test]
#[should_panic(expected = "rows of the stored matrix")]
fn rows_beyond_the_stored_matrix_are_refused() {
    let layout = Layout {
        run: 2,
        step: 4,
        ..Layout::whole(9)
    };
    Matrix::new(Numbers::F32(&[0.0; 9]), [6, 1], layout);
}
