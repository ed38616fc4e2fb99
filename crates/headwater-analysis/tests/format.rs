//! What is written about the format names what the table has.

use headwater_analysis::{LayerArray, Quantity, Scope};

/// Every word of `docs/ANALYSIS_FORMAT.md` between backquotes, with the dots'
/// parts apart.
fn words() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ANALYSIS_FORMAT.md");
    let text = std::fs::read_to_string(path).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let words = quoted.flat_map(|quoted| quoted.split(['.', ',', ' ', '{', '}']));
    words.map(str::to_owned).collect()
}

#[test]
fn the_format_is_described_as_it_is() {
    let words = words();
    let arrays = LayerArray::all(&Scope::ALL);
    let arrays = arrays.iter().map(|array| array.name());
    let scopes = Scope::ALL.into_iter().map(Scope::slug);
    for name in arrays.chain(scopes) {
        assert!(
            words.iter().any(|word| word == name),
            "docs/ANALYSIS_FORMAT.md does not name `{name}`"
        );
    }
}

#[test]
fn names_are_read_as_they_are_shown() {
    for scope in Scope::ALL {
        assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
    }
    for quantity in Quantity::ALL {
        assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
    }
    let error = "no_such".parse::<Scope>().unwrap_err().to_string();
    assert!(
        error.contains("`no_such`") && error.contains("atb_ff_res_ln"),
        "{error}"
    );
}
