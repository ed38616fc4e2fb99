//! Lists on the command line: `--scopes`, `--quantities`, `--layers`, ids.

use std::ops::RangeInclusive;
use std::str::FromStr;

use headwater::{MixingMeasure, Quantity, QuantitySet, Scope};

use crate::failure::BadInput;

/// The value of `--scopes`: `None` is all that the model has.
#[derive(Debug, Clone)]
pub(crate) struct Scopes(pub(crate) Option<Vec<Scope>>);

impl FromStr for Scopes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim);
        if words.clone().any(|word| word == "all") {
            // The others must be scopes all the same.
            words
                .filter(|&word| word != "all")
                .try_for_each(|word| scope(word).map(drop))?;
            return Ok(Self(None));
        }
        words
            .map(scope)
            .collect::<Result<_, _>>()
            .map(|scopes| Self(Some(scopes)))
    }
}

fn scope(word: &str) -> Result<Scope, String> {
    word.parse()
        .map_err(|error: headwater::analysis::Error| error.to_string())
}

/// One scope.
#[derive(Debug, Clone)]
pub(crate) struct OneScope(pub(crate) Scope);

impl FromStr for OneScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        scope(text).map(Self)
    }
}

/// What a mixing ratio is measured on: a scope, or the weights.
#[derive(Debug, Clone)]
pub(crate) struct Measure(pub(crate) MixingMeasure);

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of_weights = [
            MixingMeasure::AttentionWeights,
            MixingMeasure::AttentionWeightsResidual,
        ];
        match of_weights
            .into_iter()
            .find(|measure| measure.slug() == text)
        {
            Some(measure) => Ok(Self(measure)),
            None => scope(text)
                .map(|scope| Self(scope.into()))
                .map_err(|message| format!("{message}; or attn_w, attn_res_w")),
        }
    }
}

/// The value of `--quantities`.
#[derive(Debug, Clone)]
pub(crate) struct Quantities(pub(crate) QuantitySet);

impl FromStr for Quantities {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let quantities = names(text, &Quantity::ALL, |quantity| quantity.name())?;
        Ok(Self(quantities.into_iter().collect()))
    }
}

/// Picks the items that a comma-separated list names, in their own order;
/// `all` names every one.
fn names<T: Copy>(
    text: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<Vec<T>, String> {
    let wanted: Vec<&str> = text.split(',').map(str::trim).collect();
    for word in &wanted {
        if *word != "all" && !all.iter().any(|&item| name(item) == *word) {
            let known: Vec<&str> = all.iter().map(|&item| name(item)).collect();
            return Err(format!("'{word}' is none of {}, all", known.join(", ")));
        }
    }
    let chosen = |item: &&T| wanted.contains(&"all") || wanted.contains(&name(**item));
    Ok(all.iter().filter(chosen).copied().collect())
}

/// The value of `--layers`: numbers and ranges, `0,3-5`.
#[derive(Debug, Clone)]
pub(crate) struct Layers(Vec<RangeInclusive<usize>>);

impl FromStr for Layers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(layer_range)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn layer_range(part: &str) -> Result<RangeInclusive<usize>, String> {
    let number = |digits: &str| {
        digits
            .trim()
            .parse::<usize>()
            .map_err(|_| format!("'{part}' is neither a layer nor a range of layers such as 3-5"))
    };
    let range = match part.split_once('-') {
        Some((first, last)) => number(first)?..=number(last)?,
        None => number(part)?..=number(part)?,
    };
    if range.is_empty() {
        return Err(format!("the range '{part}' ends before it begins"));
    }
    Ok(range)
}

impl Layers {
    /// The layers in ascending order, each once.
    ///
    /// # Errors
    /// A layer that the model does not have.
    pub(crate) fn resolve(&self, layers: usize) -> Result<Vec<usize>, BadInput> {
        let last = self.0.iter().map(|range| *range.end()).max().unwrap_or(0);
        if last >= layers {
            return Err(BadInput(format!(
                "--layers asks for layer {last}, but the model has {layers} layers: 0 to {}",
                layers.saturating_sub(1)
            )));
        }
        Ok((0..layers)
            .filter(|layer| self.0.iter().any(|range| range.contains(layer)))
            .collect())
    }
}

/// The value of `--input-ids` or `--token-type-ids`.
#[derive(Debug, Clone)]
pub(crate) struct Ids(pub(crate) Vec<u32>);

impl FromStr for Ids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("the list is empty; give at least one token id".to_owned());
        }
        let id = |part: &str| {
            part.trim().parse().map_err(|_| {
                format!("'{part}' is not a token id; give whole numbers with commas between them")
            })
        };
        text.split(',').map(id).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_sorted_and_checked() {
        let layers: Layers = "5, 0,3-5".parse().unwrap();
        assert_eq!(layers.resolve(6).unwrap(), [0, 3, 4, 5]);
        assert!(layers.resolve(5).unwrap_err().0.contains("layer 5"));
        let endless: Layers = "0-18446744073709551615".parse().unwrap();
        assert!(endless.resolve(2).is_err());
    }

    #[test]
    fn malformed_layers_are_refused() {
        for text in ["", "a", "1-", "-1", "5-3", "1,,2", "1-2-3", "1.5"] {
            assert!(text.parse::<Layers>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_come_in_their_own_order() {
        let scopes: Scopes = "atb,attn,atb".parse().unwrap();
        assert_eq!(scopes.0, Some(vec![Scope::Atb, Scope::Attn, Scope::Atb]));
        assert_eq!("all".parse::<Scopes>().unwrap().0, None);
        let message = "atb,nothing".parse::<Scopes>().unwrap_err();
        assert!(message.contains("`nothing`"), "{message}");
        assert!(message.contains("atb_ff_res_ln"), "{message}");
        assert!("".parse::<Quantities>().is_err());
    }

    #[test]
    fn ids_are_whole_numbers() {
        assert_eq!("101, 7,102".parse::<Ids>().unwrap().0, [101, 7, 102]);
        assert!("".parse::<Ids>().unwrap_err().contains("is empty"));
        for text in [" ", "1,", "-1", "4294967296", "1 2"] {
            assert!(text.parse::<Ids>().is_err(), "{text:?}");
        }
    }
}
