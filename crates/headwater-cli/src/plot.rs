//! `headwater plot`.

use std::path::Path;
use std::process::ExitCode;

use headwater::{LayerArray, MixingMeasure, Quantity, Request, Scope, Stack, WholeFile};
use headwater_report::plot::{
    Diagonal, Figure, Heads, HeatMap, POINTS_AN_INCH, Place, Plotter, Rows, View, png,
};

use crate::args::{ChangeArgs, MapArgs, MixingArgs, PictureArgs, Plot, PlotArgs, PlotSource};
use crate::failure::BadInput;
use crate::outputs::{Kind, Reads};
use crate::progress::Verbosity;
use crate::source;

/// Dots an inch that printers ask for.
const DPI: f64 = 300.0;
const MM_AN_INCH: f64 = 25.4;

pub(crate) fn run(args: &PlotArgs, verbosity: Verbosity) -> anyhow::Result<ExitCode> {
    let (picture, source) = match &args.what {
        Plot::Map(args) => (&args.picture, &args.source),
        Plot::Mixing(args) => (&args.picture, &args.source),
        Plot::Change(args) => (&args.picture, &args.source),
    };
    // What is wrong with the options is said before a model is loaded.
    let mut reads = Reads::default();
    if let Some(file) = &source.file {
        reads = reads.file("the command", file);
    }
    if let Some(model) = &source.model.model {
        reads = reads.model(model.as_ref());
    }
    reads.check(&picture.output, Kind::Picture)?;
    let format = Format::of(picture)?;
    let figure = match &args.what {
        Plot::Map(args) => map(args, verbosity),
        Plot::Mixing(args) => mixing(args, verbosity),
        Plot::Change(args) => change(args, verbosity),
    }?;
    let svg = figure.to_svg();
    let bytes = match format {
        Format::Svg => svg.into_bytes(),
        Format::Png(dpi) => png(&svg, dpi)?,
    };
    WholeFile::write(&picture.output, &bytes)?;
    Ok(ExitCode::SUCCESS)
}

/// What is written, with its resolution.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Format {
    Svg,
    Png(f64),
}

impl Format {
    fn of(picture: &PictureArgs) -> anyhow::Result<Self> {
        let PictureArgs {
            output,
            width,
            font_size,
            dpi,
            ..
        } = picture;
        within("--width", *width, "millimetres", 40.0..=5000.0)?;
        within("--font-size", Some(*font_size), "points", 3.0..=72.0)?;
        within("--dpi", *dpi, "dots an inch", 10.0..=2400.0)?;
        let name = output.display();
        match extension(output).as_deref() {
            Some("png") => Ok(Format::Png(dpi.unwrap_or(DPI))),
            Some("svg") if dpi.is_some() => Err(BadInput(format!(
                "--dpi is for PNG files, and {name} has vectors in place of dots; leave it out"
            ))
            .into()),
            Some("svg") => Ok(Format::Svg),
            _ => Err(BadInput(format!(
                "--output {name} has to end in .svg or .png; for paper .svg, which other programs turn into PDF"
            ))
            .into()),
        }
    }
}

fn extension(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?;
    Some(extension.to_ascii_lowercase())
}

fn within(
    option: &str,
    value: Option<f64>,
    unit: &str,
    range: std::ops::RangeInclusive<f64>,
) -> Result<(), BadInput> {
    match value {
        Some(value) if !range.contains(&value) => Err(BadInput(format!(
            "{option} {value} is not from {} to {} {unit}",
            range.start(),
            range.end()
        ))),
        _ => Ok(()),
    }
}

fn map(args: &MapArgs, verbosity: Verbosity) -> anyhow::Result<Figure> {
    let (array, scope) = (args.quantity.array(), args.scope());
    let refuse = |message: &str| Err(BadInput(message.to_owned()));
    match array {
        None if args.head.is_some() => refuse(
            "--head needs --quantity attention_weights or weighted_norms; norms are of all heads together",
        )?,
        Some(_) if scope.is_some() => {
            refuse("--scope goes with norms; leave out --scope or --quantity")?;
        }
        _ => {}
    }
    let quantity = array.map_or(Quantity::Norms, LayerArray::quantity);
    let mut request = Request::new().quantities([quantity]);
    request.scopes = scope.map(|scope| vec![scope]);
    request.layers = args.layer.map(|layer| vec![layer]);
    let mut plotter = plotter(&args.source, request, verbosity)?;
    let place = place(&plotter, &args.source, args.layer)?;
    let array = match (array, scope) {
        (Some(array), _) => array,
        (None, Some(scope)) => LayerArray::Norms(scope),
        (None, None) => {
            let norms = |array: &LayerArray| matches!(array, LayerArray::Norms(_));
            let longest = plotter.arrays(place).into_iter().rfind(norms);
            // Where there are none the error names what there is.
            longest.unwrap_or(LayerArray::Norms(Scope::Attn))
        }
    };
    let heads = args.head.map_or(Heads::Mean, Heads::One);
    let view = view(args.shares, args.without_diagonal);
    let map = plotter.map(place, array, heads, view)?;
    Ok(single(map, &args.picture))
}

fn mixing(args: &MixingArgs, verbosity: Verbosity) -> anyhow::Result<Figure> {
    let measure = args.measure();
    let mut request = Request::new().quantities([Quantity::MixingRatio]);
    request.scopes = match measure {
        Some(MixingMeasure::Scope(scope)) => Some(vec![scope]),
        // The ratios of weights need no scope at all.
        Some(_) => Some(Vec::new()),
        None => None,
    };
    let mut plotter = plotter(&args.source, request, verbosity)?;
    let stack = stack(&plotter, &args.source)?;
    let measure = match measure {
        Some(measure) => measure,
        None => longest_ratio(&plotter, stack)?,
    };
    Ok(single(plotter.mixing(stack, measure)?, &args.picture))
}

fn longest_ratio(plotter: &Plotter, stack: Stack) -> anyhow::Result<MixingMeasure> {
    let layers = plotter.layers(stack).into_iter();
    let arrays = layers.flat_map(|layer| plotter.arrays(Place { stack, layer }));
    let measures = arrays.filter_map(|array| match array {
        LayerArray::MixingRatio(measure) => Some(measure),
        _ => None,
    });
    let none = "there are no mixing ratios; analyze with --quantities mixing_ratio";
    Ok(measures.max().ok_or_else(|| BadInput(none.to_owned()))?)
}

fn change(args: &ChangeArgs, verbosity: Verbosity) -> anyhow::Result<Figure> {
    let scopes: [Scope; 2] = [args.from.0, args.to.0];
    let mut request = Request::new().scopes(scopes).quantities([Quantity::Norms]);
    request.layers = args.layer.map(|layer| vec![layer]);
    let mut plotter = plotter(&args.source, request, verbosity)?;
    let place = place(&plotter, &args.source, args.layer)?;
    let view = view(args.shares, args.without_diagonal);
    let mut figure = plotter.change(place, scopes, view)?;
    if let Some(title) = &args.picture.title {
        figure.title.clone_from(title);
    }
    Ok(styled(figure, &args.picture))
}

fn view(shares: bool, without_diagonal: bool) -> View {
    View {
        rows: if shares {
            Rows::Shares
        } else {
            Rows::Unchanged
        },
        diagonal: if without_diagonal {
            Diagonal::Hidden
        } else {
            Diagonal::Shown
        },
    }
}

/// The analysis in the file, or the one asked for.
fn plotter(source: &PlotSource, request: Request, verbosity: Verbosity) -> anyhow::Result<Plotter> {
    if let Some(file) = &source.file {
        source::check_file(file)?;
        return Ok(Plotter::open(file)?);
    }
    let analysis = source::analysis(&source.model, request, verbosity)?;
    let name = source.model.model.clone().unwrap_or_default();
    Ok(Plotter::new(name, analysis))
}

fn stack(plotter: &Plotter, source: &PlotSource) -> Result<Stack, BadInput> {
    match (source.stack, &plotter.stacks()[..]) {
        (Some(_), [Stack::Only] | []) => Err(BadInput(
            "--stack is for translation models, and this one has only one; leave it out".to_owned(),
        )),
        (Some(name), _) => Ok(name.into()),
        (None, [stack]) => Ok(*stack),
        (None, []) => Err(BadInput("the analysis has no arrays".to_owned())),
        (None, _) => Err(BadInput(
            "the analysis is of a translation model; add --stack encoder or --stack decoder"
                .to_owned(),
        )),
    }
}

fn place(plotter: &Plotter, source: &PlotSource, layer: Option<usize>) -> Result<Place, BadInput> {
    let stack = stack(plotter, source)?;
    let layer = match (layer, &plotter.layers(stack)[..]) {
        (Some(layer), _) | (None, &[layer]) => layer,
        (None, layers) => {
            let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
            let layers = layers.join(", ");
            return Err(BadInput(format!(
                "--layer is missing; there are the layers {layers}"
            )));
        }
    };
    Ok(Place { stack, layer })
}

/// A figure of one map, whose own title gives way to the user's.
fn single(mut map: HeatMap, picture: &PictureArgs) -> Figure {
    if let Some(title) = &picture.title {
        map.title.clone_from(title);
    }
    styled(Figure::new("", 1, vec![map]), picture)
}

fn styled(figure: Figure, picture: &PictureArgs) -> Figure {
    Figure {
        width: picture.width.map(|mm| mm * POINTS_AN_INCH / MM_AN_INCH),
        font_size: picture.font_size,
        ..figure
    }
}
