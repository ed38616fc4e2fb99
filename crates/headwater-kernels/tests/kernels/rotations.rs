use headwater_kernels::{Pairs, rotate};

use crate::{on_every_cpu, random, same_on_any_threads};

#[test]
fn pairs_are_rotated_and_the_rest_stays() {
    on_every_cpu(|cpu| {
        for (batch, tokens, heads, d_head, half) in [
            (1, 1, 1, 2, 1),
            (2, 5, 3, 8, 4),
            (2, 7, 2, 20, 5),
            (1, 33, 4, 64, 32),
            (3, 4, 2, 7, 0),
        ] {
            let x = random(batch * tokens * heads * d_head, 1);
            for angles_of in [tokens, batch * tokens] {
                let [cos, sin] = [2, 3].map(|seed| random(angles_of * half, seed));
                for pairs in [Pairs::Halves, Pairs::Neighbours] {
                    let found = same_on_any_threads(|| {
                        let sizes = [heads, d_head];
                        rotate(cpu, &x, sizes, [&cos, &sin], angles_of, pairs)
                    });
                    let mut expected = x.clone();
                    for (at, head) in expected.chunks_exact_mut(d_head).enumerate() {
                        let before = head.to_vec();
                        for i in 0..half {
                            let angle = at / heads % angles_of * half + i;
                            let (cos, sin) = (cos[angle], sin[angle]);
                            let (a, b) = match pairs {
                                Pairs::Halves => (i, half + i),
                                Pairs::Neighbours => (2 * i, 2 * i + 1),
                            };
                            head[a] = before[a] * cos - before[b] * sin;
                            head[b] = before[b] * cos + before[a] * sin;
                        }
                    }
                    // To the bit: transformers rounds each product and each sum too.
                    assert_eq!(found, expected);
                }
            }
        }
    });
}
