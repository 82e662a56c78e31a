//! Numbers as people read them.

use jiff::Timestamp;

/// `0.4 s`, `12 s`, `2 min 5 s`.
#[must_use]
pub fn seconds(elapsed_ms: u64) -> String {
    match elapsed_ms {
        0..10_000 => format!("{}.{} s", elapsed_ms / 1000, elapsed_ms % 1000 / 100),
        10_000..120_000 => format!("{} s", elapsed_ms / 1000),
        _ => format!("{} min {} s", elapsed_ms / 60_000, elapsed_ms / 1000 % 60),
    }
}

/// `812 B`, `4.2 MB`, `1.3 GB`: powers of ten, as Docker counts.
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) if bytes / unit < 100 => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

/// How long ago: `5m`, `3h`, `12d`. Empty for what is no time.
#[must_use]
pub fn age(created: &str) -> String {
    let Ok(created) = created.parse::<Timestamp>() else { return String::new() };
    match Timestamp::now().duration_since(created).as_secs().max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_short() {
        assert_eq!([450, 12_345, 125_000].map(seconds), ["0.4 s", "12 s", "2 min 5 s"]);
        assert_eq!([812, 4_240_000, 250_000_000, 1_300_000_000].map(size), ["812 B", "4.2 MB", "250 MB", "1.3 GB"]);
    }
}
