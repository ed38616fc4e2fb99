//! Translation models: encoder, decoder and cross-attention, and the logits.

use anyhow::Context;
use headwater::transformer::{Captures, TokenSequence};
use headwater::{ArrayKey, LayerArray, Request, Stack, TokenizedInput, TokenizedPair, Translator};
use headwater_fixtures::{Deviation, Expected, TranslationCase, translation_cases};

use super::Measured;

/// What a row of the tables is about.
const PARTS: [&str; 3] = ["encoder", "decoder", "cross-attention"];

fn part_of(key: &ArrayKey) -> usize {
    match (key.stack(), key.array().is_some_and(LayerArray::is_cross)) {
        (Stack::Decoder, true) => 2,
        (Stack::Decoder, false) => 1,
        _ => 0,
    }
}

/// Compares all cases of a golden model, run as one padded batch: a row for
/// each of the model's parts.
pub(super) fn measure(model: &str, translator: &Translator) -> anyhow::Result<Vec<Measured>> {
    let precision = translator.model().decoder().precision();
    let mut rows = PARTS.map(|part| Measured::new(format!("{model}, {part}"), precision));
    let expected = Expected::of(model);
    let (names, pairs): (Vec<String>, Vec<TokenizedPair>) = translation_cases(model)
        .into_iter()
        .map(|(name, case)| (name, pair(&case)))
        .unzip();
    let analyses = translator.analyze_tokenized(&pairs, &Request::default())?;
    let outputs = outputs(translator, &pairs)?;
    for ((name, analysis), outputs) in names.iter().zip(&analyses).zip(outputs) {
        let expected = expected.case(name);
        for (key, array) in analysis.arrays() {
            rows[part_of(key)].compare(key, array, &expected)?;
        }
        let [encoder, decoder, logits] = outputs.map(|(name, values)| -> anyhow::Result<_> {
            let (_, expected) = expected
                .get(name)
                .with_context(|| format!("the fixture has no {name}"))?;
            Ok(Deviation::between(values, expected))
        });
        rows[0].saw_last_hidden_state(encoder?);
        rows[1].saw_last_hidden_state(decoder?);
        let logits = logits?;
        rows[1].logits = Some(rows[1].logits.map_or(logits, |worst| worst.max(logits)));
    }
    Ok(rows.into())
}

type Output = (&'static str, Vec<f64>);

/// What the model returns for each pair, by the fixture's keys, without padding.
fn outputs(translator: &Translator, pairs: &[TokenizedPair]) -> anyhow::Result<Vec<[Output; 3]>> {
    let model = translator.model();
    let sequences = |of: fn(&TokenizedPair) -> &TokenizedInput| -> Vec<TokenSequence> {
        let ids = pairs.iter().map(|pair| of(pair).input_ids.clone());
        ids.map(TokenSequence::new).collect()
    };
    let source = model.encoder().batch(&sequences(|pair| &pair.source))?;
    let target = model.decoder().batch(&sequences(|pair| &pair.target))?;
    let encoded = model.encode(&source);
    let run = model.decode(&target, &encoded, Captures::none());
    let decoded = run.last_hidden_state();
    let tensors = [
        ("encoder.last_hidden_state", encoded.hidden_states, &source),
        ("decoder.last_hidden_state", decoded.clone(), &target),
        ("logits", model.logits(decoded), &target),
    ];
    let of_pair = |index: usize| {
        tensors.each_ref().map(|(name, tensor, batch)| {
            let tokens = batch.lengths()[index];
            let member = tensor.clone().slice([index..index + 1, 0..tokens]);
            (*name, member.into_data().iter::<f64>().collect())
        })
    };
    Ok((0..pairs.len()).map(of_pair).collect())
}

fn pair(case: &TranslationCase) -> TokenizedPair {
    let input = |ids: &[u32]| {
        let tokens = ids.iter().map(u32::to_string).collect();
        TokenizedInput::new(ids.to_vec(), tokens).expect("a fixture has tokens")
    };
    TokenizedPair {
        source: input(&case.input_ids),
        target: input(&case.decoder_input_ids),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_fixtures::golden;

    #[test]
    fn every_part_has_its_row() {
        let directory = golden("mbart").display().to_string();
        let translator = Translator::from_pretrained(&directory).unwrap();
        let rows = measure("mbart", &translator).unwrap();
        let columns: Vec<usize> = rows.iter().map(|row| row.quantities.len()).collect();
        // All three have all quantities.
        assert_eq!(columns, [super::super::columns().len(); 3]);
        assert!(rows.iter().all(|row| row.reconstruction < 1e-5));
        assert!(rows.iter().all(|row| row.excesses().is_empty()));
        let [encoder, decoder, cross] = &rows[..] else {
            panic!("three rows");
        };
        assert!(encoder.last_hidden_state.is_some() && encoder.logits.is_none());
        assert!(cross.last_hidden_state.is_none() && cross.logits.is_none());
        assert!(decoder.logits.unwrap().absolute > 0.0);
        let mut wrong = Measured::new("wrong".to_owned(), decoder.precision);
        wrong.logits = Some(Deviation {
            absolute: 1.1e-4,
            ..Deviation::default()
        });
        assert_eq!(wrong.excesses(), ["wrong in f32: logits 1.1e-4 > 1e-4"]);
    }
}
