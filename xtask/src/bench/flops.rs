//! How many floating-point operations the matrix products take, and how many
//! bytes have to be moved at the least: what time is compared with.
//!
//! A product of [m, k] and [k, n] counts 2·m·k·n. With D = d_model, F = d_ff,
//! H heads and T tokens. Sums over sources count every source, except in the
//! feed-forward maps of causal models, where what is not seen is left out.

use super::work::Work;
use crate::random_model::Shape;

/// Of a whole model and a batch of texts of equal length.
pub(crate) fn of(work: Work, shape: Shape, tokens: usize, batch: usize) -> f64 {
    batch as f64 * shape.layers() as f64 * of_layer(work, shape, tokens)
}

fn of_layer(work: Work, shape: Shape, tokens: usize) -> f64 {
    let [t, d, f, h] =
        [tokens, shape.d_model(), shape.d_ff(), shape.heads()].map(|size| size as f64);
    // W_Q, W_K, W_V, W_O; scores and weighted values; W_1 and W_2.
    let forward = 8.0 * t * d * d + 4.0 * t * t * d + 4.0 * t * d * f;
    // Every head's values through W_O, of which what a token keeps is one sum a
    // head; what it mixes in is the rest of the block's output.
    let transformed = 2.0 * t * d * d;
    match work {
        Work::Forward => forward,
        Work::AttentionMaps => {
            // The symmetric G_j = U_j U_jᵀ, then αᵀ G α for every pair; once more
            // where a layer norm changes the map, which a pre-LN block ends before.
            let maps = if shape.is_causal() { 1.0 } else { 2.0 };
            let gram = h * (h + 1.0) * (t * d + t * t);
            forward + transformed + maps * gram
        }
        // What is mixed in goes through W_1, both sums through W_2.
        Work::MixingRatios => forward + transformed + 6.0 * t * d * f,
    }
}

/// Over those of the forward pass.
pub(crate) fn to_forward(work: Work, shape: Shape, tokens: usize) -> f64 {
    of_layer(work, shape, tokens) / of_layer(Work::Forward, shape, tokens)
}

/// The product with W_2 of one layer's feed-forward maps, for every pair.
pub(crate) fn feed_forward_maps(shape: Shape, tokens: usize) -> f64 {
    let pairs = if shape.is_causal() {
        tokens * (tokens + 1) / 2
    } else {
        tokens * tokens
    };
    2.0 * (pairs * shape.d_ff() * shape.d_model()) as f64
}

/// Bytes that have to come from or go to memory once: the layers' float32
/// matrices, and the arrays that are handed over.
pub(crate) fn bytes(work: Work, shape: Shape, tokens: usize, batch: usize) -> f64 {
    let [t, d, f, h] =
        [tokens, shape.d_model(), shape.d_ff(), shape.heads()].map(|size| size as f64);
    let matrices = 4.0 * d * d + 2.0 * d * f;
    let scopes = if shape.is_causal() { 2.0 } else { 3.0 };
    let arrays = match work {
        Work::Forward | Work::MixingRatios => 0.0,
        Work::AttentionMaps => scopes * t * t + h * t * t + h * t,
    };
    4.0 * shape.layers() as f64 * (matrices + batch as f64 * arrays)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplications and additions of a product, one by one.
    fn product(m: usize, k: usize, n: usize) -> f64 {
        (0..m * n).map(|_| (0..k).map(|_| 2.0).sum::<f64>()).sum()
    }

    #[test]
    fn a_forward_pass_is_the_sum_of_its_products() {
        let (t, d, f, h) = (3, 384, 1536, 12);
        let linear = 4.0 * product(t, d, d) + product(t, d, f) + product(t, f, d);
        let heads = h as f64 * (product(t, d / h, t) + product(t, t, d / h));
        let counted = of(Work::Forward, Shape::Minilm, t, 2);
        assert_eq!(counted, 2.0 * 6.0 * (linear + heads));
        // BERT-base at 128 tokens, as it is commonly quoted.
        assert_eq!(
            (of(Work::Forward, Shape::Base, 128, 1) / 1e8).round(),
            223.0
        );
    }

    #[test]
    fn attention_maps_add_two_symmetric_gram_forms_and_a_product_in_a_post_ln_layer() {
        let (t, d, h) = (5, 384, 12);
        let forward = of(Work::Forward, Shape::Minilm, t, 1) / 6.0;
        let transformed = h as f64 * product(t, d / h, d);
        let pairs = (h * (h + 1) / 2) as f64;
        let gram = t as f64 * pairs * product(1, d, 1);
        let forms = (t * t) as f64 * pairs * product(1, 1, 1);
        let counted = of(Work::AttentionMaps, Shape::Minilm, t, 1) / 6.0;
        let expected = forward + transformed + 2.0 * (gram + forms);
        assert!((counted - expected).abs() < 1.0);
        assert_eq!(
            to_forward(Work::AttentionMaps, Shape::Minilm, t),
            counted / forward
        );
    }

    #[test]
    fn mixing_ratios_take_three_products_of_a_feed_forward_block() {
        let (t, d, f) = (4, 384, 1536);
        let forward = of(Work::Forward, Shape::Minilm, t, 1) / 6.0;
        let block = product(t, d, f) + 2.0 * product(t, f, d);
        let kept = product(t, d, d);
        let counted = of(Work::MixingRatios, Shape::Minilm, t, 1) / 6.0;
        assert!((counted - (forward + kept + block)).abs() < 1.0);
    }

    #[test]
    fn a_causal_model_has_half_the_pairs_and_its_own() {
        assert_eq!(feed_forward_maps(Shape::Base, 4), product(16, 3072, 768));
        assert_eq!(feed_forward_maps(Shape::Gpt2, 4), product(10, 3072, 768));
    }
}
