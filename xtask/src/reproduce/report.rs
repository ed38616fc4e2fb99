//! The report as Markdown, JSON and pictures.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::published::Figures;
use super::table::Table;

/// All that one run found.
pub(crate) struct Report {
    pub(crate) model: String,
    /// What was run, name and value.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// Whether the user says that the texts are the papers'.
    pub(crate) same_corpus: bool,
    pub(crate) sections: Vec<Section>,
}

/// One paper's part, or the probes'.
pub(crate) struct Section {
    title: String,
    /// Where published figures come from, and whether they are about this model.
    source: Vec<String>,
    pub(crate) tables: Vec<Table>,
    pub(crate) pictures: Vec<Picture>,
}

/// A figure of the report.
pub(crate) struct Picture {
    pub(crate) name: String,
    pub(crate) caption: String,
    pub(crate) svg: String,
}

impl Section {
    pub(crate) fn of_paper(year: &str, figures: &Figures<'_>) -> Self {
        let mut source = vec![
            format!("Published: {}.", figures.source()),
            format!("This model: {}.", figures.recognized),
        ];
        source.extend(figures.note().map(|note| format!("Note: {note}.")));
        Self {
            title: format!("The experiments of {year}"),
            source,
            tables: Vec::new(),
            pictures: Vec::new(),
        }
    }

    /// The part of 2023, of which no figures are published here.
    pub(crate) fn of_2023() -> Self {
        Self {
            title: "The experiments of 2023".to_owned(),
            source: vec![
                "Published: G. Kobayashi, T. Kuribayashi, S. Yokoi, K. Inui: Analyzing \
                 Feed-Forward Blocks in Transformers through the Lens of Attention Maps (ICLR \
                 2024). None of its figures are at hand here, so compare directions, not digits: \
                 FF changes the maps in every layer, and RES2 and LN2 undo most of it."
                    .to_owned(),
            ],
            tables: Vec::new(),
            pictures: Vec::new(),
        }
    }

    /// The part of 2020 on translation models.
    pub(crate) fn of_translation(paper: &str, about: &str) -> Self {
        Self {
            title: "The experiments of 2020 on translation".to_owned(),
            source: vec![format!("Published: {paper}; {about}.")],
            tables: Vec::new(),
            pictures: Vec::new(),
        }
    }

    pub(crate) fn of_probes(tables: Vec<Table>) -> Self {
        Self {
            title: "The token that decides a masked one".to_owned(),
            source: vec![
                "No paper has these tables. The texts say which tokens decide the masked one; a \
                 method that sees what the model does ranks them high."
                    .to_owned(),
            ],
            tables,
            pictures: Vec::new(),
        }
    }

    /// Adds what a reader has to know before the tables.
    pub(crate) fn remark(&mut self, line: impl Into<String>) {
        self.source.push(line.into());
    }

    pub(crate) fn figure(&mut self, name: &str, caption: &str, svg: String) {
        self.pictures.push(Picture {
            name: name.to_owned(),
            caption: caption.to_owned(),
            svg,
        });
    }
}

impl Report {
    /// Adds the parts of a report about another model, under its name.
    pub(crate) fn append(&mut self, other: Report) {
        let facts = other.facts.iter();
        let facts: Vec<_> = facts
            .map(|(name, value)| format!("* {name}: {value}"))
            .collect();
        for mut section in other.sections {
            section.title = format!("{}: {}", section.title, other.model);
            section.source.push(String::new());
            section.source.extend(facts.iter().cloned());
            for table in &mut section.tables {
                table.id = format!("{}.{}", other.model, table.id);
            }
            for picture in &mut section.pictures {
                picture.name = format!("{}_{}", other.model.replace('-', "_"), picture.name);
            }
            self.sections.push(section);
        }
    }

    /// Writes report.md, report.json and figures/ into a directory.
    pub(crate) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let figures = prepare(directory)?;
        for picture in self.pictures() {
            write(&figures.join(format!("{}.svg", picture.name)), &picture.svg)?;
        }
        let json = serde_json::to_string_pretty(&self.json())? + "\n";
        write(&directory.join("report.json"), &json)?;
        let title = format!("# {}: the papers' tables and figures\n\n", self.model);
        let body = self.markdown("##", |picture| {
            Some(format!("figures/{}.svg", picture.name))
        });
        write(&directory.join("report.md"), &(title + &body))
    }

    pub(crate) fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.sections.iter().flat_map(|section| &section.pictures)
    }

    /// The report below headings that start with `heading`; `place` says where
    /// a picture lies, if it is to be shown.
    pub(crate) fn markdown(
        &self,
        heading: &str,
        place: impl Fn(&Picture) -> Option<String>,
    ) -> String {
        let mut text = String::from("| | |\n|---|---|\n");
        for (name, value) in &self.facts {
            let _ = writeln!(text, "| {name} | {} |", value.replace('|', "\\|"));
        }
        text += "\nLayers and heads are counted from 1, as in the papers. – : there is no such \
                 number, for example because no text has a token of that kind.\n";
        let mut tables = self.sections.iter().flat_map(|section| &section.tables);
        text += match (tables.any(Table::has_published), self.same_corpus) {
            (false, _) => "",
            (true, true) => {
                "\nThe texts are given as the papers' corpus by `--corpus-is`, which nothing here \
                 can check.\n"
            }
            (true, false) => {
                "\nThe published figures are about the papers' texts, and the figures here about \
                 those named above: expect the same picture, not the same digits.\n"
            }
        };
        for section in &self.sections {
            let _ = writeln!(text, "\n{heading} {}\n", section.title);
            text += &(section.source.join("\n") + "\n");
            for table in &section.tables {
                let _ = write!(text, "\n{heading}# {}\n\n", table.title);
                if !table.note.is_empty() {
                    let _ = write!(text, "{}\n\n", table.note);
                }
                text += &table.markdown();
            }
            for picture in &section.pictures {
                if let Some(place) = place(picture) {
                    let _ = write!(text, "\n![{}]({place})\n", picture.caption);
                }
            }
        }
        text
    }

    fn json(&self) -> Value {
        let facts: serde_json::Map<_, _> = self
            .facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let sections = self.sections.iter().map(|section| {
            json!({
                "title": section.title,
                "source": section.source,
                "tables": section.tables.iter().map(Table::json).collect::<Vec<_>>(),
                "figures": section.pictures.iter()
                    .map(|p| format!("figures/{}.svg", p.name))
                    .collect::<Vec<_>>(),
            })
        });
        json!({
            "facts": facts,
            "same_corpus_as_published": self.same_corpus,
            "sections": sections.collect::<Vec<_>>(),
        })
    }
}

/// Makes the directory of a report, and returns that of its figures.
pub(crate) fn prepare(directory: &Path) -> anyhow::Result<PathBuf> {
    let figures = directory.join("figures");
    fs::create_dir_all(&figures).with_context(|| format!("cannot create {}", figures.display()))?;
    Ok(figures)
}

/// Writes a file in one step, so that a full disk leaves no half of it.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // An ordinary file's permissions, less the user's mask.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(directory)?;
        fs::write(file.path(), text)?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::published::Reference;
    use super::super::table::Row;
    use super::*;

    fn report() -> Report {
        let table = Table {
            id: "t".into(),
            title: "Mixing".into(),
            note: "A note.".into(),
            rows_are: "layer",
            columns: vec!["x".into()],
            decimals: 1,
            rows: vec![Row::new("1", vec![Some(0.25)])],
            absent: Some("not published"),
        };
        let mut section = Section::of_probes(vec![table]);
        section.figure("map", "A map", "<svg></svg>".into());
        Report {
            model: "tiny".into(),
            facts: vec![("texts", "a|b".into())],
            same_corpus: false,
            sections: vec![section],
        }
    }

    #[test]
    fn a_report_is_written_whole_and_the_same_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        report().write(directory.path()).unwrap();
        let (markdown, json) = (read("report.md"), read("report.json"));
        assert!(markdown.contains("| texts | a\\|b |"));
        assert!(markdown.contains("### Mixing\n\nA note.\n\n| layer | x | published |"));
        assert!(markdown.contains("| 1 | 0.2 | not published |"));
        assert!(markdown.contains("![A map](figures/map.svg)"));
        assert!(json.contains("0.25"));
        assert_eq!(read("figures/map.svg"), "<svg></svg>");
        report().write(directory.path()).unwrap();
        assert_eq!((read("report.md"), read("report.json")), (markdown, json));
    }

    #[test]
    fn whose_texts_they_are_is_said() {
        let mut report = report();
        assert!(!report.markdown("##", |_| None).contains("digits"));
        let value = Reference {
            value: 1.0,
            notebook: None,
        };
        report.sections[0].tables[0].rows[0].published = vec![Some(value)];
        assert!(
            report
                .markdown("##", |_| None)
                .contains("not the same digits")
        );
        report.same_corpus = true;
        let markdown = report.markdown("##", |_| None);
        assert!(markdown.contains("--corpus-is") && !markdown.contains("!["));
    }

    #[test]
    fn another_model_stands_under_its_name() {
        let mut both = report();
        let mut other = report();
        other.model = "other-model".into();
        both.append(other);
        let markdown = both.markdown("##", |picture| Some(picture.name.clone()));
        assert!(markdown.contains(": other-model\n"));
        assert!(markdown.contains("* texts: a|b\n"));
        assert!(markdown.contains("(map)") && markdown.contains("(other_model_map)"));
        assert_eq!(both.sections[1].tables[0].id, "other-model.t");
    }

    #[test]
    fn an_output_that_cannot_be_written_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = report().write(file.path()).unwrap_err();
        assert!(error.to_string().starts_with("cannot create"), "{error}");
    }
}
