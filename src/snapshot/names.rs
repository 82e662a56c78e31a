//! What the volumes of snapshots and clones are called, and where their directories are.

use std::collections::BTreeMap;
use std::fmt;

/// What the names of layers begin with.
const LAYER: &str = "sandbox_layer_";

/// What the names of uppers begin with. In one, the data is in a directory beside the kernel's own.
const UPPER: &str = "sandbox_upper_";

/// What the names of both begin with in the pool, instead of `sandbox_`.
const POOLED: &str = "sandbox_pooled_";

/// The volume that is the pool, and the container that holds it mounted.
pub const POOL: &str = "sandbox_pool";

/// A directory of an upper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the clone has written.
    Upper,
    /// Where the kernel works.
    Work,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Upper => "upper",
            Part::Work => "work",
        })
    }
}

/// What is called to be the nth of its kind: the first by its plain name.
#[must_use]
pub fn nth(name: &str, number: u32) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}.{number}") }
}

/// Which of its kind a name is.
#[must_use]
pub fn generation(name: &str, of: &str) -> Option<u32> {
    match name.strip_prefix(of)? {
        "" => Some(1),
        rest => {
            let number = rest.strip_prefix('.')?.parse().ok().filter(|number| *number > 1)?;
            (nth(of, number) == name).then_some(number)
        }
    }
}

/// What the upper of a clone is called, when it is made.
#[must_use]
pub fn upper_name(clone: &str, pooled: bool) -> String {
    in_pool(&format!("{UPPER}{clone}"), pooled)
}

/// What a layer is called.
#[must_use]
pub fn layer_name(rest: &str, pooled: bool) -> String {
    in_pool(&format!("{LAYER}{rest}"), pooled)
}

/// What the manifest of a snapshot is called.
pub(super) fn manifest_name(rest: &str, pooled: bool) -> String {
    in_pool(&format!("sandbox_snapshot_{rest}"), pooled)
}

fn in_pool(name: &str, pooled: bool) -> String {
    if pooled { name.replacen("sandbox_", POOLED, 1) } else { name.to_owned() }
}

/// Whether a layer or upper is in the pool.
#[must_use]
pub fn is_pooled(volume: &str) -> bool {
    volume.starts_with(POOLED)
}

/// Whether a volume is or was an upper.
#[must_use]
pub fn is_upper(volume: &str) -> bool {
    volume.starts_with(UPPER) || volume.strip_prefix(POOLED).is_some_and(|rest| rest.starts_with("upper_"))
}

/// The directory that a layer or upper is, where the engine keeps volumes in one.
pub(super) fn place_of(volume: &str, volumes: &str) -> String {
    if is_pooled(volume) { format!("{volumes}/{POOL}/_data/{volume}") } else { format!("{volumes}/{volume}/_data") }
}

/// Where in it the data is.
#[must_use]
pub fn data_in(volume: &str) -> String {
    if is_upper(volume) { format!("/{}", Part::Upper) } else { String::new() }
}

/// What the driver is told of a layer or upper: nothing, but in the pool.
#[must_use]
pub fn driver_opts(volume: &str, volumes: &str) -> BTreeMap<String, String> {
    if !is_pooled(volume) {
        return BTreeMap::new();
    }
    bind(place_of(volume, volumes))
}

/// What the driver is told of a directory that is there.
pub(super) fn bind(device: String) -> BTreeMap<String, String> {
    [("type", "none".to_owned()), ("o", "bind".to_owned()), ("device", device)]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_read_from_a_name_as_it_was_written() {
        for number in [1, 2, 10] {
            assert_eq!(generation(&nth("p_data", number), "p_data"), Some(number));
        }
        for other in ["p_data.", "p_data.1", "p_data.02", "p_data.x", "p_data2", "p_dat", "q"] {
            assert_eq!(generation(other, "p_data"), None, "{other}");
        }
    }
}
