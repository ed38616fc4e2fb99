//! Round numbers for axes and colour bars, and which labels of an axis have room.

/// Round numbers from `low` to `high`, at most `most` and at least one, as
/// numbers and as text with the decimals that tell them apart.
pub(crate) fn round_numbers(low: f64, high: f64, most: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / most.max(2) as f64;
    let magnitude = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * magnitude);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|index| {
            let value = index as f64 * step;
            let text = match decimals {
                0..=5 if step < 1e5 => format!("{value:.decimals$}"),
                _ => format!("{value:.0e}"),
            };
            (value, text.replace('-', "−"))
        })
        .collect()
}

/// Whole numbers from `low` to `high`: all, or every second, fifth, tenth …, so
/// that they are `room` apart on an axis of a length.
pub(crate) fn whole_numbers(low: f64, high: f64, length: f64, room: f64) -> Vec<(f64, String)> {
    let step = every(length / (high - low), room) as i64;
    // The first layer rather than the second.
    let first = i64::from(step == 2);
    let numbers = low.ceil() as i64..=high.floor() as i64;
    numbers
        .filter(|number| (number - first) % step == 0)
        .map(|number| (number as f64, number.to_string().replace('-', "−")))
        .collect()
}

/// Powers of 10 from `low` to `high`, or of 2 where those would be too few, at
/// most about `most`; round numbers where there are none.
pub(crate) fn powers(low: f64, high: f64, most: usize) -> Vec<(f64, String)> {
    let base: f64 = if high < 100.0 * low { 2.0 } else { 10.0 };
    let exponent = |value: f64| value.ln() / base.ln();
    let first = (exponent(low) - 1e-9).ceil() as i32;
    let last = (exponent(high) + 1e-9).floor() as i32;
    if last <= first {
        return round_numbers(low, high, most);
    }
    let step = ((last - first) as usize / most.max(1) + 1) as i32;
    let exponents = (first..=last).filter(|exponent| exponent % step == 0);
    exponents
        .map(|exponent| {
            let value = base.powi(exponent);
            (value, plain(value))
        })
        .collect()
}

/// A positive number, short whatever its size.
fn plain(value: f64) -> String {
    if !(1e-3..1e5).contains(&value) {
        return format!("{value:.0e}").replace('-', "−");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Every how many labels one is drawn, so that they are `room` apart where
/// the cells are `cell` wide: 1, 2, 5, 10, 20, …
pub(crate) fn every(cell: f64, room: f64) -> usize {
    let mut decade = 1;
    loop {
        for factor in [1, 2, 5] {
            let step = factor * decade;
            if step as f64 * cell >= room || step >= 1_000_000 {
                return step;
            }
        }
        decade *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let texts = |low, high| {
            let ticks = round_numbers(low, high, 5);
            assert!(
                ticks
                    .iter()
                    .all(|(value, _)| (low - 1e-12..=high + 1e-12).contains(value))
            );
            ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(texts(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(0.0, 37.0), ["0", "10", "20", "30"]);
        assert_eq!(texts(-0.3, 0.3), ["−0.2", "0.0", "0.2"]);
        assert_eq!(texts(0.0, 3e-7), ["0e0", "1e−7", "2e−7", "3e−7"]);
        assert_eq!(texts(0.0, 2.5e8).len(), 6);
    }

    #[test]
    fn powers_are_of_ten_or_of_two() {
        let texts = |low, high, most| {
            let ticks = powers(low, high, most);
            ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(texts(0.9, 1100.0, 8), ["1", "10", "100", "1000"]);
        assert_eq!(texts(1e-5, 1.0, 3), ["1e−4", "0.01", "1"]);
        assert_eq!(texts(0.4, 9.0, 8), ["0.5", "1", "2", "4", "8"]);
        assert_eq!(texts(5.0, 7.0, 3), ["5", "6", "7"]);
    }

    #[test]
    fn layers_are_whole_numbers() {
        let numbers = |layers: f64, length| {
            let ticks = whole_numbers(0.5, layers + 0.5, length, 16.0);
            ticks
                .into_iter()
                .map(|(value, _)| value)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(4.0, 240.0), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(numbers(6.0, 60.0), [1.0, 3.0, 5.0]);
        assert_eq!(numbers(12.0, 60.0), [5.0, 10.0]);
    }

    #[test]
    fn labels_keep_their_distance() {
        assert_eq!(every(10.0, 8.0), 1);
        assert_eq!(every(5.0, 8.0), 2);
        assert_eq!(every(1.0, 8.0), 10);
        assert_eq!(every(0.0, 8.0), 1_000_000);
    }
}
