//! Falcon: one key and value head for all, a few, or one a query head; blocks side by side or one
//! behind the other, rotary positions or ALiBi.

use super::names::Projected::{Keys, Queries, Values};
use super::names::Stored::{ByGroup, Head, Whole};
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::config::{Config, RopeKeys};
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Before;
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::wiring::{
    AttentionSpec, Band, BlockSpec, EmbeddingSpec, FeedForwardSpec, HeadSpec, LayerSpec, Layers,
    NormSpec, PlainSpec, PositionScores, Reads, Sublayer, Wiring,
};
use crate::{Architecture, Error};

pub(super) static FAMILY: Family = Family {
    model_types: &["falcon"],
    prefixes: &["transformer.", ""],
    read,
    names: ONE_NORM,
    tied: &["lm_head.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

const fn names(modules: &'static [&'static [Module]]) -> Names {
    Names {
        canonical: "",
        layers: "h.",
        modules,
        place: None,
    }
}

const AROUND: &[Module] = &[
    Module(Slot::Word, "word_embeddings", Whole),
    Module(Slot::FinalNorm, "ln_f", Whole),
    Module(Slot::Head, "lm_head", Head),
];

const QKV: &str = "self_attention.query_key_value";

const LAYER: &[Module] = &[
    Module(Query(Attention), QKV, ByGroup(Queries)),
    Module(Key(Attention), QKV, ByGroup(Keys)),
    Module(Value(Attention), QKV, ByGroup(Values)),
    Module(Output(Attention), "self_attention.dense", Whole),
    Module(Slot::Up, "mlp.dense_h_to_4h", Whole),
    Module(Slot::Down, "mlp.dense_4h_to_h", Whole),
];

/// Both blocks read one norm.
static ONE_NORM: &[Names] = &[names(&[
    AROUND,
    LAYER,
    &[
        Module(Norm(Attention, Before), "input_layernorm", Whole),
        Module(Norm(FeedForward, Before), "input_layernorm", Whole),
    ],
])];

/// Each of two blocks side by side has its own.
static OWN_NORMS: &[Names] = &[names(&[
    AROUND,
    LAYER,
    &[
        Module(Norm(Attention, Before), "ln_attn", Whole),
        Module(Norm(FeedForward, Before), "ln_mlp", Whole),
    ],
])];

/// The blocks stand one behind the other.
static IN_SEQUENCE: &[Names] = &[names(&[
    AROUND,
    LAYER,
    &[
        Module(Norm(Attention, Before), "input_layernorm", Whole),
        Module(Norm(FeedForward, Before), "post_attention_layernorm", Whole),
    ],
])];

fn read(config: &Config, model_type: &str) -> Result<Read, Error> {
    let d_model = match config.size_if_given("n_embed")? {
        Some(d_model) => d_model,
        None => config.size("hidden_size")?,
    };
    let heads = config.size("num_attention_heads")?;
    let is_new = config.switch("new_decoder_architecture", false)?;
    let shares_one = config.switch("multi_query", true)?;
    let groups = config.size_if_given("num_kv_heads")?.unwrap_or(heads);
    let mut attention = AttentionSpec::of_width(d_model, heads)?;
    attention.groups = match (is_new, shares_one) {
        (true, _) => groups,
        // Whatever num_kv_heads says: version 5 writes it as the number of heads.
        (false, true) => 1,
        (false, false) => heads,
    };
    if heads % attention.groups != 0 {
        return Err(Error::InvalidField {
            field: "num_kv_heads",
            value: groups.to_string(),
            expected: "a divisor of num_attention_heads",
        });
    }
    let bias = config.switch("bias", false)?;
    attention.biases = [bias; 4];
    attention.band = Band::CAUSAL;
    let rope = config.rope(RopeKeys::PLAIN, attention.d_head)?;
    match config.switch("alibi", false)? {
        true => {
            attention.position = PositionScores::Alibi {
                slopes: super::slopes(heads, "num_attention_heads")?,
                scaled: true,
                bfloat16: true,
            };
        }
        false => attention.rope = Some(rope),
    }
    let d_ff = config.size_if_given("ffn_hidden_size")?;
    let feed_forward = PlainSpec {
        biases: [bias; 2],
        ..PlainSpec::new(
            d_ff.unwrap_or(d_model.saturating_mul(4)),
            config.activation("activation")?,
        )
    };
    let norm = NormSpec::layer(config.epsilon("layer_norm_epsilon")?);
    let parallel = config.switch("parallel_attn", true)? || is_new;
    let norms = config.size_if_given("num_ln_in_parallel_attn")?;
    let names = match (parallel, is_new, norms) {
        (false, ..) => IN_SEQUENCE,
        (true, true, None | Some(2)) => OWN_NORMS,
        (true, true, Some(1)) | (true, false, None) => ONE_NORM,
        (true, _, Some(norms)) => {
            return Err(Error::UnsupportedVariant {
                field: "num_ln_in_parallel_attn",
                value: norms.to_string(),
                reason: "supported are 1 and 2, and in the new architecture only",
            });
        }
    };
    let reads = match parallel {
        true => Reads::LayerInput,
        false => Reads::Previous,
    };
    let feed_forward = Sublayer::FeedForward(FeedForwardSpec::Plain(feed_forward));
    let layer = LayerSpec {
        blocks: vec![
            BlockSpec::new(Sublayer::Attention(attention)).before(norm),
            BlockSpec::new(feed_forward).before(norm).reading(reads),
        ],
    };
    let wiring = Wiring {
        embeddings: EmbeddingSpec::words(d_model),
        layers: Layers::alike(config.size("num_hidden_layers")?, layer),
        final_norm: Some(norm),
        head: Some(HeadSpec::product(
            config.switch("tie_word_embeddings", true)?,
        )),
    };
    let sizes = [config.size("vocab_size")?, d_model];
    let falcon = Architecture {
        max_positions: config.size("max_position_embeddings")?,
        // Padding is masked, so any token serves.
        ..Architecture::new(model_type, sizes, 0, wiring)
    };
    Ok(Read::Named(falcon, names))
}
