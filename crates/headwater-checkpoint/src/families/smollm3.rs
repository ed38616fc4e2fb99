//! SmolLM3: Llama with layers without positions.

use super::llama::{self, NAMES, PREFIXES, TIED};
use super::{Family, Read, TOKENIZER};
use crate::Error;
use crate::config::{Config, LayerType, RopeKeys};
use crate::wiring::{AttentionSpec, Band, LayerSpec, Layers, NormSpec, Pattern};

pub(super) static FAMILY: Family = Family {
    model_types: &["smollm3"],
    prefixes: PREFIXES,
    read: |config, model_type| {
        let mut attention = llama::attention(config)?;
        attention.biases = [config.switch("attention_bias", false)?; 4];
        let rope = config.rope(ROPE, attention.d_head)?;
        let mut feed_forward = llama::gated(config, "hidden_act")?;
        feed_forward.biases = [config.switch("mlp_bias", false)?; 3];
        let norm = NormSpec::rms(config.epsilon("rms_norm_eps")?);
        let slides = config.switch("use_sliding_window", false)?;
        let window = config.size_if_given("sliding_window")?.filter(|_| slides);
        let layer = |turns: bool, slides: bool| {
            let attention = AttentionSpec {
                rope: turns.then(|| rope.clone()),
                band: match window.filter(|_| slides) {
                    Some(window) => Band::causal_window(window),
                    None => Band::CAUSAL,
                },
                ..attention.clone()
            };
            LayerSpec::pre_norm(norm, llama::sublayers(attention, feed_forward))
        };
        let layers = Layers {
            number: config.size("num_hidden_layers")?,
            kinds: vec![
                layer(true, false),
                layer(false, false),
                layer(true, true),
                layer(false, true),
            ],
            pattern: pattern(config, window)?,
            scale_by_number: false,
        };
        let decoder = llama::decoder(config, model_type, layers, norm)?;
        Ok(Read::Stack(decoder))
    },
    names: &[NAMES],
    tied: TIED,
    files: TOKENIZER,
    begins_with_last: false,
};

const ROPE: RopeKeys = RopeKeys {
    default_theta: 2e6,
    ..RopeKeys::PLAIN
};

/// Kinds 0 and 1 are with and without positions, 2 and 3 the same with a window. Unless listed
/// otherwise, the layers without positions are every fourth, and a window is theirs.
fn pattern(config: &Config, window: Option<usize>) -> Result<Pattern, Error> {
    const TURNS: &str = "no_rope_layers";
    let number = config.size("num_hidden_layers")?;
    let interval = config.size("no_rope_layer_interval")?;
    let listed = config.numbers(TURNS)?;
    let types = config.layer_types(number)?;
    if let (None, Some(types)) = (window, &types)
        && types.contains(&LayerType::Sliding)
    {
        return Err(Error::MissingField {
            field: "sliding_window",
        });
    }
    if listed.as_ref().is_some_and(|listed| listed.len() != number) {
        return Err(Error::InvalidField {
            field: TURNS,
            value: "a list of another length".into(),
            expected: "as long as there are layers",
        });
    }
    let slides = u8::from(window.is_some());
    let kind = |turns: bool, slides: u8| u8::from(!turns) + 2 * slides;
    let turns = |l: usize| match &listed {
        Some(listed) => listed[l] != 0.0,
        None => !(l + 1).is_multiple_of(interval),
    };
    Ok(match (&listed, types) {
        // Never listed up to a number that a configuration may put at anything.
        (None, None) if slides == 0 => Pattern::Every {
            period: interval,
            at: interval - 1,
        },
        (_, Some(types)) => {
            let of_type = types.iter().enumerate();
            let kinds = of_type
                .map(|(l, of_type)| kind(turns(l), u8::from(*of_type == LayerType::Sliding)));
            Pattern::Listed(kinds.collect())
        }
        (Some(listed), None) => {
            let of_layer = listed.iter().map(|&turns| match turns != 0.0 {
                true => kind(true, 0),
                false => kind(false, slides),
            });
            Pattern::Listed(of_layer.collect())
        }
        (None, None) => {
            return Err(Error::MissingField { field: TURNS });
        }
    })
}
