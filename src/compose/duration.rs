//! Durations as Compose writes them: `1m30s`, `1.5h`, `500ms`.

use std::time::Duration;

use serde::Serializer;

use super::complaint::Checked;
use super::cursor::Cursor;

/// Units and their length in nanoseconds, longest first; the two that print needs least are at the ends.
const UNITS: [(&str, u128); 9] = [
    ("w", 7 * 24 * 3_600_000_000_000),
    ("d", 24 * 3_600_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

pub(super) fn read(cursor: &Cursor) -> Checked<Duration> {
    let text = cursor.text()?;
    parse(&text).ok_or_else(|| {
        cursor.complain(format!("{text:?} is no duration")).hint("write numbers with units, as in 1m30s or 500ms")
    })
}

fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total_ns: u128 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let &(_, unit_ns) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total_ns = total_ns.checked_add(part_ns(number, unit_ns)?)?;
        rest = after;
    }
    // What Docker stores is a signed 64-bit number of nanoseconds.
    let total_ns = i64::try_from(total_ns).ok()?;
    Some(Duration::from_nanos(total_ns.unsigned_abs()))
}

fn part_ns(number: &str, unit_ns: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut sum = whole.checked_mul(unit_ns)?;
    let mut place = unit_ns;
    for digit in fraction.chars() {
        place /= 10;
        sum = sum.checked_add(u128::from(digit.to_digit(10)?).checked_mul(place)?)?;
    }
    Some(sum)
}

/// The text that [`read`] takes back.
pub(super) fn show(duration: Duration) -> String {
    let mut rest_ns = duration.as_nanos();
    let mut text = String::new();
    for (unit, unit_ns) in UNITS.iter().filter(|(unit, _)| !matches!(*unit, "w" | "d" | "µs")) {
        let count = rest_ns / unit_ns;
        if count > 0 {
            text += &count.to_string();
            text += unit;
        }
        rest_ns %= unit_ns;
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serializer.serialize_str(&show(*duration)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_sum_of_numbers_with_units() {
        for (text, ms) in [("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("0", 0), ("2d", 172_800_000)] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_no_duration() {
        for text in ["", "30", "s", "1x", "-1s", "1s2", ".s", "1..5s", "999999999999999w"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_reads_back_as_it_was_shown() {
        for ns in [0, 1, 90_000_000_000, 1_500_000_001, 86_400_000_000_000] {
            let duration = Duration::from_nanos(ns);
            assert_eq!(parse(&show(duration)), Some(duration));
        }
    }
}
