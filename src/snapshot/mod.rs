//! Snapshots of data volumes, and clones over them: what they are called, what they say of themselves, and how one is
//! mounted over the other.
//!
//! PURE. A snapshot is frozen: one or more layers, volumes that are never written again, and a manifest, a volume with nothing
//! in it whose labels say which layers those are. Labels cannot be changed, so the manifest, made last, is there whole or not
//! at all. A clone is a volume of the `local` driver's that the kernel puts together when it is mounted: the layers below, and
//! above them what the clone itself writes, in a second volume, its upper.
//!
//! To take a snapshot of a sandbox, its upper is written no more: it becomes the newest layer, and the sandbox goes on over it
//! with a new one. That is why an upper bears no task of its own, only a note of whose it was, and why what may be removed is
//! told by counting who stands on it.

mod base;
mod clone;
mod names;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use base::{BaseWanted, Shape, Standing, database_names};
pub use clone::{BELOW, Clone, can_be_told, own_uppers, standing_on, tasks_of};
pub use names::{POOL, Part, data_in, driver_opts, generation, is_pooled, is_upper, layer_name, nth, upper_name};

use crate::engine::{Root, Volume, labels};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::hex::hex;
use crate::moment;

/// A name is part of what people type, and of nothing else.
const NAME_MAX_BYTES: usize = 100;

/// How a snapshot came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Of the first start of a service, without being asked for.
    Base,
    /// By hand, under a name.
    Saved,
    /// Of what a set-up has made, without being asked for.
    Prepared,
    /// On the way from one sandbox into another: nothing but the two knows it, and it has no manifest.
    Passing,
}

impl Kind {
    /// As labels and people have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Base => "base",
            Kind::Saved => "saved",
            Kind::Prepared => "prepared",
            Kind::Passing => "passing",
        }
    }
}

/// A frozen state of the data volumes of a stack, all of one point in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What tells it from every other.
    pub key: String,
    /// How it came to be.
    pub kind: Kind,
    /// The repository that it belongs to; none where it is everybody's.
    pub repo: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// When it was made: RFC 3339, UTC.
    pub created: String,
    /// What it consists of.
    pub frozen: Vec<Frozen>,
    /// Whence it comes, where a set-up has made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Whence what a set-up has made comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The commit that was checked out.
    pub commit: String,
    /// What else shaped it: the base snapshots below, and the commands.
    pub basis: String,
}

/// A frozen volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// The volume's key in the Compose file.
    pub volume: String,
    /// The service whose data it is.
    pub service: String,
    /// The image that wrote it.
    pub image: String,
    /// The volumes it consists of, the newest first.
    pub layers: Vec<String>,
    /// Who the directory belongs to; none where that has to be looked at.
    #[serde(default)]
    pub root: Option<Root>,
    /// The databases in it that a clone gives its own names, in their order.
    pub databases: Vec<String>,
    /// Whether the engine cannot mount anything over it, so that its clones are copies.
    #[serde(default)]
    pub copied: bool,
}

impl Snapshot {
    /// One of a repository, made now, that nothing has been frozen for yet.
    #[must_use]
    pub fn to_be(kind: Kind, key: String, repo: String, name: Option<String>) -> Snapshot {
        Snapshot { key, kind, repo: Some(repo), name, created: moment::now(), frozen: Vec::new(), origin: None }
    }

    /// What its manifest is called.
    #[must_use]
    pub fn manifest_name(&self) -> String {
        names::manifest_name(short(&self.key), self.is_pooled())
    }

    /// Whether it is in the pool.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.layers().all(is_pooled)
    }

    /// The key of what somebody saves under a name in a repository.
    #[must_use]
    pub fn key_of(repo: &str, name: &str) -> String {
        hex(&Sha256::digest(format!("saved\n{}\n{repo}\n{name}", repo.len())))
    }

    /// What the manifest says.
    pub fn labels(&self) -> Result<BTreeMap<String, String>> {
        let layers: Vec<&str> = self.layers().collect();
        let frozen = serde_json::to_string(&self.frozen).map_err(|cause| {
            Error::new(ErrorKind::Unexpected, "cannot put what a snapshot consists of into JSON").because(cause)
        })?;
        let commit = self.origin.as_ref().map(|origin| origin.commit.clone());
        let basis = self.origin.as_ref().map(|origin| origin.basis.clone());
        let (repo, name) = (self.repo.clone(), self.name.clone());
        let own = [(labels::REPO, repo), (labels::NAME, name), (labels::COMMIT, commit), (labels::BASIS, basis)];
        let own = own.map(|(label, value)| Some((label.to_owned(), value?)));
        let all = [
            (labels::SNAPSHOT, self.key.clone()),
            (labels::KIND, self.kind.word().to_owned()),
            (labels::CREATED, self.created.clone()),
            (labels::LAYERS, layers.join(",")),
            (labels::FROZEN, frozen),
        ];
        Ok(all.map(|(label, value)| (label.to_owned(), value)).into_iter().chain(own.into_iter().flatten()).collect())
    }

    /// The snapshot whose manifest a volume is; none where it is something else.
    #[must_use]
    pub fn of(manifest: &Volume) -> Option<Snapshot> {
        let label = |name: &str| manifest.labels.get(name).cloned();
        let word = label(labels::KIND)?;
        let kind = [Kind::Base, Kind::Saved, Kind::Prepared].into_iter().find(|kind| kind.word() == word)?;
        Some(Snapshot {
            key: label(labels::SNAPSHOT)?,
            kind,
            repo: label(labels::REPO),
            name: label(labels::NAME),
            created: label(labels::CREATED).unwrap_or_default(),
            frozen: serde_json::from_str(&label(labels::FROZEN)?).ok()?,
            origin: label(labels::COMMIT).zip(label(labels::BASIS)).map(|(commit, basis)| Origin { commit, basis }),
        })
    }

    /// Whether all that it consists of is among some layers.
    #[must_use]
    pub fn is_whole(&self, layers: &[Volume]) -> bool {
        self.layers().all(|layer| layers.iter().any(|there| there.name == layer))
    }

    /// All volumes that it consists of.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        self.frozen.iter().flat_map(|frozen| &frozen.layers).map(String::as_str)
    }

    /// What it has of a volume of the Compose file.
    #[must_use]
    pub fn of_volume(&self, volume: &str) -> Option<&Frozen> {
        self.frozen.iter().find(|frozen| frozen.volume == volume)
    }

    /// All that it is among volumes that name layers: on its way into the pool it is in two places. None where another of that name
    /// has come in its place.
    #[must_use]
    pub fn everywhere(&self, standing: &[Volume]) -> Vec<Snapshot> {
        let is_it = |it: &Snapshot| it.key == self.key && it.created == self.created;
        standing.iter().filter_map(Snapshot::of).filter(is_it).collect()
    }

    /// Whether a clone stands on it, and not only on what is below it.
    #[must_use]
    pub fn is_below(&self, clone: &Clone) -> bool {
        self.frozen.iter().any(|frozen| frozen.layers == clone.layers)
    }

    /// What it is called in messages.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("{} ({})", short(&self.key), self.services().join(", ")),
        }
    }

    /// The services whose data it holds.
    #[must_use]
    pub fn services(&self) -> Vec<&str> {
        self.frozen.iter().map(|frozen| frozen.service.as_str()).collect()
    }
}

/// Whether the engine cannot mount overlays on its own storage, as was tried with the newest base snapshot that is there; without
/// one, as others say.
#[must_use]
pub fn no_overlays(whole: &[Snapshot]) -> bool {
    let is_copied = |it: &Snapshot| it.frozen.iter().any(|frozen| frozen.copied);
    let tried = whole.iter().filter(|it| it.kind == Kind::Base && !it.is_pooled());
    match tried.max_by(|one, other| one.created.cmp(&other.created)) {
        Some(newest) => is_copied(newest),
        None => whole.iter().any(is_copied),
    }
}

/// A name under which a snapshot may be saved.
pub fn checked_name(name: &str) -> Result<String> {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let others = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c));
    if first && others && name.len() <= NAME_MAX_BYTES {
        return Ok(name.to_owned());
    }
    Err(Error::new(ErrorKind::Usage, format!("{name:?} cannot be the name of a snapshot")).hint(format!(
        "letters, digits, `_`, `.`, `-` and `/`, the first a letter or a digit, at most {NAME_MAX_BYTES} of them"
    )))
}

/// The snapshots among volumes that name layers, as far as these are all there.
#[must_use]
pub fn whole(standing: &[Volume], layers: &[Volume]) -> Vec<Snapshot> {
    manifests(standing).into_iter().filter(|snapshot| snapshot.is_whole(layers)).collect()
}

/// The snapshots among volumes that name layers. One that has been put into the pool is there, whatever is left of it elsewhere.
#[must_use]
pub fn manifests(standing: &[Volume]) -> Vec<Snapshot> {
    let (pooled, others): (Vec<Snapshot>, Vec<Snapshot>) =
        standing.iter().filter_map(Snapshot::of).partition(Snapshot::is_pooled);
    let keys: BTreeSet<String> = pooled.iter().map(|it| it.key.clone()).collect();
    pooled.into_iter().chain(others.into_iter().filter(|it| !keys.contains(&it.key))).collect()
}

/// So much of a key as stands in names.
#[must_use]
pub fn short(key: &str) -> &str {
    key.get(..16).unwrap_or(key)
}

fn listed(names: &str) -> Vec<String> {
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_says_all_of_its_snapshot() {
        let frozen = Frozen {
            volume: "postgres-data".into(),
            service: "postgres".into(),
            image: "postgres:17".into(),
            layers: ["new", "old"].map(str::to_owned).into(),
            root: Some(Root { uid: 999, gid: 998, mode: 0o700 }),
            databases: vec!["a".into(), "b".into()],
            copied: false,
        };
        let snapshot = Snapshot {
            key: "0123456789abcdef00".into(),
            kind: Kind::Saved,
            repo: Some("/src/blog/.git".into()),
            name: Some("seeded".into()),
            created: "2026-01-01T00:00:00Z".into(),
            frozen: vec![frozen],
            origin: Some(Origin { commit: "c".repeat(40), basis: "b".into() }),
        };
        let manifest = Volume { labels: snapshot.labels().unwrap(), ..Volume::default() };
        assert_eq!(manifest.labels[labels::LAYERS], "new,old");
        assert_eq!(Snapshot::of(&manifest), Some(snapshot.clone()));
        let base = Snapshot { kind: Kind::Base, repo: None, name: None, ..snapshot };
        let manifest = Volume { labels: base.labels().unwrap(), ..Volume::default() };
        assert_eq!(Snapshot::of(&manifest).as_ref(), Some(&base));
        assert_eq!(base.title(), "0123456789abcdef (postgres)");
        assert_eq!(base.manifest_name(), "sandbox_snapshot_0123456789abcdef");
        assert_eq!(Snapshot::of(&Volume::default()), None);
    }

    #[test]
    fn a_snapshot_that_is_in_the_pool_is_not_elsewhere_too() {
        let of = |layer: &str, name: &str| {
            let frozen = Frozen {
                volume: "data".into(),
                service: "redis".into(),
                image: "redis".into(),
                layers: vec![layer.into()],
                root: None,
                databases: Vec::new(),
                copied: false,
            };
            let (key, name) = (Snapshot::key_of("/a", name), Some(name.to_owned()));
            let created = "2026-01-01T00:00:00Z".into();
            Snapshot {
                key,
                kind: Kind::Saved,
                repo: Some("/a".into()),
                name,
                created,
                frozen: vec![frozen],
                origin: None,
            }
        };
        let (old, moved) = (of("sandbox_layer_x", "x"), of("sandbox_pooled_layer_x", "x"));
        let other = of("sandbox_upper_y", "y");
        let manifest = |it: &Snapshot| Volume { labels: it.labels().unwrap(), ..Volume::default() };
        let all = [&old, &moved, &other].map(manifest);
        assert_eq!(manifests(&all), [moved.clone(), other]);
        assert_ne!(old.manifest_name(), moved.manifest_name());
    }

    #[test]
    fn a_name_is_one_word_of_plain_letters() {
        for good in ["seeded", "v1.2_x-y", "team/seeded", &"a".repeat(100)] {
            assert_eq!(checked_name(good).unwrap(), good);
        }
        for bad in ["", "-x", ".x", "a b", "ä", "a,b", &"a".repeat(101)] {
            assert_eq!(checked_name(bad).unwrap_err().kind(), ErrorKind::Usage, "{bad}");
        }
    }

    #[test]
    fn one_name_in_two_repositories_is_two_snapshots() {
        assert_eq!(Snapshot::key_of("/a", "x"), Snapshot::key_of("/a", "x"));
        assert_ne!(Snapshot::key_of("/a", "x"), Snapshot::key_of("/b", "x"));
        assert_ne!(Snapshot::key_of("/a", "x"), Snapshot::key_of("/a", "y"));
    }
}
