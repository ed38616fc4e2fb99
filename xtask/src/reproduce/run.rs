//! One run: model and texts in, report out.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use headwater::metrics::{FrequencyRanks, Region, SpecialTokens};
use headwater::transformer::Arrangement;
use headwater::{Analyzer, HubOptions, LoadOptions, Quantity, Request};
use indicatif::{ProgressBar, ProgressStyle};

use super::block::region;
use super::corpus::{self, Masks, Text};
use super::deciding::Deciding;
use super::measure_2020::Measure2020;
use super::measure_2021::Measure2021;
use super::measure_2023::Measure2023;
use super::model::{BUNDLED_GPT2, Model, fixture, frequency_ranks, read_config, special_tokens};
use super::norm_maps::{NormMaps, attention_block};
use super::published::{self, Figures, Identity, MAIN_CORPUS, Published};
use super::report::{Report, Section};
use super::translation;
use super::{Options, Paper};
use crate::checksum;

/// Runs the experiments that the options ask for. The paper of 2020 is about
/// translation models too and that of 2023 about causal ones, so that their
/// defaults are a model of either kind.
pub(super) fn reproduce(options: &Options) -> anyhow::Result<Report> {
    let is_default = options.model.is_none() && options.corpus.is_none();
    if options.nmt_model.is_some() && is_default {
        ensure!(
            options.paper.has_2020(),
            "--nmt-model is for the paper of 2020; leave out --paper or say --paper 2020"
        );
        return translation::reproduce(options);
    }
    let mut report = run(options, &Model::of(options))?;
    if options.paper.has_2020() && (is_default || options.nmt_model.is_some()) {
        report.append(translation::reproduce(options)?);
    }
    if options.paper.has_2023() && is_default {
        let causal = Options {
            paper: Paper::P2023,
            frequency_ranks: None,
            published_as: None,
            ..options.clone()
        };
        report.append(run(&causal, &BUNDLED_GPT2)?);
    }
    Ok(report)
}

fn run(options: &Options, model: &Model) -> anyhow::Result<Report> {
    let papers =
        ["2020", "2021"].map(|year| Published::read(&fixture(&format!("published/{year}.json"))));
    let papers = papers.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(claimed) = &options.published_as {
        published::check_claim(&papers, claimed)?;
    }
    if let Some(name) = &options.corpus_is {
        published::check_corpus(&papers, name)?;
    }

    let start = Instant::now();
    let location = model.location()?;
    let analyzer = Analyzer::load(
        &location,
        &LoadOptions::new()
            .device(options.device)
            .precision(options.dtype)
            .hub(HubOptions::new().progress(true)),
    )?;
    let special = special_tokens(&analyzer)?;
    let corpus_path = options.corpus.clone().unwrap_or_else(|| model.corpus());
    let limit = options.limit.map(Into::into);
    let masks = match analyzer.model().architecture().causal {
        true => Masks::Skipped,
        false => Masks::Token(&special.mask),
    };
    let texts = corpus::read(&corpus_path, limit, &analyzer, masks)?;
    let (ranks, ranks_from) = frequency_ranks(options, model, &texts)?;

    let config = read_config(analyzer.checkpoint().directory())?;
    let identity = Identity {
        architecture: analyzer.checkpoint().architecture(),
        hub_id: (!Path::new(&location).is_dir()).then_some(location.as_str()),
        config: &config,
        claimed: options.published_as.as_deref(),
    };
    let compared_with = options.corpus_is.as_deref().unwrap_or(MAIN_CORPUS);
    let figures = papers
        .iter()
        .map(|paper| paper.figures(&identity, compared_with))
        .collect::<anyhow::Result<Vec<_>>>()?;

    let experiments = Experiments {
        options,
        analyzer: &analyzer,
        special: &special,
        ranks: &ranks,
    };
    let sections = experiments.run(&texts, &figures, model.title())?;
    eprintln!(
        "{} texts in {:.1} s",
        texts.len(),
        start.elapsed().as_secs_f64()
    );

    let shown_path = |path: &Path| {
        let path = path.strip_prefix(crate::repository()).unwrap_or(path);
        path.display().to_string()
    };
    let tokens: usize = texts.iter().map(|text| text.input.len()).sum();
    let architecture = analyzer.checkpoint().architecture();
    Ok(Report {
        model: model.title().to_owned(),
        facts: vec![
            ("model", model.title().to_owned()),
            (
                "architecture",
                format!(
                    "{}: {} layers, d_model {}, {} heads, vocabulary {}",
                    architecture.model_type,
                    architecture.n_layers,
                    architecture.d_model,
                    architecture.n_heads,
                    architecture.vocab_size
                ),
            ),
            (
                "SHA-256 of the weights",
                analyzer.checkpoint().weights_sha256()?.to_owned(),
            ),
            (
                "texts",
                format!(
                    "{} ({} texts, {tokens} tokens, special ones included{})",
                    shown_path(&corpus_path),
                    texts.len(),
                    match masks {
                        Masks::Token(_) => "",
                        Masks::Skipped =>
                            "; texts with a masked word and probes are left out, since the model \
                             fills none in",
                    }
                ),
            ),
            (
                "SHA-256 of the file of texts",
                checksum::of_file(&corpus_path)?,
            ),
            (
                "frequency ranks",
                ranks_from.map_or_else(
                    || "counted in these very texts".to_owned(),
                    |path| shown_path(&path),
                ),
            ),
            (
                "computed on",
                format!("{}, {}", options.device, options.dtype),
            ),
        ],
        same_corpus: options.corpus_is.is_some(),
        sections,
    })
}

struct Experiments<'a> {
    options: &'a Options,
    analyzer: &'a Analyzer,
    special: &'a SpecialTokens,
    ranks: &'a FrequencyRanks,
}

impl Experiments<'_> {
    /// Analyzes batch by batch; no analysis outlives its batch.
    fn run(
        &self,
        texts: &[Text],
        figures: &[Figures<'_>],
        title: &str,
    ) -> anyhow::Result<Vec<Section>> {
        let paper = self.options.paper;
        let architecture = self.analyzer.checkpoint().architecture();
        let (layers, heads) = (architecture.n_layers, architecture.n_heads);
        let arrangement = architecture.arrangement;
        let region = region(architecture);
        let lengths = texts.iter().map(|text| text.input.len());
        let mut in_2020 = paper
            .has_2020()
            .then(|| Measure2020::new(layers, heads, region, lengths));
        let mut in_2021 = paper
            .has_2021()
            .then(|| Measure2021::new(layers, arrangement));
        let mut in_2023 = paper.has_2023().then(|| Measure2023::new(architecture));
        let mut deciding = Deciding::new(layers);

        let bar = progress(texts.len());
        for batch in texts.chunks(self.options.batch_size.get()) {
            let inputs: Vec<_> = batch.iter().map(|text| text.input.clone()).collect();
            let has_probe = batch.iter().any(|text| text.probe.is_some());
            let request = self.request(has_probe);
            let analyses = self.analyzer.analyze_tokenized(&inputs, &request)?;
            for (text, analysis) in batch.iter().zip(&analyses) {
                if let Some(measure) = &mut in_2020 {
                    measure
                        .push(analysis, self.special)
                        .with_context(|| text.id.clone())?;
                }
                if let Some(measure) = &mut in_2021 {
                    let pushed = measure.push(analysis, self.special, self.ranks);
                    pushed.with_context(|| text.id.clone())?;
                }
                if let Some(probe) = &text.probe {
                    deciding
                        .push(analysis, probe)
                        .with_context(|| text.id.clone())?;
                }
            }
            if let Some(measure) = &mut in_2023 {
                measure.push(self.analyzer, batch, self.special)?;
            }
            bar.inc(batch.len() as u64);
        }
        bar.finish_and_clear();

        let mut sections = Vec::new();
        if let Some(mut measure) = in_2020 {
            let mut section = Section::of_paper("2020", &figures[0]);
            section.tables = measure.tables(self.ranks, &figures[0]);
            if arrangement == Arrangement::PreLn {
                section.remark(
                    "A pre-LN model attends to normalized vectors: f(x) stands for f(LN(x)), and x \
                     for the layer's input before that.",
                );
            }
            if region == Region::LowerTriangle {
                section.remark(
                    "No token of a causal model sees a later one: means over targets count 0 for \
                     those before the source, which is why early tokens receive more. The \
                     correlation of α and ‖f(x)‖ is left out, since it would be that of these \
                     zeros.",
                );
            }
            section.figure(
                "alpha_and_norm",
                "α of at least 1e-5 against ‖f(x)‖, by category of the source; up to 300 pairs of each",
                measure.figure(title),
            );
            sections.push(section);
        }
        if let Some(measure) = in_2021 {
            let mut section = Section::of_paper("2021", &figures[1]);
            if arrangement == Arrangement::PreLn {
                section.remark(
                    "A pre-LN layer normalizes before attention, so that LN+ATTN+RES is its whole \
                     attention block; it has no ATTNRES-N apart from that, and no ATTNRESLN-N.",
                );
            }
            let checkpoint = self.analyzer.checkpoint();
            section.tables = measure.tables(checkpoint, self.ranks, &figures[1])?;
            let maps = NormMaps::of(self.analyzer, texts)?;
            for layer in 0..layers {
                section.figure(
                    &format!("norm_maps_layer_{}", layer + 1),
                    &format!("Figure 1: norm maps of layer {} for one text", layer + 1),
                    maps.figure(layer, title)?,
                );
            }
            section.figure(
                "mixing_ratio_by_layer",
                "Figure 3: mixing ratio by layer and kind of token",
                measure.by_layer_figure(title)?,
            );
            section.figure(
                "mixing_ratio_and_frequency",
                "Figure 4: frequency rank against mixing ratio; up to 300 tokens",
                measure.frequency_figure(title),
            );
            sections.push(section);
        }
        if let Some(measure) = in_2023 {
            let mut section = Section::of_2023();
            section.tables = measure.tables(self.analyzer, texts)?;
            section.figure(
                "contextualization_change",
                "Contextualization change by layer and component",
                measure.change_figure(title),
            );
            let maps = measure.map_figures(self.analyzer, texts, title)?;
            for (layer, svg) in (1..).zip(maps) {
                section.figure(
                    &format!("feed_forward_maps_layer_{layer}"),
                    &format!("Norm maps before and behind FF of layer {layer} for one text"),
                    svg,
                );
            }
            sections.push(section);
        }
        let tables = deciding.tables();
        if !tables.is_empty() {
            sections.push(Section::of_probes(tables));
        }
        Ok(sections)
    }

    /// What the papers asked for need, and a probe besides.
    fn request(&self, probe: bool) -> Request {
        let paper = self.options.paper;
        let mut quantities = Vec::new();
        if paper.has_2020() || probe {
            quantities.extend([Quantity::AttentionWeights, Quantity::TransformedNorms]);
        }
        if paper.has_2021() {
            quantities.push(Quantity::MixingRatio);
        }
        if probe {
            quantities.push(Quantity::Norms);
        }
        Request::new()
            .quantities(quantities)
            .hidden_states(paper.has_2020())
            .scopes(attention_block(self.analyzer.model().architecture()))
    }
}

fn progress(texts: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} texts  {eta} left")
        .expect("the template is a constant");
    ProgressBar::new(texts as u64).with_style(style)
}
