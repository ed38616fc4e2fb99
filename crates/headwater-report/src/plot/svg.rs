//! SVG elements as text; one unit is a point.

use std::fmt::Write;

use super::text::{FAMILY, escaped};

pub(crate) const INK: &str = "#222";

/// Which point of a text lies at the place given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A text with its middle line at a place.
pub(crate) struct Text<'a> {
    pub(crate) content: &'a str,
    pub(crate) size: f64,
    pub(crate) anchor: Anchor,
    pub(crate) color: &'a str,
}

/// A picture that grows element by element.
#[derive(Debug, Default)]
pub(crate) struct Svg {
    body: String,
}

impl Svg {
    /// A text that runs from left to right.
    pub(crate) fn text(&mut self, text: &Text<'_>, x: f64, y: f64) {
        // Half the height of a capital below the middle line is the base line.
        let y = y + 0.357 * text.size;
        self.push(format_args!(
            "<text x=\"{}\" y=\"{}\"{}</text>",
            number(x),
            number(y),
            text.rest()
        ));
    }

    /// A text that runs upwards.
    pub(crate) fn turned_text(&mut self, text: &Text<'_>, x: f64, y: f64) {
        let x = x + 0.357 * text.size;
        self.push(format_args!(
            "<text transform=\"translate({} {}) rotate(-90)\"{}</text>",
            number(x),
            number(y),
            text.rest()
        ));
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.colored_line(from, to, INK);
    }

    pub(crate) fn colored_line(&mut self, from: (f64, f64), to: (f64, f64), color: &str) {
        self.push(format_args!(
            "<path d=\"M{} {}L{} {}\" stroke=\"{color}\" stroke-width=\"0.5\"/>",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1)
        ));
    }

    pub(crate) fn frame(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        self.push(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\" stroke=\"{INK}\" stroke-width=\"0.5\"/>",
            number(x),
            number(y),
            number(width),
            number(height)
        ));
    }

    /// Adds an element as it is.
    pub(crate) fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("writing to a string cannot fail");
    }

    /// The whole document, `width` × `height` points. `name` is what it is
    /// called where it cannot be seen.
    pub(crate) fn finish(self, name: &str, width: f64, height: f64) -> String {
        let (width, height) = (number(width.ceil()), number(height.ceil()));
        let name = if name.is_empty() { "Figure" } else { name };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}pt\" height=\"{height}pt\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"{FAMILY}\" role=\"img\">\n\
             <title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n{}</svg>\n",
            escaped(name),
            self.body
        )
    }
}

impl Text<'_> {
    /// Everything behind the place.
    fn rest(&self) -> String {
        let anchor = match self.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        format!(
            " font-size=\"{}\" fill=\"{}\"{anchor} xml:space=\"preserve\">{}",
            number(self.size),
            self.color,
            escaped(self.content)
        )
    }
}

/// A coordinate with at most two decimals.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short() {
        assert_eq!(number(1.0), "1");
        assert_eq!(number(1.256), "1.26");
        assert_eq!(number(-0.001), "0");
    }

    #[test]
    fn text_is_escaped_and_stands_on_its_base_line() {
        let mut svg = Svg::default();
        let text = Text {
            content: "<s>",
            size: 10.0,
            anchor: Anchor::End,
            color: INK,
        };
        svg.text(&text, 5.0, 7.0);
        let document = svg.finish("a & b", 10.2, 20.0);
        assert!(
            document.contains("y=\"10.57\" font-size=\"10\""),
            "{document}"
        );
        assert!(document.contains(">&lt;s&gt;</text>"));
        assert!(document.contains("viewBox=\"0 0 11 20\""));
        assert!(document.contains("<title>a &amp; b</title>"));
    }
}
