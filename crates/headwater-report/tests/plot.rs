//! Pictures of an analysis and of matrices made up for the purpose.

use headwater::{Analysis, Analyzer, LayerArray, MixingMeasure, Scope, Stack, Store};
use headwater_report::Error;
use headwater_report::plot::{
    Axis, AxisScale, Cells, Chart, ChartAxis, Diagonal, Figure, Heads, HeatMap, Marks, Panel,
    Place, Plotter, Rows, Scale, Series, View, png, text_width,
};
use ndarray::Array2;
use roxmltree::{Document, Node};

const UNCHANGED: View = View {
    rows: Rows::Unchanged,
    diagonal: Diagonal::Shown,
};
const LAYER: Place = Place {
    stack: Stack::Only,
    layer: 3,
};

fn analysis() -> Analysis {
    let model = headwater_fixtures::bundled_bert();
    let analyzer = Analyzer::from_pretrained(model.to_str().unwrap()).unwrap();
    analyzer
        .analyze("The girl near the sisters is clever.")
        .unwrap()
}

fn plotter() -> Plotter {
    Plotter::new("it", analysis())
}

fn axis(labels: impl IntoIterator<Item = String>) -> Axis {
    Axis {
        name: "tokens".to_owned(),
        labels: labels.into_iter().collect(),
    }
}

/// A map of so many tokens whose values grow from cell to cell.
fn growing(tokens: usize, label: impl Fn(usize) -> String) -> HeatMap {
    let labels = axis((0..tokens).map(label));
    HeatMap {
        title: "growing".to_owned(),
        rows: labels.clone(),
        columns: labels,
        values: Array2::from_shape_fn((tokens, tokens), |(i, j)| (i * tokens + j) as f64),
        cells: Cells::Square,
        scale: Scale::FromZero,
    }
}

fn texts<'a>(document: &'a Document<'_>) -> Vec<&'a str> {
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name("text"));
    texts.filter_map(|node| node.text()).collect()
}

fn attribute(node: &Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name)
        .unwrap()
        .trim_end_matches("pt")
        .parse()
        .unwrap()
}

/// The numbers in brackets behind a function of a transformation.
fn arguments(node: &Node<'_, '_>, function: &str) -> Vec<f64> {
    let transform = node.attribute("transform").unwrap();
    let behind = transform.split(&format!("{function}(")).nth(1).unwrap();
    let inside = behind.split(')').next().unwrap();
    inside
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect()
}

/// Colour of every cell by place.
fn cells(document: &Document<'_>, side: usize) -> Array2<Option<String>> {
    let mut cells = Array2::from_elem((side, side), None);
    let group = document
        .descendants()
        .find(|node| node.has_tag_name("g"))
        .unwrap();
    for path in group.children().filter(|node| node.has_tag_name("path")) {
        let d = path.attribute("d").unwrap();
        for run in d.split('M').skip(1) {
            let (place, rest) = run.split_once('h').unwrap();
            let (column, row) = place.split_once(' ').unwrap();
            let (column, row): (usize, usize) = (column.parse().unwrap(), row.parse().unwrap());
            let length: usize = rest.split('v').next().unwrap().parse().unwrap();
            for cell in column..column + length {
                let color = path.attribute("fill").unwrap().to_owned();
                assert_eq!(
                    cells[(row, cell)].replace(color),
                    None,
                    "a cell is drawn twice"
                );
            }
        }
    }
    cells
}

/// Nothing that is drawn lies outside the picture, by the font's own widths.
#[track_caller]
fn assert_inside(svg: &str) {
    let document = Document::parse(svg).unwrap();
    let root = document.root_element();
    let (width, height) = (attribute(&root, "width"), attribute(&root, "height"));
    for node in document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
    {
        let content = node.text().unwrap_or_default();
        let length = text_width(content, attribute(&node, "font-size"));
        let before = match node.attribute("text-anchor") {
            Some("end") => length,
            Some("middle") => length / 2.0,
            _ => 0.0,
        };
        let (low, high, across, limit, other) = if node.has_attribute("transform") {
            let place = arguments(&node, "translate");
            // Turned by a quarter to the left: the text runs upwards.
            (
                place[1] + before - length,
                place[1] + before,
                place[0],
                height,
                width,
            )
        } else {
            let x = attribute(&node, "x");
            (
                x - before,
                x - before + length,
                attribute(&node, "y"),
                width,
                height,
            )
        };
        assert!(
            low >= -0.01 && high <= limit + 0.01,
            "{content:?}: {low} to {high} of {limit}"
        );
        assert!(across > 0.0 && across < other, "{content:?}");
    }
    // Circles of a chart stand where they are, and are turned into no other unit.
    let groups = document
        .descendants()
        .filter(|node| node.has_tag_name("g") && node.has_attribute("transform"));
    for circle in document
        .descendants()
        .filter(|node| node.has_tag_name("circle"))
    {
        let (x, y) = (attribute(&circle, "cx"), attribute(&circle, "cy"));
        assert!((0.0..=width).contains(&x) && (0.0..=height).contains(&y));
    }
    for group in groups {
        let (place, scale) = (arguments(&group, "translate"), arguments(&group, "scale"));
        assert!(place[0] >= 0.0 && place[0] + scale[0] <= width);
        assert!(place[1] >= 0.0 && place[1] + scale[1] <= height);
    }
}

#[test]
fn larger_values_have_later_colours() {
    let svg = Figure::new("", 1, vec![growing(6, |i| i.to_string())]).to_svg();
    let document = Document::parse(&svg).unwrap();
    let cells = cells(&document, 6);
    let luminance = |color: &Option<String>| {
        let color = u32::from_str_radix(&color.as_ref().unwrap()[1..], 16).unwrap();
        let [_, r, g, b] = color.to_be_bytes().map(f64::from);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let lights: Vec<f64> = cells.iter().map(luminance).collect();
    assert!(
        lights.windows(2).all(|pair| pair[0] < pair[1]),
        "{lights:?}"
    );
}

#[test]
fn up_to_128_tokens_every_label_is_there_and_nothing_is_cut_off() {
    for tokens in [1, 2, 5, 8, 40, 128] {
        let svg = Figure::new("", 1, vec![growing(tokens, |i| format!("token{i}"))]).to_svg();
        assert_inside(&svg);
        let document = Document::parse(&svg).unwrap();
        let texts = texts(&document);
        for index in 0..tokens {
            let label = format!("token{index}");
            let found = texts.iter().filter(|text| **text == label).count();
            assert_eq!(found, 2, "{label} of {tokens}");
        }
        assert!(cells(&document, tokens).iter().all(Option::is_some));
    }
}

#[test]
fn beyond_labels_are_thinned_and_numbered() {
    let svg = Figure::new("", 1, vec![growing(512, |i| format!("t{i}"))]).to_svg();
    assert_inside(&svg);
    let document = Document::parse(&svg).unwrap();
    let texts = texts(&document);
    assert!(texts.contains(&"0 t0") && texts.contains(&"500 t500"));
    assert!(texts.len() < 150, "{}", texts.len());
    let width = attribute(&document.root_element(), "width");
    assert!(width < 900.0, "{width}");
}

#[test]
fn a_width_is_kept() {
    for (width, tokens) in [(113.0, 5), (227.0, 40), (480.0, 128), (480.0, 512)] {
        let figure = Figure {
            width: Some(width),
            ..Figure::new(
                "a title that is longer than a narrow picture is wide",
                1,
                vec![growing(tokens, |i| format!("token{i}"))],
            )
        };
        let svg = figure.to_svg();
        assert_inside(&svg);
        let document = Document::parse(&svg).unwrap();
        assert_eq!(attribute(&document.root_element(), "width"), width);
        // The cells take most of what is not labels.
        let group = document
            .descendants()
            .find(|node| node.has_tag_name("g"))
            .unwrap();
        let cells = arguments(&group, "scale")[0] * tokens as f64;
        assert!(width < 120.0 || cells > 0.45 * width, "{cells} of {width}");
    }
}

#[test]
fn panels_stand_in_columns() {
    let wide = HeatMap {
        // Longer numbers beside its bar.
        values: Array2::from_elem((3, 3), 123_456.0),
        ..growing(3, |i| i.to_string())
    };
    let panels = [3, 3, 3].map(|side| growing(side, |i| i.to_string()));
    let [first, second, third] = panels;
    let svg = Figure::new("", 2, vec![wide, first, second, third]).to_svg();
    assert_inside(&svg);
    let document = Document::parse(&svg).unwrap();
    let groups = document.descendants().filter(|node| node.has_tag_name("g"));
    // Cells and bars alternate.
    let places: Vec<f64> = groups
        .step_by(2)
        .map(|group| arguments(&group, "translate")[0])
        .collect();
    assert_eq!((places[0], places[1]), (places[2], places[3]));
}

#[test]
fn hostile_tokens_are_text() {
    let tokens = [
        "<s>&\"'",
        "</text><script>alert(1)</script>",
        "漢字テスト",
        "😀👩‍👩‍👧",
        "שלום",
        "a\nb\u{0}\u{1b}[31m",
        "\u{202e}evil",
        "Donaudampfschifffahrtsgesellschaftskapitänsmütze",
        "",
    ];
    let figure = Figure::new(
        "]]>",
        1,
        vec![growing(tokens.len(), |i| tokens[i].to_owned())],
    );
    let svg = figure.to_svg();
    assert_inside(&svg);
    let document = Document::parse(&svg).unwrap();
    let elements: Vec<&str> = document
        .descendants()
        .map(|node| node.tag_name().name())
        .collect();
    assert!(!elements.contains(&"script"));
    let texts = texts(&document);
    assert!(
        texts.contains(&"<s>&\"'") && texts.contains(&"漢字テスト"),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|text| text.starts_with("Donaudampf") && text.ends_with('…'))
    );
    assert!(!svg.contains(['\u{0}', '\u{1b}', '\u{202e}']));
    assert!(!png(&svg, 72.0).unwrap().is_empty());
}

#[test]
fn a_png_file_is_the_picture_at_its_resolution() {
    let svg = Figure::new("", 1, vec![growing(8, |i| i.to_string())]).to_svg();
    let document = Document::parse(&svg).unwrap();
    let width = attribute(&document.root_element(), "width");
    for dpi in [72.0, 300.0] {
        let bytes = png(&svg, dpi).unwrap();
        let picture = resvg::tiny_skia::Pixmap::decode_png(&bytes).unwrap();
        let expected = width * dpi / 72.0;
        assert!((f64::from(picture.width()) - expected).abs() <= 1.0);
        // Paper in the corner, the largest value's yellow somewhere.
        let paper = picture.pixel(0, 0).unwrap().demultiply();
        assert_eq!(
            (paper.red(), paper.green(), paper.blue(), paper.alpha()),
            (255, 255, 255, 255)
        );
        let yellow = |pixel: &&resvg::tiny_skia::PremultipliedColorU8| {
            pixel.red() > 240 && pixel.green() > 220 && pixel.blue() < 60
        };
        assert!(picture.pixels().iter().filter(yellow).count() > 20);
    }
    assert!(matches!(png(&svg, 1e6), Err(Error::TooLarge { .. })));
    assert!(matches!(png("<svg", 72.0), Err(Error::NotSvg { .. })));
}

#[test]
fn text_is_drawn_where_no_font_is_installed() {
    // The digits of the labels leave ink left of the map.
    let svg = Figure::new("", 1, vec![growing(3, |_| "mmm".to_owned())]).to_svg();
    let bare = Figure::new("", 1, vec![growing(3, |_| String::new())]).to_svg();
    assert_ne!(png(&svg, 72.0).unwrap(), png(&bare, 72.0).unwrap());
}

#[test]
fn maps_hold_the_values_of_the_analysis() {
    let analysis = analysis();
    let mut plotter = plotter();
    let norms = plotter
        .map(LAYER, LayerArray::Norms(Scope::Atb), Heads::Mean, UNCHANGED)
        .unwrap();
    assert_eq!(norms.values, analysis.norms(3, Scope::Atb).unwrap());
    assert_eq!(norms.rows.labels, analysis.tokens());
    assert_eq!(norms.title, "‖y‖, scope atb, layer 3");

    let weights = analysis.attention_weights(3).unwrap();
    let array = LayerArray::AttentionWeights;
    let head = plotter.map(LAYER, array, Heads::One(1), UNCHANGED).unwrap();
    assert_eq!(head.values, weights.index_axis(ndarray::Axis(0), 1));
    assert_eq!(head.title, "α, layer 3, head 1");
    let mean = plotter.map(LAYER, array, Heads::Mean, UNCHANGED).unwrap();
    assert_eq!(mean.values, weights.mean_axis(ndarray::Axis(0)).unwrap());
    assert!(
        mean.title
            .ends_with(&format!("mean of {} heads", weights.dim().0))
    );

    let shares = View {
        rows: Rows::Shares,
        diagonal: Diagonal::Hidden,
    };
    let array = LayerArray::Norms(Scope::Attn);
    let shares = plotter.map(LAYER, array, Heads::Mean, shares).unwrap();
    let norms = analysis.norms(3, Scope::Attn).unwrap();
    for ((i, j), value) in shares.values.indexed_iter() {
        assert_eq!(value.is_nan(), i == j);
        assert!(i == j || (value - norms[(i, j)] / norms.row(i).sum()).abs() < 1e-12);
    }
    assert!(shares.title.starts_with("share of the row’s sum of"));

    let mixing = plotter.mixing(Stack::Only, Scope::Atb.into()).unwrap();
    for (row, layer) in analysis.layers().into_iter().enumerate() {
        let ratio = analysis.mixing_ratio(layer, Scope::Atb).unwrap();
        assert_eq!(mixing.values.row(row), ratio);
        assert_eq!(mixing.rows.labels[row], layer.to_string());
    }
}

#[test]
fn a_change_is_after_less_before() {
    let analysis = analysis();
    let scopes = [Scope::Atb, Scope::AtbFf];
    let figure = plotter().change(LAYER, scopes, UNCHANGED).unwrap();
    let [before, after] = scopes.map(|scope| analysis.norms(3, scope).unwrap());
    let maps: Vec<&HeatMap> = figure.panels.iter().filter_map(Panel::as_map).collect();
    let values: Vec<_> = maps.iter().map(|map| map.values.clone()).collect();
    assert_eq!(values, [before.clone(), after.clone(), &after - &before]);
    assert_eq!(maps[0].scale, maps[1].scale);
    assert_eq!(maps[2].title, "atb_ff − atb");
    assert_inside(&figure.to_svg());
}

#[test]
fn a_file_gives_the_same_pictures() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.safetensors");
    analysis().save(&path, Store::Full).unwrap();
    let mut file = Plotter::open(&path).unwrap();
    let mut memory = plotter();
    assert_eq!(file.layers(Stack::Only), memory.layers(Stack::Only));
    assert_eq!(file.arrays(LAYER), memory.arrays(LAYER));
    let measure = MixingMeasure::AttentionWeights;
    let draw = |plotter: &mut Plotter| {
        let map = plotter.mixing(Stack::Only, measure).unwrap();
        Figure::new("", 1, vec![map]).to_svg()
    };
    assert_eq!(draw(&mut file), draw(&mut memory));
}

#[test]
fn what_is_not_there_is_named() {
    let mut plotter = plotter();
    let mut message = |layer, array, heads| {
        let place = Place {
            stack: Stack::Only,
            layer,
        };
        plotter
            .map(place, array, heads, UNCHANGED)
            .unwrap_err()
            .to_string()
    };
    let norms = LayerArray::Norms(Scope::Atb);
    assert_eq!(
        message(99, norms, Heads::Mean),
        "`it` has no layer 99; its layers are 0, 1, 2, 3"
    );
    let missing = message(3, LayerArray::Norms(Scope::AtbLn), Heads::Mean);
    assert!(missing.starts_with("`it` has no norms.atb_ln at layer 3; it has attention_weights, "));
    let head = message(3, LayerArray::AttentionWeights, Heads::One(77));
    assert!(
        head.starts_with("`it` has no head 77; its heads are 0 to "),
        "{head}"
    );
}

/// A chart of one series on axes with these scales.
fn chart(scales: [AxisScale; 2], marks: Marks, points: Vec<(f64, f64)>) -> Chart {
    Chart {
        title: "[CLS] & <s>".to_owned(),
        x: ChartAxis::new("x", scales[0]),
        y: ChartAxis::new("y", scales[1]),
        marks,
        series: vec![Series {
            name: "a & b".to_owned(),
            points,
        }],
    }
}

/// The centres of a picture's circles.
fn circles(document: &Document<'_>) -> Vec<(f64, f64)> {
    let circles = document
        .descendants()
        .filter(|node| node.has_tag_name("circle"));
    circles
        .map(|circle| (attribute(&circle, "cx"), attribute(&circle, "cy")))
        .collect()
}

#[test]
fn a_chart_has_each_point_at_its_place() {
    let points = vec![(1.0, 0.5), (2.0, 3.0), (4.0, 1.0), (8.0, 2.0)];
    for scales in [
        [AxisScale::Linear, AxisScale::FromZero],
        [AxisScale::Whole, AxisScale::Logarithmic],
        [AxisScale::Logarithmic, AxisScale::Linear],
    ] {
        for marks in [Marks::Points, Marks::Lines] {
            let figure = Figure::new("", 1, [chart(scales, marks, points.clone())]);
            let svg = figure.to_svg();
            assert_inside(&svg);
            let document = Document::parse(&svg).unwrap();
            assert!(texts(&document).contains(&"[CLS] & <s>"));
            assert!(texts(&document).contains(&"a & b"));
            let drawn = circles(&document);
            assert_eq!(drawn.len(), points.len());
            // Coordinates are an affine map of values, or of their logarithms.
            let of = |scale, value: f64| match scale {
                AxisScale::Logarithmic => value.ln(),
                _ => value,
            };
            let share = |a: f64, b: f64, c: f64| (c - a) / (b - a);
            for (point, at) in points.iter().zip(&drawn) {
                let x = |x| of(scales[0], x);
                let expected = share(x(points[0].0), x(points[3].0), x(point.0));
                let found = share(drawn[0].0, drawn[3].0, at.0);
                assert!(
                    (found - expected).abs() < 1e-3,
                    "{scales:?}: {found} {expected}"
                );
                let y = |y| of(scales[1], y);
                let expected = share(y(points[0].1), y(points[1].1), y(point.1));
                let found = share(drawn[0].1, drawn[1].1, at.1);
                assert!(
                    (found - expected).abs() < 1e-3,
                    "{scales:?}: {found} {expected}"
                );
            }
            // Larger values are to the right and above.
            assert!(drawn[3].0 > drawn[0].0 && drawn[1].1 < drawn[0].1);
        }
    }
}

#[test]
fn a_chart_leaves_out_what_has_no_place_on_it() {
    let points = vec![(1.0, 0.5), (100.0, 0.25), (0.0, 0.1), (10.0, f64::NAN)];
    let scales = [AxisScale::Logarithmic, AxisScale::Linear];
    let svg = Figure::new("", 1, [chart(scales, Marks::Points, points)]).to_svg();
    assert_eq!(circles(&Document::parse(&svg).unwrap()).len(), 2);
    let empty = Figure::new("nothing", 1, [chart(scales, Marks::Lines, Vec::new())]);
    assert!(empty.to_svg().contains("nothing"));
    // A stretch that was asked for cuts off the rest.
    let mut cut = chart(
        [AxisScale::Linear; 2],
        Marks::Lines,
        vec![(0.0, 0.0), (5.0, 5.0)],
    );
    cut.x.range = Some((-1.0, 1.0));
    let svg = Figure::new("", 1, [cut]).to_svg();
    assert_eq!(circles(&Document::parse(&svg).unwrap()).len(), 1);
}

#[test]
fn charts_and_maps_share_a_picture_of_a_width() {
    let scales = [AxisScale::Whole, AxisScale::FromZero];
    let points = (1..=12).map(|x| (f64::from(x), f64::from(x * x))).collect();
    let panels = [
        Panel::from(chart(scales, Marks::Lines, points)),
        Panel::from(growing(5, |i| i.to_string())),
    ];
    let mut figure = Figure::new("both", 2, panels);
    figure.width = Some(400.0);
    let svg = figure.to_svg();
    assert_inside(&svg);
    let document = Document::parse(&svg).unwrap();
    let width = attribute(&document.root_element(), "width");
    assert!((395.0..=401.0).contains(&width), "{width}");
}
