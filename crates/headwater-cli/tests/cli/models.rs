//! `headwater models`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::{fixture, headwater, names, stdout};

fn models() -> Vec<Value> {
    let json = stdout(headwater().args(["models", "--json"]));
    serde_json::from_str(&json).unwrap()
}

fn model_type(directory: &str) -> Option<String> {
    let config = fs::read_to_string(fixture(directory).join("config.json")).ok()?;
    let config: Value = serde_json::from_str(&config).unwrap();
    Some(config["model_type"].as_str().unwrap().to_owned())
}

/// There may be golden numbers of types that cannot be read yet.
#[test]
fn what_is_called_golden_has_golden_numbers() {
    let models = models();
    let is_read = |name: &String| models.iter().any(|model| model["model_type"] == **name);
    let directories = names(&fixture("golden"));
    let golden: BTreeSet<String> = directories
        .iter()
        .filter_map(|name| model_type(&format!("golden/{name}")))
        .filter(is_read)
        .collect();
    let claimed: BTreeSet<String> = models
        .iter()
        .filter(|model| model["golden"] == true)
        .map(|model| model["model_type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(claimed, golden);
}

#[test]
fn bundled_models_are_listed_with_their_type() {
    let bundled: BTreeSet<(String, String)> = names(&fixture(""))
        .into_iter()
        .filter(|name| name.starts_with("bundled-"))
        .map(|name| (model_type(&name).unwrap(), name))
        .collect();
    let listed: BTreeSet<(String, String)> = models()
        .iter()
        .flat_map(|model| {
            let trained = model["trained"].as_array().unwrap().iter();
            let trained = trained.filter_map(Value::as_str);
            let model_type = model["model_type"].as_str().unwrap();
            trained
                .filter(|name| name.starts_with("bundled-"))
                .map(|name| (model_type.to_owned(), name.to_owned()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(listed, bundled);
}

#[test]
fn the_table_has_a_line_a_model_type() {
    let table = stdout(headwater().arg("models"));
    for model in models() {
        let name = model["model_type"].as_str().unwrap();
        let line = table
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("{name} is not in\n{table}"));
        assert!(
            line.contains(model["arrangement"].as_str().unwrap()),
            "{line}"
        );
        assert_eq!(line.contains(" yes "), model["golden"] == true, "{line}");
    }
    assert!(
        table.lines().all(|line| line.chars().count() <= 100),
        "{table}"
    );
}
