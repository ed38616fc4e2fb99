//! Text: how wide it is, and how it is made safe to draw.

use super::font::FACE;

/// Where a viewer lacks that font its own narrower ones come before the generic family.
pub(crate) const FAMILY: &str = "Noto Sans, Open Sans, Helvetica, Arial, sans-serif";
/// What is cut off ends so.
const ELLIPSIS: char = '…';
/// Other fonts are a little wider or narrower than the one measured.
const ALLOWANCE: f64 = 1.04;

/// Whether the font that the crate carries has every character.
pub(crate) fn is_covered(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii() || FACE.glyph_index(c).is_some())
}

/// The width of a line of text in units of `size`'s.
pub fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size * ALLOWANCE
}

/// The advance of a character in em.
fn advance(c: char) -> f64 {
    let glyph = FACE
        .glyph_index(c)
        .and_then(|glyph| FACE.glyph_hor_advance(glyph));
    match glyph {
        Some(advance) => f64::from(advance) / f64::from(FACE.units_per_em()),
        // Another font draws it: ideographs and pictures fill a square or a bit more.
        None if is_wide(c) => 1.25,
        None => 0.7,
    }
}

fn is_wide(c: char) -> bool {
    matches!(c as u32, 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe4f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f000..=0x1faff | 0x20000..=0x3fffd)
}

/// The text on one line, in characters that the font has as far as possible:
/// without what SVG cannot hold or what would turn the writing around, and
/// with an underscore for the block that SentencePiece writes for a space.
pub(crate) fn visible(text: &str) -> String {
    let visible = text.chars().map(|c| match c {
        '\u{2581}' => '_',
        '\n' => '¶',
        '\t' => '→',
        c if c.is_control() || is_unprintable(c) => '\u{fffd}',
        c => c,
    });
    visible.collect()
}

/// Marks of direction, what has no shape of its own, line separators and what
/// XML forbids. Characters that join their neighbours stay: scripts and
/// pictures are made with them.
fn is_unprintable(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}')
}

/// The text, cut to a width in units of `size`'s.
pub(crate) fn shortened(text: &str, size: f64, width: f64) -> String {
    let text = visible(text);
    if text_width(&text, size) <= width {
        return text;
    }
    let room = width - text_width(&ELLIPSIS.to_string(), size);
    let mut used = 0.0;
    let kept = text.chars().take_while(|&c| {
        used += advance(c) * size * ALLOWANCE;
        used <= room
    });
    kept.chain([ELLIPSIS]).collect()
}

/// The text as content of an XML element or attribute.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_font() {
        assert!(text_width("iiii", 10.0) < 0.5 * text_width("mmmm", 10.0));
        assert_eq!(text_width("ab", 20.0), 2.0 * text_width("ab", 10.0));
        assert!(text_width("漢字", 10.0) > 20.0);
        assert_eq!(text_width("", 10.0), 0.0);
        // Every figure of Noto Sans is 572 thousandths of an em wide.
        assert!((text_width("0", 1000.0) / ALLOWANCE - 572.0).abs() < 1.0);
    }

    #[test]
    fn long_labels_are_cut_to_their_room() {
        assert_eq!(shortened("short", 8.0, 100.0), "short");
        let cut = shortened("incomprehensibilities", 8.0, 40.0);
        assert!(cut.ends_with('…') && cut.starts_with("inc"), "{cut}");
        assert!(text_width(&cut, 8.0) <= 40.0);
        assert_eq!(shortened("abc", 8.0, 0.0), "…");
    }

    #[test]
    fn every_text_is_safe_in_xml() {
        assert_eq!(escaped("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
        assert_eq!(
            escaped("a\u{0}b\u{1b}\n\u{ffff}\u{202e}\u{feff}"),
            "a\u{fffd}b\u{fffd}¶\u{fffd}\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn the_font_covers_what_is_drawn_everywhere() {
        assert!(is_covered("‖αf(x)‖ … − Ελλάς Кирилл Ġü"));
        assert!(is_covered(&visible("▁the\n\t\u{1b}")));
        assert!(!is_covered("漢"));
    }
}
