//! Moments as they are written down: RFC 3339, UTC, in whole seconds.

/// This moment.
#[must_use]
pub fn now() -> String {
    written(jiff::Timestamp::now())
}

/// Any moment.
#[must_use]
pub fn written(moment: jiff::Timestamp) -> String {
    moment.strftime("%FT%TZ").to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn fractions_are_left_out() {
        let moment: jiff::Timestamp = "2026-11-28T20:04:06.7+01:00".parse().unwrap();
        assert_eq!(super::written(moment), "2026-11-28T19:04:06Z");
    }
}
