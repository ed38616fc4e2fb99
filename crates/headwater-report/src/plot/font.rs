//! The font that the crate carries, mended, and what stands in for it.

use std::sync::LazyLock;

use resvg::usvg::FontResolver;
use resvg::usvg::fontdb::{Database, FaceInfo, ID, Stretch, Style, Weight};
use ttf_parser::Face;

/// What is left free on both sides of a character that had no width, in em.
const BEARING: f64 = 0.04;

/// The font that widths are measured in and that PNG files are drawn with:
/// Noto Sans, in which the characters ```  ` ´ ¨ ˆ ``` and their kin are marks
/// that combine with the letter before them, some with no width at all. Here
/// they stand by themselves, as Unicode has it.
pub(crate) static FONT: LazyLock<Vec<u8>> = LazyLock::new(|| mended(ttf_noto_sans::REGULAR));

pub(crate) static FACE: LazyLock<Face<'static>> =
    LazyLock::new(|| Face::parse(&FONT, 0).expect("the font is a constant"));

/// Whether a character combines with the one before it. Of those that the font has.
fn is_combining(c: char) -> bool {
    matches!(c as u32, 0x300..=0x36f | 0x483..=0x489 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff
        | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
}

/// Marks of direction and of where words may be broken, which no one sees.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The characters of a font that are seen, and combine with none.
fn standing<'a>(face: &'a Face<'_>) -> impl Iterator<Item = char> + 'a {
    let tables = face.tables().cmap.iter().flat_map(|table| table.subtables);
    let mut characters = Vec::new();
    for table in tables.filter(ttf_parser::cmap::Subtable::is_unicode) {
        table.codepoints(|code| characters.extend(char::from_u32(code)));
    }
    characters.sort_unstable();
    characters.dedup();
    characters.into_iter().filter(|&c| {
        let glyph = face.glyph_index(c);
        !is_combining(c)
            && !is_invisible(c)
            && glyph.is_some_and(|glyph| face.glyph_bounding_box(glyph).is_some())
    })
}

fn mended(font: &[u8]) -> Vec<u8> {
    let face = Face::parse(font, 0).expect("the font is a constant");
    let mut mended = font.to_vec();
    // Without this table glyphs are marks if Unicode says so. Its name's
    // neighbour in the alphabet keeps the directory in order.
    let directory = (0..usize::from(u16::from_be_bytes([font[4], font[5]]))).map(|i| 12 + 16 * i);
    let mut widths = None;
    for entry in directory {
        match &font[entry..entry + 4] {
            b"GDEF" => mended[entry..entry + 4].copy_from_slice(b"GDEE"),
            b"hmtx" => {
                let place = font[entry + 8..entry + 12].try_into();
                widths = Some(u32::from_be_bytes(place.expect("four bytes")) as usize);
            }
            _ => {}
        }
    }
    let widths = widths.expect("the font has widths");
    let with_widths = face.tables().hhea.number_of_metrics;
    let bearing = (BEARING * f64::from(face.units_per_em())) as u16;
    for c in standing(&face) {
        let glyph = face
            .glyph_index(c)
            .expect("the character stands in the font");
        let outline = face.glyph_bounding_box(glyph);
        let outline = outline.expect("the character has an outline");
        if face.glyph_hor_advance(glyph) != Some(0) || glyph.0 >= with_widths {
            continue;
        }
        let width = outline.width().unsigned_abs() + 2 * bearing;
        let entry = widths + 4 * usize::from(glyph.0);
        mended[entry..entry + 2].copy_from_slice(&width.to_be_bytes());
        mended[entry + 2..entry + 4].copy_from_slice(&bearing.to_be_bytes());
    }
    mended
}

/// Draws in the font that the crate carries, which is the first of the
/// database, and what that lacks in the plainest face that has it.
pub(crate) fn resolver(own: ID) -> FontResolver<'static> {
    FontResolver {
        select_font: Box::new(move |_, _| Some(own)),
        select_fallback: Box::new(|c, used, fonts| fallback(c, used, fonts)),
    }
}

/// Of ordinary weight before bold, upright before slanted; the rest is by
/// name, so that the order in which a system lists its fonts does not matter.
fn fallback(c: char, used: &[ID], fonts: &Database) -> Option<ID> {
    let name = |face: &FaceInfo| face.post_script_name.clone();
    let plainness = |face: &FaceInfo| {
        (
            face.weight.0.abs_diff(Weight::NORMAL.0),
            face.style != Style::Normal,
            face.stretch
                .to_number()
                .abs_diff(Stretch::Normal.to_number()),
            face.monospaced,
        )
    };
    let mut faces: Vec<&FaceInfo> = fonts
        .faces()
        .filter(|face| !used.contains(&face.id))
        .collect();
    faces.sort_by_cached_key(|face| (plainness(face), name(face), face.index));
    let has_it = |data: &[u8], index: u32| {
        Face::parse(data, index).is_ok_and(|face| face.glyph_index(c).is_some())
    };
    let face = faces
        .into_iter()
        .find(|face| fonts.with_face_data(face.id, has_it) == Some(true));
    face.map(|face| face.id)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::sync::Arc;

    use resvg::usvg::fontdb::Source;
    use resvg::usvg::{Node, Options, Tree};

    use super::*;

    fn options(fonts: Database) -> Options<'static> {
        let own = fonts.faces().next().unwrap().id;
        Options {
            fontdb: Arc::new(fonts),
            font_resolver: resolver(own),
            ..Options::default()
        }
    }

    /// The left and the right end of each text's ink, in em.
    fn inks(texts: &[String]) -> Vec<(f64, f64)> {
        let mut svg =
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\">".to_owned();
        for (index, text) in texts.iter().enumerate() {
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            write!(svg, "<text id=\"t{index}\" font-size=\"100\">{text}</text>").unwrap();
        }
        svg.push_str("</svg>");
        let mut fonts = Database::new();
        fonts.load_font_data(FONT.clone());
        let tree = Tree::from_str(&svg, &options(fonts)).unwrap();
        let ink = |index: usize| {
            let Some(Node::Text(text)) = tree.node_by_id(&format!("t{index}")) else {
                panic!("{:?} is not drawn", texts[index]);
            };
            let ink = text.flattened().abs_bounding_box();
            (
                f64::from(ink.left()) / 100.0,
                f64::from(ink.right()) / 100.0,
            )
        };
        (0..texts.len()).map(ink).collect()
    }

    #[test]
    fn every_character_that_stands_by_itself_takes_the_room_that_is_measured() {
        let em = f64::from(FACE.units_per_em());
        let advance = |c: char| {
            let glyph = FACE.glyph_index(c).unwrap();
            f64::from(FACE.glyph_hor_advance(glyph).unwrap()) / em
        };
        let characters: Vec<char> = standing(&FACE).collect();
        assert!(characters.len() > 1500, "{}", characters.len());
        for c in "`´¨ˆ˜ˈːÄé".chars() {
            assert!(characters.contains(&c), "{c}");
        }
        let between = characters.iter().map(|c| format!("l{c}l"));
        let inks = inks(&between.chain(["l".to_owned()]).collect::<Vec<_>>());
        let (first, end) = inks[characters.len()];
        let overlapping: Vec<(char, f64)> = characters
            .iter()
            .zip(&inks)
            .filter_map(|(&c, &(left, right))| {
                let expected = advance('l') + advance(c) + (end - first);
                // Some characters reach beyond their room, or into the letters beside them.
                let missing = expected - (right - left);
                (advance(c) < 0.05 || missing > 0.02).then_some((c, missing))
            })
            .collect();
        assert!(overlapping.is_empty(), "{overlapping:?}");
    }

    #[test]
    fn marks_that_combine_stay_marks() {
        let texts = ["x", "x\u{301}", "xx"].map(str::to_owned);
        let inks = inks(&texts);
        assert!((inks[0].1 - inks[1].1).abs() < 0.05, "{inks:?}");
        assert!(inks[2].1 > inks[0].1 + 0.3);
    }

    /// The font under another weight, upright or slanted, as its tables say.
    fn dressed(weight: u16, slanted: bool) -> Vec<u8> {
        let mut font = ttf_noto_sans::REGULAR.to_vec();
        let tables = usize::from(u16::from_be_bytes([font[4], font[5]]));
        let mut entries = (0..tables).map(|i| 12 + 16 * i);
        let entry = entries.find(|&entry| &font[entry..entry + 4] == b"OS/2");
        let entry = entry.unwrap();
        let place: [u8; 4] = font[entry + 8..entry + 12].try_into().unwrap();
        let table = u32::from_be_bytes(place) as usize;
        font[table + 4..table + 6].copy_from_slice(&weight.to_be_bytes());
        font[table + 63] = u8::from(slanted);
        font
    }

    #[test]
    fn what_stands_in_is_upright_and_of_ordinary_weight() {
        let faces = [(700, false), (700, true), (400, true), (400, false)];
        let mut fonts = Database::new();
        let ids = faces.map(|(weight, slanted)| {
            let font = Arc::new(dressed(weight, slanted));
            fonts.load_font_source(Source::Binary(font))[0]
        });
        assert_eq!(fallback('é', &[], &fonts), Some(ids[3]));
        // If there is nothing plainer, something slanted is better than something bold.
        assert_eq!(fallback('é', &ids[3..], &fonts), Some(ids[2]));
        assert_eq!(fallback('é', &ids[2..], &fonts), Some(ids[0]));
        assert_eq!(fallback('漢', &[], &fonts), None);
    }
}
