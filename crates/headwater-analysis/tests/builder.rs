//! Analyses from anyone's arrays: what fits is kept to the bit, what does not
//! is refused.

use headwater_analysis::{
    Analysis, AnalysisReader, AnalysisWriter, Array, ArrayKey, Error, Inputs, LayerArray, Layout,
    Precision, Scope, Spelling, Stack, Store, TokenizedInput,
};

fn input(tokens: usize) -> TokenizedInput {
    let names = (0..tokens).map(|token| format!("t{token}"));
    TokenizedInput::new((0..tokens as u32).collect(), names.collect()).unwrap()
}

fn array(shape: &[usize]) -> Array {
    let values = (0..shape.iter().product()).map(|value: usize| 0.1 + value as f32);
    Array::from_f32(shape.to_vec(), values.collect())
}

#[test]
fn what_was_built_is_read_back() {
    let cross = LayerArray::CrossAttentionWeights.of(Stack::Decoder, 1);
    let analysis = Analysis::builder(input(3))
        .target(input(2))
        .metadata("model", "someone else's")
        .array(
            LayerArray::Norms(Scope::Attn).of(Stack::Encoder, 0),
            array(&[3, 3]),
        )
        .unwrap()
        .array(cross, array(&[4, 2, 3]))
        .unwrap()
        .build();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    analysis.save(&path, Store::Full).unwrap();
    assert_eq!(Analysis::open(&path).unwrap(), analysis);
    let mut reader = AnalysisReader::open(&path).unwrap();
    assert_eq!(reader.array(&cross).unwrap().unwrap(), array(&[4, 2, 3]));
    assert_eq!(reader.metadata()["model"], "someone else's");
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |key: ArrayKey, shape: &[usize]| {
        let builder = Analysis::builder(input(3));
        let builder = builder
            .array(LayerArray::AttentionWeights.at(0), array(&[2, 3, 3]))
            .unwrap();
        builder.array(key, array(shape)).unwrap_err()
    };
    let norms = LayerArray::Norms(Scope::Atb);
    let error = refused(norms.at(0), &[3, 2]);
    assert!(
        matches!(error, Error::Shape { ref expected, .. } if *expected == [3, 3]),
        "{error}"
    );
    // Another number of heads than the layer before.
    let error = refused(LayerArray::WeightedNorms.at(1), &[4, 3, 3]);
    assert!(
        matches!(error, Error::Shape { ref expected, .. } if *expected == [2, 3, 3]),
        "{error}"
    );
    let error = refused(norms.of(Stack::Decoder, 0), &[3, 3]);
    assert!(matches!(error, Error::NoSuchStack { .. }), "{error}");
    let states = |index| ArrayKey::HiddenStates {
        stack: Stack::Only,
        index,
    };
    let builder = Analysis::builder(input(3));
    let builder = builder.array(states(0), array(&[3, 8])).unwrap();
    let error = builder.array(states(1), array(&[3, 7])).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
}

#[test]
fn lists_of_unlike_lengths_are_no_input() {
    for (ids, types, tokens) in [(2, 2, 1), (2, 1, 2), (1, 2, 2), (0, 0, 0)] {
        let tokens = vec!["a".to_owned(); tokens];
        let error = TokenizedInput::with_token_types(vec![0; ids], vec![0; types], tokens);
        assert!(matches!(error, Err(Error::UnlikeLengths { .. })));
    }
}

#[test]
fn a_file_has_what_its_header_says_or_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let (tokens, key) = (input(2), LayerArray::Norms(Scope::Attn).at(0));
    let arrays = [(key, vec![2, 2])];
    let inputs = Inputs::from(&tokens);
    let layout = Layout::new(
        &Default::default(),
        &arrays,
        inputs,
        Precision::F32,
        Store::Full,
    );
    let mut writer = AnalysisWriter::create(&path, &layout).unwrap();
    let other = LayerArray::Norms(Scope::Atb).at(0);
    for (key, shape) in [(other, [2, 2]), (key, [1, 4])] {
        let error = writer.write(&key, &array(&shape)).unwrap_err();
        assert!(matches!(error, Error::NotInLayout { .. }), "{error}");
    }
    let error = writer.finish().unwrap_err();
    assert!(matches!(error, Error::Unwritten { .. }), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn lists_about_tokens_are_as_long_as_they_are() {
    let offsets = input(2).with_offsets(vec![None]);
    assert!(matches!(
        offsets,
        Err(Error::UnlikeList {
            entries: 1,
            tokens: 2,
            ..
        })
    ));
    let flags = input(2).with_special_tokens(vec![true; 3]);
    assert!(matches!(
        flags,
        Err(Error::UnlikeList {
            entries: 3,
            tokens: 2,
            ..
        })
    ));
    let input = input(2).with_offsets(vec![None, Some(0..4)]).unwrap();
    let input = input.with_special_tokens(vec![true, false]).unwrap();
    assert_eq!(input.offsets.unwrap()[1], Some(0..4));
    assert_eq!(input.special.unwrap(), [true, false]);
}

/// Files keep the tokenizer's spelling, and say which it is.
#[test]
fn byte_level_tokens_are_kept_as_they_are_spelt() {
    let tokens = ["Ã¤", "Ġgirl"].map(str::to_owned).to_vec();
    let input = TokenizedInput::new(vec![5, 6], tokens.clone()).unwrap();
    let saved = |input: TokenizedInput| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let key = LayerArray::Norms(Scope::Attn).at(0);
        let analysis = Analysis::builder(input).array(key, array(&[2, 2])).unwrap();
        analysis.build().save(&path, Store::Full).unwrap();
        Analysis::open(&path).unwrap()
    };
    let read = saved(input.clone().with_spelling(Spelling::ByteLevel));
    assert_eq!(read.metadata["token_spelling"], "byte_level");
    assert_eq!(read.tokens(), tokens);
    assert_eq!(read.input.readable_tokens(), ["ä", "▁girl"]);
    // Without a word about it, as in older files.
    let read = saved(input);
    assert!(!read.metadata.contains_key("token_spelling"));
    assert_eq!(read.input.readable_tokens(), tokens);
}
