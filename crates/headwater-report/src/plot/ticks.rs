//! Round numbers for a colour bar, and which labels of an axis have room.

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
    fn labels_keep_their_distance() {
        assert_eq!(every(10.0, 8.0), 1);
        assert_eq!(every(5.0, 8.0), 2);
        assert_eq!(every(1.0, 8.0), 10);
        assert_eq!(every(0.0, 8.0), 1_000_000);
    }
}
