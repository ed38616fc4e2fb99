//! `cargo xtask report-test`: reports in a real browser.

mod random;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;
use headwater::{
    Analysis, Analyzer, Input, Request, Store, TokenizedInput, TokenizedPair, Translator,
};
use headwater_fixtures::{bundled_bert, bundled_gpt2, golden, translation_cases};
use headwater_report::Report;
use serde_json::json;

/// How the tests are run.
#[derive(Args)]
pub(crate) struct Options {
    /// The browser: Chromium or Chrome
    #[arg(long, default_value = "/usr/bin/chromium")]
    browser: PathBuf,
    /// Also write the pictures of docs/report
    #[arg(long)]
    screenshots: bool,
}

const TEXT: &str = "The teacher near the sisters is clever, and the girl sees the small dog.";
/// Every piece of this is a token of its own, and every one must stay text.
const HOSTILE: [&str; 8] = [
    "<script>document.title = 'run'</script>",
    "</script><script>throw 1</script>",
    "<img src=x onerror=throw(1)>",
    "<!--",
    "]]>",
    "&lt;b&gt;",
    "\u{202e}reversed",
    "'\"`${1}\\",
];

/// Writes analyses and reports to target/report-test and opens them in a
/// browser, driven by the tests beside the report crate.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(
        options.browser.is_file(),
        "{} is not there; install chromium, or name a browser with --browser",
        options.browser.display()
    );
    let folder = crate::target().join("report-test");
    std::fs::create_dir_all(&folder)?;
    let reports = Reports { folder: &folder };
    let manifest = json!({
        "browser": options.browser,
        "screenshots": options.screenshots.then(|| crate::repository().join("docs/report")),
        "bert": reports.one("bert", TEXT, &analysis(&bundled_bert(), TEXT)?)?,
        "gpt2": reports.one("gpt2", TEXT, &analysis(&bundled_gpt2(), TEXT)?)?,
        "hostile": reports.one("hostile", HOSTILE[0], &hostile()?)?,
        "translation": reports.one("translation", "A translation", &translation()?)?,
        "several": reports.several()?,
        "tokens128": reports.random(128)?,
        "tokens512": reports.random(512)?,
    });
    let manifest_path = folder.join("manifest.json");
    std::fs::write(&manifest_path, serde_json::to_vec_pretty(&manifest)?)?;
    test(&folder, &manifest_path, options.screenshots)
}

/// Runs the JavaScript tests in a copy, so that their packages are installed
/// under target.
fn test(folder: &Path, manifest: &Path, screenshots: bool) -> anyhow::Result<()> {
    let tests = crate::repository().join("crates/headwater-report/tests/browser");
    let copy = folder.join("browser");
    std::fs::create_dir_all(&copy)?;
    let mut scripts = Vec::new();
    for entry in std::fs::read_dir(&tests)? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?;
        std::fs::copy(&path, copy.join(name))?;
        let wanted = name.to_string_lossy();
        if wanted.ends_with(".test.mjs") || screenshots && wanted == "screenshots.mjs" {
            scripts.push(name.to_owned());
        }
    }
    scripts.sort();
    let installed = copy.join("node_modules/playwright-core").is_dir();
    if !installed {
        let status = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&copy)
            .status()
            .context("cannot run npm; install node and npm")?;
        ensure!(status.success(), "npm ci failed");
    }
    let status = Command::new("node")
        .args(["--test", "--test-reporter=spec", "--test-concurrency=1"])
        .args(&scripts)
        .env("HEADWATER_REPORTS", manifest)
        .current_dir(&copy)
        .status()
        .context("cannot run node")?;
    ensure!(status.success(), "the browser tests failed");
    Ok(())
}

fn analysis(model: &Path, text: &str) -> anyhow::Result<Analysis> {
    let model = model.to_str().context("a path in UTF-8")?;
    Ok(Analyzer::from_pretrained(model)?.analyze(text)?)
}

/// An analysis whose tokens are markup.
fn hostile() -> anyhow::Result<Analysis> {
    let model = golden("bert");
    let model = model.to_str().context("a path in UTF-8")?;
    let ids: Vec<u32> = (2..).take(HOSTILE.len()).collect();
    let mut analysis = Analyzer::from_pretrained(model)?.analyze(Input::from(ids))?;
    analysis.input.tokens = HOSTILE.map(str::to_owned).to_vec();
    let tokens = serde_json::to_string(&HOSTILE)?;
    analysis.metadata.insert("tokens".to_owned(), tokens);
    analysis
        .metadata
        .insert("model".to_owned(), HOSTILE[0].to_owned());
    Ok(analysis)
}

/// An encoder, a decoder, and cross-attention between them.
fn translation() -> anyhow::Result<Analysis> {
    let model = golden("marian");
    let translator = Translator::from_pretrained(model.to_str().context("a path in UTF-8")?)?;
    let case = translation_cases("marian")
        .into_values()
        .next()
        .context("a case")?;
    let side = |mark: &str, ids: Vec<u32>| {
        let tokens = ids.iter().map(|id| format!("{mark}{id}")).collect();
        TokenizedInput::new(ids, tokens)
    };
    let pair = TokenizedPair {
        source: side("s", case.input_ids)?,
        target: side("t", case.decoder_input_ids)?,
    };
    let mut analyses = translator.analyze_tokenized(&[pair], &Request::default())?;
    Ok(analyses.remove(0))
}

/// Analysis files and reports, described for the tests.
struct Reports<'a> {
    folder: &'a Path,
}

impl Reports<'_> {
    fn one(
        &self,
        name: &str,
        title: &str,
        analysis: &Analysis,
    ) -> anyhow::Result<serde_json::Value> {
        let file = self.file(name);
        analysis.save(&file, Store::Full)?;
        self.write(name, title, &[file])
    }

    fn several(&self) -> anyhow::Result<serde_json::Value> {
        let texts = [
            "The girl sees the dog.",
            "The small dog is near the house, and the sister is old.",
        ];
        let mut files = Vec::new();
        for (index, text) in texts.into_iter().enumerate() {
            let file = self.file(&format!("text-{index}"));
            analysis(&bundled_bert(), text)?.save(&file, Store::F16)?;
            files.push(file);
        }
        self.write("several", "Two texts", &files)
    }

    fn random(&self, tokens: usize) -> anyhow::Result<serde_json::Value> {
        let name = format!("tokens-{tokens}");
        let file = self.file(&name);
        random::write(&file, tokens)?;
        self.write(&name, &name, &[file])
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.safetensors"))
    }

    fn write(
        &self,
        name: &str,
        title: &str,
        files: &[PathBuf],
    ) -> anyhow::Result<serde_json::Value> {
        let page = self.folder.join(format!("{name}.html"));
        let mut report = Report::new().title(title);
        for file in files {
            report.add_file(file)?;
        }
        report.write(&page)?;
        Ok(json!({ "page": page, "files": files }))
    }
}
