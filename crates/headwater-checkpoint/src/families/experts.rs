//! Mixtral, Qwen3-MoE and gpt-oss: decoders whose feed-forward blocks are experts.

use super::llama::{self, AROUND, GATED, NAMES, NORMS, PREFIXES, PROJECTIONS, TIED};
use super::names::Stored::{Bare, EverySecond, Experts, Whole};
use super::names::{Module, Names};
use super::qwen::QK_NORMS;
use super::{Family, Read, TOKENIZER};
use crate::config::{Config, LayerType, RopeKeys};
use crate::wiring::tensors::Expert::{Down, Gate, Up};
use crate::wiring::tensors::Slot;
use crate::wiring::{
    AttentionSpec, Band, FeedForwardSpec, GatedSpec, LayerSpec, Layers, NormSpec, Over, Pattern,
    RouterSpec, RouterWeights, Sublayer,
};
use crate::{Activation, Error};

/// Layers are listed one by one up to this number only.
const MOST_LISTED: usize = 10_000;

/// No model comes near it.
const MOST_EXPERTS: usize = 4096;

pub(super) static MIXTRAL: Family = Family {
    model_types: &["mixtral"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let mut attention = llama::attention(config)?;
        if let Some(window) = config.size_if_given("sliding_window")? {
            attention.band = Band::causal_window(window);
        }
        let rope = RopeKeys {
            default_theta: 1e6,
            ..RopeKeys::PLAIN
        };
        attention.rope = Some(config.rope(rope, attention.d_head)?);
        let expert = llama::gated(config, "hidden_act")?;
        let router = RouterSpec {
            weights: RouterWeights::SoftmaxThenTopToOne,
            bias: false,
        };
        let norm = NormSpec::rms(config.epsilon("rms_norm_eps")?);
        let layer = layer(norm, attention, experts(config, router, expert)?);
        let layers = Layers::alike(config.size("num_hidden_layers")?, layer);
        let decoder = llama::decoder(config, model_type, layers, norm)?;
        Ok(Read::Stack(decoder))
    },
    names: &[Names {
        modules: &[AROUND, PROJECTIONS, NORMS, OF_MIXTRAL],
        ..NAMES
    }],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

const OF_MIXTRAL: &[Module] = &[
    Module(Slot::Router, "block_sparse_moe.gate", Whole),
    Module(Slot::Experts(Gate), "block_sparse_moe.experts.#.w1", Whole),
    Module(Slot::Experts(Up), "block_sparse_moe.experts.#.w3", Whole),
    Module(Slot::Experts(Down), "block_sparse_moe.experts.#.w2", Whole),
];

pub(super) static QWEN: Family = Family {
    model_types: &["qwen3_moe"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let norm = NormSpec::rms(config.epsilon("rms_norm_eps")?);
        let mut attention = llama::attention(config)?;
        attention.biases = [config.switch("attention_bias", false)?; 4];
        attention.qk_norm = Some((Over::Head, norm));
        attention.rope = Some(config.rope(RopeKeys::PLAIN, attention.d_head)?);
        let slides = config.switch("use_sliding_window", false)?;
        let window = config.size_if_given("sliding_window")?.filter(|_| slides);
        if let Some(window) = window {
            attention.band = Band::causal_window(window);
        }
        let dense = llama::gated(config, "hidden_act")?;
        let expert = GatedSpec::new(config.size("moe_intermediate_size")?, dense.activation);
        let router = RouterSpec {
            weights: match config.switch("norm_topk_prob", false)? {
                true => RouterWeights::SoftmaxThenTopToOne,
                false => RouterWeights::SoftmaxThenTop,
            },
            bias: false,
        };
        let layers = Layers {
            number: config.size("num_hidden_layers")?,
            kinds: vec![
                layer(norm, attention.clone(), experts(config, router, expert)?),
                layer(norm, attention, FeedForwardSpec::Gated(dense)),
            ],
            pattern: dense_layers(config)?,
            scale_by_number: false,
        };
        let decoder = llama::decoder(config, model_type, layers, norm)?;
        Ok(Read::Stack(decoder))
    },
    names: &[Names {
        modules: &[AROUND, PROJECTIONS, QK_NORMS, NORMS, GATED, OF_QWEN],
        ..NAMES
    }],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

const OF_QWEN: &[Module] = &[
    Module(Slot::Router, "mlp.gate", Whole),
    Module(Slot::Experts(Gate), "mlp.experts.#.gate_proj", Whole),
    Module(Slot::Experts(Up), "mlp.experts.#.up_proj", Whole),
    Module(Slot::Experts(Down), "mlp.experts.#.down_proj", Whole),
];

pub(super) static GPT_OSS: Family = Family {
    model_types: &["gpt_oss"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let mut attention = llama::attention(config)?;
        attention.biases = [config.switch("attention_bias", true)?; 4];
        attention.sinks = true;
        let rope = RopeKeys {
            default_theta: 150_000.0,
            ..RopeKeys::PLAIN
        };
        if !config.has("rope_parameters") && !config.has("rope_scaling") {
            return Err(Error::MissingField {
                field: "rope_parameters",
            });
        }
        attention.rope = Some(config.rope(rope, attention.d_head)?);
        if config.number("swiglu_alpha")? != 1.702 {
            return Err(Error::UnsupportedVariant {
                field: "swiglu_alpha",
                value: config.number("swiglu_alpha")?.to_string(),
                reason: "supported is 1.702",
            });
        }
        // The name that the configuration has for it, silu, is not what is computed.
        config.text("hidden_act")?;
        let expert = GatedSpec {
            biases: [true; 3],
            limit: Some(config.number("swiglu_limit")?),
            shift: 1.0,
            ..GatedSpec::new(config.size("intermediate_size")?, Activation::QuickGelu)
        };
        let router = RouterSpec {
            weights: RouterWeights::TopThenSoftmax,
            bias: true,
        };
        let norm = NormSpec::rms(config.epsilon("rms_norm_eps")?);
        let experts = experts(config, router, expert)?;
        let number = config.size("num_hidden_layers")?;
        let window = config.size_if_given("sliding_window")?;
        let pattern = Pattern::Every { period: 2, at: 1 };
        let layers =
            config.layers_by_type(number, window, (LayerType::Sliding, pattern), |_, band| {
                let attention = AttentionSpec {
                    band,
                    ..attention.clone()
                };
                Ok(layer(norm, attention, experts.clone()))
            })?;
        let decoder = llama::decoder(config, model_type, layers, norm)?;
        Ok(Read::Stack(decoder))
    },
    names: &[Names {
        modules: &[AROUND, PROJECTIONS, NORMS, OF_GPT_OSS],
        ..NAMES
    }],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

const OF_GPT_OSS: &[Module] = &[
    Module(Slot::Sinks, "self_attn.sinks", Bare),
    Module(Slot::Router, "mlp.router", Whole),
    Module(
        Slot::Experts(Gate),
        "mlp.experts.gate_up_proj",
        EverySecond(0),
    ),
    Module(
        Slot::Experts(Up),
        "mlp.experts.gate_up_proj",
        EverySecond(1),
    ),
    Module(Slot::Experts(Down), "mlp.experts.down_proj", Experts),
];

fn experts(
    config: &Config,
    router: RouterSpec,
    expert: GatedSpec,
) -> Result<FeedForwardSpec, Error> {
    let experts = config.size("num_local_experts")?;
    // A layer's parameters are listed, however many a configuration asks for.
    if experts > MOST_EXPERTS {
        return Err(Error::InvalidField {
            field: "num_local_experts",
            value: experts.to_string(),
            expected: "at most 4096",
        });
    }
    let used = config.size("num_experts_per_tok")?;
    if used > experts {
        return Err(Error::InvalidField {
            field: "num_experts_per_tok",
            value: used.to_string(),
            expected: "at most as large as there are experts",
        });
    }
    Ok(FeedForwardSpec::Experts {
        experts,
        used,
        router,
        expert,
    })
}

fn layer(norm: NormSpec, attention: AttentionSpec, feed_forward: FeedForwardSpec) -> LayerSpec {
    let sublayers = [
        Sublayer::Attention(attention),
        Sublayer::FeedForward(feed_forward),
    ];
    LayerSpec::pre_norm(norm, sublayers)
}

/// Kind 1, without experts, are the layers that `mlp_only_layers` lists, and all but every
/// `decoder_sparse_step`th.
fn dense_layers(config: &Config) -> Result<Pattern, Error> {
    const LISTED: &str = "mlp_only_layers";
    let step = config.size("decoder_sparse_step")?;
    let number = config.size("num_hidden_layers")?;
    let listed = config.numbers(LISTED)?.unwrap_or_default();
    if listed.is_empty() && step == 1 {
        return Ok(Pattern::One);
    }
    if number > MOST_LISTED {
        return Err(Error::InvalidField {
            field: "num_hidden_layers",
            value: number.to_string(),
            expected: "at most 10000 where some layers have no experts",
        });
    }
    let kinds = (0..number).map(|l| {
        let is_listed = listed.contains(&(l as f64));
        u8::from(is_listed || (l + 1) % step != 0)
    });
    Ok(Pattern::Listed(kinds.collect()))
}
