//! What the papers print, and whether it is about the model at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use headwater::checkpoint::Architecture;
use serde::Deserialize;
use serde_json::Value;

/// The corpus of the papers' main tables, compared with unless told otherwise.
pub(crate) const MAIN_CORPUS: &str = "wikipedia-992";

/// Where figures stand that do not depend on any text.
const WEIGHTS: &str = "weights";

/// One paper's figures.
#[derive(Deserialize)]
pub(crate) struct Published {
    /// Authors, year, title, venue.
    pub(crate) paper: String,
    corpora: BTreeMap<String, String>,
    models: BTreeMap<String, Model>,
}

#[derive(Deserialize)]
struct Model {
    names: Vec<String>,
    model_type: String,
    layers: usize,
    d_model: usize,
    heads: usize,
    vocab_size: usize,
    note: Option<String>,
    figures: BTreeMap<String, BTreeMap<String, Figure>>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Figure {
    Number(f64),
    /// One a layer.
    Layers(Vec<f64>),
}

impl Published {
    /// Reads a file of fixtures/published.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// What a model calls itself.
pub(crate) struct Identity<'a> {
    pub(crate) architecture: &'a Architecture,
    /// The hub id that it was loaded by, if it was.
    pub(crate) hub_id: Option<&'a str>,
    /// Its config.json.
    pub(crate) config: &'a Value,
    /// The name that the user claims for it.
    pub(crate) claimed: Option<&'a str>,
}

/// One paper's figures for one model and corpus.
pub(crate) struct Figures<'a> {
    published: &'a Published,
    model: Option<&'a Model>,
    corpus: &'a str,
    /// A sentence on which model this is held to be, and why.
    pub(crate) recognized: String,
}

/// What stands beside one figure of ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reference {
    pub(crate) value: f64,
    /// The authors' notebook's figure where it differs.
    pub(crate) notebook: Option<f64>,
}

impl Published {
    /// The figures for a model, if it is one that the paper has.
    ///
    /// A model is recognized by its sizes together with its name; weights
    /// carry no name, so the user may claim one, and then the sizes count.
    pub(crate) fn figures<'a>(
        &'a self,
        identity: &Identity<'_>,
        corpus: &'a str,
    ) -> anyhow::Result<Figures<'a>> {
        let figures = |model, recognized| {
            Ok(Figures {
                published: self,
                model,
                corpus,
                recognized,
            })
        };
        if let Some(claimed) = identity.claimed {
            let Some((name, model)) = self.models.get_key_value(claimed) else {
                return figures(None, format!("no figures for {claimed}"));
            };
            if let Some(difference) = model.difference(identity.architecture) {
                bail!("--published-as {claimed}: {difference}");
            }
            let recognized = format!("{name}: claimed by --published-as; the sizes agree");
            return figures(Some(model), recognized);
        }
        let mut same_sizes = Vec::new();
        for (name, model) in &self.models {
            if model.difference(identity.architecture).is_some() {
                continue;
            }
            if let Some(evidence) = identity.names(model) {
                let recognized = format!("{name}: the sizes agree, and {evidence}");
                return figures(Some(model), recognized);
            }
            same_sizes.push(name.as_str());
        }
        figures(
            None,
            match same_sizes.is_empty() {
                true => "no model of these sizes is in the paper".to_owned(),
                false => format!(
                    "the sizes are those of {}, but nothing says that it is this model; \
                 if it is, say so with --published-as",
                    same_sizes.join(" or ")
                ),
            },
        )
    }

    /// What a corpus is, in the paper's words.
    pub(crate) fn corpus(&self, name: &str) -> Option<&str> {
        self.corpora.get(name).map(String::as_str)
    }
}

/// Refuses a claim about the model that none of the papers knows.
pub(crate) fn check_claim(papers: &[Published], claimed: &str) -> anyhow::Result<()> {
    let names: BTreeSet<&str> = papers
        .iter()
        .flat_map(|paper| paper.models.keys().map(String::as_str))
        .collect();
    ensure!(
        names.contains(claimed),
        "--published-as {claimed}: the papers have figures for {}",
        Vec::from_iter(names).join(", "),
    );
    Ok(())
}

/// Refuses a corpus that none of the papers has figures on.
pub(crate) fn check_corpus(papers: &[Published], name: &str) -> anyhow::Result<()> {
    let known = |paper: &Published| paper.corpora.contains_key(name) && name != WEIGHTS;
    ensure!(
        papers.iter().any(known),
        "--corpus-is {name}: the papers' corpora are wikipedia-992, sst-2, mnli, conll-2003"
    );
    Ok(())
}

impl Identity<'_> {
    /// What names the model, if anything does.
    fn names(&self, model: &Model) -> Option<String> {
        let known = |name: &str| model.names.iter().any(|known| known == name);
        if let Some(id) = self.hub_id.filter(|id| known(id)) {
            return Some(format!("it was loaded by the hub id {id}"));
        }
        let recorded = self.config.get("_name_or_path")?.as_str()?;
        // A model that was tuned further keeps the name that it started from,
        // and the class of its new head tells.
        let pretrained = |class: &Value| {
            class.as_str().is_some_and(|class| {
                class.ends_with("ForMaskedLM")
                    || class.ends_with("ForPreTraining")
                    || class.ends_with("Model")
            })
        };
        let classes = self.config.get("architectures")?.as_array()?;
        (known(recorded) && !classes.is_empty() && classes.iter().all(pretrained)).then(|| {
            format!("config.json names it {recorded}, which a copy tuned on masked text would too")
        })
    }
}

impl Model {
    /// The first size in which another model differs.
    fn difference(&self, other: &Architecture) -> Option<String> {
        if self.model_type != other.model_type {
            return Some(format!(
                "its type is {}, this model's {}",
                self.model_type, other.model_type
            ));
        }
        [
            ("n_layers", self.layers, other.n_layers),
            ("d_model", self.d_model, other.d_model),
            ("n_heads", self.heads, other.n_heads),
            ("vocab_size", self.vocab_size, other.vocab_size),
        ]
        .into_iter()
        .find(|(_, its, ours)| its != ours)
        .map(|(what, its, ours)| format!("{what} is {its} there and {ours} here"))
    }
}

impl Figures<'_> {
    /// The figure of a key, for one layer where there is one a layer.
    pub(crate) fn get(&self, key: &str, layer: Option<usize>) -> Option<Reference> {
        let number = |key: &str| {
            let figures = &self.model?.figures;
            let of = |corpus: &str| figures.get(corpus)?.get(key);
            match (of(self.corpus).or_else(|| of(WEIGHTS))?, layer) {
                (Figure::Number(value), None) => Some(*value),
                (Figure::Layers(values), Some(layer)) => values.get(layer).copied(),
                _ => None,
            }
        };
        Some(Reference {
            value: number(key)?,
            notebook: number(&format!("{key}.notebook")),
        })
    }

    /// What to write where there is no figure.
    pub(crate) fn absent(&self) -> &'static str {
        match self.model {
            Some(model) if model.figures.is_empty() => "not transcribed",
            _ => "not published",
        }
    }

    /// What the paper's figures for this model are about, where that needs
    /// saying.
    pub(crate) fn note(&self) -> Option<&str> {
        self.model?.note.as_deref()
    }

    /// The paper and its corpus.
    pub(crate) fn source(&self) -> String {
        match self.published.corpus(self.corpus) {
            Some(corpus) => format!("{}; corpus: {corpus}", self.published.paper),
            None => format!("{}; no figures on {}", self.published.paper, self.corpus),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater::checkpoint::Activation;
    use headwater::checkpoint::wiring::{
        AttentionSpec, EmbeddingSpec, FeedForwardSpec, LayerSpec, Layers, NormSpec, PlainSpec,
        Sublayer, Wiring,
    };
    use serde_json::json;

    fn paper(year: &str) -> Published {
        let path = crate::repository().join(format!("fixtures/published/{year}.json"));
        Published::read(&path).unwrap()
    }

    fn bert_base() -> Architecture {
        let norm = NormSpec::layer(1e-12);
        let feed_forward = FeedForwardSpec::Plain(PlainSpec::new(3072, Activation::Gelu));
        let sublayers = [
            Sublayer::Attention(AttentionSpec::new(12, 64)),
            Sublayer::FeedForward(feed_forward),
        ];
        let wiring = Wiring {
            embeddings: EmbeddingSpec {
                token_types: 2,
                norm: Some(norm),
                ..EmbeddingSpec::learned(768, 512, 0)
            },
            layers: Layers::alike(12, LayerSpec::post_norm(norm, sublayers)),
            final_norm: None,
            head: None,
        };
        Architecture::new("bert", [30522, 768], 0, wiring)
    }

    fn identity<'a>(
        architecture: &'a Architecture,
        hub_id: Option<&'a str>,
        config: &'a Value,
        claimed: Option<&'a str>,
    ) -> Identity<'a> {
        Identity {
            architecture,
            hub_id,
            config,
            claimed,
        }
    }

    #[test]
    fn a_known_hub_id_of_the_right_sizes_has_figures() {
        let (paper, bert, empty) = (paper("2021"), bert_base(), json!({}));
        let identity = identity(&bert, Some("google-bert/bert-base-uncased"), &empty, None);
        let figures = paper.figures(&identity, MAIN_CORPUS).unwrap();
        let mean = figures.get("mixing_ratio.attn_w.mean", None).unwrap();
        assert_eq!((mean.value, mean.notebook), (97.1, Some(96.4)));
        let eleventh = figures.get("by_layer.cls", Some(11)).unwrap();
        assert_eq!((eleventh.value, eleventh.notebook), (39.0, None));
        // The weights are the same whatever the texts.
        assert_eq!(figures.get("expansion.mean", None).unwrap().value, 0.88);
        assert_eq!(figures.get("by_layer.cls", None), None);
        assert_eq!(figures.get("no.such.figure", None), None);
        let other = paper.figures(&identity, "sst-2").unwrap();
        assert_eq!(
            other.get("mixing_ratio.atb.mean", None).unwrap().value,
            18.5
        );
        assert_eq!(other.get("depth.spearman", None), None);
    }

    #[test]
    fn sizes_alone_are_not_a_name() {
        let (paper, bert, empty) = (paper("2021"), bert_base(), json!({}));
        let unnamed = identity(&bert, Some("someone/bert-base-tuned"), &empty, None);
        let figures = paper.figures(&unnamed, MAIN_CORPUS).unwrap();
        assert_eq!(figures.get("mixing_ratio.atb.mean", None), None);
        assert_eq!(figures.absent(), "not published");
        assert!(
            figures.recognized.contains("--published-as"),
            "{}",
            figures.recognized
        );
    }

    #[test]
    fn the_name_in_the_configuration_counts_unless_the_head_is_a_tasks() {
        let (paper, bert) = (paper("2021"), bert_base());
        let found = |class: &str| {
            let config = json!({"_name_or_path": "bert-base-uncased", "architectures": [class]});
            let identity = identity(&bert, None, &config, None);
            paper
                .figures(&identity, MAIN_CORPUS)
                .unwrap()
                .get("depth.spearman", None)
                .is_some()
        };
        assert!(found("BertForMaskedLM") && found("BertModel"));
        assert!(!found("BertForSequenceClassification"));
    }

    #[test]
    fn a_claim_is_held_to_the_sizes() {
        let (paper, bert, empty) = (paper("2021"), bert_base(), json!({}));
        let claim = |name| identity(&bert, None, &empty, Some(name));
        let figures = paper.figures(&claim("multiberts"), MAIN_CORPUS).unwrap();
        assert_eq!(
            figures.get("mixing_ratio.atb.mean", None).unwrap().value,
            17.5
        );
        assert!(figures.note().is_some());
        let error = paper
            .figures(&claim("bert-tiny"), MAIN_CORPUS)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("n_layers is 2 there and 12 here"), "{error}");
        assert!(check_claim(&[paper], "bert-huge").is_err());
    }

    #[test]
    fn figures_that_are_printed_but_not_held_here_are_not_called_unpublished() {
        let (paper, bert, empty) = (paper("2020"), bert_base(), json!({}));
        let identity = identity(&bert, Some("bert-base-uncased"), &empty, None);
        let figures = paper.figures(&identity, MAIN_CORPUS).unwrap();
        assert_eq!(figures.absent(), "not transcribed");
    }
}
