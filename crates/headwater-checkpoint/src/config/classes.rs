//! What the configuration classes of transformers know: a generated table.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

/// Made by `fixtures/configurations/make_table.py`.
static TABLE: LazyLock<BTreeMap<String, Row>> = LazyLock::new(|| {
    let text = include_str!("../../data/configurations.json");
    let rows: BTreeMap<String, Value> = serde_json::from_str(text).expect("generated JSON");
    let rows = rows.into_iter().filter(|(name, _)| name != VERSIONS);
    rows.map(|(name, row)| (name, serde_json::from_value(row).expect("a generated row")))
        .collect()
});

/// The entry of the table that is no class.
const VERSIONS: &str = "versions";

/// A key's different defaults, that of the newest version first; none where no class states one.
type Defaults = BTreeMap<String, Vec<Value>>;

#[derive(Debug, Default, Deserialize)]
struct Row {
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    keys: Defaults,
    #[serde(default)]
    generation: Defaults,
}

/// The configuration class of a model type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    base: &'static Row,
    own: Option<&'static Row>,
}

impl Class {
    /// The class of this model type; where there is none, what all classes have.
    pub(super) fn of(model_type: Option<&str>) -> Self {
        Self {
            base: &TABLE[""],
            own: model_type.and_then(|model_type| TABLE.get(model_type)),
        }
    }

    /// The different defaults of a key, the one to take first; `None` where no class knows it.
    pub(super) fn defaults(&self, key: &str) -> Option<&'static [Value]> {
        let rows = self.own.into_iter().chain([self.base]);
        let mut tables = rows.flat_map(|row| [&row.keys, &row.generation]);
        tables.find_map(|table| table.get(key)).map(Vec::as_slice)
    }

    /// Whether the key is a setting of generation, which no hidden state depends on.
    pub(super) fn is_of_generation(&self, key: &str) -> bool {
        self.base.generation.contains_key(key)
    }

    /// Other names of keys: (alias, key).
    pub(super) fn aliases(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let own = self.own.into_iter();
        own.flat_map(|row| row.aliases.iter())
            .map(|(alias, key)| (alias.as_str(), key.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_model_type_has_a_class() {
        for model_type in crate::model_types() {
            assert!(TABLE.contains_key(model_type), "{model_type}");
        }
    }

    #[test]
    fn defaults_of_class_base_and_none() {
        let gpt2 = Class::of(Some("gpt2"));
        assert_eq!(gpt2.defaults("n_embd"), Some(&[json!(768)][..]));
        assert_eq!(gpt2.defaults("is_decoder"), Some(&[json!(false)][..]));
        assert_eq!(gpt2.defaults("n_embed"), None);
        assert!(gpt2.aliases().any(|pair| pair == ("hidden_size", "n_embd")));
        // The newer version's first, where the two differ.
        let mt5 = Class::of(Some("mt5"));
        let tied = [json!(true), json!(false)];
        assert_eq!(mt5.defaults("tie_word_embeddings"), Some(&tied[..]));
    }
}
