//! Copying what is in layers, where it cannot be mounted, or not any longer.

use std::collections::BTreeMap;

use crate::engine::{ContainerSpec, Engine, Exit, MountSpec, VolumeSpec, labels};
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::snapshot::{data_in, is_pooled};
use crate::world::throw_away;

/// Where the layers are seen.
const FROM: &str = "/from";

/// Copies with owners, modes, times and links; where the file system can, without copying. Says how far it is, in kilobytes. What
/// stands on it afterwards is taken for whole, so it is on the disk before.
const COPY: &str = r#"
set -e
# What a run that was killed has left.
find /to -mindepth 1 -delete
mkdir -p "$2"
total=$(du -sk "$1" | cut -f 1)
(cp -a --reflink=auto "$1/." "$2/" 2>/dev/null || cp -a "$1/." "$2/") &
copying=$!
while kill -0 "$copying" 2>/dev/null; do
  echo "$(du -sk "$2" | cut -f 1) $total"
  sleep 0.1
done
wait "$copying"
sync -f "$2" 2>/dev/null || sync
"#;

/// Layers whose content is put into one, as one or as an upper.
pub(super) struct Copying<'a> {
    /// What the container is called that does it.
    pub(super) name: &'a str,
    /// An image that is here.
    pub(super) image: &'a str,
    /// What it carries.
    pub(super) labels: &'a BTreeMap<String, String>,
    /// The layers, the newest first.
    pub(super) layers: &'a [String],
    /// A volume through which they are seen as one, where there are several.
    pub(super) view: Option<&'a VolumeSpec>,
    /// A volume that is there and is nobody's yet.
    pub(super) to: &'a str,
}

impl Copying<'_> {
    /// Copies, and leaves nothing behind but the copy.
    pub(super) async fn run(&self, engine: &Engine, ticker: &Ticker) -> Result<()> {
        self.require_layers(engine).await?;
        self.copy_all(engine, ticker).await?;
        // Of one that has just gone the engine makes an empty one without a word.
        self.require_layers(engine).await
    }

    async fn require_layers(&self, engine: &Engine) -> Result<()> {
        let there = engine.volumes(&[(labels::LAYER, None)]).await?;
        let Some(gone) = self.layers.iter().find(|layer| !there.iter().any(|it| it.name == **layer)) else {
            return Ok(());
        };
        Err(Error::new(Kind::Service, format!("{gone} is gone, which was to be copied"))
            .because("somebody removed it, perhaps with `docker volume prune`"))
    }

    async fn copy_all(&self, engine: &Engine, ticker: &Ticker) -> Result<()> {
        let Some(view) = self.view else {
            let layer = self.layers.first().map(String::as_str).unwrap_or_default();
            return self.copy(engine, layer, &format!("{FROM}{}", data_in(layer)), ticker).await;
        };
        // What a killed run has left.
        engine.remove_container(self.name).await?;
        engine.remove_volume(&view.name).await?;
        engine.create_volume(&VolumeSpec { labels: self.labels.clone(), ..view.clone() }).await?;
        let copied = self.copy(engine, &view.name, FROM, ticker).await;
        engine.remove_volume(&view.name).await?;
        copied
    }

    async fn copy(&self, engine: &Engine, from: &str, place: &str, ticker: &Ticker) -> Result<()> {
        let mount = |volume: &str, target: &str| MountSpec {
            source: volume.to_owned(),
            target: target.to_owned(),
            nocopy: true,
            ..MountSpec::default()
        };
        let below = MountSpec { read_only: true, ..mount(from, FROM) };
        let container = ContainerSpec {
            name: self.name.to_owned(),
            image: self.image.to_owned(),
            entrypoint: Some(vec!["sh".into(), "-c".into()]),
            command: Some(vec![COPY.into(), "sh".into(), place.to_owned(), format!("/to{}", data_in(self.to))]),
            user: Some("0:0".into()),
            // A shell that is the first of its processes is deaf to others.
            stop_signal: Some("SIGKILL".into()),
            network_mode: Some("none".into()),
            labels: self.labels.clone(),
            mounts: vec![below, mount(self.to, "/to")],
            ..ContainerSpec::default()
        };
        let tick = |line: &str| {
            if let Some((done, total)) = progress(line) {
                ticker.tick(done, Some(total), "bytes", "copying");
            }
        };
        match throw_away::run_heard(engine, &container, tick).await? {
            (Exit::Code(0), _) => Ok(()),
            (_, said) => {
                let why: Vec<String> = said.into_iter().filter(|line| progress(line).is_none()).collect();
                Err(Error::new(Kind::Service, format!("the data of {} cannot be copied", self.layers.join(" and ")))
                    .because(why.join("\n"))
                    .hint(if is_pooled(self.to) {
                        "`sandbox pool show` says whether the pool is full; `sandbox pool grow SIZE` makes it larger"
                    } else {
                        "`df` says whether the engine's disk is full"
                    }))
            }
        }
    }
}

/// How far it is, in bytes, and how much there is.
fn progress(line: &str) -> Option<(u64, u64)> {
    let (done, total) = line.split_once(' ')?;
    Some((done.parse::<u64>().ok()? * 1024, total.parse::<u64>().ok()? * 1024))
}
