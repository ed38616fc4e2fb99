//! What a page shows, in a browser: run where Chromium is there, and demanded
//! where `HEADWATER_BROWSER` names it. `cargo xtask report-test` asks more of
//! pages, and needs more.
#![allow(clippy::print_stderr)]

use std::path::PathBuf;
use std::process::Command;

use headwater::{Analysis, Analyzer, ArrayKey};
use headwater_report::Report;
use serde_json::Value;

/// What Chromium is called on different systems.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Headless, by itself, and able to look into a frame with another file.
const OPTIONS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-file-access-from-files",
    "--virtual-time-budget=60000",
];

fn browser() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("HEADWATER_BROWSER") {
        return Some(named.into());
    }
    let folders = std::env::var_os("PATH")?;
    let programs = std::env::split_paths(&folders)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .collect::<Vec<_>>();
    programs.into_iter().find(|program| program.is_file())
}

/// What `page/driver.html` sees of a report, or nothing where there is no browser.
fn seen(report: Report) -> Option<Value> {
    let Some(browser) = browser() else {
        eprintln!("no Chromium here: nothing was looked at");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path().join("report.html")).unwrap();
    let driver = folder.path().join("driver.html");
    std::fs::write(&driver, include_str!("page/driver.html")).unwrap();
    let output = Command::new(&browser)
        .args(OPTIONS)
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg("--dump-dom")
        .arg(format!("file://{}", driver.display()))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", browser.display()));
    let page = String::from_utf8_lossy(&output.stdout);
    let seen = page
        .split_once("<pre id=\"seen\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"));
    let (seen, _) = seen.unwrap_or_else(|| panic!("{page}"));
    let seen = seen
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let seen: Value = serde_json::from_str(&seen).unwrap_or_else(|error| panic!("{error}: {seen}"));
    assert_eq!(seen["errors"], serde_json::json!([]));
    Some(seen)
}

fn analysis() -> Analysis {
    let model = headwater_fixtures::bundled_bert();
    let analyzer = Analyzer::from_pretrained(model.to_str().unwrap()).unwrap();
    let text = "The girl near the sisters is clever.";
    analyzer.analyze(text).unwrap()
}

fn report(title: &str, analysis: Analysis) -> Report {
    let mut report = Report::new().title(title);
    report.add("text", analysis);
    report
}

#[test]
fn a_page_shows_the_numbers_and_fits_its_window() {
    let analysis = analysis();
    let key: ArrayKey = "layers.0.norms.attn".parse().unwrap();
    let map = analysis.array(&key).unwrap().to_f64();
    let title = "<b>The</b> girl & her sisters";
    let Some(seen) = seen(report(title, analysis)) else {
        return;
    };
    assert_eq!(seen["title"], title);
    for width in ["1280", "420", "320"] {
        let views = seen["widths"][width].as_array().unwrap();
        let names: Vec<&str> = views
            .iter()
            .filter_map(|view| view["name"].as_str())
            .collect();
        let expected = "Map,Text,Mixing,Before and after,Heads,Statistics";
        assert_eq!(names.join(","), expected);
        for view in views {
            let outside = &view["outside"];
            let none = serde_json::json!({ "by": 0, "elements": [] });
            assert_eq!(*outside, none, "{} at {width}", view["name"]);
        }
    }
    assert_eq!(seen["values"]["map"], "attention (attn)");
    let rows = seen["values"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for (row, shown) in rows.iter().enumerate() {
        let shown = shown.as_array().unwrap();
        assert_eq!(shown.len(), map.shape()[1]);
        for (column, shown) in shown.iter().enumerate() {
            let shown: f64 = shown.as_str().unwrap().parse().unwrap();
            let value = map[[row, column]];
            assert!(
                (shown - value).abs() <= 0.51e-6,
                "{row} {column}: {shown} {value}"
            );
        }
    }
}

/// The places of the tokens in a line, from the left.
fn from_the_left(text: &Value) -> Vec<&str> {
    let mut tokens: Vec<(i64, i64, &str)> = text["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| {
            let number = |name: &str| token[name].as_i64().unwrap();
            (
                number("top"),
                number("left"),
                token["text"].as_str().unwrap(),
            )
        })
        .collect();
    assert!(
        tokens.iter().all(|token| token.0 == tokens[0].0),
        "more than a line"
    );
    tokens.sort_unstable();
    tokens.into_iter().map(|(_, _, text)| text).collect()
}

#[test]
fn text_is_read_in_its_own_direction() {
    // Ten tokens each, as the text has; digits and names run the other way.
    let hebrew = [
        "[CLS]",
        "ראיתי",
        "את",
        "New",
        "York",
        "ב",
        "20",
        "##23",
        ".",
        "[SEP]",
    ];
    let english = [
        "[CLS]", "he", "said", "שלום", "עולם", ",", "then", "left", ".", "[SEP]",
    ];
    let with = |tokens: [&str; 10], title: &str| {
        let mut analysis = analysis();
        analysis.input.tokens = tokens.map(str::to_owned).to_vec();
        seen(report(title, analysis))
    };
    let Some(seen) = with(hebrew, "ראיתי את New York ב2023.") else {
        return;
    };
    let text = &seen["text"];
    assert_eq!(
        (&text["direction"], &text["heading"]),
        (&"rtl".into(), &"rtl".into())
    );
    assert_eq!(
        from_the_left(text),
        [
            "[SEP]",
            ".",
            "20",
            "23",
            "ב",
            "New",
            "York",
            "את",
            "ראיתי",
            "[CLS]"
        ]
    );
    let seen = with(english, "He said שלום עולם, then left.").unwrap();
    let text = &seen["text"];
    assert_eq!(
        (&text["direction"], &text["heading"]),
        (&"ltr".into(), &"ltr".into())
    );
    assert_eq!(
        from_the_left(text),
        [
            "[CLS]", "he", "said", "עולם", "שלום", ",", "then", "left", ".", "[SEP]"
        ]
    );
}
