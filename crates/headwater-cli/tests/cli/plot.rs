//! `headwater plot`.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

use crate::support::{analyze_text, assert_fails, fixture, headwater, names};

const TEXT: &str = "The girl near the sisters is clever.";

/// A folder with `a.safetensors`, an analysis of [`TEXT`].
struct Folder {
    directory: TempDir,
}

impl Folder {
    fn new(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.safetensors");
        let mut command = analyze_text();
        command
            .args(["--text", TEXT])
            .args(arguments)
            .arg("--output")
            .arg(path);
        command.assert().success();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `headwater plot WHAT a.safetensors … --output NAME`
    fn plot(&self, what: &str, arguments: &[&str], name: &str) -> Command {
        let mut command = headwater();
        command
            .args(["plot", what])
            .arg(self.path("a.safetensors"))
            .args(arguments);
        command.arg("--output").arg(self.path(name));
        command
    }

    fn svg(&self, what: &str, arguments: &[&str]) -> String {
        let mut command = self.plot(what, arguments, "p.svg");
        command.assert().success().stdout("").stderr("");
        fs::read_to_string(self.path("p.svg")).unwrap()
    }
}

/// Width and height of a PNG file, which has its signature.
fn png_size(path: &Path) -> (u32, u32) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn every_picture_is_drawn_from_a_file() {
    let folder = Folder::new(&[]);
    let labels = |svg: &str| svg.matches(">sisters</text>").count();
    let map = folder.svg("map", &["--layer", "2", "--scope", "atb"]);
    assert!(map.starts_with("<svg") && map.contains("‖y‖, scope atb, layer 2"));
    assert_eq!(labels(&map), 2);
    let longest = folder.svg("map", &["--layer", "2"]);
    assert!(longest.contains("scope atb_ff_res_ln"));
    let head = [
        "--layer",
        "0",
        "--quantity",
        "attention_weights",
        "--head",
        "1",
    ];
    assert!(folder.svg("map", &head).contains(">α, layer 0, head 1<"));
    let mean = ["--layer", "0", "--quantity", "weighted_norms", "--shares"];
    assert!(
        folder
            .svg("map", &mean)
            .contains("share of the row’s sum of ‖αf(x)‖, layer 0, mean of 4 heads")
    );
    let mixing = folder.svg("mixing", &["--measure", "attn_res_w"]);
    assert!(mixing.contains("mixing ratio, attn_res_w"));
    assert_eq!(labels(&mixing), 1);
    let change = folder.svg(
        "change",
        &["--layer", "1", "--from", "atb", "--to", "atb_ff"],
    );
    assert!(change.contains("atb_ff − atb"));
    assert_eq!(labels(&change), 4);
    assert_eq!(names(folder.directory.path()), ["a.safetensors", "p.svg"]);
}

#[test]
fn a_model_and_a_text_give_the_picture_of_their_file() {
    let folder = Folder::new(&[]);
    for arguments in [
        &["map", "--layer", "1"][..],
        &["map", "--layer", "1", "--quantity", "attention_weights"],
        &["mixing"],
        &["mixing", "--measure", "attn_w"],
        &[
            "change", "--layer", "1", "--from", "attn", "--to", "attn_res",
        ],
    ] {
        let from_file = folder.svg(arguments[0], &arguments[1..]);
        let mut command = headwater();
        command
            .arg("plot")
            .args(arguments)
            .arg("--model")
            .arg(fixture("bundled-bert"));
        command
            .args(["--text", TEXT, "--output"])
            .arg(folder.path("m.svg"));
        command.assert().success().stdout("").stderr("");
        assert_eq!(
            fs::read_to_string(folder.path("m.svg")).unwrap(),
            from_file,
            "{arguments:?}"
        );
    }
}

#[test]
fn looks_are_chosen() {
    let folder = Folder::new(&["--layers", "1"]);
    // One layer needs no name.
    let narrow = folder.svg("map", &["--width", "60", "--title", "Mine & <yours>"]);
    assert!(narrow.contains("width=\"171pt\""), "{narrow}");
    assert!(narrow.contains(">Mine &amp; &lt;yours&gt;</text>") && !narrow.contains("scope"));
    let bare = folder.svg("map", &["--title", "", "--font-size", "6"]);
    assert!(!bare.contains("layer") && bare.contains("font-size=\"6\""));
    let whole = folder.svg("map", &["--scope", "atb"]);
    let hollow = folder.svg("map", &["--scope", "atb", "--without-diagonal"]);
    assert_ne!(whole, hollow);

    folder
        .plot("map", &["--width", "60"], "p.PNG")
        .assert()
        .success();
    let (width, height) = png_size(&folder.path("p.PNG"));
    assert_eq!(width, (171.0f64 / 72.0 * 300.0).ceil() as u32);
    assert!(height > width / 2 && height < 2 * width);
    folder
        .plot("map", &["--width", "60", "--dpi", "72"], "q.png")
        .assert()
        .success();
    assert_eq!(png_size(&folder.path("q.png")).0, 171);
}

#[test]
fn what_cannot_be_drawn_leaves_nothing() {
    let folder = Folder::new(&[
        "--quantities",
        "norms,attention_weights",
        "--scopes",
        "attn,atb",
    ]);
    fs::write(folder.path("text.safetensors"), "no analysis").unwrap();
    let refused = |what: &str, arguments: &[&str], name: &str, words: &[&str]| {
        assert_fails(&mut folder.plot(what, arguments, name), 2, words);
    };
    let map = |arguments: &[&str], words: &[&str]| refused("map", arguments, "p.svg", words);
    map(
        &["--layer", "1", "--scope", "atb_ff"],
        &["norms.atb_ff", "norms.attn, norms.atb"],
    );
    map(&["--layer", "1", "--scope", "atb_ln"], &["norms.atb_ln"]);
    map(&["--layer", "1", "--scope", "nothing"], &["atb_ff_res_ln"]);
    map(&["--layer", "9"], &["layer 9", "0, 1, 2, 3"]);
    map(&["--layer", "-1"], &["-1"]);
    map(&[], &["--layer is missing", "0, 1, 2, 3"]);
    map(
        &[
            "--layer",
            "0",
            "--quantity",
            "attention_weights",
            "--head",
            "4",
        ],
        &["head 4", "0 to 3"],
    );
    map(&["--layer", "0", "--head", "1"], &["--quantity"]);
    map(
        &["--layer", "0", "--quantity", "weighted_norms"],
        &["weighted_norms", "attention_weights, "],
    );
    map(
        &[
            "--layer",
            "0",
            "--quantity",
            "attention_weights",
            "--scope",
            "attn",
        ],
        &["--scope"],
    );
    map(
        &["--layer", "0", "--stack", "encoder"],
        &["translation models"],
    );
    map(
        &["--layer", "0", "--width", "1"],
        &["--width", "millimetres"],
    );
    map(&["--layer", "0", "--width", "NaN"], &["--width"]);
    map(&["--layer", "0", "--font-size", "1000"], &["--font-size"]);
    map(&["--layer", "0", "--dpi", "300"], &["--dpi", "PNG"]);
    refused("mixing", &[], "p.svg", &["no mixing ratios"]);
    refused(
        "mixing",
        &["--measure", "atb"],
        "p.svg",
        &["mixing_ratio.atb"],
    );
    refused("mixing", &["--measure", "all"], "p.svg", &["attn_res_w"]);
    let change = ["--layer", "0", "--from", "attn", "--to", "atb_ff"];
    refused("change", &change, "p.svg", &["norms.atb_ff"]);
    for name in ["p.pdf", "p", "p.safetensors", ".svg"] {
        refused("map", &["--layer", "0"], name, &[".svg or .png"]);
    }
    refused(
        "map",
        &["--layer", "0"],
        "missing/p.svg",
        &["make it first"],
    );
    refused("map", &["--layer", "0"], "", &["is a directory"]);
    refused(
        "map",
        &["--layer", "0", "--width", "5000", "--dpi", "2400"],
        "p.png",
        &["pixels"],
    );

    for (file, code) in [("text.safetensors", 2), ("nowhere.safetensors", 2)] {
        let mut command = headwater();
        command.args(["plot", "mixing"]).arg(folder.path(file));
        command.arg("--output").arg(folder.path("p.svg"));
        assert_fails(&mut command, code, &[file]);
    }
    assert_eq!(
        names(folder.directory.path()),
        ["a.safetensors", "text.safetensors"]
    );
}
