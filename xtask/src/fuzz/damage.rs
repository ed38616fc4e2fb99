//! Ways to damage a file.

use std::path::Path;

use anyhow::ensure;
use fastrand::Rng;
use serde_json::{Map, Value};

/// The files that make up a model, and how often each is damaged.
const FILES: [(&str, usize); 9] = [
    ("config.json", 8),
    ("model.safetensors", 6),
    ("tokenizer.json", 6),
    ("generation_config.json", 4),
    ("tokenizer_config.json", 3),
    ("vocab.json", 3),
    ("source.spm", 3),
    ("target.spm", 3),
    ("vocab.txt", 1),
];

/// Numbers at the ends of what types hold, and some that no file means.
const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "-0.0",
    "0.5",
    "1e-320",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e15",
    "1e308",
    "1e999",
];

/// Texts that mean something to somebody.
const TEXTS: [&str; 8] = [
    "",
    "\u{0}",
    "NaN",
    "../../x",
    "é\u{301}",
    "{",
    "[UNK]",
    "\u{10ffff}",
];

/// A file of a model.
pub(super) struct Whole {
    name: &'static str,
    weight: usize,
    bytes: Vec<u8>,
}

/// A damaged file.
pub(super) struct Damage {
    pub(super) file: String,
    pub(super) bytes: Vec<u8>,
    pub(super) how: String,
}

/// The files of a model that can be damaged.
///
/// # Errors
/// There are none, or one cannot be read.
pub(super) fn files(directory: &Path) -> anyhow::Result<Vec<Whole>> {
    let mut files = Vec::new();
    for (name, weight) in FILES {
        let path = directory.join(name);
        if path.is_file() {
            let bytes = super::read(&path)?;
            files.push(Whole {
                name,
                weight,
                bytes,
            });
        }
    }
    ensure!(!files.is_empty(), "no model in {}", directory.display());
    Ok(files)
}

/// Draws a file and damage to it.
pub(super) fn draw(files: &[Whole], random: &mut Rng) -> Damage {
    let total: usize = files.iter().map(|file| file.weight).sum();
    let mut drawn = random.usize(..total);
    let file = files.iter().find(|file| {
        let is_it = drawn < file.weight;
        drawn = drawn.wrapping_sub(if is_it { 0 } else { file.weight });
        is_it
    });
    // The weights sum to the total.
    let file = file.unwrap_or(&files[0]);
    let (bytes, how) = match file.name.rsplit('.').next() {
        Some("json") => match random.u8(..8) {
            0 => bytes(&file.bytes, random),
            1 | 2 => digits(&file.bytes, random),
            _ => json(&file.bytes, random),
        },
        Some("safetensors") => match random.u8(..8) {
            0 | 1 => bytes(&file.bytes, random),
            2 => length(&file.bytes, random),
            3 => floats(&file.bytes, random),
            _ => header(&file.bytes, random),
        },
        _ => bytes(&file.bytes, random),
    };
    Damage {
        file: file.name.to_owned(),
        bytes,
        how,
    }
}

type Damaged = (Vec<u8>, String);

/// Bytes changed, cut out, doubled, put in, or cut off.
fn bytes(whole: &[u8], random: &mut Rng) -> Damaged {
    let mut bytes = whole.to_vec();
    let at = random.usize(..=bytes.len());
    let length = random.usize(..=16.min(bytes.len() - at));
    let how = match random.u8(..7) {
        0 => {
            bytes.truncate(at);
            format!("cut off at byte {at}")
        }
        1 => {
            bytes.drain(at..at + length);
            format!("{length} bytes cut out at {at}")
        }
        2 => {
            let piece = bytes[at..at + length].to_vec();
            bytes.splice(at..at, piece);
            format!("{length} bytes doubled at {at}")
        }
        3 => {
            let piece: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            bytes.splice(at..at, piece);
            format!("{length} bytes put in at {at}")
        }
        4 => {
            let fill = [0, 0x7f, 0x80, 0xff][random.usize(..4)];
            bytes[at..at + length].fill(fill);
            format!("{length} bytes of {fill:#x} at {at}")
        }
        5 => {
            let more = random.usize(1..4096);
            bytes.extend((0..more).map(|_| random.u8(..)));
            format!("{more} bytes added")
        }
        _ => {
            let flips = random.usize(1..=8);
            for _ in 0..flips {
                let at = random.usize(..bytes.len());
                bytes[at] ^= 1 << random.u8(..8);
            }
            format!("{flips} bits turned over")
        }
    };
    (bytes, how)
}

/// A number of a text changed in one digit or for another number.
fn digits(whole: &[u8], random: &mut Rng) -> Damaged {
    let starts: Vec<usize> = (0..whole.len())
        .filter(|&at| whole[at].is_ascii_digit() && (at == 0 || !whole[at - 1].is_ascii_digit()))
        .collect();
    if starts.is_empty() {
        return bytes(whole, random);
    }
    let start = starts[random.usize(..starts.len())];
    let length = whole[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let mut bytes = whole.to_vec();
    if random.bool() {
        let at = start + random.usize(..length);
        bytes[at] = b'0' + random.u8(..10);
        return (bytes, format!("a digit at byte {at}"));
    }
    let number = NUMBERS[random.usize(..NUMBERS.len())];
    bytes.splice(start..start + length, number.bytes());
    (bytes, format!("{number} at byte {start}"))
}

/// A value of a JSON text changed for another, removed, doubled or renamed.
fn json(whole: &[u8], random: &mut Rng) -> Damaged {
    let Ok(mut value) = serde_json::from_slice::<Value>(whole) else {
        return bytes(whole, random);
    };
    let mut text = None;
    let how = change(&mut value, &mut text, random);
    let bytes = match text {
        Some((marker, number)) => {
            // What serde_json's numbers cannot say.
            value.to_string().replace(&marker, &number).into_bytes()
        }
        None => value.to_string().into_bytes(),
    };
    (bytes, how)
}

/// A text that stands for what no value can say, and that.
type Marker = Option<(String, String)>;

/// Changes one place of a value, at any depth.
fn change(value: &mut Value, marker: &mut Marker, random: &mut Rng) -> String {
    let mut path = String::new();
    let mut place = value;
    // Down to a place; short ways are drawn more often, so that the tables of a
    // tokenizer do not hide its settings.
    loop {
        let length = match &*place {
            Value::Object(map) => map.len(),
            Value::Array(list) => list.len(),
            _ => 0,
        };
        if length == 0 || (!path.is_empty() && random.u8(..4) == 0) {
            break;
        }
        let at = random.usize(..length);
        place = match place {
            Value::Object(map) => {
                if random.u8(..8) == 0 {
                    return key(map, at, &path, marker, random);
                }
                let (key, next) = map.iter_mut().nth(at).expect("the place is one of them");
                path = format!("{path}/{key}");
                next
            }
            Value::Array(list) => {
                if random.u8(..8) == 0 {
                    return element(list, at, &path, random);
                }
                path = format!("{path}/{at}");
                &mut list[at]
            }
            _ => unreachable!("nothing else has a length"),
        };
    }
    let (new, shown) = other(place, marker, random);
    *place = new;
    format!("{path} is {shown}")
}

/// Removes, renames or doubles a key.
fn key(
    map: &mut Map<String, Value>,
    at: usize,
    path: &str,
    marker: &mut Marker,
    random: &mut Rng,
) -> String {
    let name = map.keys().nth(at).expect("the key is one of them").clone();
    match random.u8(..3) {
        0 => {
            map.remove(&name);
            format!("{path}/{name} removed")
        }
        1 => {
            let value = map.remove(&name).unwrap_or_default();
            let mut renamed: Vec<char> = name.chars().collect();
            match renamed.len() {
                0 => renamed.push('x'),
                length => {
                    renamed.remove(random.usize(..length));
                }
            }
            let renamed: String = renamed.into_iter().collect();
            map.insert(renamed.clone(), value);
            format!("{path}/{name} renamed {renamed}")
        }
        _ => {
            // A second key of the name, which no map can hold.
            let text = "headwater-doubled-key".to_owned();
            map.insert(text.clone(), Value::Null);
            *marker = Some((format!("{text:?}"), Value::from(name.clone()).to_string()));
            format!("{path}/{name} doubled, the second null")
        }
    }
}

/// Removes, doubles or exchanges elements.
fn element(list: &mut Vec<Value>, at: usize, path: &str, random: &mut Rng) -> String {
    match random.u8(..3) {
        0 => {
            list.remove(at);
            format!("{path}/{at} removed")
        }
        1 => {
            let copy = list[at].clone();
            let times = random.usize(1..=3);
            list.splice(at..at, std::iter::repeat_n(copy, times));
            format!("{path}/{at} doubled {times} times")
        }
        _ => {
            let with = random.usize(..list.len());
            list.swap(at, with);
            format!("{path}/{at} exchanged with {with}")
        }
    }
}

/// Another value in the place of one, and what it is.
fn other(value: &Value, marker: &mut Marker, random: &mut Rng) -> (Value, String) {
    let new = match (value, random.u8(..8)) {
        // Near what was there, so that checks on types do not catch everything.
        (Value::Number(number), 0..=1) => {
            let near = number.as_i64().unwrap_or(0);
            let change = random.i64(-3..=3);
            Value::from(near.wrapping_add(change))
        }
        (Value::Number(_), 2..=5) | (_, 0) => {
            let number = NUMBERS[random.usize(..NUMBERS.len())];
            let text = "headwater-number".to_owned();
            *marker = Some((format!("{text:?}"), number.to_owned()));
            return (Value::from(text), number.to_owned());
        }
        (Value::Bool(value), 1..=5) => Value::from(!value),
        (Value::String(text), 1..=2) => {
            let mut chars: Vec<char> = text.chars().collect();
            if !chars.is_empty() {
                chars.remove(random.usize(..chars.len()));
            }
            Value::from(chars.into_iter().collect::<String>())
        }
        (_, 3) => Value::Null,
        (_, 4) => Value::Array(Vec::new()),
        (_, 5) => Value::Object(Map::new()),
        (_, 6) => Value::Bool(random.bool()),
        _ => Value::from(TEXTS[random.usize(..TEXTS.len())]),
    };
    let shown = new.to_string();
    (new, shown)
}

/// The length in front of a header.
fn length(whole: &[u8], random: &mut Rng) -> Damaged {
    let Some((front, rest)) = whole.split_first_chunk::<8>() else {
        return bytes(whole, random);
    };
    let length = u64::from_le_bytes(*front);
    let new = match random.u8(..4) {
        0 => random.u64(..),
        1 => length.wrapping_add(random.u64(..17)).wrapping_sub(8),
        2 => 1 << random.u32(..64),
        _ => u64::MAX - random.u64(..16),
    };
    let bytes = [&new.to_le_bytes()[..], rest].concat();
    (bytes, format!("a header of {new} bytes"))
}

/// The header, with a length that is right for it.
fn header(whole: &[u8], random: &mut Rng) -> Damaged {
    let parts = whole.split_first_chunk::<8>().and_then(|(front, rest)| {
        let length = usize::try_from(u64::from_le_bytes(*front)).ok()?;
        rest.split_at_checked(length)
    });
    let Some((header, data)) = parts else {
        return bytes(whole, random);
    };
    let (header, how) = match random.u8(..4) {
        0 => digits(header, random),
        1 => bytes(header, random),
        _ => json(header, random),
    };
    let length = (header.len() as u64).to_le_bytes();
    let bytes = [&length[..], &header, data].concat();
    (bytes, format!("in the header, {how}"))
}

/// Weights that are infinite, not a number, huge or tiny.
fn floats(whole: &[u8], random: &mut Rng) -> Damaged {
    let value = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN_POSITIVE / 2.0,
        1e30,
        -0.0,
    ][random.usize(..7)];
    let mut bytes = whole.to_vec();
    let count = random.usize(1..=64);
    // The data lie behind the header, in the greater part of the file.
    let begin = bytes.len() / 8;
    for _ in 0..count {
        let at = random.usize(begin..bytes.len() - 4) / 4 * 4;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    (bytes, format!("{count} weights of {value:e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wholes() -> Vec<Whole> {
        let header = r#"{"a":{"dtype":"F32","shape":[2,8],"data_offsets":[0,64]}}"#;
        let weights = [
            &(header.len() as u64).to_le_bytes()[..],
            header.as_bytes(),
            &[1; 64],
        ];
        let json = r#"{"size": 12, "list": [1, 2.5, "a"], "inner": {"on": true, "name": "x"}}"#;
        vec![
            Whole {
                name: "config.json",
                weight: 2,
                bytes: json.as_bytes().to_vec(),
            },
            Whole {
                name: "model.safetensors",
                weight: 1,
                bytes: weights.concat(),
            },
            Whole {
                name: "source.spm",
                weight: 1,
                bytes: vec![7; 40],
            },
        ]
    }

    #[test]
    fn damage_is_drawn_by_its_seed_and_is_of_every_kind() {
        let files = wholes();
        let draw = |seed| {
            let damage = draw(&files, &mut Rng::with_seed(seed));
            (damage.file, damage.bytes, damage.how)
        };
        let drawn: Vec<_> = (0..2000).map(draw).collect();
        assert_eq!(drawn, (0..2000).map(draw).collect::<Vec<_>>());
        let changed = drawn.iter().filter(|(file, bytes, _)| {
            let whole = files.iter().find(|whole| whole.name == file);
            whole.is_some_and(|whole| whole.bytes != *bytes)
        });
        // A digit may be drawn that was there.
        assert!(changed.count() > 1900);
        for kind in [
            "cut off",
            "cut out",
            "doubled at",
            "put in",
            "bytes of 0xff",
            "added",
            "turned over",
            "a digit at",
            "1e999 at",
            "/size is",
            "/inner/on is false",
            "/list/1 is 18446744073709551616",
            "/size removed",
            "/size renamed",
            "/size doubled, the second null",
            "/list/0 exchanged",
            "a header of",
            "in the header, /a/shape",
            "weights of NaN",
        ] {
            assert!(drawn.iter().any(|(.., how)| how.contains(kind)), "{kind}");
        }
        let twice = drawn.iter().find(|(.., how)| how.contains("/size doubled"));
        let (_, bytes, _) = twice.unwrap();
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(text.matches("\"size\":").count(), 2, "{text}");
        let huge = drawn.iter().find(|(.., how)| how == "/size is 1e999");
        assert!(String::from_utf8_lossy(&huge.unwrap().1).contains("\"size\":1e999"));
    }
}
