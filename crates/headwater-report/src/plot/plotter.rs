use std::path::Path;

use headwater_analysis::{
    Analysis, AnalysisReader, ArrayKey, LayerArray, MixingMeasure, Place, Scope, Stack,
};
use ndarray::{Array2, Array3, Axis as ArrayAxis};

use super::figure::Figure;
use super::heat_map::{Axis, Cells, HeatMap};
use super::palette::Scale;
use crate::Error;
use crate::measure::array_name;
use crate::source::Source;

/// Which of the heads of a map are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heads {
    /// The mean over all of them.
    Mean,
    /// One, from 0.
    One(usize),
}

/// What becomes of the rows of a map of norms or weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// They stay as they are.
    Unchanged,
    /// Each is divided by its sum, which makes scopes of different lengths comparable.
    Shares,
}

/// Whether the diagonal of a map is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diagonal {
    /// Like the rest.
    Shown,
    /// It stays white, so that the colours serve the rest: behind a residual
    /// connection it outshines all. Maps to an encoder's tokens have none.
    Hidden,
}

/// How the values of a map are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The rows.
    pub rows: Rows,
    /// The diagonal.
    pub diagonal: Diagonal,
}

/// An analysis from which pictures are made, one array at a time.
pub struct Plotter {
    source: Source,
}

impl Plotter {
    /// Draws from an analysis in memory, which errors call `name`.
    pub fn new(name: impl Into<String>, analysis: Analysis) -> Self {
        Self {
            source: Source::memory(name.into(), analysis),
        }
    }

    /// Draws from an analysis file.
    ///
    /// # Errors
    /// As [`AnalysisReader::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let reader = AnalysisReader::open(path)?;
        Ok(Self {
            source: Source::file(path.display().to_string(), reader),
        })
    }

    /// The stacks of which something was kept.
    pub fn stacks(&self) -> Vec<Stack> {
        let mut stacks: Vec<Stack> = self.source.keys().iter().map(ArrayKey::stack).collect();
        stacks.sort_unstable();
        stacks.dedup();
        stacks
    }

    /// The layers of a stack of which something was kept.
    pub fn layers(&self, stack: Stack) -> Vec<usize> {
        let keys = self.source.keys();
        let of_stack = keys.iter().filter(|key| key.stack() == stack);
        let mut layers: Vec<usize> = of_stack.filter_map(ArrayKey::layer).collect();
        layers.sort_unstable();
        layers.dedup();
        layers
    }

    /// The arrays of a layer, in order.
    pub fn arrays(&self, place: Place) -> Vec<LayerArray> {
        let keys = self.source.keys();
        let of_layer = keys
            .iter()
            .filter(|key| key.stack() == place.stack && key.layer() == Some(place.layer));
        of_layer.filter_map(ArrayKey::array).collect()
    }

    /// A map of targets to sources: norms at a scope, or weights or weighted
    /// norms, of which `heads` are shown.
    ///
    /// # Errors
    /// The analysis has no such layer, array or head; reading fails.
    pub fn map(
        &mut self,
        place: Place,
        array: LayerArray,
        heads: Heads,
        view: View,
    ) -> Result<HeatMap, Error> {
        let (values, of_heads) = self.matrix(place, array, heads)?;
        let mut values = normalized(values, view.rows);
        if view.diagonal == Diagonal::Hidden && !array.is_cross() {
            values.diag_mut().fill(f64::NAN);
        }
        let title = [
            Some(format!("{}{}", shares(view.rows), symbol(array))),
            Some(place.to_string()),
            of_heads,
        ];
        let title: Vec<String> = title.into_iter().flatten().collect();
        Ok(HeatMap {
            title: title.join(", "),
            rows: self.targets(place.stack),
            columns: self.sources(place.stack, array),
            values,
            cells: Cells::Square,
            scale: Scale::FromZero,
        })
    }

    /// Mixing ratios: a row a layer, a column a token.
    ///
    /// # Errors
    /// As [`Plotter::map`]; some layer lacks the measure.
    pub fn mixing(&mut self, stack: Stack, measure: MixingMeasure) -> Result<HeatMap, Error> {
        let array = LayerArray::MixingRatio(measure);
        let layers = self.layers(stack);
        let mut values = Vec::new();
        for &layer in &layers {
            values.extend(self.values(Place { stack, layer }, array)?);
        }
        let tokens = self.targets(stack).labels;
        let shape = (layers.len(), tokens.len());
        let values = Array2::from_shape_vec(shape, values);
        Ok(HeatMap {
            title: format!("mixing ratio, {}{}", stack.words(), measure.slug()),
            rows: Axis::new("layer", layers.iter().map(ToString::to_string)),
            columns: Axis::new("token", tokens),
            values: values.expect("every layer has a ratio a token"),
            cells: Cells::Line,
            scale: Scale::FromZero,
        })
    }

    /// Norms at two scopes, and what the second has more: three maps side by
    /// side, the first two with one scale.
    ///
    /// # Errors
    /// As [`Plotter::map`]; the scopes have different sources.
    pub fn change(
        &mut self,
        place: Place,
        [before, after]: [Scope; 2],
        view: View,
    ) -> Result<Figure, Error> {
        let mut one = |scope: Scope| {
            let map = self.map(place, LayerArray::Norms(scope), Heads::Mean, view)?;
            let title = format!("scope {scope}");
            Ok::<_, Error>(HeatMap { title, ..map })
        };
        let (first, second) = (one(before)?, one(after)?);
        if first.values.dim() != second.values.dim() {
            return Err(Error::DifferentSources {
                before: before.slug(),
                after: after.slug(),
            });
        }
        let both = first.values.iter().chain(&second.values);
        // The maximum of a number and no number is the number.
        let scale = Scale::UpTo(both.copied().fold(0.0, f64::max));
        // The first map names the rows for all three.
        let none = Axis::new("", []);
        let difference = HeatMap {
            title: format!("{after} − {before}"),
            values: &second.values - &first.values,
            scale: Scale::Difference,
            rows: none.clone(),
            ..second.clone()
        };
        let second = HeatMap {
            rows: none,
            scale,
            ..second
        };
        let first = HeatMap { scale, ..first };
        let title = format!("{}‖y‖, {place}", shares(view.rows));
        Ok(Figure::new(title, 3, vec![first, second, difference]))
    }

    /// One matrix, and which heads it is of if there are some.
    fn matrix(
        &mut self,
        place: Place,
        array: LayerArray,
        heads: Heads,
    ) -> Result<(Array2<f64>, Option<String>), Error> {
        let values = self.values(place, array)?;
        let (targets, sources) = (
            self.targets(place.stack).labels.len(),
            self.sources(place.stack, array).labels.len(),
        );
        let count = values.len() / (targets * sources).max(1);
        let values = Array3::from_shape_vec((count, targets, sources), values)
            .expect("an analysis has the shapes of its tokens");
        if let LayerArray::Norms(_) = array {
            return Ok((values.index_axis_move(ArrayAxis(0), 0), None));
        }
        match heads {
            Heads::One(head) if head >= count => Err(Error::NoSuchHead {
                name: self.source.name.clone(),
                head,
                last: count - 1,
            }),
            Heads::One(head) => Ok((
                values.index_axis_move(ArrayAxis(0), head),
                Some(format!("head {head}")),
            )),
            Heads::Mean => Ok((
                values
                    .mean_axis(ArrayAxis(0))
                    .expect("a model has at least one head"),
                Some(format!("mean of {count} heads")),
            )),
        }
    }

    fn values(&mut self, place: Place, array: LayerArray) -> Result<Vec<f64>, Error> {
        match self.source.values(&array.of(place.stack, place.layer))? {
            Some(values) => Ok(values),
            None => Err(self.missing(place, array)),
        }
    }

    /// The error for an array that is not there.
    fn missing(&self, place: Place, array: LayerArray) -> Error {
        let layers = self.layers(place.stack);
        let name = self.source.name.clone();
        if !layers.contains(&place.layer) {
            let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
            return Error::NoSuchLayer {
                name,
                layer: place.to_string(),
                known: layers.join(", "),
            };
        }
        let alike = |other: &LayerArray| match array {
            LayerArray::MixingRatio(_) => matches!(other, LayerArray::MixingRatio(_)),
            _ => is_map(*other),
        };
        let known = self.arrays(place).into_iter().filter(alike);
        let known: Vec<String> = known.map(array_name).collect();
        Error::NoSuchArray {
            name,
            array: array_name(array),
            layer: place.to_string(),
            known: match known.is_empty() {
                true => "none of the kind".to_owned(),
                false => known.join(", "),
            },
        }
    }

    fn targets(&self, stack: Stack) -> Axis {
        Axis::new("target", self.source.readable_tokens(stack))
    }

    fn sources(&self, stack: Stack, array: LayerArray) -> Axis {
        let stack = if array.is_cross() {
            Stack::Encoder
        } else {
            stack
        };
        Axis::new("source", self.source.readable_tokens(stack))
    }
}

/// Whether an array is a map from targets to sources.
fn is_map(array: LayerArray) -> bool {
    matches!(
        array,
        LayerArray::AttentionWeights
            | LayerArray::WeightedNorms
            | LayerArray::CrossAttentionWeights
            | LayerArray::CrossWeightedNorms
            | LayerArray::Norms(_)
    )
}

/// What the values of a map are.
fn symbol(array: LayerArray) -> String {
    match array {
        LayerArray::AttentionWeights => "α".to_owned(),
        LayerArray::WeightedNorms => "‖αf(x)‖".to_owned(),
        LayerArray::CrossAttentionWeights => "cross-attention α".to_owned(),
        LayerArray::CrossWeightedNorms => "cross-attention ‖αf(x)‖".to_owned(),
        LayerArray::Norms(scope) => format!("‖y‖, scope {scope}"),
        other => array_name(other),
    }
}

fn shares(rows: Rows) -> &'static str {
    match rows {
        Rows::Unchanged => "",
        Rows::Shares => "share of the row’s sum of ",
    }
}

/// A row that sums to nothing has no shares; it stays empty.
fn normalized(mut values: Array2<f64>, rows: Rows) -> Array2<f64> {
    if rows == Rows::Shares {
        for mut row in values.rows_mut() {
            let sum = row.sum();
            row.mapv_inplace(|value| value / sum);
        }
    }
    values
}
