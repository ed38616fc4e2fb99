//! The first reading of the analyses: how large their values are, and how
//! precisely a page of reasonable size can keep them.

use crate::Error;
use crate::measure::{Contents, Measure, Part};
use crate::packed::Survey;
use crate::source::Source;
use headwater_analysis::LayerArray;

/// Bytes of data that a page may always have: a text of 128 tokens with 12 layers of
/// 12 heads stays below 5 MB.
const PAGE_BYTES: f64 = 4.8e6;
/// Bytes that it may have for each value if it has many: the same model with
/// 512 tokens stays below 60 MB.
const BYTES_A_VALUE: f64 = 1.11;

/// Significant digits of a typical value: of what has heads, and of norm maps;
/// from the finest to the coarsest.
const DIGITS: [(i32, i32); 9] = [
    (6, 6),
    (5, 5),
    (4, 4),
    (3, 4),
    (3, 3),
    (2, 3),
    (2, 2),
    (1, 2),
    (1, 1),
];

/// How a map is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Its values.
    Stored,
    /// Not at all: it is the product of attention weights and ‖f(x)‖.
    Product,
    /// Its diagonal; the rest is that of the scope before, as with a residual connection.
    LikeBefore,
}

/// The maps of one measure in one layer.
#[derive(Debug)]
pub(crate) struct Surveyed {
    pub(crate) measure: Measure,
    pub(crate) form: Form,
    /// One a head, or just one.
    pub(crate) maps: Vec<Survey>,
}

/// The maps of one layer, each with its values, all heads in one.
pub(crate) struct LayerMaps {
    pub(crate) measure: Measure,
    pub(crate) form: Form,
    pub(crate) values: Vec<f64>,
}

/// Reads the maps of a layer, in the order of the contents.
pub(crate) fn read_layer(
    source: &mut Source,
    contents: &Contents,
    layer: usize,
) -> Result<Vec<LayerMaps>, Error> {
    let part = contents.part;
    let columns = source.tokens(part.sources()).len();
    let mut maps: Vec<LayerMaps> = Vec::new();
    for &measure in &contents.measures {
        let product = measure == Measure::WeightedNorms && contents.has_factors;
        let values = if product {
            let norms = read(source, part, part.transformed_norms(), layer)?;
            // Of the two factors, the weights are the first of the measures.
            product_of(&maps[0].values, &norms, columns)
        } else {
            read(source, part, part.array(measure), layer)?
        };
        let form = match maps.last() {
            _ if product => Form::Product,
            Some(before)
                if !part.is_cross
                    && !measure.has_heads()
                    && !before.measure.has_heads()
                    && same_off_diagonal(&before.values, &values, columns) =>
            {
                Form::LikeBefore
            }
            _ => Form::Stored,
        };
        maps.push(LayerMaps {
            measure,
            form,
            values,
        });
    }
    Ok(maps)
}

/// The values of an array that the contents promise.
pub(crate) fn read(
    source: &mut Source,
    part: Part,
    array: LayerArray,
    layer: usize,
) -> Result<Vec<f64>, Error> {
    let key = array.of(part.stack, layer);
    Ok(source.values(&key)?.unwrap_or_default())
}

/// ‖αf(x)‖ = α ‖f(x)‖, `[head, target, source]`.
fn product_of(weights: &[f64], norms: &[f64], columns: usize) -> Vec<f64> {
    let heads = norms.len() / columns;
    let rows = weights.len() / heads / columns;
    let mut product = weights.to_vec();
    for (head, map) in product.chunks_mut(rows * columns).enumerate() {
        let norms = &norms[head * columns..][..columns];
        for row in map.chunks_mut(columns) {
            row.iter_mut()
                .zip(norms)
                .for_each(|(value, norm)| *value *= norm);
        }
    }
    product
}

fn same_off_diagonal(before: &[f64], values: &[f64], columns: usize) -> bool {
    before
        .iter()
        .zip(values)
        .enumerate()
        .all(|(index, (a, b))| a == b || index / columns == index % columns)
}

impl LayerMaps {
    pub(crate) fn survey(&self, contents: &Contents, columns: usize) -> Surveyed {
        let count = match self.measure.has_heads() {
            true => contents.heads,
            false => 1,
        };
        let square = !contents.part.is_cross;
        let size = self.values.len() / count;
        let maps = self.values.chunks(size);
        Surveyed {
            measure: self.measure,
            form: self.form,
            maps: maps.map(|map| Survey::new(map, columns, square)).collect(),
        }
    }
}

/// The bytes that the data of a page may have.
pub(crate) fn allowed_bytes(surveyed: &[&Surveyed]) -> f64 {
    let count: usize = stored(surveyed).map(|(_, map)| map.count).sum();
    f64::max(PAGE_BYTES, BYTES_A_VALUE * count as f64)
}

/// The maps whose values are stored.
fn stored<'a>(surveyed: &'a [&Surveyed]) -> impl Iterator<Item = (Measure, &'a Survey)> {
    surveyed
        .iter()
        .filter(|maps| maps.form == Form::Stored)
        .flat_map(|maps| maps.maps.iter().map(|map| (maps.measure, map)))
}

/// The digits that typical values get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digits {
    of_heads: i32,
    of_norms: i32,
}

impl Digits {
    /// From the finest with which the maps may fit into so many bytes to the coarsest.
    pub(crate) fn fitting(surveyed: &[&Surveyed], bytes: f64) -> impl Iterator<Item = Self> {
        let ladder = DIGITS.map(|(of_heads, of_norms)| Self { of_heads, of_norms });
        let coarsest = ladder[ladder.len() - 1];
        let fits = move |digits: &Self| {
            let maps = stored(surveyed).map(|(measure, map)| {
                let decimals = map.decimals(digits.of(measure));
                // Four characters for three bytes.
                map.estimated_bytes(decimals) * 4.0 / 3.0
            });
            maps.sum::<f64>() <= bytes
        };
        let finer = ladder.into_iter().take(DIGITS.len() - 1).filter(fits);
        finer.chain(std::iter::once(coarsest))
    }

    pub(crate) fn of(&self, measure: Measure) -> i32 {
        if measure.has_heads() {
            self.of_heads
        } else {
            self.of_norms
        }
    }
}
