//! GPT-J: both blocks read one norm of the layer's input; neighbouring channels turn.

use super::names::Stored::{Head, Whole};
use super::names::{Module, Names};
use super::{Family, Read, TOKENIZER};
use crate::wiring::tensors::In::{Attention, FeedForward};
use crate::wiring::tensors::Place::Before;
use crate::wiring::tensors::Slot::{self, Key, Norm, Output, Query, Value};
use crate::wiring::{
    AttentionSpec, Band, BlockSpec, EmbeddingSpec, FeedForwardSpec, HeadSpec, LayerSpec, Layers,
    NormSpec, Pairs, PlainSpec, Reads, RopeSpec, Sublayer, Wiring,
};
use crate::{Architecture, Error};

pub(super) static FAMILY: Family = Family {
    model_types: &["gptj"],
    prefixes: &["transformer.", ""],
    read: |config, model_type| {
        let d_model = config.size("n_embd")?;
        let mut attention = AttentionSpec::of_width(d_model, config.size("n_head")?)?;
        attention.band = Band::CAUSAL;
        attention.biases = [false; 4];
        let width = config.size("rotary_dim")?;
        if width > attention.d_head || width % 2 != 0 {
            return Err(Error::InvalidField {
                field: "rotary_dim",
                value: width.to_string(),
                expected: "even and at most the width of a head",
            });
        }
        // No key says so.
        attention.rope = Some(RopeSpec {
            pairs: Pairs::Neighbours,
            ..RopeSpec::new(10_000.0, width)
        });
        let d_ff = config.size_if_given("n_inner")?;
        let d_ff = d_ff.unwrap_or(d_model.saturating_mul(4));
        let feed_forward = PlainSpec::new(d_ff, config.activation("activation_function")?);
        let norm = NormSpec::layer(config.epsilon("layer_norm_epsilon")?);
        let feed_forward = Sublayer::FeedForward(FeedForwardSpec::Plain(feed_forward));
        let layer = LayerSpec {
            blocks: vec![
                BlockSpec::new(Sublayer::Attention(attention)).before(norm),
                BlockSpec::new(feed_forward)
                    .before(norm)
                    .reading(Reads::LayerInput),
            ],
        };
        let wiring = Wiring {
            embeddings: EmbeddingSpec::words(d_model),
            layers: Layers::alike(config.size("n_layer")?, layer),
            final_norm: Some(norm),
            head: Some(HeadSpec {
                bias: true,
                ..HeadSpec::product(config.switch("tie_word_embeddings", false)?)
            }),
        };
        let sizes = [config.size("vocab_size")?, d_model];
        Ok(Read::Stack(Architecture {
            max_positions: config.size("n_positions")?,
            // Padding is masked, so any token serves.
            ..Architecture::new(model_type, sizes, 0, wiring)
        }))
    },
    names: &[Names {
        canonical: "",
        layers: "h.",
        modules: &[MODULES],
        place: None,
    }],
    tied: &["lm_head.weight"],
    files: TOKENIZER,
    begins_with_last: false,
};

const MODULES: &[Module] = &[
    Module(Slot::Word, "wte", Whole),
    Module(Slot::FinalNorm, "ln_f", Whole),
    Module(Slot::Head, "lm_head", Head),
    Module(Slot::HeadBias, "lm_head", Head),
    Module(Norm(Attention, Before), "ln_1", Whole),
    Module(Query(Attention), "attn.q_proj", Whole),
    Module(Key(Attention), "attn.k_proj", Whole),
    Module(Value(Attention), "attn.v_proj", Whole),
    Module(Output(Attention), "attn.out_proj", Whole),
    Module(Norm(FeedForward, Before), "ln_1", Whole),
    Module(Slot::Up, "mlp.fc_in", Whole),
    Module(Slot::Down, "mlp.fc_out", Whole),
];
