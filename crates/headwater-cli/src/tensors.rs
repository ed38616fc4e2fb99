//! Tensors of a model as people read them: one line for what every layer has.

use std::fmt;

use serde::Serialize;

use crate::failure::printable;

/// A tensor as the file names it.
#[derive(Debug, Serialize)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: String,
}

impl Tensor {
    pub(crate) fn new(name: &str, shape: &[usize], dtype: impl fmt::Display) -> Self {
        Self {
            name: name.to_owned(),
            shape: shape.to_vec(),
            dtype: dtype.to_string(),
        }
    }

    /// The name before and behind the number of a layer, if one is in it.
    fn layer(&self) -> Option<(&str, usize, &str)> {
        let mut start = 0;
        for part in self.name.split('.') {
            let end = start + part.len();
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if let (true, Ok(layer)) = (is_number, part.parse()) {
                return Some((&self.name[..start], layer, &self.name[end..]));
            }
            start = end + 1;
        }
        None
    }
}

/// Tensors that differ in the number of their layer alone.
struct Alike<'a> {
    first: &'a Tensor,
    /// In the order of the list; none for a tensor of no layer.
    layers: Vec<usize>,
    /// How many there are of each, parts of a fused tensor.
    parts: usize,
}

/// Tensors in the order of the first of each kind.
fn alike(tensors: &[Tensor]) -> Vec<Alike<'_>> {
    let mut groups: Vec<Alike<'_>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for tensor in tensors {
        let (before, layer, behind) = match tensor.layer() {
            Some((before, layer, behind)) => (before, Some(layer), behind),
            None => (tensor.name.as_str(), None, ""),
        };
        let kind = (
            before,
            layer.is_some(),
            behind,
            &tensor.shape,
            &tensor.dtype,
        );
        let place = *places.entry(kind).or_insert_with(|| {
            groups.push(Alike {
                first: tensor,
                layers: Vec::new(),
                parts: 0,
            });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.parts += 1;
        if let Some(layer) = layer
            && !group.layers.contains(&layer)
        {
            group.layers.push(layer);
        }
    }
    for group in &mut groups {
        group.parts /= group.layers.len().max(1);
    }
    groups
}

impl fmt::Display for Alike<'_> {
    /// `bert.encoder.layer.{0-11}.output.dense.weight`, as a shell would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tensor { name, shape, dtype } = self.first;
        let name = match (self.first.layer(), &self.layers[..]) {
            (Some((before, _, behind)), [_, _, ..]) => {
                format!("{before}{{{}}}{behind}", ranges(&self.layers))
            }
            _ => name.clone(),
        };
        write!(
            f,
            "  {dtype:<4} {:<14} {}",
            format!("{shape:?}"),
            printable(&name)
        )?;
        match self.parts {
            0 | 1 => writeln!(f),
            parts => writeln!(f, ", {parts} parts"),
        }
    }
}

/// Numbers in ascending order, neighbours together: `0-3,5`.
fn ranges(numbers: &[usize]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|&a, &b| a.checked_add(1) == Some(b));
    let runs = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run[0].to_string(),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// Writes a list of tensors, each or one line for those of all layers.
pub(crate) fn write(
    f: &mut impl fmt::Write,
    title: &str,
    tensors: &[Tensor],
    each: bool,
) -> fmt::Result {
    writeln!(f, "\n{title}: {} tensors", tensors.len())?;
    if each {
        for first in tensors {
            let (layers, parts) = (Vec::new(), 1);
            let single = Alike {
                first,
                layers,
                parts,
            };
            write!(f, "{single}")?;
        }
        return Ok(());
    }
    for alike in alike(tensors) {
        write!(f, "{alike}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(names: &[(&str, &[usize])], each: bool) -> String {
        let tensors: Vec<Tensor> = names
            .iter()
            .map(|(name, shape)| Tensor::new(name, shape, "F32"))
            .collect();
        let mut text = String::new();
        write(&mut text, "used", &tensors, each).unwrap();
        text
    }

    #[test]
    fn layers_share_a_line_as_far_as_they_are_alike() {
        let names: &[(&str, &[usize])] = &[
            ("wte.weight", &[9, 4]),
            ("h.0.fc.weight", &[4, 8]),
            ("h.0.attn.weight", &[4, 4]),
            ("h.0.attn.weight", &[4, 4]),
            ("h.0.attn.weight", &[4, 4]),
            ("h.10.fc.weight", &[4, 8]),
            ("h.1.fc.weight", &[4, 8]),
            ("h.1.attn.weight", &[4, 4]),
            ("h.1.attn.weight", &[4, 4]),
            ("h.1.attn.weight", &[4, 4]),
            ("h.2.fc.weight", &[4, 9]),
            ("wte.bias", &[9]),
        ];
        let expected = "\nused: 12 tensors\n\
            \x20 F32  [9, 4]         wte.weight\n\
            \x20 F32  [4, 8]         h.{0-1,10}.fc.weight\n\
            \x20 F32  [4, 4]         h.{0-1}.attn.weight, 3 parts\n\
            \x20 F32  [4, 9]         h.2.fc.weight\n\
            \x20 F32  [9]            wte.bias\n";
        assert_eq!(written(names, false), expected);
        assert_eq!(written(names, true).lines().count(), 2 + names.len());
        assert!(written(names, true).contains(" h.10.fc.weight\n"));
    }

    #[test]
    fn names_may_be_anything() {
        for name in ["", ".", "0", "a..1.b", "99999999999999999999.a", "é.1.ü"] {
            let text = written(&[(name, &[1]), (name, &[1])], false);
            assert_eq!(text.lines().count(), 3, "{text}");
        }
        let apart = written(&[("a.1", &[1]), ("a..1", &[1]), ("a.1.", &[1])], false);
        assert_eq!(apart.lines().count(), 5, "{apart}");
    }
}
