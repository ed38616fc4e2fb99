//! Inputs that cannot be analysed: one clear line each.

use headwater::{Analyzer, Error, Input, Request, transformer};
use headwater_fixtures::{bundled_bert, golden};

fn refused(model: &std::path::Path, input: Input) -> Error {
    let analyzer = Analyzer::from_pretrained(model.to_str().unwrap()).unwrap();
    let error = analyzer.encode(&input).unwrap_err();
    assert!(error.is_bad_input());
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

fn ids(input_ids: Vec<u32>, token_type_ids: Option<Vec<u32>>) -> Input {
    Input::Ids {
        input_ids,
        token_type_ids,
    }
}

#[test]
fn no_tokens() {
    let error = refused(&golden("bert"), ids(vec![], None));
    assert!(
        matches!(
            error,
            Error::Transformer(transformer::Error::EmptySequence { .. })
        ),
        "{error}"
    );
}

#[test]
fn id_outside_the_vocabulary() {
    let error = refused(&golden("bert"), ids(vec![2, 1_000_000, 3], None));
    let Error::Transformer(transformer::Error::TokenOutOfVocabulary { id, position, .. }) = error
    else {
        panic!("{error}");
    };
    assert_eq!((id, position), (1_000_000, 1));
}

#[test]
fn more_tokens_than_positions() {
    for family in ["bert", "roberta"] {
        let positions = Analyzer::from_pretrained(golden(family))
            .unwrap()
            .checkpoint()
            .architecture()
            .max_positions;
        let error = refused(&golden(family), ids(vec![7; positions + 1], None));
        assert!(
            matches!(
                error,
                Error::Transformer(transformer::Error::TooLong { .. })
            ),
            "{error}"
        );
    }
}

#[test]
fn token_types_of_another_length() {
    let error = refused(&golden("bert"), ids(vec![2, 3], Some(vec![0])));
    assert!(
        matches!(
            error,
            Error::Transformer(transformer::Error::TokenTypesLength { .. })
        ),
        "{error}"
    );
}

#[test]
fn token_type_out_of_range() {
    let error = refused(&golden("bert"), ids(vec![2, 3], Some(vec![0, 9])));
    assert!(
        matches!(
            error,
            Error::Transformer(transformer::Error::TokenTypeOutOfRange { .. })
        ),
        "{error}"
    );
}

#[test]
fn a_layer_the_model_does_not_have() {
    let analyzer = Analyzer::from_pretrained(golden("bert")).unwrap();
    let input = analyzer.encode(&ids(vec![2, 3], None)).unwrap();
    let request = Request::new().layers([0, 99]);
    let error = analyzer.analyze_tokenized(&[input], &request).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Transformer(transformer::Error::NoSuchLayer { .. })
        ),
        "{error}"
    );
}

#[test]
fn a_text_without_a_tokenizer() {
    let error = refused(&golden("bert"), Input::from("hello"));
    assert!(matches!(error, Error::Checkpoint(_)), "{error}");
}

#[test]
fn an_empty_text() {
    for text in ["", "   ", "\n"] {
        let error = refused(&bundled_bert(), Input::from(text));
        assert!(matches!(error, Error::EmptyText), "{error}");
    }
}

#[test]
fn a_text_longer_than_the_positions() {
    let error = refused(&bundled_bert(), Input::from("the . ".repeat(2000)));
    assert!(
        matches!(
            error,
            Error::Transformer(transformer::Error::TooLong { .. })
        ),
        "{error}"
    );
}

#[test]
fn a_token_outside_the_vocabulary() {
    let tokens = vec!["[CLS]".to_owned(), "no-such-token".to_owned()];
    let error = refused(&bundled_bert(), Input::Tokens(tokens));
    assert!(
        matches!(error, Error::UnknownToken { position: 1, .. }),
        "{error}"
    );
}
