//! The translation part of 2020: word alignment by cross-attention.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use headwater::metrics::{AlignmentSetting, Numbering};
use headwater::{
    Aligner, AlignmentMeasure, AlignmentScores, Bitext, HubOptions, LoadOptions, ParallelText,
    TokenizedPair, Translator,
};
use serde::Deserialize;

use super::Options;
use super::model::fixture;
use super::published::Reference;
use super::report::{Report, Section};
use super::table::{Row, Table};
use crate::checksum;

/// The bundled model's name, and its folder in fixtures/.
const BUNDLED: &str = "bundled-marian";

/// What the paper prints.
#[derive(Deserialize)]
struct Published {
    paper: String,
    about: String,
    layers: BTreeMap<String, Vec<f64>>,
    summary: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Published {
    fn read() -> anyhow::Result<Self> {
        let path = fixture("published/2020-translation.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// Which translation model, on which sentences.
struct Data {
    model: String,
    title: String,
    bitext: [PathBuf; 2],
    gold: PathBuf,
    is_bundled: bool,
}

impl Data {
    fn of(options: &Options) -> anyhow::Result<Self> {
        match (
            options.nmt_model.as_deref(),
            &options.bitext[..],
            &options.gold,
        ) {
            (None | Some(BUNDLED), [], None) => {
                let folder = fixture(BUNDLED);
                Ok(Self {
                    model: folder.display().to_string(),
                    title: BUNDLED.to_owned(),
                    bitext: ["test.source.txt", "test.target.txt"].map(|name| folder.join(name)),
                    gold: folder.join("test.alignment.txt"),
                    is_bundled: true,
                })
            }
            (Some(model), [source, target], Some(gold)) if model != BUNDLED => Ok(Self {
                model: model.to_owned(),
                title: model
                    .trim_end_matches('/')
                    .rsplit('/')
                    .next()
                    .unwrap_or(model)
                    .to_owned(),
                bitext: [source.clone(), target.clone()],
                gold: gold.clone(),
                is_bundled: false,
            }),
            (Some(BUNDLED), ..) => bail!("{BUNDLED} comes with its own --bitext and --gold"),
            _ => bail!(
                "--nmt-model, --bitext SOURCE TARGET and --gold FILE go together; give all three"
            ),
        }
    }
}

/// Aligns a bitext by every layer and head of a translation model.
pub(super) fn reproduce(options: &Options) -> anyhow::Result<Report> {
    let data = Data::of(options)?;
    let [source, target] = &data.bitext;
    let bitext = Bitext::read(source, target)?;
    let numbering = match data.is_bundled {
        true => Numbering::FromOne,
        false => options.gold_numbering(),
    };
    let gold = bitext.read_gold(&data.gold, numbering)?;
    let translator = Translator::load(
        &data.model,
        &LoadOptions::new()
            .device(options.device)
            .precision(options.dtype)
            .hub(HubOptions::new().progress(true)),
    )?;
    let texts = bitext
        .pairs()
        .enumerate()
        .map(|(index, (source, target))| {
            let parallel = translator.encode_parallel(source, target);
            parallel.with_context(|| format!("line {}", index + 1))
        })
        .collect::<anyhow::Result<Vec<ParallelText>>>()?;

    let decoder = translator.model().decoder().architecture().clone();
    let mut scores = AlignmentScores::of_layers(0..decoder.n_layers, decoder.n_heads);
    let batch = options.batch_size.get();
    for (texts, gold) in texts.chunks(batch).zip(gold.chunks(batch)) {
        let pairs: Vec<TokenizedPair> = texts.iter().map(|texts| texts.tokens.clone()).collect();
        let analyses = translator.cross_attention(&pairs, None)?;
        for ((analysis, texts), gold) in analyses.iter().zip(texts).zip(gold) {
            scores.push(analysis, texts, gold)?;
        }
    }

    let found = Found {
        scores,
        layers: decoder.n_layers,
        heads: decoder.n_heads,
        published: Published::read()?,
        compared: !data.is_bundled,
    };
    let mut section = Section::of_translation(&found.published.paper, &found.published.about);
    section.remark(if data.is_bundled {
        "The model and its sentences are synthetic, with known word order and so known links: \
         the published figures are about other data and are not shown beside these. Give \
         --nmt-model, --bitext and --gold for such data."
    } else {
        "The published figures are shown beside these; whether the data is the paper's, nothing \
         here can check."
    });
    section.remark(found.direction());
    section.tables = vec![found.by_layer(), found.summary(), found.heads()];

    let shown_path = |path: &Path| {
        let path = path.strip_prefix(crate::repository()).unwrap_or(path);
        path.display().to_string()
    };
    Ok(Report {
        model: data.title.clone(),
        facts: vec![
            ("model", data.title),
            (
                "architecture",
                format!(
                    "{}: {} + {} layers, d_model {}, {} heads",
                    decoder.model_type,
                    translator.model().encoder().architecture().n_layers,
                    decoder.n_layers,
                    decoder.d_model,
                    decoder.n_heads
                ),
            ),
            (
                "SHA-256 of the weights",
                translator.checkpoint().weights_sha256()?.to_owned(),
            ),
            (
                "sentence pairs",
                format!(
                    "{} ({} and {})",
                    bitext.len(),
                    shown_path(source),
                    shown_path(target)
                ),
            ),
            ("gold links", shown_path(&data.gold)),
            ("SHA-256 of the gold links", checksum::of_file(&data.gold)?),
            (
                "computed on",
                format!("{}, {}", options.device, options.dtype),
            ),
        ],
        same_corpus: false,
        sections: vec![section],
    })
}

/// The columns of the paper's tables.
const COLUMNS: [(AlignmentSetting, AlignmentMeasure); 4] = [
    (AlignmentSetting::Awo, AlignmentMeasure::Weights),
    (AlignmentSetting::Awo, AlignmentMeasure::Norm),
    (AlignmentSetting::Awi, AlignmentMeasure::Weights),
    (AlignmentSetting::Awi, AlignmentMeasure::Norm),
];

fn symbol(measure: AlignmentMeasure) -> &'static str {
    match measure {
        AlignmentMeasure::Weights => "α",
        AlignmentMeasure::Norm => "norm",
    }
}

/// The scores and what stands beside them.
struct Found {
    scores: AlignmentScores,
    layers: usize,
    heads: usize,
    published: Published,
    /// Whether published figures are shown.
    compared: bool,
}

impl Found {
    /// AER in %.
    fn aer(
        &self,
        layer: usize,
        head: Option<usize>,
        (setting, measure): (AlignmentSetting, AlignmentMeasure),
    ) -> f64 {
        let aligner = Aligner {
            layer,
            head,
            measure,
            setting,
        };
        let rate = self.scores.rate(&aligner).expect("every aligner is scored");
        100.0 * rate.error_rate()
    }

    fn of_layers(&self, column: (AlignmentSetting, AlignmentMeasure)) -> Vec<f64> {
        (0..self.layers)
            .map(|layer| self.aer(layer, None, column))
            .collect()
    }

    fn reference(&self, value: Option<f64>) -> Option<Reference> {
        value.filter(|_| self.compared).map(|value| Reference {
            value,
            notebook: None,
        })
    }

    fn absent(&self) -> Option<&'static str> {
        self.compared.then_some("not published")
    }

    fn by_layer(&self) -> Table {
        let columns = COLUMNS.map(|(setting, measure)| {
            let setting = setting.to_string().to_uppercase();
            format!("{setting} {}", symbol(measure))
        });
        let values = COLUMNS.map(|column| self.of_layers(column));
        let mut rows: Vec<Row> = (0..self.layers)
            .map(|layer| {
                let mut row = Row::new(
                    (layer + 1).to_string(),
                    values.iter().map(|column| Some(column[layer])).collect(),
                );
                row.published = COLUMNS
                    .iter()
                    .map(|(setting, measure)| {
                        let key = format!("{setting}.{measure}");
                        self.reference(self.published.layers[&key].get(layer).copied())
                    })
                    .collect();
                row
            })
            .collect();
        let mut mean = Row::new(
            "mean of layers",
            values.iter().map(|column| Some(mean(column))).collect(),
        );
        mean.published = COLUMNS
            .iter()
            .map(|(setting, measure)| self.published_summary(*setting, &format!("mean.{measure}")))
            .collect();
        rows.push(mean);
        Table {
            id: "alignment_error_rate".into(),
            title: "Alignment error rate (%) by decoder layer".into(),
            note: "AWO: the row that predicts a word aligns it; AWI: the row that reads it. α: \
                   mean over heads; norm: ‖Σ_h α^h f^h(x)‖. Sub-words to words: source columns \
                   summed, target rows averaged; a word whose largest source is the end mark has \
                   no link. Lower is better."
                .into(),
            rows_are: "layer",
            columns: columns.to_vec(),
            decimals: 1,
            rows,
            absent: self.absent(),
        }
    }

    fn published_summary(&self, setting: AlignmentSetting, key: &str) -> Option<Reference> {
        let figures = &self.published.summary[&setting.to_string()];
        self.reference(figures.get(key).copied())
    }

    /// The layer, or the layer and head, whose vectors are largest.
    fn of_highest_norm(&self, heads: bool) -> (usize, Option<usize>) {
        let places = (0..self.layers).flat_map(|layer| match heads {
            true => (0..self.heads).map(|head| (layer, Some(head))).collect(),
            false => vec![(layer, None)],
        });
        let norm = |&(layer, head): &(usize, Option<usize>)| {
            self.scores.mean_norm(layer, head).unwrap_or(0.0)
        };
        places
            .max_by(|a, b| norm(a).total_cmp(&norm(b)))
            .expect("a decoder has a layer")
    }

    fn summary(&self) -> Table {
        let (top_layer, _) = self.of_highest_norm(false);
        let (head_layer, top_head) = self.of_highest_norm(true);
        let rows = [AlignmentSetting::Awo, AlignmentSetting::Awi].map(|setting| {
            let column = |measure| (setting, measure);
            let of = |measure| self.of_layers(column(measure));
            let norm = AlignmentMeasure::Norm;
            let values = [
                mean(&of(AlignmentMeasure::Weights)),
                mean(&of(norm)),
                least(&of(AlignmentMeasure::Weights)),
                least(&of(norm)),
                self.aer(top_layer, None, column(norm)),
                self.aer(head_layer, top_head, column(norm)),
            ];
            let rho = self.scores.error_rate_and_norm(setting);
            let mut row = Row::new(
                setting.to_string().to_uppercase(),
                values.into_iter().map(Some).chain([rho]).collect(),
            );
            row.published = [
                "mean.weights",
                "mean.norm",
                "best.weights",
                "best.norm",
                "layer_of_highest_norm",
                "head_of_highest_norm",
                "spearman",
            ]
            .iter()
            .map(|key| self.published_summary(setting, key))
            .collect();
            row
        });
        Table {
            id: "alignment_summary".into(),
            title: "Alignment error rate (%) of layers and heads, and their norms".into(),
            note: format!(
                "By norm from the fifth column on. The layer with the highest mean norm is {}, \
                 the head {} of layer {}. ρ: Spearman correlation of a head's error rate and its \
                 mean norm, over all heads.",
                top_layer + 1,
                top_head.map_or(0, |head| head + 1),
                head_layer + 1
            ),
            rows_are: "setting",
            columns: [
                "layer mean, α",
                "layer mean, norm",
                "best layer, α",
                "best layer, norm",
                "layer with highest mean norm",
                "head with highest mean norm",
                "ρ",
            ]
            .map(String::from)
            .to_vec(),
            decimals: 2,
            rows: rows.into(),
            absent: self.absent(),
        }
    }

    fn heads(&self) -> Table {
        let mut rows = Vec::new();
        for layer in 0..self.layers {
            for head in 0..self.heads {
                let rates = COLUMNS.map(|column| Some(self.aer(layer, Some(head), column)));
                let norm = self.scores.mean_norm(layer, Some(head));
                rows.push(Row::new(
                    format!("{}, {}", layer + 1, head + 1),
                    rates.into_iter().chain([norm]).collect(),
                ));
            }
        }
        Table {
            id: "alignment_heads".into(),
            title: "Alignment error rate (%) and mean norm of each head".into(),
            note: "The mean of ‖α f(x)‖ over all rows and all source tokens, the end mark too."
                .into(),
            rows_are: "layer, head",
            columns: ["AWO α", "AWO norm", "AWI α", "AWI norm", "mean norm"]
                .map(String::from)
                .to_vec(),
            decimals: 2,
            rows,
            absent: None,
        }
    }

    /// Whether norms align better than weights, as the paper finds, in words.
    fn direction(&self) -> String {
        let settings = [AlignmentSetting::Awo, AlignmentSetting::Awi].map(|setting| {
            let of = |measure| self.of_layers((setting, measure));
            let (weights, norm) = (of(AlignmentMeasure::Weights), of(AlignmentMeasure::Norm));
            let better = weights.iter().zip(&norm).filter(|(w, n)| n < w).count();
            let word = |norm: f64, weights: f64| match norm < weights {
                true => "as in the paper",
                false => "other than in the paper",
            };
            format!(
                "{}: norm {:.1} against α {:.1} in the mean of the layers ({}), {:.1} against \
                 {:.1} at the best layer ({}); better in {better} of {} layers",
                setting.to_string().to_uppercase(),
                mean(&norm),
                mean(&weights),
                word(mean(&norm), mean(&weights)),
                least(&norm),
                least(&weights),
                word(least(&norm), least(&weights)),
                self.layers
            )
        });
        let best = |setting| least(&self.of_layers((setting, AlignmentMeasure::Norm)));
        let (awo, awi) = (best(AlignmentSetting::Awo), best(AlignmentSetting::Awi));
        format!(
            "The paper finds norms better than weights in both settings, and AWI better than AWO. \
             Here, {}. The best layer is better in {}, {} the paper.",
            settings.join("; "),
            if awi < awo { "AWI" } else { "AWO" },
            if awi < awo { "as in" } else { "other than in" },
        )
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
