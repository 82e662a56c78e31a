//! Snapshots of data volumes, and clones over them: what they are called, what they say of themselves, and how one is
//! mounted over the other.
//!
//! PURE. A snapshot is frozen: one or more layers, volumes that are never written again, and a manifest, a volume with nothing
//! in it whose labels say which layers those are. Labels cannot be changed, so the manifest, made last, is there whole or not
//! at all. A clone is a volume of the `local` driver's that the kernel puts together when it is mounted: the layers below, and
//! above them what the clone itself writes, in a second volume, its upper.

mod base;

use std::collections::BTreeMap;

pub use base::{BaseWanted, Shape, Standing, database_names};

use crate::engine::{Root, Volume, labels};

/// Where the volumes below a clone are to be seen in its container: in use, they are safe from `docker volume prune`.
pub const BELOW: &str = "/.sandbox";

/// What the name of a clone's upper ends with.
const UPPER: &str = "_cow";

/// The kind of snapshot that is made without being asked for.
pub const BASE: &str = "base";

/// A mount option.
const USER_NOTES: &str = ",userxattr";

/// Mount options are one page; a path of a layer has to fit in yet.
const OPTIONS_MAX_BYTES: usize = 3500;

/// A frozen state of a data volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What tells it from every other.
    pub key: String,
    /// The volumes it consists of, the newest first.
    pub layers: Vec<String>,
    /// Who the directory belongs to.
    pub root: Root,
    /// The service whose data it is.
    pub service: String,
}

impl Snapshot {
    /// What the manifest of a key is called.
    #[must_use]
    pub fn manifest_name(key: &str) -> String {
        format!("sandbox_snapshot_{}", short(key))
    }

    /// What the manifest says.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let Root { uid, gid, mode } = self.root;
        let root = format!("{uid}:{gid}:{mode:o}");
        let layers = self.layers.join(",");
        [
            (labels::SNAPSHOT, &self.key),
            (labels::LAYERS, &layers),
            (labels::ROOT, &root),
            (labels::SERVICE, &self.service),
            (labels::KIND, &BASE.to_owned()),
        ]
        .map(|(label, value)| (label.to_owned(), value.clone()))
        .into()
    }

    /// The snapshot whose manifest a volume is; none where it is something else.
    #[must_use]
    pub fn of(manifest: &Volume) -> Option<Snapshot> {
        let label = |name: &str| manifest.labels.get(name);
        if label(labels::TASK).is_some() {
            return None;
        }
        let mut root = label(labels::ROOT)?.split(':');
        let (uid, gid) = (root.next()?.parse().ok()?, root.next()?.parse().ok()?);
        let mode = u32::from_str_radix(root.next()?, 8).ok()?;
        Some(Snapshot {
            key: label(labels::SNAPSHOT)?.clone(),
            layers: listed(label(labels::LAYERS)?),
            root: Root { uid, gid, mode },
            service: label(labels::SERVICE).cloned().unwrap_or_default(),
        })
    }
}

/// A volume that stands on a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clone {
    /// The key of the snapshot.
    pub snapshot: String,
    /// The layers below, the newest first.
    pub layers: Vec<String>,
    /// What the driver is told.
    pub driver_opts: BTreeMap<String, String>,
}

impl Clone {
    /// The clone that a volume is; none where it is something else.
    #[must_use]
    pub fn of(volume: &Volume) -> Option<Clone> {
        let label = |name: &str| volume.labels.get(name);
        Some(Clone {
            snapshot: label(labels::SNAPSHOT)?.clone(),
            layers: listed(label(labels::LAYERS)?),
            driver_opts: volume.driver_opts.clone(),
        })
    }

    /// One that is to be made, of a name, where the engine keeps volumes in a directory. None where the kernel could not be
    /// told so: a name with a colon or a comma in it, or too many layers.
    #[must_use]
    pub fn over(snapshot: &str, layers: Vec<String>, name: &str, volumes: &str, rootless: bool) -> Option<Clone> {
        let inside = |volume: &str| format!("{volumes}/{volume}/_data");
        let upper = inside(&upper_of(name));
        let lower: Vec<String> = layers.iter().map(|layer| inside(layer)).collect();
        // In a user namespace the kernel keeps its notes where users may.
        let own = if rootless { USER_NOTES } else { "" };
        let lower = lower.join(":");
        let options = format!("lowerdir={lower},upperdir={upper}/{},workdir={upper}/{}{own}", Part::Upper, Part::Work);
        if volumes.contains([':', ',', '\\', '"']) || options.len() > OPTIONS_MAX_BYTES || layers.is_empty() {
            return None;
        }
        let driver_opts = [("type", "overlay".to_owned()), ("device", "overlay".to_owned()), ("o", options)]
            .map(|(name, value)| (name.to_owned(), value));
        Some(Clone { snapshot: snapshot.to_owned(), layers, driver_opts: driver_opts.into() })
    }

    /// The same clone as it would be made now; none where it could not be.
    #[must_use]
    pub fn again(&self, name: &str, volumes: &str) -> Option<Clone> {
        let rootless = self.driver_opts.get("o").is_some_and(|options| options.ends_with(USER_NOTES));
        Clone::over(&self.snapshot, self.layers.clone(), name, volumes, rootless)
    }

    /// What is to be found on it.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        [(labels::SNAPSHOT, self.snapshot.clone()), (labels::LAYERS, self.layers.join(","))]
            .map(|(label, value)| (label.to_owned(), value))
            .into()
    }
}

/// A directory of an upper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the clone has written.
    Upper,
    /// Where the kernel works.
    Work,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Part::Upper => "upper",
            Part::Work => "work",
        })
    }
}

/// What the upper of a clone is called, in the engine or in a project.
#[must_use]
pub fn upper_of(clone: &str) -> String {
    format!("{clone}{UPPER}")
}

/// So much of a key as stands in names.
#[must_use]
pub fn short(key: &str) -> &str {
    key.get(..16).unwrap_or(key)
}

fn listed(layers: &str) -> Vec<String> {
    layers.split(',').filter(|layer| !layer.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let layers = ["new", "old"].map(str::to_owned).into();
        let root = Root { uid: 999, gid: 998, mode: 0o700 };
        Snapshot { key: "0123456789abcdef00".into(), layers, root, service: "postgres".into() }
    }

    #[test]
    fn a_manifest_says_all_of_its_snapshot() {
        let manifest = Volume { labels: snapshot().labels(), ..Volume::default() };
        assert_eq!(Snapshot::of(&manifest), Some(snapshot()));
        assert_eq!(Snapshot::manifest_name(&snapshot().key), "sandbox_snapshot_0123456789abcdef");
        assert_eq!(Snapshot::of(&Volume::default()), None);
    }

    #[test]
    fn a_clone_has_the_newest_layer_on_top_and_writes_beside_itself() {
        let clone = Clone::over("k", snapshot().layers, "p_data", "/d/volumes", false).unwrap();
        assert_eq!(
            clone.driver_opts["o"],
            "lowerdir=/d/volumes/new/_data:/d/volumes/old/_data,upperdir=/d/volumes/p_data_cow/_data/upper,\
             workdir=/d/volumes/p_data_cow/_data/work"
        );
        assert_eq!(clone.again("p_data", "/d/volumes").as_ref(), Some(&clone));
        assert_ne!(clone.again("p_data", "/elsewhere").as_ref(), Some(&clone));
        let mut labels = clone.labels();
        labels.insert(labels::TASK.into(), "fix".into());
        let volume = Volume { labels, driver_opts: clone.driver_opts.clone(), ..Volume::default() };
        assert_eq!(Clone::of(&volume), Some(clone));
        assert_eq!(Snapshot::of(&volume), None);
    }

    #[test]
    fn what_the_kernel_could_not_be_told_is_no_clone() {
        assert_eq!(Clone::over("k", snapshot().layers, "p_data", "/a:b/volumes", false), None);
        assert_eq!(Clone::over("k", vec!["x".repeat(60); 60], "p_data", "/d/volumes", false), None);
        assert_eq!(Clone::over("k", vec![], "p_data", "/d/volumes", false), None);
    }
}
