//! The pool: a file system with reflinks, XFS in a sparse file, for engines whose own storage has none.
//!
//! A volume holds the file, which a throw-away container attaches as a loop device; a second volume mounts that device, and one
//! idle container holds it mounted. Layers and uppers are directories in it, each with a volume of its own that stands for it, so
//! that labels and uses are told as everywhere. All that is done in it is done inside that container.
//!
//! After a reboot nothing is mounted there: what stands on it does not start, until the file is attached again.

use std::collections::BTreeMap;

use super::{Real, throw_away};
use crate::apply::Setback;
use crate::catalog;
use crate::engine::{
    ContainerSpec, CreateContainer, Engine, Exit, LITTLE_ROOM, MountKind, MountSpec, State, VolumeSpec, disk_full,
    labels,
};
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::images;
use crate::locks::Lock;
use crate::snapshot::{self, POOL, is_pooled};

/// The volume with the file in it. While it is there, there is a pool.
const IMAGE: &str = "sandbox_pool_image";

/// What is said where the file is not in it: its making was cut short.
const NO_FILE: &str = "no file";

/// What is said where it would do nothing that the engine's own storage does not.
const REFLINKS: &str = "reflinks";

/// What helps where it is full.
const FULL: &str = "the pool is full: `sandbox pool show` says who is in it; `sandbox pool grow SIZE` makes it larger";

/// Where the pool is, in its container.
const INSIDE: &str = "/pool";

/// Where the file is.
const FILE: &str = "/image/pool.img";

/// How long another may be at work on it.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(5);

/// Makes the file, unless it is there, and attaches it, unless it is. Says the device, last of all. Where reflinks would do as well
/// none is made, unless clones cannot use them.
const ATTACH: &str = r#"
set -eu
if [ ! -e "$1" ]; then
  [ "$2" -gt 0 ] || { echo "no file"; exit 0; }
  rm -f "$1.new" "$1.try" "$1.tried"
  if [ "$3" = true ] && echo block >"$1.try" && cp --reflink=always "$1.try" "$1.tried"; then
    echo "reflinks"; exit 0
  fi 2>/dev/null
  rm -f "$1.try" "$1.tried"
  truncate -s "$2" "$1.new"
  # What kernels of before 5.19 cannot mount is left out.
  mkfs.xfs -q -m reflink=1 -i nrext64=0 "$1.new"
  mv "$1.new" "$1"
fi
device=$(losetup --noheadings --output NAME --associated "$1" | head -n 1)
[ -n "$device" ] || device=$(losetup --find --show --direct-io=on "$1" 2>/dev/null) || device=$(losetup --find --show "$1")
echo "$device"
"#;

/// Makes the file larger, and the file system in it.
const GROW: &str = r#"
set -eu
# Cut off, the file system would be damaged.
[ "$2" -ge "$(stat -c %s "$1")" ] || { echo "the pool is larger already"; exit 1; }
truncate -s "$2" "$1"
device=$(losetup --noheadings --output NAME --associated "$1" | head -n 1)
losetup --set-capacity "$device"
xfs_growfs /pool >/dev/null
"#;

/// Removes what no volume stands for any more, and gives the disk back what is free.
const TRIM: &str = r#"
set -eu
known=" $1 "
for place in /pool/*; do
  [ -n "$(find "$place" -maxdepth 0 -mmin +60 2>/dev/null)" ] || continue
  case "$known" in *" ${place##*/} "*) ;; *) rm -rf "$place" ;; esac
done
fstrim /pool
"#;

/// Makes an empty upper: its directory belongs to whom that of the layer below it does.
const MAKE_UPPER: &str = r#"
set -eu
rm -rf "/pool/$1"
mkdir -p "/pool/$1/upper" "/pool/$1/work"
chown --reference="/pool/$2" "/pool/$1/upper"
chmod --reference="/pool/$2" "/pool/$1/upper"
"#;

/// How full it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What it can hold, in bytes.
    pub size_bytes: u64,
    /// What is in it, counted once where several share it.
    pub used_bytes: u64,
    /// What its file takes on the engine's disk.
    pub disk_bytes: u64,
    /// What is free on that disk.
    pub free_bytes: u64,
}

/// Whether there is a pool, attached or not.
pub async fn is_there(engine: &Engine) -> Result<bool> {
    let volume = engine.volume(IMAGE).await?;
    Ok(volume.is_some_and(|volume| volume.labels.contains_key(labels::POOL)))
}

/// Attaches the pool, where there is one. Whether there is.
pub(super) async fn attach(world: &Real<'_>) -> Result<bool> {
    let engine = world.engine;
    if !is_there(engine).await? {
        return Ok(false);
    }
    if is_attached(engine).await? {
        return Ok(true);
    }
    build_image(world, &Ticker::null()).await?;
    let lock = lock(world, "attaching the pool").await?;
    let attached = attach_file(world, 0).await;
    lock.release();
    attached
}

/// What works on the pool.
async fn build_image(world: &Real<'_>, ticker: &Ticker) -> Result<()> {
    if world.engine.image(&catalog::POOL.tag()).await?.is_some() {
        return Ok(());
    }
    images::build(world.engine, &catalog::POOL, &world.site.claims.locks(), ticker).await
}

/// Makes the pool, of a size in bytes.
pub(super) async fn create(world: &Real<'_>, size_bytes: u64, ticker: &Ticker) -> Result<()> {
    build_image(world, ticker).await?;
    let lock = lock(world, "making the pool").await?;
    let made = attach_file(world, size_bytes).await;
    if made.is_err() {
        // What matters is why. Nothing is in it yet.
        let _ = take_apart(world.engine).await;
    }
    lock.release();
    made.map(drop)
}

async fn lock(world: &Real<'_>, what: &str) -> Result<Lock> {
    Lock::acquire(&world.site.claims.locks().join("pool.lock"), &format!("sandbox, {what}"), PATIENCE, |_| {}).await
}

/// Whether the pool is mounted.
pub async fn is_attached(engine: &Engine) -> Result<bool> {
    let holder = engine.inspect(POOL).await?;
    Ok(holder.is_some_and(|it| it.state == State::Running && it.labels.contains_key(labels::POOL)))
}

fn labelled(what: &str) -> BTreeMap<String, String> {
    [(labels::POOL.to_owned(), what.to_owned())].into()
}

/// The file is made where a size is given, and without one a pool that was not finished is taken apart. The device it is attached
/// to may be another than before. Whether there is a pool then.
async fn attach_file(world: &Real<'_>, size_bytes: u64) -> Result<bool> {
    let engine = world.engine;
    if is_attached(engine).await? {
        return Ok(true);
    }
    engine.create_volume(&VolumeSpec { name: IMAGE.into(), labels: labelled("file"), ..VolumeSpec::default() }).await?;
    // Over volumes that are overlays themselves none can be mounted, whatever is below: there clones are copies.
    let manifests = engine.volumes(&[(labels::FROZEN, None)]).await?;
    let uses_reflinks = !snapshot::no_overlays(&snapshot::manifests(&manifests));
    let words = [ATTACH, "sh", FILE, &size_bytes.to_string(), &uses_reflinks.to_string()];
    let device = Helper::attaching(&words).run(engine).await?;
    let device = device.trim();
    if device == NO_FILE {
        return take_apart(engine).await.map(|()| false);
    }
    if device == REFLINKS {
        return Err(Error::new(
            Kind::SnapshotExists,
            "no pool is made: the engine's own storage has reflinks, as a pool would",
        )
        .hint("clones of databases copy nothing until they write as it is"));
    }
    if !device.starts_with("/dev/loop") {
        return Err(Error::new(Kind::Engine, format!("the pool was attached to {device:?}, which is no loop device")));
    }
    engine.remove_container(POOL).await?;
    let opts = [("type", "xfs"), ("device", device), ("o", "noatime")].map(|(name, value)| (name.into(), value.into()));
    let spec = VolumeSpec {
        name: POOL.into(),
        driver: Some("local".into()),
        driver_opts: opts.into(),
        labels: labelled("mount"),
    };
    if engine.volume(POOL).await?.is_some_and(|there| there.driver_opts != spec.driver_opts) {
        engine.remove_volume(POOL).await?;
    }
    engine.create_volume(&spec).await?;
    hold(engine).await.map(|()| true)
}

/// The container that holds it mounted. The engine does not start it by itself: after a reboot the device may be another's.
async fn hold(engine: &Engine) -> Result<()> {
    let spec = ContainerSpec {
        name: POOL.into(),
        image: catalog::POOL.tag(),
        entrypoint: Some(vec!["sleep".into()]),
        command: Some(vec!["infinity".into()]),
        stop_signal: Some("SIGKILL".into()),
        network_mode: Some("none".into()),
        labels: labelled("holder"),
        mounts: vec![mount(POOL, INSIDE), mount(IMAGE, "/image")],
        ..ContainerSpec::default()
    };
    match engine.create_container(&spec).await? {
        CreateContainer::Created(id) => engine.start(&id).await.map(drop),
        CreateContainer::NameTaken(why) | CreateContainer::NoNetwork(why) => {
            Err(Error::new(Kind::Engine, "cannot hold the pool").because(why))
        }
    }
}

fn mount(volume: &str, target: &str) -> MountSpec {
    MountSpec { source: volume.into(), target: target.into(), nocopy: true, ..MountSpec::default() }
}

/// A throw-away container that may attach loop devices, and do what the owner of a file system may.
struct Helper<'a> {
    words: &'a [&'a str],
    mounts: Vec<MountSpec>,
}

impl<'a> Helper<'a> {
    fn attaching(words: &'a [&'a str]) -> Helper<'a> {
        Helper { words, mounts: vec![mount(IMAGE, "/image")] }
    }

    fn inside(words: &'a [&'a str]) -> Helper<'a> {
        Helper { words, mounts: vec![mount(IMAGE, "/image"), mount(POOL, INSIDE)] }
    }

    /// What it said.
    async fn run(self, engine: &Engine) -> Result<String> {
        let devices =
            MountSpec { kind: MountKind::Bind, source: "/dev".into(), target: "/dev".into(), ..MountSpec::default() };
        let spec = ContainerSpec {
            name: format!("{POOL}_helper"),
            image: catalog::POOL.tag(),
            entrypoint: Some(vec!["sh".into(), "-c".into()]),
            command: Some(self.words.iter().map(|&word| word.to_owned()).collect()),
            cap_add: vec!["SYS_ADMIN".into()],
            // Loop devices, and what hands them out.
            device_cgroup_rules: vec!["b 7:* rwm".into(), "c 10:237 rwm".into()],
            security_opt: vec!["seccomp=unconfined".into()],
            network_mode: Some("none".into()),
            labels: labelled("helper"),
            mounts: self.mounts.into_iter().chain([devices]).collect(),
            ..ContainerSpec::default()
        };
        // One that a killed run has left. Nobody else is at it: the lock is ours.
        engine.remove_container(&spec.name).await?;
        match throw_away::run(engine, &spec).await? {
            (Exit::Code(0), said) => Ok(said.last().cloned().unwrap_or_default()),
            (_, said) => {
                let said = said.join("\n");
                let hint = disk_full(&said);
                Err(Error::new(Kind::Engine, "cannot work on the pool, in a container beside it")
                    .because(said)
                    .hint_if(hint)
                    .hint("without a pool clones are plain overlay volumes: `sandbox pool rm` takes away one that nothing stands on"))
            }
        }
    }
}

/// Runs a script in the pool's container. What it said.
async fn inside(engine: &Engine, words: &[&str]) -> Result<String> {
    let command: Vec<&str> = ["sh", "-c"].iter().chain(words).copied().collect();
    let ran = engine.exec_capture(POOL, &command, None, None).await?;
    if ran.exit_code == 0 {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
    let other =
        "`sandbox pool show` says how full it is, and the disk below it; `sandbox pool grow SIZE` makes it larger";
    // What the disk below it has no room for is another error here.
    let hint = disk_full(&said).map_or(other, |_| FULL);
    Err(Error::new(Kind::Engine, "cannot work in the pool").because(said).hint(hint))
}

/// Makes the directory of an upper over a layer, which is one's or another's upper too.
pub(super) async fn make_upper(engine: &Engine, upper: &str, below: &str) -> Result<(), Setback> {
    Ok(inside(engine, &[MAKE_UPPER, "sh", upper, below]).await.map(drop)?)
}

/// Makes the directory of a layer, empty.
pub(super) async fn make_layer(engine: &Engine, layer: &str) -> Result<()> {
    inside(engine, &[r#"rm -rf "/pool/$1"; mkdir "/pool/$1""#, "sh", layer]).await.map(drop)
}

/// Removes a volume, and what it stands for in the pool. Killed in between, what is left there is found by `trim`.
pub(super) async fn remove_volume(engine: &Engine, name: &str) -> Result<()> {
    engine.remove_volume(name).await?;
    if !is_pooled(name) || !is_attached(engine).await? {
        return Ok(());
    }
    inside(engine, &[r#"rm -rf "/pool/$1""#, "sh", name]).await.map(drop)
}

/// How full it is.
pub(super) async fn usage(engine: &Engine) -> Result<Usage> {
    let script = "df -B1 --output=size,used /pool | tail -n 1; stat -c '%b %B' /image/pool.img; \
                  df -B1 --output=avail /image | tail -n 1";
    let said = inside(engine, &[script]).await?;
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [size_bytes, used_bytes, blocks, block_bytes, free_bytes] = *numbers else {
        return Err(Error::new(Kind::Engine, "the pool does not say how full it is").because(said));
    };
    Ok(Usage { size_bytes, used_bytes, disk_bytes: blocks * block_bytes, free_bytes })
}

/// What helps where it has no room left; nothing where there is none.
pub(super) async fn full(engine: &Engine) -> Option<&'static str> {
    let usage = usage(engine).await.ok()?;
    (usage.size_bytes.saturating_sub(usage.used_bytes) < LITTLE_ROOM).then_some(FULL)
}

/// Makes it larger.
pub(super) async fn grow(world: &Real<'_>, size_bytes: u64) -> Result<()> {
    let lock = lock(world, "making the pool larger").await?;
    let grown = Helper::inside(&[GROW, "sh", FILE, &size_bytes.to_string()]).run(world.engine).await;
    lock.release();
    grown.map(drop)
}

/// Gives the disk back what is free in it.
pub(super) async fn trim(world: &Real<'_>) -> Result<()> {
    let volumes = world.engine.volumes(&[(labels::LAYER, None)]).await?;
    let known: Vec<&str> = volumes.iter().map(|volume| volume.name.as_str()).filter(|name| is_pooled(name)).collect();
    let lock = lock(world, "trimming the pool").await?;
    let trimmed = Helper::inside(&[TRIM, "sh", &known.join(" ")]).run(world.engine).await;
    lock.release();
    trimmed.map(drop)
}

/// Takes it away, with all that is in it, unless anything is: of that the answer names one.
pub(super) async fn remove(world: &Real<'_>) -> Result<Option<String>> {
    let engine = world.engine;
    build_image(world, &Ticker::null()).await?;
    let lock = lock(world, "removing the pool").await?;
    let removed = async {
        // From then on nobody makes anything in it.
        engine.remove_container(POOL).await?;
        let layers = engine.volumes(&[(labels::LAYER, None)]).await?;
        if let Some(left) = layers.into_iter().find(|layer| is_pooled(&layer.name)) {
            attach_file(world, 0).await?;
            return Ok(Some(left.name));
        }
        take_apart(engine).await.map(|()| None)
    };
    let removed = removed.await;
    lock.release();
    removed
}

async fn take_apart(engine: &Engine) -> Result<()> {
    engine.remove_container(POOL).await?;
    engine.remove_volume(POOL).await?;
    let detach = r#"losetup --noheadings --output NAME --associated "$1" | xargs -r -n 1 losetup --detach"#;
    if engine.volume(IMAGE).await?.is_some() {
        Helper::attaching(&[detach, "sh", FILE]).run(engine).await?;
    }
    engine.remove_volume(IMAGE).await
}
