use headwater_kernels::{
    Affine, Curve, Known, Matrix, Packed, Then, linear, linear_both, linear_packed,
    rows_times_vector,
};

use crate::{assert_close, on_every_cpu, random, same_on_any_threads, sizes};

const SIZES: [(usize, usize, usize); 6] = [
    (1, 1, 1),
    (3, 17, 5),
    (33, 29, 70),
    (70, 130, 515),
    (600, 15, 40),
    (32, 112, 1024),
];

fn product(x: &[f32], w: &[f32], bias: &[f32], k: usize) -> Vec<f64> {
    let rows = x.chunks_exact(k);
    let row = |x: &[f32]| -> Vec<f64> {
        let dot = |w: &[f32]| -> f64 {
            let products = x.iter().zip(w).map(|(&a, &b)| f64::from(a) * f64::from(b));
            products.sum()
        };
        let outputs = w.chunks_exact(k).zip(bias);
        outputs.map(|(w, &bias)| dot(w) + f64::from(bias)).collect()
    };
    rows.flat_map(row).collect()
}

#[test]
fn a_product_is_the_sum_of_products() {
    on_every_cpu(|cpu| {
        for &(m, n, k) in sizes(&SIZES, 3) {
            let (x, w, bias) = (random(m * k, 1), random(n * k, 2), random(n, 3));
            let expected = product(&x, &w, &bias, k);
            let packed = Packed::new(cpu, &x, k);
            assert_eq!(packed.unpack(), x);
            let map = Affine {
                weight: Matrix::rows(&w, k),
                bias: Some(&bias),
            };
            let y = same_on_any_threads(|| linear(&packed, map));
            assert_close(&y, &expected, 2e-6, "rows");
            let (alike, before) = linear_both(&packed, map, Then::Nothing);
            assert_eq!((alike.unpack(), before.unpack()), (y.clone(), y.clone()));
            let alone = linear_packed(&packed, map, Then::Nothing);
            assert_eq!(alone.unpack(), y);
        }
    });
}

#[test]
fn what_is_done_then_is_done_to_every_number() {
    on_every_cpu(|cpu| {
        let (m, n, k) = (37, 45, 20);
        let (x, w, factors) = (random(m * k, 1), random(n * k, 2), random(m * n, 3));
        let x = Packed::new(cpu, &x, k);
        let map = Affine {
            weight: Matrix::rows(&w, k),
            bias: None,
        };
        let plain = linear_packed(&x, map, Then::Nothing);
        let factors = Packed::new(cpu, &factors, n);
        let times = linear_packed(&x, map, Then::Times(&factors));
        let expected: Vec<f32> = plain
            .unpack()
            .iter()
            .zip(factors.unpack())
            .map(|(a, b)| a * b)
            .collect();
        assert_eq!(times.unpack(), expected);
        assert_eq!(plain.times(&factors).unpack(), expected);
        let terms = Packed::new(cpu, &random(m * n, 4), n);
        let plus = linear_packed(&x, map, Then::TimesPlus(&factors, &terms));
        let numbers = plain.unpack().into_iter().zip(factors.unpack());
        let added: Vec<f32> = numbers
            .zip(terms.unpack())
            .map(|((a, b), c)| a.mul_add(b, c))
            .collect();
        assert_eq!(plus.unpack(), added);
        let (both, before) = linear_both(&x, map, Then::Times(&factors));
        assert_eq!(both.unpack(), expected);
        assert_eq!(before.unpack(), plain.unpack());
        let relu = linear_packed(&x, map, Then::Activation(Curve::Relu));
        let expected: Vec<f32> = plain.unpack().iter().map(|x| x.max(0.0)).collect();
        assert_eq!(relu.unpack(), expected);
    });
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    on_every_cpu(|cpu| {
        let (m, n, k) = (90, 50, 600);
        let (x, w) = (random(m * k, 1), random(n * k, 2));
        let map = Affine {
            weight: Matrix::rows(&w, k),
            bias: None,
        };
        let rows = |x: &[f32]| linear(&Packed::new(cpu, x, k), map);
        let all = rows(&x);
        for count in [1, 2, 31, 64] {
            assert_eq!(rows(&x[..count * k]), all[..count * n]);
        }
    });
}

#[test]
fn the_rest_of_a_sum_is_what_is_left() {
    on_every_cpu(|cpu| {
        let (rows, columns) = (35, 18);
        let [sum, part, factors] = [1, 2, 3].map(|seed| random(rows * columns, seed));
        let (a, c) = (random(columns, 4), random(columns, 5));
        let scale: Vec<f32> = random(rows, 6).iter().map(|s| 1.5 + s).collect();
        let [sums, parts, times] = [&sum, &part, &factors].map(|x| Packed::new(cpu, x, columns));
        let known = [
            Known {
                vector: &c,
                divisor: None,
            },
            Known {
                vector: &a,
                divisor: Some(&scale),
            },
        ];
        let mut rest = sums.rest_times(&parts, &known, &times);
        // Nothing known is known zeros, to the bit.
        let zeros = [Known {
            vector: &vec![0.0; columns],
            divisor: None,
        }];
        assert_eq!(
            sums.rest_times(&parts, &[], &times).unpack(),
            sums.rest_times(&parts, &zeros, &times).unpack()
        );
        let expected: Vec<f64> = (0..rows * columns)
            .map(|at| {
                let [sum, part, factor] = [sum[at], part[at], factors[at]].map(f64::from);
                let (row, column) = (at / columns, at % columns);
                let known = f64::from(a[column]) / f64::from(scale[row]) + f64::from(c[column]);
                (sum - part - known) * factor
            })
            .collect();
        assert_close(&rest.unpack(), &expected, 1e-6, "rest");
        let picked = rest.pick_rows(&[34, 3]).unpack();
        let whole = rest.unpack();
        assert_eq!(picked[..columns], whole[34 * columns..]);
        assert_eq!(picked[columns..], whole[3 * columns..4 * columns]);
        let other = random(2 * columns, 7);
        rest.replace_rows(&[3, 34], &Packed::new(cpu, &other, columns));
        let replaced = rest.unpack();
        assert_eq!(replaced[3 * columns..4 * columns], other[..columns]);
        assert_eq!(replaced[34 * columns..], other[columns..]);
        assert_close(
            &replaced[..3 * columns],
            &expected[..3 * columns],
            1e-6,
            "others",
        );
    });
}

#[test]
fn a_vector_is_multiplied_by_every_row() {
    on_every_cpu(|cpu| {
        for (n, k) in [(1, 1), (40, 77), (9, 768)] {
            let (w, x) = (random(n * k, 1), random(k, 2));
            let expected = product(&x, &w, &vec![0.0; n], k);
            assert_close(
                &rows_times_vector(cpu, Matrix::rows(&w, k), &x),
                &expected,
                1e-6,
                "dots",
            );
        }
    });
}
