use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, ID};
use resvg::usvg::{Options, Tree};

use super::font::{FONT, resolver};
use super::text::is_covered;
use crate::Error;

/// No picture on paper or on a screen needs more.
const MAX_SIDE: f64 = 30_000.0;
/// Dots that usvg gives an inch unless told otherwise.
const USVG_DPI: f64 = 96.0;

/// The font that the crate carries, with its number.
static OWN: LazyLock<(Arc<Database>, ID)> = LazyLock::new(|| fonts(own()));
/// The same and the system's, which take a while to find.
static ALL: LazyLock<(Arc<Database>, ID)> = LazyLock::new(|| {
    let mut all = own();
    all.load_system_fonts();
    fonts(all)
});

fn own() -> Database {
    let mut fonts = Database::new();
    fonts.load_font_data(FONT.clone());
    fonts
}

fn fonts(fonts: Database) -> (Arc<Database>, ID) {
    let own = fonts.faces().next().expect("the font is a constant").id;
    (Arc::new(fonts), own)
}

/// Draws an SVG document as PNG, with so many dots an inch.
///
/// The same on every machine, unless the text has characters that Noto Sans
/// lacks, such as ideographs: those are drawn with the system's fonts, and
/// left out where it has none.
///
/// # Errors
/// No SVG document, and a picture of more than 30000 pixels across.
pub fn png(svg: &str, dots_an_inch: f64) -> Result<Vec<u8>, Error> {
    let (fonts, own) = if is_covered(svg) { &*OWN } else { &*ALL };
    let options = Options {
        fontdb: Arc::clone(fonts),
        font_resolver: resolver(*own),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|source| Error::NotSvg {
        source: Box::new(source),
    })?;
    let scale = dots_an_inch / USVG_DPI;
    let (width, height) = (
        (f64::from(tree.size().width()) * scale).ceil(),
        (f64::from(tree.size().height()) * scale).ceil(),
    );
    let too_large = || Error::TooLarge { width, height };
    if width.max(height) > MAX_SIDE {
        return Err(too_large());
    }
    let mut pixels = Pixmap::new(width as u32, height as u32).ok_or_else(too_large)?;
    let scale = Transform::from_scale(scale as f32, scale as f32);
    resvg::render(&tree, scale, &mut pixels.as_mut());
    pixels.encode_png().map_err(|source| Error::Png {
        source: Box::new(source),
    })
}
