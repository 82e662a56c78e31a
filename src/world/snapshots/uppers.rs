//! What clones write into.

use std::collections::BTreeMap;

use super::copies::Copying;
use super::sweep::{path_label, used_layers};
use super::{PATIENCE, snapshots};
use crate::apply::Setback;
use crate::engine::{ContainerSpec, Engine, MountSpec, Root, labels};
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::locks::Lock;
use crate::plan::action::{Content, UpperSpec};
use crate::snapshot::{BELOW, Part, Snapshot, data_in, is_pooled, is_upper, short};
use crate::world::perform::{belongs, not_ours};
use crate::world::{Real, pool, throw_away};

/// Where the volume of a throw-away container is.
const INSIDE: &str = "/upper";

/// Where the layer below it is.
const UNDER: &str = "/under";

/// Makes the upper of a clone: empty but for its top directory, which is as the snapshot's, or with a copy of all that is below.
pub(in crate::world) async fn make_upper(world: &Real<'_>, spec: &UpperSpec, ticker: &Ticker) -> Result<(), Setback> {
    let engine = world.engine;
    let mut upper = spec.volume.clone();
    upper.labels.insert(labels::LOCK.to_owned(), path_label(&world.site.lock_path(&spec.of)));
    let upper = &upper;
    let changed =
        || Setback::Meanwhile(format!("the snapshot {} was removed or replaced just now", short(&spec.snapshot)));
    let whole = async || {
        if !spec.has_manifest {
            return Ok(true);
        }
        // On these very layers: another may have been made in its place.
        let on_these = |it: &Snapshot| it.key == spec.snapshot && it.frozen.iter().any(|it| it.layers == spec.layers);
        Ok::<_, Error>(snapshots(engine).await?.iter().any(on_these))
    };
    let owned = |there: &BTreeMap<String, String>| {
        labels::upper_of(&spec.of).iter().all(|(label, value)| there.get(*label).map(String::as_str) == *value)
    };
    // A copy takes long.
    if !whole().await? {
        return Err(changed());
    }
    let filler = format!("{}_made", upper.name);
    let labels = labels::owned_by(&spec.of);
    // One that a killed run has left holds the volume.
    if engine.inspect(&filler).await?.is_some_and(|there| !belongs(&there.labels, &labels)) {
        return Err(not_ours("container", &filler).into());
    }
    engine.remove_container(&filler).await?;
    if let Some(there) = engine.volume(&upper.name).await? {
        if !owned(&there.labels) || used_layers(engine).await?.contains(&upper.name) {
            return Err(not_ours("volume", &upper.name).into());
        }
        pool::remove_volume(engine, &upper.name).await?;
    }
    if is_pooled(&upper.name) {
        let below = spec.layers.first().map(|layer| format!("{layer}{}", data_in(layer))).unwrap_or_default();
        pool::make_upper(engine, &upper.name, &below).await?;
    }
    engine.create_volume(upper).await?;
    match &spec.content {
        Content::Copy(view) => {
            let (image, view) = (&*spec.image, view.as_ref());
            let copy = Copying { name: &filler, image, labels: &labels, layers: &spec.layers, view, to: &upper.name };
            if let Err(error) = copy.run(engine, ticker).await {
                // A part of it is nobody's use, and takes the room that the next try needs.
                let _ = pool::remove_volume(engine, &upper.name).await;
                return Err(error.into());
            }
        }
        Content::Nothing(root) if !is_pooled(&upper.name) => fill(world, spec, *root, &filler, &labels).await?,
        Content::Nothing(_) => {}
    }
    // From now on it is seen that somebody stands on it; who looked before may have taken it away.
    if whole().await? { Ok(()) } else { Err(changed()) }
}

/// Puts the two directories into a volume.
async fn fill(
    world: &Real<'_>,
    spec: &UpperSpec,
    root: Option<Root>,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> Result<()> {
    let (engine, upper) = (world.engine, &spec.volume.name);
    if let Some(root) = root {
        let image = &empty_image(world, root).await?;
        return Filler { name, image, labels }.copy(engine, upper).await;
    }
    let below = spec.layers.first().map(String::as_str).unwrap_or_default();
    Filler { name, image: &spec.image, labels }.make_upper(engine, upper, Err(below)).await
}

/// An image with nothing in it but an empty upper. Into a new volume that is mounted over that the engine copies it, owners and
/// modes too, which takes a fifth of the time of putting it there.
async fn empty_image(world: &Real<'_>, root: Root) -> Result<String> {
    let Root { uid, gid, mode } = root;
    let tag = format!("sandbox-upper:{uid}-{gid}-{mode:o}");
    if world.engine.image(&tag).await?.is_some() {
        return Ok(tag);
    }
    // Imported twice there would be two, one of them without a name.
    let path = world.site.claims.locks().join("upper-image.lock");
    let lock = Lock::acquire(&path, "sandbox, making an image", PATIENCE, |_| {}).await?;
    let made = async {
        if world.engine.image(&tag).await?.is_none() {
            let archive = std::io::Cursor::new(upper_archive(INSIDE, root)?);
            let changes = [format!("LABEL {}={uid}:{gid}:{mode:o}", labels::ROOT), "CMD [\"true\"]".to_owned()];
            world.engine.import(archive, &tag, &changes, &Ticker::null()).await?;
        }
        Ok(tag)
    };
    let made = made.await;
    lock.release();
    made
}

/// Whether a container's layers are all there: of one that has just gone the engine makes an empty one without a word.
pub(in crate::world) async fn has_its_layers(engine: &Engine, spec: &ContainerSpec) -> Result<bool> {
    let mut below = Vec::new();
    for mount in &spec.mounts {
        if mount.target.starts_with(BELOW) {
            below.push(mount.source.as_str());
        }
    }
    if below.is_empty() {
        return Ok(true);
    }
    let layers = engine.volumes(&[(labels::LAYER, None)]).await?;
    Ok(below.iter().all(|name| layers.iter().any(|layer| layer.name == *name)))
}

/// A throw-away container that is never started: files are put through it.
pub(super) struct Filler<'a> {
    /// What it is called.
    pub(super) name: &'a str,
    /// An image that is here.
    pub(super) image: &'a str,
    /// What it and its volume carry.
    pub(super) labels: &'a BTreeMap<String, String>,
}

impl Filler<'_> {
    /// Makes an upper of an empty volume: its directory is as is said, or as that of a layer.
    pub(super) async fn make_upper(&self, engine: &Engine, upper: &str, root: Result<Root, &str>) -> Result<()> {
        let id = self.create(engine, upper, root.err(), true).await?;
        let root = match root {
            Ok(root) => Ok(root),
            Err(below) if is_upper(below) => engine.root_of(&id, &format!("{UNDER}/{}", Part::Upper)).await,
            Err(_) => engine.root_of(&id, UNDER).await,
        };
        let put = async { engine.put_archive(&id, INSIDE, upper_archive("", root?)?).await };
        let put = put.await;
        engine.remove_container(&id).await?;
        put
    }

    /// Fills an empty volume with what its image has there.
    pub(super) async fn copy(&self, engine: &Engine, upper: &str) -> Result<()> {
        let id = self.create(engine, upper, None, false).await?;
        engine.remove_container(&id).await
    }

    /// Mounts a volume, once: files put into it go through the kernel.
    pub(super) async fn mount(&self, engine: &Engine, volume: &str) -> Result<()> {
        let id = self.create(engine, volume, None, true).await?;
        let put = engine.put_archive(&id, INSIDE, Vec::new()).await;
        engine.remove_container(&id).await?;
        put
    }

    async fn create(&self, engine: &Engine, volume: &str, below: Option<&str>, nocopy: bool) -> Result<String> {
        let mount = |source: &str, target: &str| MountSpec {
            source: source.to_owned(),
            target: target.into(),
            nocopy: true,
            ..MountSpec::default()
        };
        let inside = MountSpec { volume_labels: self.labels.clone(), nocopy, ..mount(volume, INSIDE) };
        let under = below.map(|below| MountSpec { read_only: true, ..mount(below, UNDER) });
        let spec = ContainerSpec {
            name: self.name.to_owned(),
            image: self.image.to_owned(),
            command: Some(vec!["true".into()]),
            network_mode: Some("none".into()),
            labels: self.labels.clone(),
            mounts: [inside].into_iter().chain(under).collect(),
            ..ContainerSpec::default()
        };
        throw_away::create(engine, &spec).await
    }
}

/// An upper's two directories.
pub(super) fn upper_archive(place: &str, root: Root) -> Result<Vec<u8>> {
    let failed = |cause| Error::new(Kind::Unexpected, "cannot pack the directories of a clone").because(cause);
    let mut archive = tar::Builder::new(Vec::new());
    let plain = Root { uid: 0, gid: 0, mode: 0o755 };
    let parts = [(Part::Upper, root), (Part::Work, plain)].map(|(part, root)| (format!("{place}/{part}"), root));
    let top = (!place.is_empty()).then(|| (place.to_owned(), plain));
    for (path, Root { uid, gid, mode }) in top.into_iter().chain(parts) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mode(mode);
        let path = format!("{}/", path.trim_start_matches('/'));
        archive.append_data(&mut header, path, std::io::empty()).map_err(failed)?;
    }
    archive.into_inner().map_err(failed)
}
