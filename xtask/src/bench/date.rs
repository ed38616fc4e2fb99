//! Today's date, for documents.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [(&str, u64); 12] = [
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
];

/// The date of the system's clock, in UTC: `21 November 2026`.
pub(crate) fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    of_day(since.map_or(0, |since| since.as_secs() / 86400))
}

/// The date so many days after 1 January 1970.
fn of_day(mut day: u64) -> String {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    loop {
        let days = 365 + u64::from(is_leap(year));
        if day < days {
            break;
        }
        day -= days;
        year += 1;
    }
    let mut month = 0;
    loop {
        let days = MONTHS[month].1 + u64::from(month == 1 && is_leap(year));
        if day < days {
            return format!("{} {} {year}", day + 1, MONTHS[month].0);
        }
        day -= days;
        month += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_through_leap_years() {
        assert_eq!(of_day(0), "1 January 1970");
        assert_eq!(of_day(364), "31 December 1970");
        assert_eq!(of_day(11_016), "29 February 2000");
        assert_eq!(of_day(20_778), "21 November 2026");
        // 2100 is no leap year.
        assert_eq!(of_day(47_541), "1 March 2100");
    }
}
