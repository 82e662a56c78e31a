//! Amounts: bytes (`64m`, `1.5gb`, a plain number) and processors (`0.5`).

use serde::Serializer;

use super::complaint::Checked;
use super::cursor::Cursor;

const NANO: f64 = 1e9;

/// A number of bytes.
pub(super) fn bytes(cursor: &Cursor) -> Checked<u64> {
    let text = cursor.number_or_text()?;
    parse_bytes(&text)
        .ok_or_else(|| cursor.complain(format!("{text:?} is no amount of bytes")).hint("write it as in 64m or 2gb"))
}

/// A number of bytes, or -1 for no limit.
pub(super) fn bytes_or_unlimited(cursor: &Cursor) -> Checked<i64> {
    if cursor.number_or_text()?.trim() == "-1" {
        return Ok(-1);
    }
    bytes(cursor)?.try_into().map_err(|_| cursor.complain("the amount is out of range"))
}

/// The bytes that a text says, as in 64m.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let unit = unit.trim_start();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if unit.len() <= 1 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    if unit.len() > 3 {
        return None;
    }
    let scale = 1024_u64.pow(power);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale);
    }
    let (whole, fraction) = number.split_once('.')?;
    let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(thousandths * scale / 1000)
}

/// A number of processors, in billionths, as Docker counts them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
pub(super) fn processors(cursor: &Cursor) -> Checked<u64> {
    let text = cursor.number_or_text()?;
    let count: Option<f64> = text.trim().parse().ok();
    match count {
        Some(count) if (0.0..=1e6).contains(&count) => Ok((count * NANO).round() as u64),
        _ => Err(cursor.complain(format!("{text:?} is no number of processors"))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a million processors in billionths stay below 2^53")]
#[expect(clippy::ref_option, reason = "the signature is serde's")]
pub(super) fn serialize_processors<S: Serializer>(nano: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match nano {
        Some(nano) => serializer.serialize_f64(*nano as f64 / NANO),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_bytes_are_powers_of_1024() {
        for (text, bytes) in
            [("64m", 64 << 20), ("64MB", 64 << 20), ("1.5g", 3 << 29), ("2 GiB", 2 << 30), ("512", 512), ("7b", 7)]
        {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_of_bytes_is_refused() {
        for text in ["", "m", "-1", "1x", "1mm", "1.2.3m", "1 m b", "bb", "1ib", "99999999999999999999", "1é"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
