//! The page: one HTML file of markup, style, script and data.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::document::Document;
use crate::packed::Blobs;

const BODY: &str = include_str!("page/body.html");

/// In this order they make one style sheet.
const STYLES: [&str; 3] = [
    include_str!("page/style/base.css"),
    include_str!("page/style/views.css"),
    include_str!("page/style/print.css"),
];

/// In this order each module comes after those that it imports from.
const MODULES: [&str; 20] = [
    include_str!("page/script/palette.js"),
    include_str!("page/script/numbers.js"),
    include_str!("page/script/elements.js"),
    include_str!("page/script/data.js"),
    include_str!("page/script/state.js"),
    include_str!("page/script/scale.js"),
    include_str!("page/script/theme.js"),
    include_str!("page/script/names.js"),
    include_str!("page/script/legend.js"),
    include_str!("page/script/controls.js"),
    include_str!("page/script/heatmap.js"),
    include_str!("page/script/view_map.js"),
    include_str!("page/script/direction.js"),
    include_str!("page/script/view_text.js"),
    include_str!("page/script/view_mixing.js"),
    include_str!("page/script/view_compare.js"),
    include_str!("page/script/view_heads.js"),
    include_str!("page/script/view_statistics.js"),
    include_str!("page/script/keyboard.js"),
    include_str!("page/script/main.js"),
];

/// Writes the page. Everything that a text or a file name can bring in stands
/// in the document, as JSON in which `<` is escaped; the policy lets no script
/// or style run but the page's own, and nothing be fetched.
pub(crate) fn write(out: &mut impl Write, document: &Document, blobs: &Blobs) -> io::Result<()> {
    let style = STYLES.concat();
    let script = script();
    let document = serde_json::to_string(document)?.replace('<', "\\u003c");
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Headwater</title>\n<style>{style}</style>\n</head>\n<body>\n{BODY}\
         <script type=\"application/json\" id=\"document\">{document}</script>\n\
         <script>{script}</script>\n",
        source_hash(&script),
        source_hash(&style),
    )?;
    for (index, blob) in blobs.0.iter().enumerate() {
        writeln!(
            out,
            "<script type=\"text/plain\" id=\"blob-{index}\">{blob}</script>"
        )?;
    }
    writeln!(out, "</body>\n</html>")
}

/// What a content security policy names an inline script or style by.
fn source_hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// The modules in one function: without their imports, which are lines of
/// their own, and without the word `export`.
fn script() -> String {
    let mut script = String::from("(() => {\n\"use strict\";\n");
    for module in MODULES {
        let mut importing = false;
        for line in module.lines() {
            importing |= line.starts_with("import ");
            if importing {
                importing = !line.ends_with(';');
                continue;
            }
            script.push_str(line.strip_prefix("export ").unwrap_or(line));
            script.push('\n');
        }
    }
    script.push_str("})();\n");
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_one_function_without_imports() {
        let script = script();
        assert!(
            !script
                .lines()
                .any(|line| line.starts_with("import ") || line.starts_with("export "))
        );
        assert!(!script.contains("</script"));
        assert!(!STYLES.concat().contains("</style"));
    }
}
