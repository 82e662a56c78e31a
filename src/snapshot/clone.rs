//! Clones: volumes that stand on a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use super::listed;
use super::names::{Part, bind, data_in, is_upper, place_of};
use crate::engine::{Volume, labels};
use crate::task::Identity;

/// Where the volumes below a clone are to be seen in its container: in use, they are safe from `docker volume prune`.
pub const BELOW: &str = "/.sandbox";

/// A mount option.
const USER_NOTES: &str = ",userxattr";

/// Mount options are one page.
const OPTIONS_MAX_BYTES: usize = 3900;

/// From here on layers are flattened: a sandbox of a longer name is to stand on them too.
const OPTIONS_FULL_BYTES: usize = 3000;

/// A volume that stands on a snapshot: an overlay, or where the engine cannot, a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clone {
    /// The key of the snapshot.
    pub snapshot: String,
    /// The layers below, the newest first.
    pub layers: Vec<String>,
    /// The volume that it writes into.
    pub upper: String,
    /// The names that its databases have in the snapshot, in their order.
    pub databases: Vec<String>,
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
            upper: label(labels::UPPER)?.clone(),
            databases: listed(label(labels::DATABASES)?),
            driver_opts: volume.driver_opts.clone(),
        })
    }

    /// One that is to be made, where the engine keeps volumes in a directory. None where the kernel could not be told so: a
    /// name with a colon or a comma in it, or too many layers.
    #[must_use]
    pub fn over(
        snapshot: &str,
        layers: Vec<String>,
        upper: String,
        databases: Vec<String>,
        (volumes, rootless): (&str, bool),
    ) -> Option<Clone> {
        let inside = |volume: &str| format!("{}{}", place_of(volume, volumes), data_in(volume));
        let lower: Vec<String> = layers.iter().map(|layer| inside(layer)).collect();
        // In a user namespace the kernel keeps its notes where users may.
        let own = if rootless { USER_NOTES } else { "" };
        let (lower, above) = (lower.join(":"), inside(&upper));
        let work = format!("{}/{}", place_of(&upper, volumes), Part::Work);
        let options = format!("lowerdir={lower},upperdir={above},workdir={work}{own}");
        if !can_be_told(volumes) || options.len() > OPTIONS_MAX_BYTES || layers.is_empty() || !is_upper(&upper) {
            return None;
        }
        let driver_opts = overlay(options);
        Some(Clone { snapshot: snapshot.to_owned(), layers, upper, databases, driver_opts })
    }

    /// One that is to be made by copying all that is below it.
    #[must_use]
    pub fn copied(
        snapshot: &str,
        layers: Vec<String>,
        upper: String,
        databases: Vec<String>,
        volumes: &str,
    ) -> Option<Clone> {
        let device = format!("{}{}", place_of(&upper, volumes), data_in(&upper));
        let driver_opts = bind(device);
        is_upper(&upper).then(|| Clone { snapshot: snapshot.to_owned(), layers, upper, databases, driver_opts })
    }

    /// Whether it is a copy.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        self.driver_opts.get("type").is_some_and(|kind| kind != "overlay")
    }

    /// How layers are mounted for somebody who only looks; none where the kernel could not be told so.
    #[must_use]
    pub fn view(layers: &[String], volumes: &str, rootless: bool) -> Option<BTreeMap<String, String>> {
        let lower: Vec<String> =
            layers.iter().map(|layer| format!("{}{}", place_of(layer, volumes), data_in(layer))).collect();
        // What the kernel noted there it has to find there.
        let options = format!("lowerdir={}{}", lower.join(":"), if rootless { USER_NOTES } else { "" });
        (options.len() <= OPTIONS_MAX_BYTES && layers.len() > 1).then(|| overlay(options))
    }

    /// Whether another layer would be one too many.
    #[must_use]
    pub fn is_full(&self, volumes: &str) -> bool {
        if self.is_copied() {
            return false;
        }
        let layers = [&self.upper].into_iter().chain(&self.layers).cloned().collect();
        let next = Clone::over(&self.snapshot, layers, self.upper.clone(), Vec::new(), (volumes, true));
        next.is_none_or(|next| next.driver_opts.get("o").is_none_or(|options| options.len() > OPTIONS_FULL_BYTES))
    }

    /// The same clone as it would be made now; none where it could not be.
    #[must_use]
    pub fn again(&self, volumes: &str) -> Option<Clone> {
        let Clone { snapshot, layers, upper, databases, driver_opts } = self.clone();
        if self.is_copied() {
            return Clone::copied(&snapshot, layers, upper, databases, volumes);
        }
        let rootless = driver_opts.get("o").is_some_and(|options| options.ends_with(USER_NOTES));
        Clone::over(&snapshot, layers, upper, databases, (volumes, rootless))
    }

    /// What is to be found on it.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        [
            (labels::SNAPSHOT, self.snapshot.clone()),
            (labels::LAYERS, self.layers.join(",")),
            (labels::UPPER, self.upper.clone()),
            (labels::DATABASES, self.databases.join(",")),
        ]
        .map(|(label, value)| (label.to_owned(), value))
        .into()
    }

    /// What is to be found on what it writes into.
    #[must_use]
    pub fn upper_labels(&self, owner: &Identity) -> BTreeMap<String, String> {
        [
            (labels::LAYER, "upper"),
            (labels::LAYERS, &self.layers.join(",")),
            (labels::UPPER_REPO, &owner.repo),
            (labels::UPPER_TASK, owner.task.as_str()),
        ]
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .into()
    }
}

/// Whether a directory can stand in the options of a mount.
#[must_use]
pub fn can_be_told(directory: &str) -> bool {
    !directory.contains([':', ',', '\\', '"'])
}

/// What the driver is told of an overlay.
fn overlay(options: String) -> BTreeMap<String, String> {
    [("type", "overlay".to_owned()), ("device", "overlay".to_owned()), ("o", options)]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// What a sandbox has written into, and nobody else stands on: of all volumes that name layers.
#[must_use]
pub fn own_uppers<'a>(volumes: &'a [Volume], owner: &Identity) -> Vec<&'a Volume> {
    let carries = |volume: &Volume, wanted: &[(&'static str, Option<&str>)]| {
        wanted.iter().all(|(label, value)| volume.labels.get(*label).map(String::as_str) == *value)
    };
    let (own, others): (Vec<&Volume>, Vec<&Volume>) =
        volumes.iter().partition(|volume| carries(volume, &labels::upper_of(owner)));
    let others = others.into_iter().filter(|volume| !carries(volume, &labels::of(owner)));
    let used = standing_on(others);
    own.into_iter().filter(|upper| !used.contains(&upper.name)).collect()
}

/// The tasks of those volumes that are clones of a kind.
#[must_use]
pub fn tasks_of(volumes: &[Volume], is_such: impl Fn(&Clone) -> bool) -> BTreeSet<String> {
    let such = volumes.iter().filter(|volume| Clone::of(volume).is_some_and(|clone| is_such(&clone)));
    such.filter_map(|volume| volume.labels.get(labels::TASK).cloned()).collect()
}

/// All that some volumes stand on or write into, as they say.
///
/// What an upper says counts until it has a clone. From then on the clone says it, and later the snapshots that it is a layer
/// of: these may stand on something else that has the same content.
pub fn standing_on<'a>(volumes: impl IntoIterator<Item = &'a Volume>) -> BTreeSet<String> {
    let (uppers, others): (Vec<&Volume>, Vec<&Volume>) =
        volumes.into_iter().partition(|volume| volume.labels.contains_key(labels::UPPER_REPO));
    let named = |volume: &Volume| {
        let names = [labels::LAYERS, labels::UPPER].map(|label| volume.labels.get(label).cloned());
        names.into_iter().flatten().flat_map(|names| listed(&names)).collect::<Vec<_>>()
    };
    let mut used: BTreeSet<String> = others.into_iter().flat_map(named).collect();
    let fresh: Vec<&Volume> = uppers.into_iter().filter(|upper| !used.contains(&upper.name)).collect();
    used.extend(fresh.into_iter().flat_map(named));
    used
}

#[cfg(test)]
mod tests {
    use super::super::names::{driver_opts, is_pooled, layer_name, upper_name};
    use super::*;
    use crate::task::TaskName;

    fn identity(task: &str) -> Identity {
        Identity { repo: "/src/blog/.git".into(), task: TaskName::parse(task).unwrap() }
    }

    fn clone_over(layers: &[&str], upper: &str) -> Clone {
        let layers = layers.iter().map(|&layer| layer.to_owned()).collect();
        Clone::over("k", layers, upper_name(upper, false), vec!["a".into()], ("/d/volumes", false)).unwrap()
    }

    #[test]
    fn a_clone_has_the_newest_layer_on_top_and_writes_beside_itself() {
        let clone = clone_over(&["sandbox_upper_x", "sandbox_layer_y"], "p_data");
        assert_eq!(
            clone.driver_opts["o"],
            "lowerdir=/d/volumes/sandbox_upper_x/_data/upper:/d/volumes/sandbox_layer_y/_data,\
             upperdir=/d/volumes/sandbox_upper_p_data/_data/upper,workdir=/d/volumes/sandbox_upper_p_data/_data/work"
        );
        assert_eq!(clone.again("/d/volumes").as_ref(), Some(&clone));
        assert_ne!(clone.again("/elsewhere").as_ref(), Some(&clone));
        let mut labels = clone.labels();
        labels.insert(labels::TASK.into(), "fix".into());
        let volume = Volume { labels, driver_opts: clone.driver_opts.clone(), ..Volume::default() };
        assert_eq!(Clone::of(&volume), Some(clone));
        assert_eq!(super::super::Snapshot::of(&volume), None);
    }

    #[test]
    fn in_the_pool_layers_are_directories_beside_one_another() {
        let (layer, upper) = (layer_name("y", true), upper_name("p_data", true));
        assert_eq!((&*layer, &*upper), ("sandbox_pooled_layer_y", "sandbox_pooled_upper_p_data"));
        assert!(is_upper(&upper) && !is_upper(&layer) && is_pooled(&layer) && !is_pooled("sandbox_layer_y"));
        let clone = Clone::over("k", vec![layer.clone()], upper, Vec::new(), ("/v", false)).unwrap();
        assert_eq!(
            clone.driver_opts["o"],
            "lowerdir=/v/sandbox_pool/_data/sandbox_pooled_layer_y,\
             upperdir=/v/sandbox_pool/_data/sandbox_pooled_upper_p_data/upper,\
             workdir=/v/sandbox_pool/_data/sandbox_pooled_upper_p_data/work"
        );
        assert_eq!(driver_opts(&layer, "/v")["device"], "/v/sandbox_pool/_data/sandbox_pooled_layer_y");
        assert!(driver_opts("sandbox_layer_y", "/v").is_empty());
    }

    #[test]
    fn a_copy_is_the_directory_that_it_writes_into() {
        let layers = vec!["sandbox_layer_y".to_owned()];
        let clone = Clone::copied("k", layers, upper_name("p_data", false), Vec::new(), "/d,v").unwrap();
        assert!(clone.is_copied() && !clone.is_full("/d,v") && !clone_over(&["x"], "p_data").is_copied());
        assert_eq!(clone.driver_opts["device"], "/d,v/sandbox_upper_p_data/_data/upper");
        assert_eq!(clone.again("/d,v").as_ref(), Some(&clone));
        assert_ne!(clone.again("/elsewhere").as_ref(), Some(&clone));
    }

    #[test]
    fn what_the_kernel_could_not_be_told_is_no_clone() {
        let over = |layers: Vec<String>, volumes: &str| {
            Clone::over("k", layers, upper_name("p_data", false), Vec::new(), (volumes, false))
        };
        assert_eq!(over(vec!["x".into()], "/a:b/volumes"), None);
        assert!(!can_be_told("/a:b/volumes") && can_be_told("/var/lib/docker/volumes"));
        assert_eq!(over(vec!["x".repeat(60); 60], "/d/volumes"), None);
        assert_eq!(over(vec![], "/d/volumes"), None);
    }

    #[test]
    fn an_upper_on_which_others_stand_is_a_layer_and_not_its_makers_any_more() {
        let volume =
            |name: &str, labels: BTreeMap<String, String>| Volume { name: name.into(), labels, ..Volume::default() };
        let of = |clone: &Clone, task: &str| {
            clone.labels().into_iter().chain(labels::owned_by(&identity(task))).collect::<BTreeMap<_, _>>()
        };
        let (first, second) = (clone_over(&["base"], "a"), clone_over(&["sandbox_upper_a", "base"], "a.2"));
        let mut all = vec![
            volume(&first.upper, first.upper_labels(&identity("a"))),
            volume(&second.upper, second.upper_labels(&identity("a"))),
            volume("a.2", of(&second, "a")),
        ];
        let names = |all: &[Volume]| -> Vec<String> {
            own_uppers(all, &identity("a")).iter().map(|upper| upper.name.clone()).collect()
        };
        assert_eq!(names(&all), ["sandbox_upper_a", "sandbox_upper_a.2"]);
        let other = clone_over(&["sandbox_upper_a", "base"], "b");
        all.push(volume("b", of(&other, "b")));
        assert_eq!(names(&all), ["sandbox_upper_a.2"]);
        assert_eq!(own_uppers(&all, &identity("b")), Vec::<&Volume>::new());
    }
}
